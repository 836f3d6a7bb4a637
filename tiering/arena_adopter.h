// ArenaAdopter: goes through the pages that an earlier process left in the arena's file (-e), while clients are served
// from them already: items that are whole get into their lists and are counted, everything else becomes free chunks. An
// item that a client asks for is adopted at once, by RamTier::Find.
// Threads: Start and Join by the owner; AdoptPageOf and Finish by any.
// Ownership: borrows the tiers.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "storage/base/mutex.h"
#include "storage/ram/slab_arena.h"
#include "tiering/background_thread.h"
#include "tiering/tiers.h"

namespace terraced::tiering {

class ArenaAdopter {
 public:
  explicit ArenaAdopter(Tiers& tiers);
  ~ArenaAdopter() { Join(); }

  Status Start();
  void Join() { thread_.Join(); }
  // By a worker that needs a chunk of the class: one page, now. False: none of that class is left.
  bool AdoptPageOf(storage::SlabClass slab_class);
  // All that is left, now.
  void Finish();
  // One page or index of it, now; false: nothing is left.
  bool Step() { return tiers_.arena->Adopting() && AdoptNextPage(); }

 private:
  bool AdoptNextPage();
  void AdoptPage(uint32_t page);
  // Under its shard's mutex, which this takes. Whether it is in RAM now, or was.
  bool AdoptItem(storage::Item* item);
  // What an index names that is no item, now that all items are known.
  void EraseStrays(Shard& shard);
  bool IsKept(storage::Position chunk);
  void Done();
  bool TakePage(storage::SlabClass slab_class, uint32_t* page);

  Tiers& tiers_;
  BackgroundThread thread_;
  Mutex mutex_;
  CondVar changed_;
  std::array<std::vector<uint32_t>, storage::kSlabClassesMax> pages_ TERRACED_GUARDED_BY(mutex_);
  uint32_t under_way_ TERRACED_GUARDED_BY(mutex_) = 0;
  uint32_t next_shard_ TERRACED_GUARDED_BY(mutex_) = 0;  // whose index is looked through
  // Allocated by the dead process and no items: not linked, or not whole. An index slot may name one, so they are free
  // only once all slots have been looked at.
  std::vector<storage::Position> suspects_ TERRACED_GUARDED_BY(mutex_);
};

}  // namespace terraced::tiering
