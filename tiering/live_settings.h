// LiveSettings: those of the CacheOptions that can be changed while the cache runs. The options table of src/ marks
// the same ones (kLive); a test compares the two.
// Threads: any. Each value stands for itself: who reads two of them may see one change without the other.
// Cost: reading one is a plain load of a line that is written when an operator says so, and never otherwise.
#pragma once

#include <atomic>
#include <cstdint>

#include "tiering/cache_options.h"

namespace terraced::tiering {

template <typename Value>
class LiveSetting {
 public:
  Value Get() const { return value_.load(std::memory_order_relaxed); }
  void Set(Value value) { value_.store(value, std::memory_order_relaxed); }

 private:
  static_assert(std::atomic<Value>::is_always_lock_free);
  std::atomic<Value> value_{};
};

struct alignas(64) LiveSettings {
  explicit LiveSettings(const CacheOptions& options) { Take(options); }
  void Take(const CacheOptions& options) {
    ForEach([&](auto option, auto setting) { (this->*setting).Set(options.*option); });
  }
  // The other options stay what they are.
  void CopyTo(CacheOptions* options) const {
    ForEach([&](auto option, auto setting) { options->*option = (this->*setting).Get(); });
  }

  // What they mean: cache_options.h.
  LiveSetting<uint64_t> flash_item_max_bytes;
  LiveSetting<uint64_t> flash_write_rate_bytes;
  LiveSetting<uint64_t> flash_write_day_bytes;
  LiveSetting<uint32_t> flash_item_min_bytes;
  LiveSetting<uint32_t> flash_ttl_min_s;
  LiveSetting<uint32_t> promote_hits;
  LiveSetting<uint32_t> second_chance_pct;
  LiveSetting<uint32_t> demotion_wait_ms;
  LiveSetting<uint32_t> flash_read_deadline_ms;
  LiveSetting<uint32_t> flash_wait_deadline_ms;
  LiveSetting<uint32_t> flash_read_threads;
  LiveSetting<uint32_t> flash_warm_rate_bytes;
  LiveSetting<bool> flash_admit_unread;

 private:
  template <typename Visit>
  static void ForEach(const Visit& visit) {
    visit(&CacheOptions::flash_item_max_bytes, &LiveSettings::flash_item_max_bytes);
    visit(&CacheOptions::flash_write_rate_bytes, &LiveSettings::flash_write_rate_bytes);
    visit(&CacheOptions::flash_write_day_bytes, &LiveSettings::flash_write_day_bytes);
    visit(&CacheOptions::flash_item_min_bytes, &LiveSettings::flash_item_min_bytes);
    visit(&CacheOptions::flash_ttl_min_s, &LiveSettings::flash_ttl_min_s);
    visit(&CacheOptions::promote_hits, &LiveSettings::promote_hits);
    visit(&CacheOptions::second_chance_pct, &LiveSettings::second_chance_pct);
    visit(&CacheOptions::demotion_wait_ms, &LiveSettings::demotion_wait_ms);
    visit(&CacheOptions::flash_read_deadline_ms, &LiveSettings::flash_read_deadline_ms);
    visit(&CacheOptions::flash_wait_deadline_ms, &LiveSettings::flash_wait_deadline_ms);
    visit(&CacheOptions::flash_read_threads, &LiveSettings::flash_read_threads);
    visit(&CacheOptions::flash_warm_rate_bytes, &LiveSettings::flash_warm_rate_bytes);
    visit(&CacheOptions::flash_admit_unread, &LiveSettings::flash_admit_unread);
  }
};
static_assert(sizeof(LiveSettings) == 64, "one line, which nothing else is in");

}  // namespace terraced::tiering
