#include "tiering/lru_maintainer.h"

#include <algorithm>

namespace terraced::tiering {
namespace {

constexpr uint32_t kMovesPerHold = 64;
constexpr uint64_t kBusy = 1024;
constexpr std::chrono::milliseconds kRestBusy{2};
constexpr std::chrono::milliseconds kRestIdle{100};

}  // namespace

void LruMaintainer::Start() {
  if (!tiers_.options.lru_maintainer || !tiers_.options.lru_segmented) return;
  thread_.Start("lru_maintainer", [this] { return Pass() >= kBusy ? kRestBusy : kRestIdle; });
}

uint64_t LruMaintainer::Pass() {
  uint64_t moved = 0;
  for (const auto& shard : tiers_.shards) {
    if (thread_.Stopping()) break;
    for (storage::SlabClass slab_class = 1; slab_class <= tiers_.arena->LargestClass();
         ++slab_class) {
      if (tiers_.arena->TotalChunks(slab_class) == 0) continue;
      MutexLock lock(shard->mutex);
      const Moment moment{tiers_.clock.NowS(), tiers_.flush.Current()};
      moved += shard->Juggle(slab_class, moment, kMovesPerHold);
    }
  }
  tiers_.counters.lru_juggles.fetch_add(1, std::memory_order_relaxed);
  return moved;
}

}  // namespace terraced::tiering
