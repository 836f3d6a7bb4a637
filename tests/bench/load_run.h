// Runs a LoadShape against a server, in lockstep (each connection sends a batch in one write, waits for all of its
// replies, sends the next) or open (at intended times, whatever the server does).
// Threads: the caller's, which should have a core for itself: it polls and never sleeps.
// Errors: Status where a connection could not be made.
#pragma once

#include "tests/bench/load_connection.h"
#include "tests/bench/load_histogram.h"
#include "tests/bench/load_shape.h"

namespace terraced::bench {

struct LoadResult {
  LoadCounts counts;
  double seconds = 0;
  double client_cpu_s = 0;
  LatencyHistogram
      latency;  // lockstep: of a batch; open: of a get, from when it was meant to be sent
};

Result<LoadResult> RunLoad(const LoadShape& shape);

}  // namespace terraced::bench
