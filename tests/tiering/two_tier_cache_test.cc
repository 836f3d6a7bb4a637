// Start, stop and restart on a real directory (I4, I5, rule 9), with every thread running.
#include "tiering/two_tier_cache.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <random>
#include <thread>
#include <vector>

#include "tests/support/process.h"
#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

using testing::HasSubstr;

std::string Name(int i) {
  return "key" + std::to_string(i);
}
std::string Value(int i) {
  return std::string(static_cast<size_t>(50 + i % 400), static_cast<char>('a' + i % 26));
}
// What LZ4 cannot shrink.
std::string RandomText(size_t bytes) {
  static std::mt19937_64 random(7);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

class TwoTierCacheTest : public testing::Test {
 protected:
  TwoTierCacheTest() {
    options_.slabs.limit_bytes = 4U << 20;
    options_.flash_path = directory_.Sub("flash");
    options_.flash_size_bytes = 64ULL << 20;
    options_.flash_batch_bytes = 256U << 10;
    options_.flash_open_files_max = 64;
    options_.flash_index_dir = directory_.Path();
  }
  ~TwoTierCacheTest() override { client_.reset(); }

  void Start() {
    clock_ = std::make_unique<Clock>(now_s_);
    Result<std::unique_ptr<Cache>> made = Cache::Create(options_, *clock_);
    ASSERT_TRUE(made.ok()) << made.status().message();
    cache_ = std::move(made).value();
    client_ = std::make_unique<CacheClient>(*cache_);
  }
  void Stop() {
    client_.reset();
    const Status status = cache_->Stop([] { return false; });
    EXPECT_TRUE(status.ok()) << status.message();
    cache_.reset();
  }
  void Kill() {  // as near as a test in one process gets to it: no clean stop
    client_.reset();
    cache_.reset();
  }
  void Restart() {
    Stop();
    Start();
  }
  void Demote() {
    CrankedExecutor executor;
    Flag done;
    cache_->DemoteAll(executor, &done);
    executor.Run();
    ASSERT_TRUE(done.raised);
  }
  std::string StartText() const { return cache_->Stats().flash.start; }

  const support::TempDirectory directory_;
  CacheOptions options_;
  uint32_t now_s_ = kStartS;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Cache> cache_;
  std::unique_ptr<CacheClient> client_;
};

TEST_F(TwoTierCacheTest, I4ACleanRestartKeepsEverythingOfEveryItem) {
  Start();
  for (int i = 0; i < 3'000; ++i) {
    ASSERT_EQ(
        client_->Set(Name(i), Value(i), static_cast<uint32_t>(i), i % 2 == 0 ? kStartS + 5'000 : 0),
        Outcome::kStored);
    if (i == 1'500) Demote();  // half of them were on flash before
  }
  std::vector<uint64_t> uniques;
  for (int i = 0; i < 3'000; ++i) uniques.push_back(client_->Get(Name(i)).meta.cas_unique);
  const uint64_t lost = cache_->Stats().commands.flash_index_collisions;
  now_s_ += 100;
  Restart();
  EXPECT_EQ(StartText(), "warm");
  uint64_t missing = 0;
  for (int i = 0; i < 3'000; ++i) {
    const Got got = client_->Get(Name(i));
    if (!got.Hit()) {
      ++missing;
      continue;
    }
    EXPECT_EQ(got.value, Value(i));
    EXPECT_EQ(got.meta.client_flags, static_cast<uint32_t>(i));
    EXPECT_EQ(got.meta.exptime_s, i % 2 == 0 ? kStartS + 5'000 : 0);
    EXPECT_EQ(got.meta.cas_unique, uniques[static_cast<size_t>(i)]);
    EXPECT_TRUE(got.meta.fetched);
  }
  EXPECT_LE(missing, lost);
  // Items that change tiers while they are counted would be missed. Two keys of a batch that share their identity share
  // a slot: both are there, and are counted once.
  while (cache_->Stats().flash.hot_list == "warming") std::this_thread::yield();
  EXPECT_LE(cache_->Stats().curr_items, 3'000U - missing);
  EXPECT_GE(cache_->Stats().curr_items + 2, 3'000U - missing);
}

TEST_F(TwoTierCacheTest, I4CasUniquesNeverRepeatOverRestarts) {
  uint64_t newest = 0;
  for (int start = 0; start < 3; ++start) {
    Start();
    client_->Set("k", "v");
    EXPECT_GT(client_->cas_unique, newest);
    newest = client_->cas_unique;
    start == 1 ? Kill() : Stop();
  }
}

TEST_F(TwoTierCacheTest, I4ARunThatUsesUpHalfItsCasUniquesTakesTheNextBlock) {
  const Clock clock(kStartS);
  uint64_t count = 0;
  {
    FlashStart start;
    start.directory = std::move(storage::FlashDirectory::Open(options_.flash_path)).value();
    start.store = std::make_unique<MemoryBatchStore>();
    start.state = start.directory->State();
    count = start.state.start_count;
    start.state.cas_next =
        (count << storage::kCasCounterBits) + (uint64_t{1} << (storage::kCasCounterBits - 1)) - 1;
    const Result<std::unique_ptr<TwoTierCache>> cache =
        TwoTierCache::Make(options_, clock, std::move(start));
    ASSERT_TRUE(cache.ok());
    cache.value()->Tick();
    CacheClient client(*cache.value());
    client.Set("k", "v");
    cache.value()->Tick();
    cache.value()->Tick();  // once is enough
  }
  const auto directory = std::move(storage::FlashDirectory::Open(options_.flash_path)).value();
  EXPECT_EQ(directory->State().start_count, count + 2);
}

TEST_F(TwoTierCacheTest, LargeAndChunkedItemsAreThereAfterARestart) {
  std::string large;
  for (int i = 0; i < 900'000; ++i) large.push_back(static_cast<char>(i * 13));
  Start();
  client_->Set("large", large);
  client_->Set("empty", "");
  Restart();
  EXPECT_EQ(client_->Get("large"), large);
  EXPECT_EQ(client_->Get("empty"), "");
}

TEST_F(TwoTierCacheTest, AnItemOverALoweredLimitIsServedFromFlash) {
  Start();
  client_->Set("large", std::string(900'000, 'l'));
  Stop();
  options_.slabs.item_bytes_max = 512U << 10;
  Start();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(client_->Get("large"), std::string(900'000, 'l'));
  EXPECT_EQ(client_->Touch("large", 0), Outcome::kNoMemory);
  EXPECT_EQ(client_->Delete("large"), Outcome::kDeleted);
}

TEST_F(TwoTierCacheTest, WhatExpiredWhileItWasDownIsGone) {
  Start();
  client_->Set("short", "v", 0, kStartS + 10);
  client_->Set("long", "v", 0, kStartS + 100);
  Stop();
  now_s_ += 50;
  Start();
  EXPECT_FALSE(client_->Get("short").Hit());
  EXPECT_EQ(client_->Get("long"), "v");
}

TEST_F(TwoTierCacheTest, AFlushBeforeTheStopStays) {
  Start();
  client_->Set("flash", "v");
  Demote();
  client_->Set("ram", "v");
  cache_->FlushAll(0);
  client_->Set("after", "v");
  Restart();
  EXPECT_FALSE(client_->Get("flash").Hit());
  EXPECT_FALSE(client_->Get("ram").Hit());
  EXPECT_EQ(client_->Get("after"), "v");
}

TEST_F(TwoTierCacheTest, APendingFlushStillHappens) {
  Start();
  client_->Set("k", "v");
  cache_->FlushAll(kStartS + 100);
  Restart();
  EXPECT_EQ(client_->Get("k"), "v");
  clock_->Set(kStartS + 100);
  cache_->Tick();
  EXPECT_FALSE(client_->Get("k").Hit());
}

TEST_F(TwoTierCacheTest, AFlushThatFellDueWhileItWasDownComesBeforeTheFirstAnswer) {
  Start();
  client_->Set("k", "v");
  cache_->FlushAll(kStartS + 100);
  Stop();
  now_s_ = kStartS + 200;
  Start();
  EXPECT_FALSE(client_->Get("k").Hit());
  client_->Set("k", "new");
  cache_->Tick();  // once only
  EXPECT_EQ(client_->Get("k"), "new");
}

TEST_F(TwoTierCacheTest, DeletedAndChangedItemsStaySoOverRestarts) {
  Start();
  for (int i = 0; i < 300; ++i) client_->Set(Name(i), "old");
  Restart();
  for (int i = 0; i < 300; i += 3) EXPECT_EQ(client_->Delete(Name(i)), Outcome::kDeleted);
  for (int i = 1; i < 300; i += 3) client_->Set(Name(i), "new");
  Restart();
  for (int i = 0; i < 300; ++i) {
    const Got got = client_->Get(Name(i));
    EXPECT_EQ(got.Hit(), i % 3 != 0) << i;
    EXPECT_EQ(got.value, i % 3 == 0 ? "" : (i % 3 == 1 ? "new" : "old"));
  }
}

TEST_F(TwoTierCacheTest, I5AfterAKillFlashIsAsItWasAndNothingThatWasChangedComesBack) {
  Start();
  for (int i = 0; i < 300; ++i) client_->Set(Name(i), "old", 7, kStartS + 1'000);
  Demote();
  for (int i = 0; i < 300; ++i) {
    if (i % 3 == 0) client_->Delete(Name(i));
    if (i % 3 == 1) client_->Set(Name(i), "new");
  }
  const uint64_t lost = cache_->Stats().commands.flash_index_collisions;
  Kill();
  Start();
  EXPECT_EQ(StartText(), "warm after an unclean stop");
  uint64_t missing = 0;
  for (int i = 0; i < 300; ++i) {
    const Got got = client_->Get(Name(i));
    if (i % 3 != 2) {
      EXPECT_FALSE(got.Hit()) << i;  // RAM went with the process
    } else if (!got.Hit()) {
      ++missing;
    } else {
      EXPECT_EQ(got.value, "old");
      EXPECT_EQ(got.meta.client_flags, 7U);
      EXPECT_EQ(got.meta.exptime_s, kStartS + 1'000);
    }
  }
  EXPECT_LE(missing, lost);
  EXPECT_EQ(cache_->Stats().curr_items, 100 - missing);
}

TEST_F(TwoTierCacheTest, I5KillsAndCleanStopsFollowOneAnother) {
  Start();
  client_->Set("first", "v");
  Demote();
  for (int round = 0; round < 3; ++round) {
    Kill();
    Start();
    EXPECT_EQ(client_->Get("first"), "v");
    client_->Set("second", std::to_string(round));
    Demote();
    Kill();
    Start();
    EXPECT_EQ(client_->Get("second"), std::to_string(round));
    Restart();
    EXPECT_EQ(StartText(), "warm");
    EXPECT_EQ(client_->Get("second"), std::to_string(round));
  }
  Stop();
  int files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory_.Path()))
    ++files;
  EXPECT_EQ(files, 1) << "only the flash directory is left";
}

TEST_F(TwoTierCacheTest, I5AFlushBeforeAKillStaysAndAPendingOneStillHappens) {
  Start();
  client_->Set("flushed", "v");
  Demote();
  cache_->FlushAll(0);
  client_->Set("kept", "v");
  Demote();
  cache_->FlushAll(kStartS + 100);
  Kill();
  Start();
  EXPECT_FALSE(client_->Get("flushed").Hit());
  EXPECT_EQ(client_->Get("kept"), "v");
  clock_->Set(kStartS + 100);
  cache_->Tick();
  EXPECT_FALSE(client_->Get("kept").Hit());
  client_->Set("later", "v");
  Demote();
  Kill();
  Start();
  EXPECT_EQ(client_->Get("later"), "v") << "the flush happened twice";
}

TEST_F(TwoTierCacheTest, I5WithoutASharedIndexAKillForgetsAndSaysSo) {
  Start();
  client_->Set("k", "v");
  Demote();
  Kill();
  for (const auto& entry : std::filesystem::directory_iterator(directory_.Path())) {
    if (entry.path().extension() == ".index") std::filesystem::remove(entry.path());
  }
  Start();
  EXPECT_FALSE(client_->Get("k").Hit());
  EXPECT_THAT(StartText(), HasSubstr("emptied: unclean stop, and there is no shared index"));
  options_.flash_index_dir = kNoIndexDirectory;
  Restart();
  client_->Set("k", "v");
  Demote();
  Kill();
  Start();
  EXPECT_FALSE(client_->Get("k").Hit());
  EXPECT_THAT(StartText(), HasSubstr("emptied: unclean stop, and there is no shared index"));
  EXPECT_EQ(cache_->Stats().curr_items, 0U);
  client_->Set("k", "new");
  Restart();
  EXPECT_EQ(client_->Get("k"), "new");
}

TEST_F(TwoTierCacheTest, AStopInAHurryIsAKill) {
  Start();
  client_->Set("flash", "v");
  Demote();
  client_->Set("ram", "v");
  client_.reset();
  EXPECT_EQ(cache_->Stop([] { return true; }).code(), StatusCode::kUnavailable);
  cache_.reset();
  Start();
  EXPECT_EQ(client_->Get("flash"), "v");
  EXPECT_FALSE(client_->Get("ram").Hit());
}

TEST_F(TwoTierCacheTest, TheIndexFileTakesRoomOnlyWhileItIsDown) {
  const std::string index = options_.flash_path + "/INDEX";
  Start();
  client_->Set("k", "v");
  Stop();
  EXPECT_TRUE(std::filesystem::exists(index));
  Start();
  EXPECT_FALSE(std::filesystem::exists(index));
  EXPECT_EQ(client_->Get("k"), "v");
  Restart();
  EXPECT_EQ(client_->Get("k"), "v");
}

TEST_F(TwoTierCacheTest, Rule9ADamagedIndexEmptiesTheTier) {
  Start();
  for (int i = 0; i < 100; ++i) client_->Set(Name(i), "v");
  Stop();
  const std::string index = options_.flash_path + "/INDEX";
  std::fstream file(index, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(index) / 2));
  file.put('\x5a');
  file.close();
  Start();
  EXPECT_THAT(StartText(), HasSubstr("emptied"));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(client_->Get(Name(i)).Hit());
  client_->Set("k", "v");
  Restart();
  EXPECT_EQ(client_->Get("k"), "v");
}

TEST_F(TwoTierCacheTest, Rule9ADamagedIndexWhoseFilesCannotBeRemovedIsAColdStartToo) {
  const Clock clock(kStartS);
  const auto make = [&](FaultyBatchStore** faulty) {
    FlashStart start;
    start.directory = std::move(storage::FlashDirectory::Open(options_.flash_path)).value();
    auto store = std::make_unique<FaultyBatchStore>(std::make_unique<MemoryBatchStore>());
    *faulty = store.get();
    store->FailNth(BatchCall::kRetain, 1, Status(StatusCode::kIoError, "EIO"));
    start.store = std::move(store);
    start.state = start.directory->State();
    if (start.directory->WasClean(&start.summary)) start.origin = FlashOrigin::kClean;
    return TwoTierCache::Make(options_, clock, std::move(start));
  };
  FaultyBatchStore* store = nullptr;
  {
    Result<std::unique_ptr<TwoTierCache>> first = make(&store);
    ASSERT_TRUE(first.ok());
    CacheClient(*first.value()).Set("k", "old");
    ASSERT_TRUE(first.value()->Stop([] { return false; }).ok());
  }
  const std::string index = options_.flash_path + "/INDEX";
  std::filesystem::resize_file(index, std::filesystem::file_size(index) - 1);
  Result<std::unique_ptr<TwoTierCache>> second = make(&store);
  ASSERT_TRUE(second.ok()) << second.status().message();
  EXPECT_THAT(second.value()->Stats().flash.start, HasSubstr("emptied"));
  // What is left over goes before anything is written.
  CacheClient client(*second.value());
  client.Set("k", "new");
  EXPECT_EQ(second.value()->DemoterForTest().Drain(UINT64_MAX, [] { return false; }), 0U);
  EXPECT_EQ(store->Calls(BatchCall::kRetain), 2U);
  EXPECT_EQ(client.Get("k"), "new");
}

TEST_F(TwoTierCacheTest, ASmallerQuotaDropsTheOldest) {
  Start();
  for (int i = 0; i < 30'000; ++i) {
    client_->Set(Name(i), RandomText(150));
    if (i % 1'000 == 999) Demote();
  }
  Stop();
  options_.flash_size_bytes = 3ULL << 20;
  Start();
  client_->Set("k", "v");
  Demote();
  EXPECT_LE(cache_->Stats().flash.bytes_used, options_.flash_size_bytes);
  EXPECT_FALSE(client_->Get(Name(0)).Hit());
}

TEST_F(TwoTierCacheTest, ASmallerQuotaWaitsForTheEndOfAnOutage) {
  Start();
  for (int i = 0; i < 30'000; ++i) {
    client_->Set(Name(i), RandomText(150));
    if (i % 1'000 == 999) Demote();
  }
  Stop();
  options_.flash_size_bytes = 3ULL << 20;
  const std::string away = options_.flash_path + "-away";
  std::promise<void> started;
  std::promise<void> began;
  const Race race(SyncPoint::kDropBegin, [&] {
    started.get_future().wait();
    std::filesystem::rename(options_.flash_path, away);
    static_cast<TwoTierCache&>(*cache_).TiersForTest().flash_online.store(false);
    began.set_value();
  });
  Start();
  started.set_value();
  began.get_future().wait();
  Demoter& demoter = static_cast<TwoTierCache&>(*cache_).DemoterForTest();
  demoter.Join();  // from here on its steps are taken by this thread
  const uint64_t used = cache_->Stats().flash.bytes_used;
  ASSERT_GT(used, options_.flash_size_bytes);
  demoter.Step();
  EXPECT_EQ(cache_->Stats().flash.bytes_used, used);
  std::filesystem::rename(away, options_.flash_path);
  demoter.TryAtOnce();
  demoter.Step();
  EXPECT_LE(cache_->Stats().flash.bytes_used, options_.flash_size_bytes);
}

TEST_F(TwoTierCacheTest, ASecondCacheOnTheSameDirectoryIsRefused) {
  Start();
  const Clock clock(kStartS);
  const Result<std::unique_ptr<Cache>> second = Cache::Create(options_, clock);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kBusy) << second.status().message();
  client_->Set("k", "v");
  Restart();  // the attempt has done no harm
  EXPECT_EQ(client_->Get("k"), "v");
}

TEST_F(TwoTierCacheTest, AQuotaThatIsTooSmallIsRefusedWithWhatWouldDo) {
  options_.flash_size_bytes = 1U << 20;
  const Clock clock(kStartS);
  const Result<std::unique_ptr<Cache>> made = Cache::Create(options_, clock);
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(std::string(made.status().message()), HasSubstr("at least 2 MB"));
}

TEST_F(TwoTierCacheTest, SettingsChangeWhileItRunsAndAreTheOptionsAgainAfterARestart) {
  options_.flash_read_threads = 2;
  Start();
  CacheOptions changed = options_;
  changed.flash_read_threads = 5;
  changed.flash_ttl_min_s = 7;
  changed.flash_path = "elsewhere";  // not a live one
  ASSERT_TRUE(cache_->ChangeSettings(changed).ok());
  EXPECT_EQ(cache_->Reader().Threads(), 5U);
  EXPECT_EQ(cache_->Live().flash_ttl_min_s.Get(), 7U);
  EXPECT_EQ(cache_->Options().flash_ttl_min_s, options_.flash_ttl_min_s);
  EXPECT_EQ(cache_->Options().flash_path, options_.flash_path);
  Restart();
  EXPECT_EQ(cache_->Reader().Threads(), 2U);
  EXPECT_EQ(cache_->Live().flash_ttl_min_s.Get(), 0U);
}

TEST_F(TwoTierCacheTest, WithoutADirectoryItIsACacheInRam) {
  options_.flash_path.clear();
  Start();
  EXPECT_FALSE(cache_->HasFlash());
  client_->Set("k", "v");
  EXPECT_EQ(client_->Get("k"), "v");
  Demote();  // answered at once
  EXPECT_EQ(client_->Get("k"), "v");
  options_.flash_read_threads = 9;
  EXPECT_TRUE(cache_->ChangeSettings(options_).ok());
  EXPECT_EQ(cache_->Live().flash_read_threads.Get(), 9U);
  EXPECT_EQ(cache_->Reader().Threads(), 0U);
  Stop();
}

}  // namespace
}  // namespace terraced::tiering
