# The program with calibrate/gpu/cuda on a runtime that checks every call (fake_cuda.h): whole sweeps, killed ones, ones
# that run out of memory, and ones in which each library fails.
file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH})
get_filename_component(name ${ECHELON} NAME)
configure_file(${ECHELON} ${SCRATCH}/${name} COPYONLY)
configure_file(${MODULE} ${SCRATCH}/echelon_cuda.so COPYONLY)
get_filename_component(libraries ${FAKE} DIRECTORY)
set(ENV{ECHELON_DATA} ${SOURCE})
# Not `cmake -E env`, which starts the program as a child: whoever kills it would leave the program running.
set(program env LD_PRELOAD=${FAKE} LD_LIBRARY_PATH=${libraries}:$ENV{LD_LIBRARY_PATH} ${SCRATCH}/${name})

# calibrate CASE [ENVIRONMENT name=value...] [BEFORE command...] OPTIONS...: one sweep into CASE.*; leaves what it said
# in `said` and `fitted`, its exit code in `status` and the runtime's log of this run alone in `log`.
macro(calibrate case)
  cmake_parse_arguments(RUN "" "" "ENVIRONMENT;BEFORE;OPTIONS" ${ARGN})
  file(REMOVE ${SCRATCH}/${case}.log)
  execute_process(
    COMMAND env ECHELON_FAKE_LOG=${SCRATCH}/${case}.log ${RUN_ENVIRONMENT}
            ${RUN_BEFORE} ${program} calibrate ${RUN_OPTIONS} -o ${SCRATCH}/${case}.yaml --raw ${SCRATCH}/${case}.csv
    OUTPUT_VARIABLE fitted ERROR_VARIABLE said RESULT_VARIABLE status)
  set(log "")
  if(EXISTS ${SCRATCH}/${case}.log)
    file(READ ${SCRATCH}/${case}.log log)
  endif()
  if(log MATCHES "wrong:")
    message(FATAL_ERROR "${case}: calls that are not legal:\n${log}\n${said}")
  endif()
endmacro()

# Complete: exit code 0, nothing left to measure, no child that died by itself, and a profile.
macro(expect_complete case)
  if(NOT status EQUAL 0 OR NOT said MATCHES " 0 left" OR said MATCHES "died of" OR NOT EXISTS ${SCRATCH}/${case}.yaml)
    message(FATAL_ERROR "${case}: exit code ${status}\n${said}")
  endif()
endmacro()

function(count_outcomes case outcome result)
  file(STRINGS ${SCRATCH}/${case}.csv rows REGEX ",${outcome},")
  list(LENGTH rows count)
  set(${result} ${count} PARENT_SCOPE)
endfunction()

# The samples of a journal, finished or not.
function(count_samples journal result)
  file(STRINGS ${journal} rows REGEX "^[^#]")
  list(FILTER rows EXCLUDE REGEX "^family,")
  list(LENGTH rows count)
  set(${result} ${count} PARENT_SCOPE)
endfunction()

# The number behind NAME in the runtime's log, where the run's one child leaves it at its end.
function(read_log name result)
  string(REGEX MATCHALL "${name}: [0-9.]+" found "${log}")
  list(LENGTH found count)
  if(NOT count EQUAL 1)
    message(FATAL_ERROR "${count} times '${name}:' in the log:\n${log}")
  endif()
  string(REGEX REPLACE ".*: " "" number "${found}")
  set(${result} ${number} PARENT_SCOPE)
endfunction()

function(expect_text text where)
  string(FIND "${where}" "${text}" at)
  if(at LESS 0)
    message(FATAL_ERROR "'${text}' is not told in\n${where}")
  endif()
endfunction()

# A whole sweep within its two minutes and half of an H200's 139 GiB, and a run with its profile.
calibrate(whole OPTIONS --quick)
expect_complete(whole)
foreach(outcome failed lost unsupported out_of_memory)
  count_outcomes(whole ${outcome} count)
  if(count GREATER 0)
    message(FATAL_ERROR "${count} benchmarks are ${outcome}:\n${said}")
  endif()
endforeach()
read_log(peak bytes)
if(bytes GREATER 74625056768)
  message(FATAL_ERROR "the sweep needs more than half of the memory: ${bytes} bytes")
endif()
read_log(seconds seconds)
if(seconds GREATER 120)
  message(FATAL_ERROR "the sweep takes more than two minutes: ${seconds} s")
endif()
execute_process(COMMAND ${ECHELON} run ${SOURCE}/scenarios/examples/llama3-8b-one-node.yaml
                        --set cluster.profile=${SCRATCH}/whole.yaml
                OUTPUT_VARIABLE report ERROR_VARIABLE said RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "run does not take the profile:\n${said}")
endif()

# The same sweep, killed on its way (137 = 128 + SIGKILL): its child ends too, before the sweep's end, which would be
# told in the log. execute_process waits for both, since both hold its pipes.
get_filename_component(here ${CMAKE_SCRIPT_MODE_FILE} DIRECTORY)
calibrate(killed BEFORE ${here}/kill_midway.sh ${SCRATCH}/killed.csv.part 100 OPTIONS --quick)
if(NOT status EQUAL 137 OR said MATCHES "measured [0-9]+ benchmarks" OR log MATCHES "seconds:"
   OR EXISTS ${SCRATCH}/killed.csv OR EXISTS ${SCRATCH}/killed.yaml)
  message(FATAL_ERROR "the sweep was not killed on its way: exit code ${status}\n${said}\n${log}")
