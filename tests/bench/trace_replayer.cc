#include "tests/bench/trace_replayer.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "tests/bench/trace_value.h"

namespace terraced::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kPatienceMs = 60'000;  // for any byte of a reply

}  // namespace

Result<std::unique_ptr<TraceReplayer>> TraceReplayer::Create(int port, const ReplayShape& shape) {
  std::vector<std::unique_ptr<TraceConnection>> connections;
  for (size_t i = 0; i < std::max<size_t>(shape.connections, 1); ++i) {
    TERRACED_ASSIGN_OR_RETURN(std::unique_ptr<TraceConnection> connection,
                              TraceConnection::Connect(port));
    connections.push_back(std::move(connection));
  }
  return std::unique_ptr<TraceReplayer>(new TraceReplayer(std::move(connections), shape));
}

Status TraceReplayer::AwaitReplies(ReplayCounts* counts) {
  std::vector<pollfd> sockets;
  for (;;) {
    sockets.clear();
    for (const auto& connection : connections_) {
      if (connection->Done()) continue;
      TERRACED_RETURN_IF_ERROR(connection->Progress(counts));
      if (connection->Done()) continue;
      sockets.push_back(
          {.fd = connection->Descriptor(), .events = connection->Awaits(), .revents = 0});
    }
    if (sockets.empty()) return Status();
    const int ready = poll(sockets.data(), sockets.size(), kPatienceMs);
    if (ready < 0 && errno != EINTR) return Status::FromErrno("poll", errno);
    if (ready == 0) return Status(StatusCode::kUnavailable, "no answer in time");
  }
}

bool TraceReplayer::StartRound(ReplayCounts* counts) {
  bool any_fill = false;
  for (const auto& connection : connections_) any_fill |= connection->StartRound(counts);
  return any_fill;
}

Result<bool> TraceReplayer::Run(TraceSource& source, uint64_t operations, ReplayCounts* counts) {
  const auto begin = SteadyClock::now();
  const uint64_t round = connections_.size() * std::max<size_t>(shape_.depth, 1);
  TraceOperation operation;
  bool more = true;
  for (uint64_t done = 0;;) {
    bool asked = StartRound(counts);
    const uint64_t end = std::min(done + round, operations);
    for (; more && done < end; ++done) {
      TERRACED_ASSIGN_OR_RETURN(more, source.Next(&operation));
      if (!more) break;
      const uint64_t hash = TraceKeyHash(operation.key);
      connections_[hash % connections_.size()]->Add(operation, hash, counts);
      asked = true;
    }
    if (!asked) return more;  // the round before had no misses to set either
    TERRACED_RETURN_IF_ERROR(AwaitReplies(counts));
    const std::chrono::duration<double> due(static_cast<double>(done) /
                                            static_cast<double>(shape_.rate));
    std::this_thread::sleep_until(begin + std::chrono::duration_cast<SteadyClock::duration>(due));
  }
}

}  // namespace terraced::bench
