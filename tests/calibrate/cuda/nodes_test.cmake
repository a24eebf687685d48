# Two processes that measure collectives together, as on two nodes (fake_nodes.h), where one of them fails: nobody is
# left waiting, and nothing that was measured is lost.
file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH})
get_filename_component(name ${ECHELON} NAME)
configure_file(${ECHELON} ${SCRATCH}/${name} COPYONLY)
configure_file(${MODULE} ${SCRATCH}/echelon_cuda.so COPYONLY)
get_filename_component(libraries ${FAKE} DIRECTORY)
get_filename_component(here ${CMAKE_SCRIPT_MODE_FILE} DIRECTORY)
set(ENV{ECHELON_DATA} ${SOURCE})
set(planned 54) # benchmarks of one GPU on each of two nodes

# calibrate CASE [FIRST name=value...] [SECOND name=value...] [SECOND_BEFORE command...]: process 0 and 1 at once, with
# their own environment; leaves the exit codes of 1 and 0 in `statuses`, what both said in `said` and both logs in `log`.
macro(calibrate case)
  cmake_parse_arguments(RUN "" "" "FIRST;SECOND;SECOND_BEFORE" ${ARGN})
  file(REMOVE_RECURSE ${SCRATCH}/nodes)
  file(MAKE_DIRECTORY ${SCRATCH}/nodes)
  file(REMOVE ${SCRATCH}/${case}.0.log ${SCRATCH}/${case}.1.log)
  set(program env LD_PRELOAD=${FAKE} LD_LIBRARY_PATH=${libraries} ECHELON_FAKE_NODES=${SCRATCH}/nodes ${SCRATCH}/${name}
              calibrate --quick --only collective --rendezvous ${SCRATCH}/${case}.meet --ranks 2 --patience 10
              -o ${SCRATCH}/${case}.yaml --raw ${SCRATCH}/${case}.csv)
  execute_process(
    COMMAND env ECHELON_FAKE_LOG=${SCRATCH}/${case}.1.log ${RUN_SECOND} ${RUN_SECOND_BEFORE} ${program} --rank 1
    COMMAND env ECHELON_FAKE_LOG=${SCRATCH}/${case}.0.log ${RUN_FIRST} ${program} --rank 0
    ERROR_VARIABLE said OUTPUT_QUIET RESULTS_VARIABLE statuses TIMEOUT 240)
  set(log "")
  foreach(rank 0 1)
    if(EXISTS ${SCRATCH}/${case}.${rank}.log)
      file(READ ${SCRATCH}/${case}.${rank}.log text)
      string(APPEND log "${text}")
    endif()
  endforeach()
  if(log MATCHES "wrong:")
    message(FATAL_ERROR "${case}: calls that are not legal:\n${log}\n${said}")
  endif()
endmacro()

# Both went on to the end; `lost` benchmarks are lost, the rest is measured.
function(expect_whole case lost)
  file(STRINGS ${SCRATCH}/${case}.csv measured REGEX ",measured,")
  file(STRINGS ${SCRATCH}/${case}.csv given_up REGEX ",lost,")
  list(LENGTH measured count)
  list(LENGTH given_up lost_count)
  math(EXPR all "${count} + ${lost_count}")
  if(NOT statuses STREQUAL "0;0" OR NOT lost_count EQUAL lost OR NOT all EQUAL planned
     OR NOT EXISTS ${SCRATCH}/${case}.yaml)
    message(FATAL_ERROR "${case}: exit codes ${statuses}, ${count} measured, ${lost_count} lost\n${said}")
  endif()
endfunction()

function(expect_text text)
  string(FIND "${said}" "${text}" at)
  if(at LESS 0)
    message(FATAL_ERROR "'${text}' is not told in\n${said}")
  endif()
endfunction()

# An error on one side: both processes start anew and meet again.
calibrate(second_errs SECOND ECHELON_FAKE_FAIL=nccl:700:1) # ncclUnhandledCudaError
expect_whole(second_errs 1)
expect_text("process 1: collective: an injected error")
expect_text("a process on another node started anew")
calibrate(first_errs FIRST ECHELON_FAKE_FAIL=nccl:400:1)
expect_whole(first_errs 1)

# On both at the same benchmark: that one is lost, and none behind it.
calibrate(both_err FIRST ECHELON_FAKE_FAIL=nccl:400:1 SECOND ECHELON_FAKE_FAIL=nccl:400:1)
expect_whole(both_err 1)

# A process that a library takes down.
calibrate(second_dies SECOND ECHELON_FAKE_FAIL=nccl:900:-1)
expect_whole(second_dies 1)
expect_text("the process died of signal 6")

# A node that is gone: the other one ends in time, and the same command goes on where it was.
calibrate(second_gone SECOND_BEFORE ${here}/kill_midway.sh ${SCRATCH}/second_gone.csv.part 30)
if(NOT statuses STREQUAL "137;1")
  message(FATAL_ERROR "second_gone: exit codes ${statuses}\n${said}")
endif()
expect_text("process 1 of 2 has given no sign of life for 10 s; what was measured is kept")
file(STRINGS ${SCRATCH}/second_gone.csv.part before REGEX ",measured,")
list(LENGTH before before)
calibrate(second_gone)
expect_whole(second_gone 0)
expect_text("had ${before} before")
