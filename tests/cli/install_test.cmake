# Installs BUILD under PREFIX and has the installed program find a profile that lies there alone.
file(REMOVE_RECURSE ${PREFIX})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
set(profiles ${PREFIX}/share/echelon/hardware_profiles)
if(NOT EXISTS ${profiles}/dgx-h100.yaml)
  message(FATAL_ERROR "${profiles} lacks the shipped profiles")
endif()
configure_file(${profiles}/dgx-h100.yaml ${profiles}/only-here.yaml COPYONLY)
unset(ENV{ECHELON_DATA})
execute_process(COMMAND ${PREFIX}/bin/echelon profiles only-here
                WORKING_DIRECTORY / OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
