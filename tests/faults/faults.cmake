# Faults of disks, memory and threads under a running daemon. Included by tests/CMakeLists.txt, so paths are relative
# to tests/.
terraced_tests(fault_tests FOLDERS faults LINK terraced_base LABELS e2e TIMEOUT 600)
if(TARGET fault_tests)
  target_sources(fault_tests PRIVATE faults/fault_switch.cc faults/fault_fixture.cc)
  add_dependencies(fault_tests terraced)
  # Not with sanitizers: their runtime has to come before any other library.
  if(TERRACED_SANITIZER STREQUAL "")
    add_library(terraced_faults MODULE faults/fault_library.cc)
    target_include_directories(terraced_faults PRIVATE ${CMAKE_SOURCE_DIR})
    target_compile_options(terraced_faults PRIVATE -O2 -Wall -Wextra -Wconversion -Werror)
    target_link_libraries(terraced_faults PRIVATE ${CMAKE_DL_LIBS})
    add_dependencies(fault_tests terraced_faults)
    target_compile_definitions(fault_tests PRIVATE
      TERRACED_FAULT_LIBRARY="$<TARGET_FILE:terraced_faults>")
  endif()
endif()
