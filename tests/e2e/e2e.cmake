# End-to-end tests: the daemon's faulty twin for the history checker, and the measurements. Included by
# tests/CMakeLists.txt, so paths are relative to tests/.

# The same sources with the faults compiled in (storage/base/sync_point.h, kMutantNames); those of src in which nothing
# depends on it come from the daemon's library. Not with sanitizers: the twin proves the checker, not the daemon.
if(TERRACED_SANITIZER STREQUAL "")
  file(GLOB mutant_sources CONFIGURE_DEPENDS
    ../storage/base/*.cc ../storage/ram/*.cc ../storage/flash/*.cc ../tiering/*.cc)
  add_executable(terraced_mutants EXCLUDE_FROM_ALL
    ${mutant_sources} ../src/main.cc ../src/option_table.cc ../src/net/connection_read.cc)
  target_compile_definitions(terraced_mutants PRIVATE TERRACED_MUTANTS=1)
  target_link_libraries(terraced_mutants PRIVATE terraced_daemon)
endif()

if(TARGET e2e_tests)
  target_sources(e2e_tests PRIVATE e2e/hostile_fixture.cc)
  target_link_libraries(e2e_tests PRIVATE ${tls_library})
  if(NOT OPENSSL_FOUND)
    set_source_files_properties(e2e/tls_test.cc PROPERTIES HEADER_FILE_ONLY ON)
  endif()
  add_dependencies(e2e_tests terraced)
  target_compile_definitions(e2e_tests PRIVATE TERRACED_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  if(TARGET terraced_mutants)
    add_dependencies(e2e_tests terraced_mutants)
    target_compile_definitions(e2e_tests PRIVATE
      TERRACED_MUTANT_DAEMON="$<TARGET_FILE:terraced_mutants>")
  endif()
endif()

# Measurements (tests/bench/figures.cc): run by hand, never by ctest.
add_executable(figures EXCLUDE_FROM_ALL bench/figures.cc)
target_link_libraries(figures PRIVATE terraced_test_support terraced_base)
add_dependencies(figures terraced)
