# The rows that measure_steps.py would measure, made without torch, are all ones that echelon can predict.
file(REMOVE ${SCRATCH}/steps.csv)
execute_process(COMMAND ${PYTHON} ${SOURCE}/calibrate/check/measure_steps.py --dry-run --out ${SCRATCH}/steps.csv
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(STRINGS ${SCRATCH}/steps.csv rows REGEX "^check-")
list(LENGTH rows count)

# Transformers of 125M to 8B, with and without recompute, sequences of 1k to 16k, micro-batches of 1 to 16.
foreach(row IN LISTS rows)
  if(NOT row MATCHES "^check-(.+)-s([0-9]+)-b([0-9]+)-(none|full),")
    message(FATAL_ERROR "an id of another form: ${row}")
  endif()
  list(APPEND models ${CMAKE_MATCH_1})
  list(APPEND settings s${CMAKE_MATCH_2} b${CMAKE_MATCH_3} ${CMAKE_MATCH_4} ${CMAKE_MATCH_1}-${CMAKE_MATCH_4})
endforeach()
list(REMOVE_DUPLICATES models)
list(LENGTH models transformers)
if(transformers LESS 6)
  message(FATAL_ERROR "${transformers} transformers")
endif()
foreach(wanted s1024 s2048 s4096 s8192 s16384 b1 b2 b4 b8 b16 none full gpt-125m-none gpt-125m-full
    llama-3.1-8b-full llama-2-7b-none llama-2-7b-full)
  list(FIND settings ${wanted} at)
  if(at LESS 0)
    message(FATAL_ERROR "no run with ${wanted}")
  endif()
endforeach()

# As measure_all does it, with a shipped profile in the place of the measured one.
execute_process(COMMAND ${ECHELON} validate ${SCRATCH}/steps.csv --profile ${SOURCE}/hardware_profiles/hgx-h200.yaml --json
                OUTPUT_VARIABLE report COMMAND_ERROR_IS_FATAL ANY)
foreach(index RANGE 1 ${count})
  math(EXPR at "${index} - 1")
  string(JSON id GET "${report}" rows ${at} id)
  string(JSON status GET "${report}" rows ${at} status)
  if(status STREQUAL "skipped")
    string(JSON reason GET "${report}" rows ${at} reason)
    message(FATAL_ERROR "${id} is skipped: ${reason}")
  endif()
  string(JSON time GET "${report}" rows ${at} predicted iteration_time_s)
  string(JSON memory GET "${report}" rows ${at} predicted peak_memory_bytes)
  if(NOT time GREATER 0 OR NOT memory GREATER 0)
    message(FATAL_ERROR "${id} is not predicted: ${time} s, ${memory} bytes")
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
