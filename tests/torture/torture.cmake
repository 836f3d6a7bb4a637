# A daemon that is killed and started again under the load of the history checker: scripts/torture runs the program, the
# end-to-end tests link the rest. Included by tests/CMakeLists.txt, so paths are relative to tests/.
file(GLOB torture_sources CONFIGURE_DEPENDS torture/torture*.cc)
list(FILTER torture_sources EXCLUDE REGEX "_main\\.cc$")
add_library(terraced_torture STATIC EXCLUDE_FROM_ALL ${torture_sources})
target_link_libraries(terraced_torture PUBLIC terraced_test_support terraced_base)

add_executable(torture EXCLUDE_FROM_ALL torture/torture_main.cc)
target_link_libraries(torture PRIVATE terraced_torture)
