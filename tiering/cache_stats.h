// CacheStats: what the cache has counted, as plain values. src/stats names the fields (memcached's
// names where it has one). Counters grow until ResetStats(); gauges say what is now.
// Threads: plain values, the reader's own copy. Ownership: none.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "storage/flash/batch_store.h"
#include "storage/ram/slab_arena.h"

namespace terraced::tiering {

// Per slab class; kept by each shard under its mutex and summed when read.
struct ClassCounters {
  uint64_t get_hits = 0;
  uint64_t cmd_set = 0;
  uint64_t delete_hits = 0;
  uint64_t incr_hits = 0;
  uint64_t decr_hits = 0;
  uint64_t cas_hits = 0;
  uint64_t cas_badval = 0;
  uint64_t touch_hits = 0;
  std::array<uint64_t, storage::kLruSegments> lru_hits{};  // hits_to_hot, _warm, _cold, _temp
  uint64_t evicted = 0;
  uint64_t evicted_nonzero = 0;
  uint64_t evicted_time = 0;  // gauge: seconds since the last evicted item was accessed
  uint64_t evicted_unfetched = 0;
  uint64_t evicted_active = 0;
  uint64_t out_of_memory = 0;
  uint64_t reclaimed = 0;
  uint64_t expired_unfetched = 0;
  uint64_t crawler_reclaimed = 0;
  uint64_t crawler_items_checked = 0;
  uint64_t lrutail_reflocked = 0;
  uint64_t moves_to_cold = 0;
  uint64_t moves_to_warm = 0;
  uint64_t moves_within_lru = 0;
  uint64_t direct_reclaims = 0;
  uint64_t demoted = 0;
};

// Gauges per class.
struct ClassGauges {
  std::array<uint64_t, storage::kLruSegments> items{};  // number_hot, _warm, _cold, _temp
  uint64_t mem_requested = 0;
  std::array<uint64_t, storage::kLruSegments> age_s{};  // age_hot, age_warm, age (COLD tail)
};

// Per shard, under its mutex.
struct CommandCounters {
  uint64_t cmd_get = 0;
  uint64_t get_hits = 0;
  uint64_t get_misses = 0;
  uint64_t get_expired = 0;
  uint64_t get_flushed = 0;
  uint64_t cmd_set = 0;
  uint64_t cmd_touch = 0;
  uint64_t touch_hits = 0;
  uint64_t touch_misses = 0;
  uint64_t delete_hits = 0;
  uint64_t delete_misses = 0;
  uint64_t incr_hits = 0;
  uint64_t incr_misses = 0;
  uint64_t decr_hits = 0;
  uint64_t decr_misses = 0;
  uint64_t cas_hits = 0;
  uint64_t cas_misses = 0;
  uint64_t cas_badval = 0;
  uint64_t total_items = 0;
  uint64_t cmd_meta = 0;  // me
  // by tier
  uint64_t get_hits_ram = 0;
  uint64_t get_hits_flash = 0;
  uint64_t flash_promotions = 0;
  uint64_t flash_index_collisions = 0;     // colliding neighbours lost to a mutation
  uint64_t flash_reads_retried = 0;        // fills that were not valid any more (I3)
  uint64_t flash_read_misses = 0;          // slots of other keys only: fingerprint false positives
  uint64_t flash_demotions_cancelled = 0;  // in a batch, changed before they had their slot
};

struct FlashStats {
  uint64_t demoted_items = 0;
  uint64_t demoted_bytes = 0;  // keys and values before compression
  uint64_t bytes_written = 0;  // to files: SSTs and hash lists
  uint64_t clean_drops = 0;    // left RAM without a write
  uint64_t batches = 0;        // living now
  uint64_t batches_written = 0;
  uint64_t batches_failed = 0;
  uint64_t batches_dropped = 0;
  uint64_t batches_damaged = 0;  // of them: their list of key hashes could not be read
  uint64_t outages = 0;          // times the tier was turned off
  uint64_t second_chances = 0;
  uint64_t records_evicted = 0;       // live records in dropped batches
  uint64_t record_bytes_evicted = 0;  // their share of the files
  uint64_t reads = 0;
  uint64_t reads_coalesced = 0;
  uint64_t reads_timed_out = 0;
  uint64_t read_errors = 0;
  uint64_t records_corrupt = 0;
  uint64_t read_queue = 0;       // gauge
  uint64_t demotion_waits = 0;   // times a set was told to wait for the demoter, a moment each
  uint64_t items_too_large = 0;  // over flash_item_max: stayed in RAM
  uint64_t items_not_admitted = 0;
  uint64_t removals_unverified =
      0;  // gauge: removed slots not yet told apart (own record or neighbour)
  uint64_t removals_not_verified =
      0;                      // given up for lack of room: collisions may be undercounted by them
  uint64_t bytes_used = 0;    // on disk, of the quota
  uint64_t bytes_dead = 0;    // of them, the share of records that no longer stand
  uint64_t batches_free = 0;  // as many more fit into the quota
  uint64_t limit_bytes = 0;
  uint64_t items = 0;  // slots that stand
  uint64_t index_bytes = 0;
  uint64_t index_slots = 0;
  uint64_t index_growths = 0;
  uint64_t index_full = 0;       // additions that found no slot
  uint64_t hot_list_keys = 0;    // of the last clean stop
  uint64_t hot_list_seen = 0;    // of them, so many the warmer has come to
  uint64_t hot_list_warmed = 0;  // of them, so many it moved to RAM
  std::string hot_list;          // how far it is
  bool enabled = false;
  bool online = false;  // false: turned off after errors
  std::string state;    // "off", "online", "offline: <why>"
  std::string start;    // "warm", or why the tier was emptied
  storage::BatchStoreStats store;
};

struct CacheStats {
  CommandCounters commands;
  std::array<ClassCounters, storage::kSlabClassesMax> classes{};
  std::array<ClassGauges, storage::kSlabClassesMax> gauges{};
  std::array<storage::SlabClassStats, storage::kSlabClassesMax> slabs{};
  FlashStats flash;
  // Keys that can be answered, clean copies once. Not of one moment: what changes tiers while the shards and then the
  // batches are counted may be missed or counted twice.
  uint64_t curr_items = 0;
  uint64_t ram_items = 0;
  uint64_t bytes = 0;
  uint64_t limit_maxbytes = 0;
  uint64_t evictions =
      0;  // keys lost to clients: RAM items without a flash copy, records in dropped batches
  uint64_t store_too_large = 0;
  uint64_t store_no_memory = 0;
  uint64_t cmd_flush = 0;
  uint64_t hash_bytes = 0;
  uint64_t hash_power_level = 0;  // log2 of all index slots
  bool hash_is_expanding = false;
  uint64_t slabs_moved = 0;
  uint64_t slab_reassign_rescues = 0;
  uint64_t slab_reassign_busy_items = 0;
  bool slab_reassign_running = false;
  uint64_t slab_global_page_pool = 0;
  uint64_t total_malloced = 0;
  uint64_t lru_maintainer_juggles = 0;
  uint64_t lru_crawler_starts = 0;
  bool lru_crawler_running = false;
};

}  // namespace terraced::tiering
