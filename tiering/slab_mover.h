// SlabMover: gives pages from slab classes that need them less to classes that are short
// (`slab_automove`), so that a cache filled with one size can take another. A page is emptied by
// moving its live chunks elsewhere in their class. What finds no room there waits for the demoter where flash may
// take it, and is evicted like any tail where not.
// Threads: its own; takes one shard mutex per chunk.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "tiering/administration.h"
#include "tiering/background_thread.h"
#include "tiering/shard.h"

namespace terraced::tiering {

class Demoter;

class SlabMover {
 public:
  SlabMover(Tiers& tiers, Demoter& demoter) : tiers_(tiers), demoter_(demoter) {}
  Status Start();
  void Join() { thread_.Join(); }
  // An order to move a page, as an administrator gives it: looked at now, and done by the thread soon.
  ReassignResult Reassign(int from, int to);
  void Wake() { thread_.Wake(); }
  // An order, or one page of what is above the memory limit, or one decision and, where there is one, one page. True if
  // a page moved.
  bool Round();
  bool MovePage(storage::SlabClass from, storage::SlabClass to);

 private:
  struct Need {
    uint64_t lost = 0;  // evictions, demotions and refusals since the last round
    uint64_t age_s = 0;
    uint64_t pages = 0;
    uint64_t free_chunks = 0;
    uint64_t chunks_per_page = 1;
  };
  struct Order {
    int from;
    int to;
  };
  std::array<Need, storage::kSlabClassesMax> Look();
  std::optional<Order> TakeOrder();
  bool Balance();
  // Above the limit: the page that the cache misses least goes to the pool.
  bool Shrink();
  int AnyWithSpare(int but) const;
  // Whether a chunk belongs to an item that is being filled or sent and is in no list: only time frees it.
  bool HoldsDraft(const std::vector<storage::Position>& chunks) const;
  void Evacuate(storage::Position position);
  void EvacuateItem(Shard& shard, storage::Position position) TERRACED_REQUIRES(shard.mutex);
  void EvacuateChunk(Shard& shard, storage::Position position) TERRACED_REQUIRES(shard.mutex);
  // An item for which there is no chunk to move to.
  void Drop(Shard& shard, storage::Item* item, uint64_t hash, const Moment& moment)
      TERRACED_REQUIRES(shard.mutex);

  Tiers& tiers_;
  Demoter& demoter_;
  bool awaits_demoter_ = false;  // in this round of an evacuation
  std::array<uint64_t, storage::kSlabClassesMax> lost_before_{};
  Mutex mutex_;
  std::optional<Order> order_ TERRACED_GUARDED_BY(mutex_);
  BackgroundThread thread_;
};

}  // namespace terraced::tiering
