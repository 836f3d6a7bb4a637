// What a clean stop found in RAM is there again after the next start, in the order in which it was.
#include "tiering/hot_list_warmer.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "storage/base/file_io.h"
#include "tests/support/process.h"
#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

using storage::LruSegment;

std::string Name(int i) {
  return "key" + std::to_string(i);
}

constexpr uint32_t kRate = 64U << 20;

class HotListWarmerTest : public testing::Test {
 protected:
  HotListWarmerTest() {
    options_.slabs.limit_bytes = 8U << 20;
    options_.flash_path = directory_.Sub("flash");
    options_.flash_size_bytes = 256ULL << 20;
    options_.flash_batch_bytes = 256U << 10;
    options_.flash_open_files_max = 64;
    options_.flash_index_dir = directory_.Path();
    options_.lru_maintainer = false;
  }
  ~HotListWarmerTest() override { client_.reset(); }

  // The warmer's thread rests as long as its rate is 0: a test warms by hand.
  void Start() {
    options_.flash_warm_rate_bytes = 0;
    clock_ = std::make_unique<Clock>(now_s_);
    Result<std::unique_ptr<Cache>> made = Cache::Create(options_, *clock_);
    ASSERT_TRUE(made.ok()) << made.status().message();
    cache_ = std::move(made).value();
    client_ = std::make_unique<CacheClient>(*cache_);
  }
  // A list is written where there is a rate.
  void Stop(uint32_t rate = kRate) {
    client_.reset();
    options_.flash_warm_rate_bytes = rate;
    ASSERT_TRUE(cache_->ChangeSettings(options_).ok());
    const Status status = cache_->Stop([] { return false; });
    EXPECT_TRUE(status.ok()) << status.message();
    cache_.reset();
  }
  void Restart() {
    ASSERT_NO_FATAL_FAILURE(Stop());
    ASSERT_NO_FATAL_FAILURE(Start());
  }
  FlashStats Flash() const { return cache_->Stats().flash; }
  TwoTierCache& InCache() const { return static_cast<TwoTierCache&>(*cache_); }
  void WarmAll() const {
    while (InCache().WarmerForTest().Step()) {
    }
  }
  void Fill(int from, int to) {
    for (int i = from; i < to; ++i) {
      ASSERT_EQ(client_->Set(Name(i), std::string(200, 'v')), Outcome::kStored);
    }
  }
  // From the hottest on, of one segment in all shards.
  std::vector<std::string> KeysOf(LruSegment segment, uint32_t shard_number) {
    Tiers& tiers = InCache().TiersForTest();
    Shard& shard = *tiers.shards[shard_number];
    const MutexLock lock(shard.mutex);
    std::vector<std::string> keys;
    for (storage::SlabClass of = 1; of <= tiers.arena->LargestClass(); ++of) {
      for (storage::Position at = shard.ram.Behind(of, segment, storage::kNoPosition);
           at != storage::kNoPosition; at = shard.ram.Behind(of, segment, at)) {
        keys.emplace_back(tiers.arena->ItemAt(at)->Key());
      }
    }
    return keys;
  }

  const support::TempDirectory directory_;
  CacheOptions options_;
  uint32_t now_s_ = kStartS;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Cache> cache_;
  std::unique_ptr<CacheClient> client_;
};

