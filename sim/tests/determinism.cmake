# determinism.<suite>: the suites of guests/ end in the same state however they are run. Those that compute with the FPU
# are the benchmark kernels, of which a part will do.
if(TARGET reprise)
  add_executable(sliced_run sliced_run.c)
  target_compile_definitions(sliced_run PRIVATE _GNU_SOURCE)
  target_link_libraries(sliced_run -Wl,--start-group sim_host portable_sim -Wl,--end-group)
  target_link_options(sliced_run PRIVATE -Wl,--wrap=host_fpu_volatile)
  add_dependencies(sliced_run isa_index)

  function(determinism_test name image)
    foreach(engine ${REPRISE_ENGINES})
      if("${engine} ${name}" MATCHES "${REPRISE_ALIKE}")
        continue()
      endif()
      engine_prefix(${engine} prefix)
      add_test(NAME determinism.${prefix}${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/determinism_test.sh
        $<TARGET_FILE:reprise> $<TARGET_FILE:sliced_run> "${REPRISE_SANITIZED_BUILD}" ${image} --engine ${engine} ${ARGN})
      set_tests_properties(determinism.${prefix}${name} PROPERTIES TIMEOUT 600)
    endforeach()
  endfunction()

  get_property(suites DIRECTORY ${CMAKE_SOURCE_DIR}/guests PROPERTY GUEST_SUITES)
  foreach(suite ${suites})
    determinism_test(${suite} ${CMAKE_BINARY_DIR}/guests/${suite}.elf)
  endforeach()
  if(EXISTS ${CMAKE_SOURCE_DIR}/guests/bench/CMakeLists.txt)
    foreach(bits 32 64)
      determinism_test(bench${bits} ${CMAKE_BINARY_DIR}/guests/bench/bench${bits}.elf
        --append "sse1 sse4 x87" --max-insns 6000000)
    endforeach()
  endif()
endif()
