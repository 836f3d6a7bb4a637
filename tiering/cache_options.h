// CacheOptions: what the cache over both tiers can be told. Plain data with the defaults; the
// options table of src/ points into it.
// Threads: constant once the cache is made. What can be changed after that: live_settings.h.
#pragma once

#include <cstdint>
#include <string>

#include "storage/ram/slab_arena.h"

namespace terraced::tiering {

constexpr char kNoIndexDirectory[] = "none";

struct CacheOptions {
  storage::SlabOptions slabs;  // -m -f -n -I -k -L, slab_chunk_max, slab_sizes
  bool evict_to_free = true;   // -M turns it off

  std::string
      memory_file;  // -e: item memory and RAM index in a file on tmpfs or hugetlbfs; empty: private memory

  // LRU and crawler, memcached's names
  bool lru_maintainer = true;
  bool lru_segmented = true;
  uint32_t hot_lru_pct = 20;
  uint32_t warm_lru_pct = 40;
  double hot_max_factor = 0.2;
  double warm_max_factor = 2.0;
  int64_t temporary_ttl_s = -1;  // below 0: no TEMP segment
  bool lru_crawler = true;
  uint32_t lru_crawler_sleep_us = 100;
  bool slab_reassign = true;
  uint32_t slab_automove = 1;  // 0: off; 2 is taken as 1, which moves a page at any sign of need
  double slab_automove_ratio = 0.8;
  uint32_t slab_automove_window_s = 30;  // shown in `stats settings`; the mover keeps no window

  bool track_sizes = false;  // count items by their size from the start

  // Flash tier
  std::string flash_path;         // empty: RAM only
  uint64_t flash_size_bytes = 0;  // quota on disk
  uint32_t flash_read_threads = 4;
  uint32_t flash_batch_bytes = 0;     // 0: chosen from -m and flash_size
  uint64_t flash_item_max_bytes = 0;  // larger items stay in RAM; 0: half a batch
  uint32_t flash_item_min_bytes = 0;  // admission floors
  uint32_t flash_ttl_min_s = 0;
  bool flash_admit_unread = true;       // false: once flash is full, only items that were ever hit
  uint64_t flash_write_rate_bytes = 0;  // per second; 0 = no limit
  uint64_t flash_write_day_bytes = 0;   // per 24 hours; 0 = no limit
  // Flash hits until an item moves back to RAM, beyond 2 on average; 0 = never
  uint32_t promote_hits = 2;
  uint32_t second_chance_pct = 25;  // share of a dropped batch that may be rewritten
  uint32_t demotion_wait_ms = 10;  // how long a storing connection may wait for demotion; 0 = never
  uint32_t flash_read_deadline_ms = 1'000;      // a get that waited longer is a counted miss
  uint32_t flash_wait_deadline_ms = 10'000;     // commands that must know: then SERVER_ERROR
  uint64_t flash_read_bytes_max = 64ULL << 20;  // bytes on their way from flash to a reply
  uint64_t flash_block_cache_bytes = 0;
  int flash_open_files_max = 2048;
  bool flash_direct_reads = false;
  // Of the flash index, a tmpfs; kNoIndexDirectory or empty: in private memory
  std::string flash_index_dir = "/dev/shm";
  uint32_t max_downtime_s = 0;                 // longer, and flash starts empty; 0 = for ever
  uint32_t flash_warm_rate_bytes = 64U << 20;  // per second, back to RAM after a start; 0 = none
  uint32_t stop_timeout_s = 60;
};

}  // namespace terraced::tiering
