// bench_load NAME=VALUE...: a load against a memcached-compatible server on loopback (see load_shape.h for the
// names), and what came of it as one line of JSON. scripts/bench starts it.
#include <cstdio>
#include <string>

#include "tests/bench/load_run.h"

namespace terraced::bench {
namespace {

void Print(const LoadResult& result) {
  const LoadCounts& counts = result.counts;
  const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf(
      "{\"operations\": %llu, \"hits\": %llu, \"misses\": %llu, \"stored\": %llu, \"refused\": "
      "%llu, "
      "\"wrong\": %llu, \"seconds\": %.6f, \"client_cpu_s\": %.3f",
      number(counts.operations), number(counts.hits), number(counts.misses), number(counts.stored),
      number(counts.refused), number(counts.wrong), result.seconds, result.client_cpu_s);
  constexpr std::pair<const char*, double> kQuantiles[] = {
      {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}};
  for (const auto& [name, share] : kQuantiles) {
    std::printf(", \"%s_us\": %.1f", name,
                static_cast<double>(result.latency.QuantileNs(share)) / 1e3);
  }
  std::printf(", \"longest_us\": %.1f, \"histogram_us\": [",
              static_cast<double>(result.latency.LongestNs()) / 1e3);
  bool first = true;
  result.latency.ForEach([&](uint64_t end_ns, uint64_t count) {
    std::printf("%s[%.3f, %llu]", first ? "" : ", ", static_cast<double>(end_ns) / 1e3,
                number(count));
    first = false;
  });
  std::printf("]}\n");
}

int Main(int count, char** words) {
  const Result<LoadShape> shape = LoadShape::Parse(count - 1, words + 1);
  if (!shape.ok()) {
    std::fprintf(stderr, "bench_load: %s\n", std::string(shape.status().message()).c_str());
    return 2;
  }
  const Result<LoadResult> result = RunLoad(shape.value());
  if (!result.ok()) {
    std::fprintf(stderr, "bench_load: %s\n", std::string(result.status().message()).c_str());
    return 1;
  }
  Print(result.value());
  return 0;
}

}  // namespace
}  // namespace terraced::bench

int main(int count, char** words) {
  return terraced::bench::Main(count, words);
}
