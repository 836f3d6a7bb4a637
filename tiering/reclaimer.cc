#include "tiering/reclaimer.h"

#include "tiering/arena_adopter.h"
#include "tiering/demoter.h"

namespace terraced::tiering {

using storage::SlabClass;

namespace {

// Looking for clean items to drop while the demoter works: a few shards, so that a waiting set
// stays cheap.
constexpr uint32_t kShardsGlanced = 8;
// Each round gives back at least one chunk; a chunked item needs several, of up to three classes.
constexpr int kRoundsMax = 4096;

}  // namespace

Reclaimer::Room Reclaimer::NewItem(std::string_view key, storage::ItemPrefix prefix,
                                   uint32_t value_bytes, bool may_wait, storage::Position* position,
                                   storage::Position* spare) {
  for (int round = 0; round < kRoundsMax; ++round) {
    SlabClass short_of = storage::kNoSlabClass;
    *position = tiers_.allocator.New(key, prefix, value_bytes, &short_of, spare);
    if (*position != storage::kNoPosition) {
      if (!ReserveIsLow(*position) || !may_wait) return Room::kYes;
      // This connection slows down while there is still room for others.
      tiers_.allocator.Free(*position);
      *position = storage::kNoPosition;
      return Room::kWait;
    }
    if (adopter_ != nullptr && tiers_.arena->Adopting() && adopter_->AdoptPageOf(short_of))
      continue;
    if (tiers_.FlashOnline()) {
      demoter_.WakeUrgently();
      const Reclaimed dropped = ReclaimFrom(short_of, EvictPolicy::kSpareDirty, kShardsGlanced);
      if (dropped == Reclaimed::kYes) continue;
      if (may_wait && demoter_.BatchMayCome(short_of)) return Room::kWait;
    }
    if (!MakeRoom(short_of)) {
      NoteOutOfMemory(short_of);
      return Room::kNone;
    }
  }
  return Room::kNone;
}

void Reclaimer::NoteOutOfMemory(SlabClass slab_class) {
  Shard& shard = *tiers_.shards[0];  // only the sum over the shards is ever looked at
  MutexLock lock(shard.mutex);
  ++shard.classes[slab_class].out_of_memory;
}

bool Reclaimer::ReserveIsLow(storage::Position position) {
  if (!tiers_.HasFlash()) return false;
  const SlabClass slab_class = tiers_.allocator.ListClass(*tiers_.arena->ItemAt(position));
  return demoter_.NoteAllocation(slab_class);
}

bool Reclaimer::MakeRoom(SlabClass slab_class) {
  if (!tiers_.options.evict_to_free) return Evict(slab_class, EvictPolicy::kSpareDirty);
  return Evict(slab_class, EvictPolicy::kEvict) || Evict(slab_class, EvictPolicy::kEvictFromBatch);
}

bool Reclaimer::Evict(SlabClass slab_class, EvictPolicy policy) {
  if (ReclaimFrom(slab_class, policy, storage::kPartitions) == Reclaimed::kYes) return true;
  // Heads and last chunks of chunked items lie in small classes, but the items are listed in the
  // largest.
  const SlabClass largest = tiers_.arena->LargestClass();
  return slab_class != largest &&
         ReclaimFrom(largest, policy, storage::kPartitions) == Reclaimed::kYes;
}

Reclaimed Reclaimer::ReclaimFrom(SlabClass slab_class, EvictPolicy policy, uint32_t shards) {
  Reclaimed best = Reclaimed::kNothing;
  for (uint32_t i = 0; i < shards; ++i) {
    const uint32_t number =
        next_shard_[slab_class].fetch_add(1, std::memory_order_relaxed) % storage::kPartitions;
    Shard& shard = *tiers_.shards[number];
    MutexLock lock(shard.mutex);
    const Moment moment{tiers_.clock.NowS(), tiers_.flush.Current()};
    const Reclaimed done = shard.Reclaim(slab_class, policy, moment);
    if (done == Reclaimed::kYes) return done;
    if (done == Reclaimed::kNeedsDemotion) best = done;
  }
  return best;
}

}  // namespace terraced::tiering
