// TraceConfig: the parameters of a generated trace, read from a file of lines `name=value`; empty lines and what
// follows a '#' are passed over. The table in trace_config.cc has every name with its bounds. What is not given
// keeps the value below.
// Threads: a plain value. Errors: kInvalidArgument with the line's number; nothing is guessed.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "storage/base/status.h"

namespace terraced::bench {

struct Weighted {
  uint32_t value = 0;
  double weight = 0;  // relative to the sum of the list
};

struct TraceConfig {
  uint64_t seed = 1;
  uint64_t operations = 1'000'000;
  uint64_t warmup = 0;  // of them, replayed before counting begins
  // Popularity. Rank r is asked for in proportion to 1/(r+1)^zipf_theta.
  uint64_t keys = 1'000'000;
  double zipf_theta = 0.9;
  // Churn: of the most popular ranks, a share of all, so many times their number get a new key within a million
  // operations, evenly spread; the old keys are not asked for again.
  double popular_share = 0.1;
  double churn_per_million = 0;
  // Scans: after every so many other operations, a run of gets of keys that are asked for only once. A length of 1
  // makes keys that nobody wants twice.
  uint64_t scan_every = 0;  // 0: none
  uint64_t scan_length = 1;
  // What is not a get, of the operations that are not part of a scan.
  double set_share = 0;
  double delete_share = 0;
  // Items: a key has one size and one TTL for good. Sizes are those of the list, or else lognormal.
  uint32_t key_bytes = 24;
  std::vector<Weighted> value_sizes;  // bytes:weight,...
  double value_median = 400;
  double value_sigma = 0;
  uint32_t value_max = 100'000;
  std::vector<Weighted> ttls = {{0, 1}};  // seconds:weight,...; 0: never expires
  // The tiers for which the trace was made: scripts/bench takes them, the generator does not.
  uint64_t ram_mb = 64;
  uint64_t flash_mb = 1024;
};

Result<TraceConfig> ParseTraceConfig(std::string_view text);

}  // namespace terraced::bench
