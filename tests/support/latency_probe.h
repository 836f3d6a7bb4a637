// LatencyProbe: a well-behaved client whose requests are timed while others misbehave: small gets, and sets if asked
// for, at a steady rate over several connections. A request counts from the moment it was due; those that came due
// while another was waited for are not asked, but counted as if they had been answered together with it, so that a
// stall weighs as much as it would with a client that asks on.
// Threads: one at a time. Ownership: of its connections.
// Errors: a reply that is not exactly the right one, or does not come, is counted as failed; the first one is kept.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/client.h"
#include "tests/support/daemon.h"
#include "tests/support/load.h"

namespace terraced::support {

struct ProbeShape {
  size_t connections = 4;
  std::chrono::microseconds period{500};  // between two requests
  size_t keys = 1'000;                    // of the items of load.h, asked for in turn
  size_t set_every = 4;                   // one request in so many is a set; 0: none is
  ItemShape item = {};
};

struct ProbeRound {
  uint64_t requests = 0;
  uint64_t failed = 0;
  std::string first_failure;
  std::chrono::microseconds p99{0};
  std::chrono::microseconds longest{0};
};

class LatencyProbe {
 public:
  // Stores its items; CHECKs that they are.
  LatencyProbe(const Daemon& daemon, const ProbeShape& shape);
  ProbeRound Measure(std::chrono::milliseconds duration);
  // From now on only items that are there: a flash tier may lose one in some thousands to a neighbour in its index.
  void KeepHits();

 private:
  bool AskOne(Client& client, uint64_t number, bool with_set, std::string* failure);

  const ProbeShape shape_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<uint64_t> numbers_;  // of the items
  uint64_t next_ = 0;
};

}  // namespace terraced::support
