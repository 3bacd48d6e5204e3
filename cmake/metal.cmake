# The metal image: the same portable modules, linked with metal/ instead of sim/.
file(GLOB METAL_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/metal/*.c ${CMAKE_SOURCE_DIR}/metal/*.S)
list(FILTER METAL_SOURCES EXCLUDE REGEX "_test\\.c$")
set(METAL_FLAGS -fno-pic -fno-pie -mcmodel=small -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables)
portable_library(portable_metal ${METAL_FLAGS})
add_executable(reprise.elf64 ${METAL_SOURCES})
target_compile_options(reprise.elf64 PRIVATE ${PORTABLE_FLAGS} ${METAL_FLAGS})
add_dependencies(reprise.elf64 isa_index)
target_link_options(reprise.elf64 PRIVATE -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack
  -Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments -T ${CMAKE_SOURCE_DIR}/metal/link.ld)
# Every portable object is linked, used or not, so that nothing in them can depend on the simulator.
target_link_libraries(reprise.elf64 -Wl,--whole-archive portable_metal -Wl,--no-whole-archive)
set_target_properties(reprise.elf64 PROPERTIES LINK_DEPENDS ${CMAKE_SOURCE_DIR}/metal/link.ld)
# Multiboot loaders want a 32-bit ELF container.
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/reprise.elf
  COMMAND ${CMAKE_OBJCOPY} -O elf32-i386 -S $<TARGET_FILE:reprise.elf64> ${CMAKE_BINARY_DIR}/reprise.elf
  DEPENDS reprise.elf64)
add_custom_target(metal ALL DEPENDS ${CMAKE_BINARY_DIR}/reprise.elf)
add_test(NAME metal.selftest COMMAND ${CMAKE_SOURCE_DIR}/ci/metal-selftest ${CMAKE_BINARY_DIR})
add_test(NAME metal.replay COMMAND ${CMAKE_SOURCE_DIR}/ci/metal-replay-test ${CMAKE_BINARY_DIR})
add_test(NAME metal.console COMMAND ${CMAKE_SOURCE_DIR}/ci/metal-console-test ${CMAKE_BINARY_DIR})
add_test(NAME metal.crash COMMAND ${CMAKE_SOURCE_DIR}/ci/metal-crash-test ${CMAKE_BINARY_DIR})
add_test(NAME metal.attack COMMAND ${CMAKE_SOURCE_DIR}/ci/metal-attack-test ${CMAKE_BINARY_DIR})
set_tests_properties(metal.selftest metal.replay metal.console metal.crash metal.attack PROPERTIES LABELS metal)
add_test(NAME metal.boot COMMAND ${CMAKE_SOURCE_DIR}/ci/metal-boot-test ${CMAKE_BINARY_DIR})
set_tests_properties(metal.boot PROPERTIES LABELS "metal;slow" TIMEOUT 1500)
foreach(engine interp sbe) # those of metal/guest.c
  add_test(NAME metal.guests.${engine} COMMAND ${CMAKE_SOURCE_DIR}/ci/metal-guests-test ${CMAKE_BINARY_DIR} ${engine})
  set_tests_properties(metal.guests.${engine} PROPERTIES LABELS "metal;slow" TIMEOUT 900)
endforeach()

# What does not need the machine is tested without it.
if(CMOCKA)
  foreach(unit boot_info frames)
    add_library(metal_${unit} OBJECT metal/${unit}.c)
    target_compile_options(metal_${unit} PRIVATE ${PORTABLE_FLAGS})
    add_executable(metal_${unit}_test metal/${unit}_test.c)
    target_link_libraries(metal_${unit}_test metal_${unit} -Wl,--start-group sim_host portable_sim -Wl,--end-group ${CMOCKA})
    add_test(NAME unit.metal.${unit}_test COMMAND metal_${unit}_test)
  endforeach()
endif()