TEST_F(HotListWarmerTest, EveryListIsWhatItWas) {
  Start();
  ASSERT_NO_FATAL_FAILURE(Fill(0, 5'000));
  const uint64_t lost = cache_->Stats().commands.flash_index_collisions;
  std::vector<std::vector<std::string>> before;
  for (uint32_t shard = 0; shard < 256; ++shard) before.push_back(KeysOf(LruSegment::kHot, shard));
  ASSERT_NO_FATAL_FAILURE(Restart());
  WarmAll();
  const FlashStats flash = Flash();
  EXPECT_EQ(flash.hot_list, "done");
  EXPECT_EQ(flash.hot_list_keys, 5'000U);
  EXPECT_EQ(flash.hot_list_seen, 5'000U);
  EXPECT_GE(flash.hot_list_warmed + lost + 2, 5'000U);  // two records may share an identity
  EXPECT_EQ(cache_->Stats().ram_items, flash.hot_list_warmed);
  EXPECT_EQ(cache_->Stats().curr_items, flash.hot_list_warmed);
  int different = 0;
  for (uint32_t shard = 0; shard < 256; ++shard) {
    if (KeysOf(LruSegment::kHot, shard) != before[shard]) ++different;
  }
  EXPECT_LE(different, 2);
  EXPECT_EQ(cache_->Stats().commands.total_items, 0U) << "moved, not stored";
}

TEST_F(HotListWarmerTest, WhatWasOnFlashOnlyStaysThere) {
  Start();
  ASSERT_NO_FATAL_FAILURE(Fill(0, 200));
  ASSERT_NO_FATAL_FAILURE(Restart());
  ASSERT_NO_FATAL_FAILURE(Fill(200, 300));
  EXPECT_EQ(Flash().hot_list, "off");
  EXPECT_EQ(Flash().hot_list_seen, 0U);
  EXPECT_EQ(cache_->Stats().ram_items, 100U);
  ASSERT_NO_FATAL_FAILURE(Restart());
  WarmAll();
  // What it had not come to is in the next list, behind what was in RAM.
  EXPECT_EQ(Flash().hot_list_keys, 300U);
  EXPECT_EQ(cache_->Stats().ram_items, Flash().hot_list_warmed);
}

TEST_F(HotListWarmerTest, AFlushOrAnExpiryInBetweenIsNotUndone) {
  Start();
  ASSERT_EQ(client_->Set("short", "v", 0, now_s_ + 5), Outcome::kStored);
  ASSERT_NO_FATAL_FAILURE(Fill(0, 100));
  now_s_ += 10;
  ASSERT_NO_FATAL_FAILURE(Restart());
  EXPECT_EQ(client_->Delete(Name(1)), Outcome::kDeleted);
  WarmAll();
  EXPECT_FALSE(client_->Get("short").Hit());
  EXPECT_FALSE(client_->Get(Name(1)).Hit());
  EXPECT_LE(Flash().hot_list_warmed, 99U);
  EXPECT_GE(Flash().hot_list_warmed, 97U);

  ASSERT_NO_FATAL_FAILURE(Restart());
  cache_->FlushAll(0);
  WarmAll();
  EXPECT_EQ(Flash().hot_list_warmed, 0U);
  EXPECT_EQ(cache_->Stats().curr_items, 0U);
}

TEST_F(HotListWarmerTest, NothingIsPushedOutForIt) {
  Start();
  ASSERT_NO_FATAL_FAILURE(Fill(0, 20'000));
  Stop();
  options_.slabs.limit_bytes = 4U << 20;
  Start();
  WarmAll();
  EXPECT_EQ(Flash().hot_list, "RAM is full");
  EXPECT_GT(Flash().hot_list_warmed, 5'000U);
  EXPECT_LT(Flash().hot_list_warmed, 20'000U);
  EXPECT_EQ(cache_->Stats().evictions, 0U);
  EXPECT_EQ(Flash().demoted_items, 0U);
}

// A stop soon after a start with a memory file: what nobody has looked at yet is drained and listed like the rest.
TEST_F(HotListWarmerTest, AStopDuringTheAdoptionLeavesNothingOut) {
  options_.slabs.limit_bytes = 64U << 20;
  options_.memory_file = directory_.Sub("arena");
  Start();
  ASSERT_NO_FATAL_FAILURE(Fill(0, 50'000));
  client_.reset();
  cache_.reset();
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(Stop());
  std::filesystem::remove(options_.memory_file);
  Start();
  WarmAll();
  EXPECT_EQ(Flash().hot_list_keys, 50'000U);
  EXPECT_GE(cache_->Stats().ram_items + 50, 50'000U);
}

TEST_F(HotListWarmerTest, ADamagedListIsLeft) {
  Start();
  ASSERT_NO_FATAL_FAILURE(Fill(0, 100));
  Stop();
  {
    std::fstream file(directory_.Sub("flash") + "/HOT",
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100);
    file.put('\xff');
  }
  Start();
  WarmAll();
  EXPECT_EQ(Flash().hot_list, "failed");
  EXPECT_TRUE(client_->Get(Name(1)).Hit());
}

TEST_F(HotListWarmerTest, WhereNobodyWantsItNoListIsWritten) {
  Start();
  ASSERT_NO_FATAL_FAILURE(Fill(0, 10));
  ASSERT_NO_FATAL_FAILURE(Stop(0));
  Start();
  EXPECT_EQ(Flash().hot_list, "none");
}

// The thread itself, once it has a rate.
TEST_F(HotListWarmerTest, ItsThreadWarmsAtARate) {
  Start();
  ASSERT_NO_FATAL_FAILURE(Fill(0, 100));
  ASSERT_NO_FATAL_FAILURE(Restart());
  options_.flash_warm_rate_bytes = kRate;
  ASSERT_TRUE(cache_->ChangeSettings(options_).ok());
  while (Flash().hot_list == "warming") std::this_thread::yield();
  EXPECT_EQ(Flash().hot_list, "done");
}

TEST(WarmPaceTest, IsLateOnceItIsFarBehindAndUntilItHasCaughtUp) {
  constexpr uint64_t kKeys = 256;
  constexpr uint64_t kDueUs = kKeys * WarmPace::kUsPerKey;
  WarmPace pace;
  EXPECT_FALSE(pace.Note(kKeys, kDueUs));
  EXPECT_FALSE(pace.Note(kKeys, kDueUs / 2));
  EXPECT_FALSE(pace.Note(kKeys, kDueUs + WarmPace::kLateUs - 1));  // no credit for having been fast
  EXPECT_TRUE(pace.Note(kKeys, kDueUs + 1));
  EXPECT_TRUE(pace.Note(WarmPace::kLateUs / WarmPace::kUsPerKey - 1, 0));
  EXPECT_FALSE(pace.Note(1, 0));
}

TEST(WarmPaceTest, NeedNotMakeGoodWhatWasLostLongAgo) {
  WarmPace pace;
  EXPECT_TRUE(pace.Note(0, 3'600'000'000));
  EXPECT_FALSE(pace.Note(2 * WarmPace::kLateUs / WarmPace::kUsPerKey, 0));
}

TEST_F(HotListWarmerTest, AFirstStartHasNone) {
  Start();
  EXPECT_EQ(Flash().hot_list, "none");
  EXPECT_EQ(Flash().hot_list_keys, 0U);
}

}  // namespace
}  // namespace terraced::tiering
