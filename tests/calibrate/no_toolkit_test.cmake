# A build with no CUDA toolkit: it configures and says so, its program is compiled and linked by the very commands of
# this build's, so that the one at hand is the other, and that one, where no module of CUDA's lies beside it, fits
# samples, takes other people's tables and says why it measures nothing.
file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH}/bin)
set(ENV{ECHELON_DATA} ${SOURCE})

set(other ${SCRATCH}/build)
execute_process(
  COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${other} -G ${GENERATOR} -C ${SETTINGS}
          -DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON -DCMAKE_CUDA_COMPILER=NOTFOUND -DECHELON_TESTS=OFF
  OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE status)
if(NOT status EQUAL 0 OR NOT said MATCHES "CUDA not found: kernels cannot be measured here; their tables can still be imported")
  message(FATAL_ERROR "without a toolkit, exit code ${status}:\n${said}")
endif()

# The commands of `folder` that make the program, with the folder's name left out.
function(commands_of folder result)
  execute_process(COMMAND ${NINJA} -C ${folder} -t commands bin/echelon
    OUTPUT_VARIABLE commands COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE ${folder} "" commands "${commands}")
  set(${result} "${commands}" PARENT_SCOPE)
endfunction()
commands_of(${BUILD} with)
commands_of(${other} without)
string(LENGTH "${with}" length)
if(length LESS 10000 OR NOT with MATCHES "calibrate/gpu/open_device.cpp")
  message(FATAL_ERROR "these are no commands that make the program:\n${with}")
endif()
if(NOT with STREQUAL without)
  file(WRITE ${SCRATCH}/with.txt "${with}")
  file(WRITE ${SCRATCH}/without.txt "${without}")
  message(FATAL_ERROR "the program is another one without a toolkit: compare with.txt and without.txt in ${SCRATCH}")
endif()

# run CODE TEXT arguments...: the program alone, with its exit code and what it must say.
get_filename_component(name ${ECHELON} NAME)
configure_file(${ECHELON} ${SCRATCH}/bin/${name} COPYONLY)
function(run code text)
  execute_process(COMMAND ${SCRATCH}/bin/${name} ${ARGN}
    OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE status)
  string(FIND "${said}" "${text}" at)
  if(NOT status EQUAL code OR at LESS 0)
    message(FATAL_ERROR "'${ARGN}': exit code ${status} for ${code}, or no '${text}' in\n${said}")
  endif()
endfunction()
run(2 "no CUDA device (this program was built without a CUDA toolkit)" calibrate --quick -o ${SCRATCH}/none.yaml)
set(samples "# echelon calibrate samples 1\n# gpu: NVIDIA H100 80GB HBM3\n")
string(APPEND samples "family,operation,type,variant,m,n,k,batch,ranks,bytes,heads,kv_heads,ranks_per_node,outcome,time_us,")
string(APPEND samples "spread,least_us,runs,outliers,sm_mhz,memory_mhz,watts,celsius,note\n")
foreach(megabytes 1 10 100 1000 2000 4000)
  math(EXPR bytes "1000000 * ${megabytes}")
  math(EXPR microseconds "2 + ${megabytes} * 10 / 29")
  string(APPEND samples "memory,device_copy,bf16,,,,,,,${bytes},,,,measured,${microseconds},,,5,,,,,,\n")
endforeach()
file(WRITE ${SCRATCH}/samples.csv "${samples}")
run(0 "memory " calibrate --fit-only ${SCRATCH}/samples.csv -o ${SCRATCH}/fitted.yaml)
run(0 "gemm bf16" import gemm-table ${DATA}/kernels/gemm_h100.csv --profile dgx-h100 -o ${SCRATCH}/table.yaml)
run(0 "" import nccl-tests ${DATA}/nccl/dgxcloud-h100-nvlsharp-allreduce-8gpus.txt --profile dgx-h100
    -o ${SCRATCH}/links.yaml)
run(0 "tokens/s" run ${SOURCE}/scenarios/examples/llama3-70b-512-h100.yaml --set cluster.profile=${SCRATCH}/table.yaml)
