// DemotionOutlook: what the demoter's looks at the LRU tails have shown: for which slab classes a batch may come.
// A class whose tails hold nothing for flash (too large, not admitted, parts of chunked items that are listed
// elsewhere) is neither looked at again nor waited for until a good part of it has been stored anew.
// Threads: MayCome by any; the rest by the demoter's thread. Nothing blocks.
#pragma once

#include <array>
#include <atomic>

#include "storage/ram/slab_arena.h"

namespace terraced::tiering {

class DemotionOutlook {
 public:
  explicit DemotionOutlook(const storage::SlabArena& arena) : arena_(arena) {}

  // Whether a set that is short of this class may hope for the demoter.
  bool MayCome(storage::SlabClass slab_class) const {
    return may_write_.load(std::memory_order_relaxed) &&
           !classes_[slab_class].barren.load(std::memory_order_relaxed);
  }
  // False: the last looks found nothing, and what is there now is mostly the same.
  bool WorthALook(storage::SlabClass slab_class) const;
  // After a turn through the class's tails, `looks` of them at most: whether a batch got anything.
  void NoteTurn(storage::SlabClass slab_class, bool found, uint64_t looks);
  // What was of no use for flash may be now: every class is looked at again.
  void LookAgain();
  // False: the write budget is spent for now.
  void NoteBudget(bool may_write) { may_write_.store(may_write, std::memory_order_relaxed); }

 private:
  struct Class {
    std::atomic<bool> barren{false};
    uint32_t handed_out = 0;       // of the arena, at the last look
    uint32_t fruitless_turns = 0;  // in a row
  };

  const storage::SlabArena& arena_;
  std::atomic<bool> may_write_{true};
  std::array<Class, storage::kSlabClassesMax> classes_;
};

}  // namespace terraced::tiering
