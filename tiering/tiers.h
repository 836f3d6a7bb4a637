// Tiers: the parts that everything in this layer works on, wired once at start. No behaviour of its
// own.
// Threads: the pointers and options are constant after construction; each part says its own rules.
// Ownership: owns both tiers; the cache owns the Tiers and outlives every thread that uses them.
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "storage/base/clock.h"
#include "storage/base/hash.h"
#include "storage/flash/batch_store.h"
#include "storage/flash/batch_table.h"
#include "storage/flash/flash_index.h"
#include "storage/flash/shared_index.h"
#include "storage/ram/item_allocator.h"
#include "storage/ram/slab_arena.h"
#include "tiering/admin_settings.h"
#include "tiering/cache_options.h"
#include "tiering/event_sink.h"
#include "tiering/flush_epoch.h"
#include "tiering/live_settings.h"
#include "tiering/removal_log.h"

namespace terraced::tiering {

// Counters that belong to no shard: relaxed, written on cold paths.
struct TierCounters {
  std::atomic<uint64_t> evictions{0};
  std::atomic<uint64_t> store_too_large{0};
  std::atomic<uint64_t> store_no_memory{0};
  std::atomic<uint64_t> cmd_flush{0};
  std::atomic<uint64_t> demoted_items{0};
  std::atomic<uint64_t> demoted_bytes{0};
  std::atomic<uint64_t> clean_drops{0};
  std::atomic<uint64_t> batches_written{0};
  std::atomic<uint64_t> batches_failed{0};
  std::atomic<uint64_t> batches_dropped{0};
  std::atomic<uint64_t> batches_damaged{0};
  std::atomic<uint64_t> outages{0};
  std::atomic<uint64_t> second_chances{0};
  std::atomic<uint64_t> records_evicted{0};
  std::atomic<uint64_t> record_bytes_evicted{0};
  std::atomic<uint64_t> bytes_written{0};
  std::atomic<uint64_t> demotion_waits{0};
  std::atomic<uint64_t> items_too_large{0};
  std::atomic<uint64_t> items_not_admitted{0};
  std::atomic<uint64_t> reads_timed_out{0};
  std::atomic<uint64_t> index_growths{0};
  std::atomic<uint64_t> index_full{0};
  std::atomic<uint64_t> collisions_verified{0};
  std::atomic<uint64_t> slabs_moved{0};
  std::atomic<uint64_t> slab_rescues{0};
  std::atomic<uint64_t> slab_busy_items{0};
  std::atomic<uint64_t> lru_juggles{0};
  std::atomic<uint64_t> crawler_starts{0};
  std::atomic<bool> slab_move_running{false};
  std::atomic<bool> crawler_running{false};

  // `stats reset`: the counters, not what says how things are now.
  void Reset();
};

class Shard;

struct Tiers {
  Tiers(const CacheOptions& options, const Clock& clock, std::unique_ptr<storage::SlabArena> arena,
        std::unique_ptr<storage::BatchStore> store,
        std::unique_ptr<storage::SharedIndex> shared_index, const HashKey& hash_key,
        EventSink& events);
  ~Tiers();

  Shard& ShardOf(uint64_t hash) { return *shards[storage::PartitionOf(hash)]; }
  uint64_t HashOf(std::string_view key) const { return HashBytes(key, hash_key); }
  uint64_t NextCas() { return cas_next.fetch_add(1, std::memory_order_relaxed); }
  bool HasFlash() const { return has_flash; }
  // Worth waiting for: flash is there and takes batches.
  bool FlashOnline() const { return flash_online.load(std::memory_order_relaxed); }

  const CacheOptions options;  // as at the start; what may change since is read from `live`
  LiveSettings live;
  AdminSettings admin;  // likewise
  const Clock& clock;
  EventSink& events;
  const HashKey hash_key;
  const bool has_flash;
  const std::unique_ptr<storage::SlabArena> arena;
  storage::ItemAllocator allocator;
  const std::unique_ptr<storage::BatchStore> store;
  const std::unique_ptr<storage::SharedIndex>
      shared_index;  // null: the index goes with the process
  storage::BatchTable batches;
  storage::FlashIndex index;
  FlushEpoch flush;
  RemovalLog removals;
  TierCounters counters;
  std::atomic<uint64_t> cas_next{1};
  std::atomic<bool> flash_online{false};
  std::array<std::unique_ptr<Shard>, storage::kPartitions> shards;
};

}  // namespace terraced::tiering
