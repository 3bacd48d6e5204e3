# verify.bochs.*: the interpreter against Bochs' processor (ci/bochs builds it), after every instruction.
if(TARGET reprise-bochs AND TARGET reprise)
  # bochs_test(NAME PROGRAM GROUP ARGUMENT...)
  function(bochs_test name)
    add_test(NAME verify.bochs.${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/bochs_test.sh ${ARGN})
    set_tests_properties(verify.bochs.${name} PROPERTIES TIMEOUT 600
      ENVIRONMENT "REPRISE_BOCHS=$<TARGET_FILE:reprise-bochs>")
  endfunction()

  get_property(suites DIRECTORY ${CMAKE_SOURCE_DIR}/guests PROPERTY GUEST_SUITES)
  foreach(suite ${suites})
    bochs_test(${suite} $<TARGET_FILE:reprise> agree ${CMAKE_BINARY_DIR}/guests/${suite}.elf)
  endforeach()
  bochs_test(log $<TARGET_FILE:reprise> log ${CMAKE_BINARY_DIR}/guests/hello.elf)
  bochs_test(planted $<TARGET_FILE:verify_faulty> planted ${CMAKE_BINARY_DIR}/guests/exceptions64.elf)
  bochs_test(missing $<TARGET_FILE:reprise> missing ${CMAKE_BINARY_DIR}/guests/hello.elf)
  bochs_test(memory $<TARGET_FILE:reprise> again ${CMAKE_BINARY_DIR}/guests/debug64.elf)
  set_property(TEST verify.bochs.memory APPEND PROPERTY ENVIRONMENT "AGAIN=mov: general detect")

  # The beginning of a boot.
  foreach(flavour 686 amd64)
    set(folder ${REPRISE_CACHE}/guests/${flavour})
    bochs_test(linux.${flavour} $<TARGET_FILE:reprise> linux ${folder}/vmlinuz --initrd ${folder}/initrd
      --append console=ttyS0 -m 512M --max-insns 4M)
  endforeach()

  # Random programs of a seed whose differences all have a row; and a fault among them.
  if(TARGET random_engines)
    add_test(NAME engines.bochs COMMAND random_engines --engines interp,bochs --programs 200 --seed 18)
    add_test(NAME engines.bochs.planted COMMAND random_engines_faulty --engines faulty,bochs --programs 200 --seed 18)
    add_test(NAME engines.bochs.rows COMMAND random_engines --engines interp,bochs --by-row --programs 400 --seed 1)
    add_test(NAME engines.bochs.system COMMAND random_engines --engines interp,bochs --system --programs 300 --seed 1)
    set_tests_properties(engines.bochs.rows engines.bochs.system PROPERTIES TIMEOUT 300
      ENVIRONMENT "REPRISE_BOCHS=$<TARGET_FILE:reprise-bochs>")
    set_tests_properties(engines.bochs engines.bochs.planted PROPERTIES TIMEOUT 300
      ENVIRONMENT "REPRISE_BOCHS=$<TARGET_FILE:reprise-bochs>;REPRISE_FAULT=adc@0")
    set_tests_properties(engines.bochs.planted PROPERTIES PASS_REGULAR_EXPRESSION ": adc .*1 fail")
  endif()
endif()
