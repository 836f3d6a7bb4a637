// Reclaimer: finds room for an item when its slab class has none. Without flash it evicts the
// coldest item, as memcached does; with flash it first drops what is also on flash, then lets the
// caller wait for the demoter, and evicts only where waiting did not help. What is on its way to
// flash is evicted last: before a client is refused.
// Threads: any, without a shard mutex (it takes them one at a time).
#pragma once

#include <array>
#include <atomic>

#include "tiering/shard.h"

namespace terraced::tiering {

class ArenaAdopter;
class Demoter;

class Reclaimer {
 public:
  // `adopter`: of an arena that an earlier process may have left; null: there is none.
  Reclaimer(Tiers& tiers, Demoter& demoter, ArenaAdopter* adopter = nullptr)
      : tiers_(tiers), demoter_(demoter), adopter_(adopter) {}

  enum class Room : uint8_t { kYes, kWait, kNone };
  // Builds an item, making room where needed. kWait only if `may_wait`.
  // `spare`: see ItemAllocator::New.
  Room NewItem(std::string_view key, storage::ItemPrefix prefix, uint32_t value_bytes,
               bool may_wait, storage::Position* position, storage::Position* spare = nullptr);
  // One chunk of the class, by eviction if need be.
  bool MakeRoom(storage::SlabClass slab_class);

 private:
  bool Evict(storage::SlabClass slab_class, EvictPolicy policy);
  // Tells the demoter of the allocation; true where waiting for it is better than going on.
  bool ReserveIsLow(storage::Position position);
  void NoteOutOfMemory(storage::SlabClass slab_class);
  Reclaimed ReclaimFrom(storage::SlabClass slab_class, EvictPolicy policy, uint32_t shards);

  Tiers& tiers_;
  Demoter& demoter_;
  ArenaAdopter* const adopter_;
  std::array<std::atomic<uint32_t>, storage::kSlabClassesMax> next_shard_{};
};

}  // namespace terraced::tiering
