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

  # In between, a program that turns death by a signal into an exit code, which ctest takes for no accident.
  add_test(NAME verify.planted.crash COMMAND ${CMAKE_COMMAND} -E env REPRISE_FAULT=crash@123457
    $<TARGET_FILE:verify_faulty> verify --engines interp,faulty -m 64M --debug-exit
    --kernel ${CMAKE_BINARY_DIR}/guests/exceptions64.elf)
  set_tests_properties(verify.planted.crash PROPERTIES
    PASS_REGULAR_EXPRESSION "engine faulty has crashed .* on the way from 100000 to 200000 instructions")

  # verify.<engine>.<suite>: after every instruction, after every block, and in long pieces, of which each shows what
  # the others cannot: a single instruction is never a whole translation. The first engine is compared with itself.
  list(GET REPRISE_ENGINES 0 believed)
  get_property(suites DIRECTORY ${CMAKE_SOURCE_DIR}/guests PROPERTY GUEST_SUITES)
  foreach(engine ${REPRISE_ENGINES})
    set(verify ${CMAKE_CURRENT_SOURCE_DIR}/verify_test.sh $<TARGET_FILE:reprise> ${believed} ${engine})
    set(grains insn)
    if(NOT engine STREQUAL believed)
      set(grains insn,block,997,100K)
    endif()
    foreach(suite ${suites})
      if("${engine} ${suite}" MATCHES "${REPRISE_ALIKE}")
        continue()
      endif()
      add_test(NAME verify.${engine}.${suite} COMMAND ${verify} ${grains}
        --kernel ${CMAKE_BINARY_DIR}/guests/${suite}.elf -m 64M --debug-exit)
      set_tests_properties(verify.${engine}.${suite} PROPERTIES TIMEOUT 600)
    endforeach()
    foreach(bits 32 64)
      if("${engine} bench${bits}" MATCHES "${REPRISE_ALIKE}")
        continue()
      endif()
      set(image --kernel ${CMAKE_BINARY_DIR}/guests/bench/bench${bits}.elf -m 64M --debug-exit)
      add_test(NAME verify.${engine}.bench${bits} COMMAND ${verify} ${grains} ${image} --append "sse1 sse4 x87"
        --max-insns 2M)
      add_test(NAME verify.${engine}.bench${bits}.long COMMAND ${verify} 100K ${image} --max-insns 100M)
      set_tests_properties(verify.${engine}.bench${bits} verify.${engine}.bench${bits}.long PROPERTIES TIMEOUT 600)
    endforeach()
  endforeach()

  # verify.<engine>.linux.<flavour>: a whole boot with its workload.
  foreach(engine ${REPRISE_ENGINES})
    foreach(flavour 686 686-pae amd64)
      set(folder ${REPRISE_CACHE}/guests/${flavour})
      if(engine STREQUAL believed OR "${engine} ${flavour}" MATCHES "${REPRISE_ALIKE}")
        continue()
      endif()
      add_test(NAME verify.${engine}.linux.${flavour} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/verify_test.sh
        $<TARGET_FILE:reprise> ${believed} ${engine} 100K --kernel ${folder}/vmlinuz --initrd ${folder}/initrd
        --append "console=ttyS0 reprise.workload reprise.batch" -m 512M --max-insns 20G)
      set_tests_properties(verify.${engine}.linux.${flavour} PROPERTIES TIMEOUT 4800 LABELS slow)
    endforeach()
  endforeach()
endif()
