# add_room(<name> SOURCES ... HEADERS ... MAY_INCLUDE room... [LIBRARIES target...])
#
# A static library echelon_<name> for one folder. MAY_INCLUDE is the one list of what the room may know: it is the link line,
# it is checked against the #include lines of the room's files at configure time. Every header compiles alone: its own source
# file includes it before all else (which shows it with -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON), or it is compiled by itself
# (target echelon_<name>_headers, built with everything else); .ci/run compiles those that changed.
function(add_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;HEADERS;MAY_INCLUDE;LIBRARIES" ${ARGN})
  set(target echelon_${name})
  add_library(${target} STATIC ${ROOM_SOURCES})
  echelon_compile_options(${target})
  target_precompile_headers(${target} REUSE_FROM echelon_parsed_once)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${target} PUBLIC fmt::fmt ${ROOM_LIBRARIES})
  foreach(room IN LISTS ROOM_MAY_INCLUDE)
    target_link_libraries(${target} PUBLIC echelon_${room})
  endforeach()
  echelon_check_includes(${name} "${ROOM_MAY_INCLUDE}" ${ROOM_SOURCES} ${ROOM_HEADERS})
  echelon_check_headers(${target} ${ROOM_HEADERS})
endfunction()

function(echelon_compile_options target)
  # GCC 12 sees overlapping copies in std::string's operator+ that are none (GCC bug 105651), and through a precompiled
  # header endless ones.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                                           $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
                                           $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-stringop-overflow;-Wno-array-bounds>
                                           $<$<BOOL:${ECHELON_WARNINGS_AS_ERRORS}>:-Werror>)
  if(ECHELON_SANITIZE)
    target_compile_options(${target} PUBLIC -fsanitize=${ECHELON_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${ECHELON_SANITIZE})
  endif()
endfunction()

# Refuses an #include "sim/..." | "strategies/..." | "calibrate/..." of a room that is neither this one nor in the list.
function(echelon_check_includes name allowed)
  cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE here)
  foreach(file IN LISTS ARGN)
    file(STRINGS ${file} lines REGEX "^#include \"(sim|strategies|calibrate)/")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^#include \"([^\"]*)/[^/\"]*\".*" "\\1" folder "${line}")
      string(REGEX REPLACE "^sim/" "" room "${folder}")
      string(REGEX REPLACE "^strategies.*" "strategies" room "${room}")
      string(REPLACE "calibrate/" "calibrate_" room "${room}")
      if(NOT room STREQUAL name AND NOT room IN_LIST allowed)
        message(FATAL_ERROR "${here}/${file} includes from room '${room}'; room '${name}' may include: ${allowed}")
      endif()
    endforeach()
  endforeach()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${ARGN})
endfunction()

function(echelon_check_headers target)
  set(probes)
  foreach(header IN LISTS ARGN)
    cmake_path(RELATIVE_PATH CMAKE_CURRENT_SOURCE_DIR BASE_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE here)
    string(REGEX REPLACE "\\.h$" ".cpp" source ${header})
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${source})
      file(STRINGS ${source} first REGEX "^#include" LIMIT_COUNT 1)
      if(first STREQUAL "#include \"${here}/${header}\"")
        continue()
      endif()
    endif()
    set(probe ${CMAKE_CURRENT_BINARY_DIR}/headers/${header}.cpp)
    file(CONFIGURE OUTPUT ${probe} CONTENT "#include \"${here}/${header}\"\n")
    list(APPEND probes ${probe})
  endforeach()
  if(probes)
    add_library(${target}_headers OBJECT ${probes})
    echelon_compile_options(${target}_headers)
    target_link_libraries(${target}_headers PRIVATE ${target})
  endif()
endfunction()
