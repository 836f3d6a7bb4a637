#include "tiering/tiers.h"

#include "tiering/shard.h"

namespace terraced::tiering {
namespace {

// A partition begins with 64 slots and grows by itself.
constexpr uint32_t kFirstBuckets = 4;

}  // namespace

void TierCounters::Reset() {
  for (auto* counter :
       {&evictions,       &store_too_large, &store_no_memory, &cmd_flush,
        &demoted_items,   &demoted_bytes,   &clean_drops,     &batches_written,
        &batches_failed,  &batches_dropped, &second_chances,  &records_evicted,
        &bytes_written,   &demotion_waits,  &items_too_large, &items_not_admitted,
        &reads_timed_out, &index_growths,   &index_full,      &collisions_verified,
        &slabs_moved,     &slab_rescues,    &slab_busy_items, &lru_juggles,
        &crawler_starts,  &batches_damaged, &outages,         &record_bytes_evicted}) {
    counter->store(0, std::memory_order_relaxed);
  }
}

Tiers::Tiers(const CacheOptions& the_options, const Clock& the_clock,
             std::unique_ptr<storage::SlabArena> the_arena,
             std::unique_ptr<storage::BatchStore> the_store,
             std::unique_ptr<storage::SharedIndex> the_shared_index, const HashKey& key,
             EventSink& the_events)
    : options(the_options),
      live(the_options),
      admin(the_options),
      clock(the_clock),
      events(the_events),
      hash_key(key),
      has_flash(!the_options.flash_path.empty()),
      arena(std::move(the_arena)),
      allocator(*arena, the_options.slabs.item_bytes_max, has_flash),
      store(std::move(the_store)),
      shared_index(std::move(the_shared_index)),
      batches(shared_index ? &shared_index->Batches() : nullptr),
      index(batches, has_flash ? kFirstBuckets : 0, shared_index.get()) {
  for (uint32_t i = 0; i < shards.size(); ++i) {
    shards[i] = std::make_unique<Shard>(*this, static_cast<uint8_t>(i));
  }
}

Tiers::~Tiers() = default;

}  // namespace terraced::tiering
