# The simulator: the portable modules as an ordinary Linux program, and their unit tests.
portable_library(portable_sim)
file(GLOB SIM_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/sim/*.c)
list(FILTER SIM_SOURCES EXCLUDE REGEX "_(test|tool)\\.c$")
set(SIM_MAIN ${CMAKE_SOURCE_DIR}/sim/main.c)
# Disassembly for people is Zydis' work; without it the simulator shows bytes.
find_library(ZYDIS Zydis)
if(ZYDIS)
  set(DISASSEMBLER_UNUSED disasm_none.c)
else()
  set(DISASSEMBLER_UNUSED disasm_zydis.c)
endif()
list(REMOVE_ITEM SIM_SOURCES ${SIM_MAIN} ${CMAKE_SOURCE_DIR}/sim/${DISASSEMBLER_UNUSED})
add_library(sim_host STATIC ${SIM_SOURCES})
if(ZYDIS)
  target_link_libraries(sim_host PUBLIC ${ZYDIS})
endif()
# Logs: compression, and the names of images by content.
find_library(ZSTD zstd REQUIRED)
find_library(GCRYPT gcrypt REQUIRED)
target_link_libraries(sim_host PUBLIC ${ZSTD} ${GCRYPT} m ${CMAKE_DL_LIBS})
target_compile_definitions(sim_host PRIVATE _GNU_SOURCE REPRISE_FPU_VOLATILE=$<IF:$<BOOL:${SANITIZE}>,1,0>)
add_dependencies(sim_host isa_index)

if(SANITIZE)
  # Sanitizer run-time code may use SSE at any point: REPRISE_FPU_VOLATILE above.
  foreach(target portable_sim sim_host)
    target_compile_options(${target} PUBLIC -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  endforeach()
endif()

# engine_prefix(ENGINE VARIABLE): what names of tests with this engine have in them: nothing for the first one.
function(engine_prefix engine variable)
  list(GET REPRISE_ENGINES 0 first)
  set(${variable} "${engine}." PARENT_SCOPE)
  if(engine STREQUAL first)
    set(${variable} "" PARENT_SCOPE)
  endif()
endfunction()

add_executable(reprise ${SIM_MAIN})
target_compile_definitions(reprise PRIVATE _GNU_SOURCE)
# The two libraries refer to each other through core/host.h.
target_link_libraries(reprise -Wl,--start-group sim_host portable_sim -Wl,--end-group)

# The manual page and the completion come from the option table itself.
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/reprise.1 ${CMAKE_BINARY_DIR}/reprise.bash
  COMMAND reprise --man > ${CMAKE_BINARY_DIR}/reprise.1
  COMMAND reprise --completion bash > ${CMAKE_BINARY_DIR}/reprise.bash
  DEPENDS reprise)
add_custom_target(documentation ALL DEPENDS ${CMAKE_BINARY_DIR}/reprise.1 ${CMAKE_BINARY_DIR}/reprise.bash)
include(GNUInstallDirs)
install(TARGETS reprise)
install(FILES ${CMAKE_BINARY_DIR}/reprise.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${CMAKE_BINARY_DIR}/reprise.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME reprise)

# The reference processor is a plug-in beside the program, if ci/bochs has built what it is made of.
set(REPRISE_CACHE ${CMAKE_SOURCE_DIR}/.cache CACHE PATH "where ci/fetch-guests keeps Debian's kernels, and ci/bochs Bochs")
set(BOCHS ${REPRISE_CACHE}/bochs)
if(EXISTS ${BOCHS}/built)
  include(cmake/bochs.cmake)
endif()

enable_testing()
set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${CMAKE_SOURCE_DIR}/cmake/test_environment.cmake)
find_library(CMOCKA cmocka)
if(CMOCKA)
  foreach(source ${UNIT_TESTS})
    get_filename_component(name ${source} NAME_WE)
    get_filename_component(dir ${source} DIRECTORY)
    get_filename_component(module ${dir} NAME)
    add_executable(${module}_${name} ${source})
    target_compile_definitions(${module}_${name} PRIVATE _GNU_SOURCE)
    target_link_libraries(${module}_${name} -Wl,--start-group sim_host portable_sim -Wl,--end-group ${CMOCKA})
    add_dependencies(${module}_${name} isa_index)
    add_test(NAME unit.${module}.${name} COMMAND ${module}_${name})
    list(APPEND UNIT_TEST_PROGRAMS ${module}_${name})
    if(REPRISE_SANITIZED_BUILD)
      add_test(NAME sanitized.unit.${module}.${name} COMMAND ${REPRISE_SANITIZED_BUILD}/${module}_${name})
    endif()
    if(REPRISE_CHECKED_BUILD)
      add_test(NAME checked.unit.${module}.${name} COMMAND ${REPRISE_CHECKED_BUILD}/${module}_${name})
    endif()
  endforeach()
endif()
# What ci/test builds in a second folder with -DSANITIZE=ON, and runs from this one (REPRISE_SANITIZED_BUILD).
set(REPRISE_SANITIZED_BUILD "" CACHE PATH "build folder of the sanitized simulator, whose tests run as well")
# The same with -DCHECKED=ON (core/checked.h); it boots a kernel as well.
set(REPRISE_CHECKED_BUILD "" CACHE PATH "build folder of the checking simulator, whose tests run as well")
if(REPRISE_CHECKED_BUILD)
  # The long form is the same with interp-shadow: some three minutes.
  add_test(NAME checked.linux.sbe.686 COMMAND ${CMAKE_SOURCE_DIR}/ci/linux-boot-test 686 ${REPRISE_CHECKED_BUILD} sbe)
  set_tests_properties(checked.linux.sbe.686 PROPERTIES TIMEOUT 2400 ENVIRONMENT REPRISE_CACHE=${REPRISE_CACHE})
endif()
add_custom_target(sanitized DEPENDS reprise ${UNIT_TEST_PROGRAMS})

# Stock kernels: what their programs print must be what they print under QEMU. ci/fetch-guests fetches them.
foreach(engine ${REPRISE_ENGINES})
  engine_prefix(${engine} prefix)
  foreach(flavour 686 686-pae amd64)
    if("${engine} ${flavour}" MATCHES "${REPRISE_ALIKE}")
      continue()
    endif()
    add_test(NAME linux.${prefix}${flavour}
      COMMAND ${CMAKE_SOURCE_DIR}/ci/linux-boot-test ${flavour} ${CMAKE_BINARY_DIR} ${engine})
    set_tests_properties(linux.${prefix}${flavour} PROPERTIES TIMEOUT 2400 ENVIRONMENT REPRISE_CACHE=${REPRISE_CACHE})
  endforeach()
endforeach()
add_test(NAME gdb.linux COMMAND ${CMAKE_SOURCE_DIR}/ci/gdb-linux-test ${CMAKE_BINARY_DIR})
set_tests_properties(gdb.linux PROPERTIES LABELS slow TIMEOUT 3600 SKIP_RETURN_CODE 77 ENVIRONMENT REPRISE_CACHE=${REPRISE_CACHE})
foreach(extra guests fuzz sim/tests)
  if(EXISTS ${CMAKE_SOURCE_DIR}/${extra}/CMakeLists.txt)
    add_subdirectory(${extra})
  endif()
endforeach()

# Frama-C: the quick proof units; ci/proofs runs all of them.
add_test(NAME proofs.quick COMMAND ${CMAKE_SOURCE_DIR}/ci/proofs --quick)
set_tests_properties(proofs.quick PROPERTIES LABELS proofs TIMEOUT 900 ENVIRONMENT REPRISE_CACHE=${REPRISE_CACHE})
