// AdminSettings: what the administration commands of memcached's protocol (`lru`, `lru_crawler`, `slabs automove`)
// change while the cache runs, beside LiveSettings.
// Threads: any. Each value stands for itself. Cost: as LiveSettings, a plain load.
#pragma once

#include <cstdint>

#include "tiering/cache_options.h"
#include "tiering/live_settings.h"

namespace terraced::tiering {

struct AdminSettings {
  explicit AdminSettings(const CacheOptions& options) {
    ForEach([&](auto option, auto setting) { (this->*setting).Set(options.*option); });
  }
  // The other options stay what they are.
  void CopyTo(CacheOptions* options) const {
    ForEach([&](auto option, auto setting) { options->*option = (this->*setting).Get(); });
  }

  // What they mean: cache_options.h.
  LiveSetting<int64_t> temporary_ttl_s;
  LiveSetting<double> hot_max_factor;
  LiveSetting<double> warm_max_factor;
  LiveSetting<double> slab_automove_ratio;
  LiveSetting<uint32_t> hot_lru_pct;
  LiveSetting<uint32_t> warm_lru_pct;
  LiveSetting<uint32_t> lru_crawler_sleep_us;
  LiveSetting<uint32_t> slab_automove;
  LiveSetting<uint32_t> slab_automove_window_s;
  LiveSetting<bool> lru_segmented;
  LiveSetting<bool> lru_crawler;
  // Only shown: the crawler walks all items in bounded steps, and the demoter looks after free chunks.
  LiveSetting<uint32_t> lru_crawler_tocrawl;
  LiveSetting<double> slab_automove_freeratio;

 private:
  template <typename Visit>
  static void ForEach(const Visit& visit) {
    visit(&CacheOptions::temporary_ttl_s, &AdminSettings::temporary_ttl_s);
    visit(&CacheOptions::hot_max_factor, &AdminSettings::hot_max_factor);
    visit(&CacheOptions::warm_max_factor, &AdminSettings::warm_max_factor);
    visit(&CacheOptions::slab_automove_ratio, &AdminSettings::slab_automove_ratio);
    visit(&CacheOptions::hot_lru_pct, &AdminSettings::hot_lru_pct);
    visit(&CacheOptions::warm_lru_pct, &AdminSettings::warm_lru_pct);
    visit(&CacheOptions::lru_crawler_sleep_us, &AdminSettings::lru_crawler_sleep_us);
    visit(&CacheOptions::slab_automove, &AdminSettings::slab_automove);
    visit(&CacheOptions::slab_automove_window_s, &AdminSettings::slab_automove_window_s);
    visit(&CacheOptions::lru_segmented, &AdminSettings::lru_segmented);
    visit(&CacheOptions::lru_crawler, &AdminSettings::lru_crawler);
  }
};

}  // namespace terraced::tiering
