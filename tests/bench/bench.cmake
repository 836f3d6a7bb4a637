# What scripts/bench runs: the load generator and the server that shows its limit. Included by tests/CMakeLists.txt,
# so paths are relative to tests/.
add_library(terraced_bench STATIC bench/load_shape.cc bench/load_keys.cc bench/load_connection.cc bench/load_run.cc)
target_link_libraries(terraced_bench PUBLIC terraced_base)

add_executable(bench_load bench/bench_load.cc)
target_link_libraries(bench_load PRIVATE terraced_bench)
add_executable(bench_limit bench/bench_limit.cc)
target_link_libraries(bench_limit PRIVATE terraced_bench)
