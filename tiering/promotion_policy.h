// PromotionPolicy: whether a flash hit moves its item back to RAM. A slot has one bit for hits, so more than two of them
// cannot be counted: of the hits after the first, one in promote_hits - 1 is drawn, which makes promote_hits of them
// on average. (extstore's recache_rate is such a chance too.)
// Threads: any. The draws follow from how many there were before, so a test can foretell them.
#pragma once

#include <atomic>
#include <cstdint>

#include "storage/flash/flash_index.h"
#include "tiering/live_settings.h"

namespace terraced::tiering {

class PromotionPolicy {
 public:
  explicit PromotionPolicy(const LiveSettings& live) : live_(live) {}

  // `slots`: those that the hit was found through.
  bool Wants(const storage::SlotList& slots);

 private:
  uint64_t Draw();

  const LiveSettings& live_;
  alignas(64) std::atomic<uint64_t> draws_{0};  // written by every worker
};

}  // namespace terraced::tiering
