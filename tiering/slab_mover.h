// SlabMover: gives pages from slab classes that need them less to classes that are short
// (`slab_automove`), so that a cache filled with one size can take another. A page is emptied by
// moving its live chunks elsewhere in their class; what cannot be moved is evicted like any tail.
// Threads: its own; takes one shard mutex per chunk.
#pragma once

#include <array>

#include "tiering/background_thread.h"
#include "tiering/shard.h"

namespace terraced::tiering {

class SlabMover {
 public:
  explicit SlabMover(Tiers& tiers) : tiers_(tiers) {}
  void Start();
  void Join() { thread_.Join(); }
  // One decision and, where there is one, one page. True if a page moved.
  bool Round();
  bool MovePage(storage::SlabClass from, storage::SlabClass to);

 private:
  struct Need {
    uint64_t lost = 0;  // evictions and demotions since the last round
    uint64_t age_s = 0;
    uint64_t pages = 0;
    uint64_t free_chunks = 0;
    uint64_t chunks_per_page = 1;
  };
  std::array<Need, storage::kSlabClassesMax> Look();
  // 0: still busy, look again.
  void Evacuate(storage::Position position);
  void EvacuateItem(Shard& shard, storage::Position position) TERRACED_REQUIRES(shard.mutex);
  void EvacuateChunk(Shard& shard, storage::Position position) TERRACED_REQUIRES(shard.mutex);

  Tiers& tiers_;
  std::array<uint64_t, storage::kSlabClassesMax> lost_before_{};
  BackgroundThread thread_;
};

}  // namespace terraced::tiering
