# Fuzz targets: one *_fuzz.cc for each decoder. With TERRACED_FUZZ each is a program of libFuzzer's, and nothing else is
# built; otherwise all of them are linked into fuzz_tests, which runs the kept corpus through them. Included by
# tests/CMakeLists.txt or, with TERRACED_FUZZ, by the one above it.
set(fuzz_dir ${CMAKE_SOURCE_DIR}/tests/fuzz)
file(GLOB fuzz_targets CONFIGURE_DEPENDS ${fuzz_dir}/*_fuzz.cc)
set(fuzz_support ${fuzz_dir}/fuzz_target.cc ${fuzz_dir}/fuzz_input.cc ${fuzz_dir}/scratch_directory.cc)

if(NOT TERRACED_FUZZ)
  add_executable(fuzz_tests ${fuzz_targets} ${fuzz_support} ${fuzz_dir}/dictionary.cc ${fuzz_dir}/corpus_test.cc
    ${fuzz_dir}/dictionary_test.cc ${fuzz_dir}/fuzz_input_test.cc)
  target_link_libraries(fuzz_tests PRIVATE terraced_daemon terraced_bench terraced_test_support
    GTest::gmock GTest::gtest_main)
  target_compile_definitions(fuzz_tests PRIVATE TERRACED_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  gtest_discover_tests(fuzz_tests DISCOVERY_MODE PRE_TEST PROPERTIES LABELS unit TIMEOUT 120)
  return()
endif()

# What the decoders need of the tree. Left out are files that only take their time to be compiled with three sanitizers:
# threads, RocksDB, the engine.
file(GLOB fuzzed_sources CONFIGURE_DEPENDS
  storage/base/*.cc storage/ram/*.cc storage/flash/*.cc
  src/*.cc src/auth/*.cc src/net/*.cc src/protocol/*.cc src/commands/*.cc src/watch/*.cc
  tests/bench/trace_text.cc tests/bench/trace_config.cc tests/support/fake_cache.cc)
list(FILTER fuzzed_sources EXCLUDE REGEX
  "/(main|server|process|stats|stats_table|stats_classes|option_docs|tls_openssl|listener|worker|rocks_batch_store|rocks_database)\\.cc$")
add_library(terraced_fuzzed STATIC ${fuzzed_sources} ${fuzz_support}
  tiering/demoter_sizes.cc tiering/draft.cc tiering/event_sink.cc tiering/fill.cc tiering/flash_reader.cc
  tiering/read_queue.cc)
target_link_libraries(terraced_fuzzed PUBLIC terraced_flags Threads::Threads PkgConfig::LZ4 PkgConfig::SASL)

add_executable(fuzz_dictionary ${fuzz_dir}/dictionary.cc ${fuzz_dir}/dictionary_main.cc)
target_link_libraries(fuzz_dictionary PRIVATE terraced_fuzzed)
set(fuzz_dictionaries ${CMAKE_BINARY_DIR}/dictionaries)
file(MAKE_DIRECTORY ${fuzz_dictionaries})
add_custom_command(TARGET fuzz_dictionary POST_BUILD COMMAND fuzz_dictionary ${fuzz_dictionaries})

foreach(source ${fuzz_targets})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source} ${fuzz_dir}/fuzz_main.cc)
  target_link_libraries(${name} PRIVATE terraced_fuzzed)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/targets)
endforeach()