endif()
count_samples(${SCRATCH}/whole.csv all)
count_samples(${SCRATCH}/killed.csv.part before)
if(NOT before LESS all)
  message(FATAL_ERROR "${before} of ${all} samples when it was killed")
endif()
# Another one goes on there.
calibrate(killed OPTIONS --quick)
expect_complete(killed)
expect_text("had ${before} before" "${said}")
count_samples(${SCRATCH}/killed.csv after)
if(NOT after EQUAL all)
  message(FATAL_ERROR "${after} of ${all} samples after the sweep that went on")
endif()

# Everything that is measured on a fresh machine, with a PyTorch that measures nothing, from the folder that `pack`
# makes; LD_PRELOAD reaches the program through its wrapper.
if(PYTHON)
  execute_process(COMMAND ${SOURCE}/calibrate/check/pack ${BUILD} ${SCRATCH}/pack COMMAND_ERROR_IS_FATAL ANY)
  configure_file(${MODULE} ${SCRATCH}/pack/lib/echelon/echelon_cuda.so COPYONLY)
  execute_process(
    COMMAND env LD_PRELOAD=${FAKE} LD_LIBRARY_PATH=${libraries} PYTHON=${PYTHON}
            PYTHONPATH=${SOURCE}/tests/calibrate/fake_torch PYTHONDONTWRITEBYTECODE=1
            ECHELON_FAKE_LOG=${SCRATCH}/all.log ${SCRATCH}/pack/check/measure_all ${SCRATCH}/all 0.5
    OUTPUT_VARIABLE told ERROR_VARIABLE said RESULT_VARIABLE status)
  if(NOT status EQUAL 0 OR NOT EXISTS ${SCRATCH}/all/profile.yaml OR NOT told MATCHES "steps.csv +27")
    message(FATAL_ERROR "measure_all: exit code ${status}\n${told}\n${said}")
  endif()
  if(NOT EXISTS ${SCRATCH}/all/attention.csv OR EXISTS ${SCRATCH}/all/attention.csv.part)
    message(FATAL_ERROR "measure_all does not leave a finished attention.csv:\n${said}")
  endif()
  file(STRINGS ${SCRATCH}/all/validation.txt strangers REGEX "^== ")
  if(strangers)
    message(FATAL_ERROR "in validation.txt, which is to hold validate's output alone: ${strangers}")
  endif()
endif()

# Two GPUs: collectives, products beside them, copies to the peer; links alone make a profile too.
calibrate(two ENVIRONMENT ECHELON_FAKE_DEVICES=2 OPTIONS --quick --only collective,overlap,copy)
expect_complete(two)
count_outcomes(two measured count)
if(NOT count GREATER 80)
  message(FATAL_ERROR "two GPUs: ${count} measured\n${said}")
endif()

# 1 GiB of memory: what does not fit is skipped.
calibrate(small ENVIRONMENT ECHELON_FAKE_MEMORY=1073741824 OPTIONS --quick --only memory,attention,allocator)
expect_complete(small)
count_outcomes(small out_of_memory count)
if(count LESS 5)
  message(FATAL_ERROR "${count} out of memory in 1 GiB\n${said}")
endif()

# fails CASE FAILURE OUTCOME COUNT families: one call fails once, on two GPUs; COUNT benchmarks end so, the rest is
# measured.
function(fails case failure outcome expected families)
  calibrate(${case} ENVIRONMENT ECHELON_FAKE_FAIL=${failure} ECHELON_FAKE_DEVICES=2
            OPTIONS --quick --only collective,${families})
  expect_complete(${case})
  count_outcomes(${case} ${outcome} count)
  set(said "${said}" PARENT_SCOPE)
  if(NOT EXISTS ${SCRATCH}/${case}.log.failed OR NOT count EQUAL expected)
    message(FATAL_ERROR "${case}: ${count} ${outcome}, not ${expected}\n${said}")
  endif()
endfunction()
fails(no_product cublasLtMatmul:1:14 failed 1 overlap) # CUBLAS_STATUS_INTERNAL_ERROR
fails(no_algorithm cublasLtMatmulAlgoGetHeuristic:2:15 unsupported 1 overlap) # CUBLAS_STATUS_NOT_SUPPORTED
fails(no_plan "cudnn plan:1:3000" failed 0 attention) # the next of the heuristic's engines takes over
fails(no_execution cudnnBackendExecute:1:5000 failed 1 attention) # CUDNN_STATUS_EXECUTION_FAILED
fails(no_cudnn cudnnCreate:1:1000 failed 1 attention) # CUDNN_STATUS_NOT_INITIALIZED
# cudaErrorStreamCaptureInvalidated: launched anew each time.
fails(no_capture cudaStreamEndCapture:1:901 failed 0 launch)
fails(no_graph cudaGraphInstantiate:1:2 out_of_memory 0 launch) # tried again with room
fails(no_launch cudaLaunchKernel:30:98 failed 1 launch) # cudaErrorInvalidDeviceFunction
fails(no_copy cudaMemcpyAsync:1:1 failed 1 copy) # cudaErrorInvalidValue
fails(no_group ncclCommInitRank:1:2 failed 1 launch) # ncclSystemError
fails(no_collective nccl:1:1 failed 1 launch) # ncclUnhandledCudaError
fails(no_nvml nvmlInit:1:9 failed 0 launch) # NVML_ERROR_DRIVER_NOT_LOADED
# An illegal address: the process is of no more use, and another one goes on.
fails(fault cudaLaunchKernel:100:-700 lost 1 launch)
expect_text("the GPU stopped answering; going on" "${said}")
