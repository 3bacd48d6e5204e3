# verify.planted.<kind>: `reprise verify` finds each kind of fault at its instruction. `verify_faulty` is the program
# with a second engine that has one.
if(TARGET reprise)
  add_executable(verify_faulty ${SIM_MAIN} faulty_engine.c)
  target_compile_definitions(verify_faulty PRIVATE _GNU_SOURCE)
  target_link_libraries(verify_faulty -Wl,--start-group sim_host portable_sim -Wl,--end-group)
  add_dependencies(verify_faulty isa_index)

  # verify_planted(KIND ICOUNT EVERY FOUND WORD)
  function(verify_planted kind)
    add_test(NAME verify.planted.${kind} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/verify_planted_test.sh
      $<TARGET_FILE:verify_faulty> ${CMAKE_BINARY_DIR}/guests/exceptions64.elf ${kind} ${ARGN})
    set_tests_properties(verify.planted.${kind} PROPERTIES TIMEOUT 200)
  endfunction()
  verify_planted(register 123457 block 123457 rbx)
  verify_planted(flag 123457 insn 123457 flags)
  verify_planted(sse 123457 100K 123457 xmm0)
  verify_planted(device 123457 1M 123457 selftest)
  verify_planted(memory 123457 1M 123457 memory)
  verify_planted(msr 123457 block 123457 tsc_aux)
  verify_planted(count 123457 insn 123457 rip)
  verify_planted(block 123457 8 123463 rbx)
  verify_planted(warm 123457 insn 123457 rbx)
endif()
