// ServerSample: what a server has counted so far and what its process has used, so that two samples tell what
// a replay cost it. The same for terraced and memcached: a statistic that one of them lacks is not in its sample.
// Threads: plain values. Errors: Status when the server does not answer.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>

#include "storage/base/status.h"
#include "tests/bench/trace_connection.h"
#include "tests/support/client.h"

namespace terraced::bench {

struct ServerSample {
  std::map<std::string, uint64_t> stats;
  double cpu_s = 0;
  uint64_t disk_write_bytes = 0;  // what the kernel wrote for it, /proc/PID/io

  uint64_t Stat(const std::string& name) const;  // 0 when there is none
};

// `pid` 0: without what the process used.
Result<ServerSample> TakeSample(support::Client& client, pid_t pid);

// What lies between two samples.
ServerSample Between(const ServerSample& before, const ServerSample& after);

// One replay as JSON, an object of one line: the counts, hits by tier, bytes written to flash, cost per operation,
// and the statistics between.
std::string ReplayJson(const ReplayCounts& counts, const ServerSample& between, double seconds);

}  // namespace terraced::bench
