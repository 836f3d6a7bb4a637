# What scripts/bench runs: the load generator, the server that shows its limit, and the replayer of traces. Included by
# tests/CMakeLists.txt, so paths are relative to tests/.
foreach(program bench_load bench_limit)
  add_executable(${program} bench/${program}.cc)
  target_link_libraries(${program} PRIVATE terraced_bench)
endforeach()
# Replays traces against a running server (scripts/lib/bench_traces.py starts one).
add_executable(bench_trace EXCLUDE_FROM_ALL bench/trace_main.cc)
target_link_libraries(bench_trace PRIVATE terraced_bench)
