// TraceReplayer: replays a trace against a server as clients of a cache do: a get, and after a miss a set of the
// key. Operations go in rounds over several connections, each key always on the same one, so that its operations
// keep their order; a round is answered before the next is sent. What a round contains depends on the trace alone.
// Two gets of a key in one round may both miss, as those of two clients.
// Threads: one at a time. Ownership: its connections.
// Errors: Status from a connection or the trace; the counts are then of what came before.
#pragma once

#include <memory>
#include <vector>

#include "storage/base/status.h"
#include "tests/bench/trace_connection.h"
#include "tests/bench/trace_operation.h"

namespace terraced::bench {

struct ReplayShape {
  size_t connections = 8;
  size_t depth = 32;           // operations of a round, for each connection
  uint64_t rate = UINT64_MAX;  // operations a second at most
};

class TraceReplayer {
 public:
  static Result<std::unique_ptr<TraceReplayer>> Create(int port, const ReplayShape& shape);

  // Replays up to so many operations and the sets of their misses. False: the trace is over.
  Result<bool> Run(TraceSource& source, uint64_t operations, ReplayCounts* counts);

 private:
  TraceReplayer(std::vector<std::unique_ptr<TraceConnection>> connections, const ReplayShape& shape)
      : connections_(std::move(connections)), shape_(shape) {}
  Status AwaitReplies(ReplayCounts* counts);
  bool StartRound(ReplayCounts* counts);

  const std::vector<std::unique_ptr<TraceConnection>> connections_;
  const ReplayShape shape_;
};

}  // namespace terraced::bench
