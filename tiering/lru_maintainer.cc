#include "tiering/lru_maintainer.h"

#include <algorithm>

#include "storage/base/yield_point.h"

namespace terraced::tiering {
namespace {

constexpr uint32_t kMovesPerHold = 1;
constexpr uint32_t kRoundsMax = 64;
// Rounds go on while they find at least so many moves, in 256 shards.
constexpr uint64_t kWorthARound = 32;
constexpr uint64_t kBusy = 1024;
constexpr std::chrono::milliseconds kRestBusy{2};
constexpr std::chrono::milliseconds kRestIdle{100};

}  // namespace

Status LruMaintainer::Start() {
  if (!tiers_.options.lru_maintainer) return {};
  return thread_.Start("lru_maintainer",
                       [this] { return Pass() >= kBusy ? kRestBusy : kRestIdle; });
}

// One move in a shard and then the next shard: what the next visit will touch is prefetched, and has arrived by then.
// Walking down one list would wait for memory at every item.
uint64_t LruMaintainer::Pass() {
  tiers_.arena->PopulateAhead();
  uint64_t moved = 0;
  for (storage::SlabClass slab_class = 1; slab_class <= tiers_.arena->LargestClass();
       ++slab_class) {
    if (tiers_.arena->TotalChunks(slab_class) == 0) continue;
    uint64_t moved_in_round = kWorthARound;
    for (uint32_t round = 0; round < kRoundsMax && moved_in_round >= kWorthARound; ++round) {
      moved_in_round = Round(slab_class);
      moved += moved_in_round;
      if (thread_.Stopping()) return moved;
    }
  }
  tiers_.counters.lru_juggles.fetch_add(1, std::memory_order_relaxed);
  return moved;
}

uint64_t LruMaintainer::Round(storage::SlabClass slab_class) {
  uint64_t moved = 0;
  for (const auto& shard : tiers_.shards) {
    YieldPoint::Pass();
    MutexLock lock(shard->mutex);
    const Moment moment{tiers_.clock.NowS(), tiers_.flush.Current()};
    moved += shard->Juggle(slab_class, moment, kMovesPerHold);
    shard->ram.PrefetchTail(slab_class, storage::LruSegment::kHot);
  }
  return moved;
}

}  // namespace terraced::tiering
