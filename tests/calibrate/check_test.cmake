# The rows that measure_steps.py would measure, made without torch, are all ones that echelon can predict.
file(REMOVE ${SCRATCH}/steps.csv)
execute_process(COMMAND ${PYTHON} ${SOURCE}/calibrate/check/measure_steps.py --dry-run --out ${SCRATCH}/steps.csv
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(STRINGS ${SCRATCH}/steps.csv rows REGEX "^check-")
list(LENGTH rows count)
execute_process(COMMAND ${ECHELON} validate ${SCRATCH}/steps.csv --json
                OUTPUT_VARIABLE report COMMAND_ERROR_IS_FATAL ANY)
foreach(index RANGE 1 ${count})
  math(EXPR at "${index} - 1")
  string(JSON id GET "${report}" rows ${at} id)
  string(JSON status GET "${report}" rows ${at} status)
  if(status STREQUAL "skipped")
    string(JSON reason GET "${report}" rows ${at} reason)
    message(FATAL_ERROR "${id} is skipped: ${reason}")
  endif()
endforeach()
# A second run finds every row there.
file(READ ${SCRATCH}/steps.csv before)
execute_process(COMMAND ${PYTHON} ${SOURCE}/calibrate/check/measure_steps.py --dry-run --out ${SCRATCH}/steps.csv
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(READ ${SCRATCH}/steps.csv after)
if(NOT before STREQUAL after)
  message(FATAL_ERROR "a second run added rows")
endif()
execute_process(COMMAND ${PYTHON} ${SOURCE}/calibrate/check/measure_attention.py --dry-run --out none
                OUTPUT_VARIABLE shapes COMMAND_ERROR_IS_FATAL ANY)
if(NOT shapes MATCHES "cudnn True 4 8192 32 8 128")
  message(FATAL_ERROR "measure_attention.py lists no such shape")
endif()
