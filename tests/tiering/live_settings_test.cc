// What is live goes from the options into the settings and back; nothing else does.
#include "tiering/live_settings.h"

#include <gtest/gtest.h>

namespace terraced::tiering {
namespace {

CacheOptions Others() {
  CacheOptions options;
  options.flash_item_max_bytes = 1;
  options.flash_write_rate_bytes = 2;
  options.flash_write_day_bytes = 3;
  options.flash_item_min_bytes = 4;
  options.flash_ttl_min_s = 5;
  options.promote_hits = 6;
  options.second_chance_pct = 7;
  options.demotion_wait_ms = 8;
  options.flash_read_deadline_ms = 9;
  options.flash_wait_deadline_ms = 11;
  options.flash_read_threads = 12;
  options.flash_warm_rate_bytes = 13;
  options.flash_admit_unread = false;
  return options;
}

void ExpectOthers(const CacheOptions& options) {
  EXPECT_EQ(options.flash_item_max_bytes, 1U);
  EXPECT_EQ(options.flash_write_rate_bytes, 2U);
  EXPECT_EQ(options.flash_write_day_bytes, 3U);
  EXPECT_EQ(options.flash_item_min_bytes, 4U);
  EXPECT_EQ(options.flash_ttl_min_s, 5U);
  EXPECT_EQ(options.promote_hits, 6U);
  EXPECT_EQ(options.second_chance_pct, 7U);
  EXPECT_EQ(options.demotion_wait_ms, 8U);
  EXPECT_EQ(options.flash_read_deadline_ms, 9U);
  EXPECT_EQ(options.flash_wait_deadline_ms, 11U);
  EXPECT_EQ(options.flash_read_threads, 12U);
  EXPECT_EQ(options.flash_warm_rate_bytes, 13U);
  EXPECT_FALSE(options.flash_admit_unread);
}

TEST(LiveSettingsTest, BeginAsTheOptionsSay) {
  const LiveSettings live(Others());
  EXPECT_EQ(live.flash_item_min_bytes.Get(), 4U);
  EXPECT_EQ(live.flash_read_threads.Get(), 12U);
  EXPECT_FALSE(live.flash_admit_unread.Get());
}

TEST(LiveSettingsTest, EachComesBackAsItWasTaken) {
  LiveSettings live{CacheOptions()};
  live.Take(Others());
  CacheOptions options;
  live.CopyTo(&options);
  ExpectOthers(options);
}

TEST(LiveSettingsTest, WhatIsNotLiveStaysWhatItWas) {
  LiveSettings live{Others()};
  CacheOptions options;
  options.flash_path = "/srv/cache";
  options.flash_size_bytes = 77;
  live.CopyTo(&options);
  EXPECT_EQ(options.flash_path, "/srv/cache");
  EXPECT_EQ(options.flash_size_bytes, 77U);
}

}  // namespace
}  // namespace terraced::tiering
