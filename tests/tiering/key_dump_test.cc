#include "tiering/key_dump.h"

#include <map>
#include <set>
#include <string>

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

std::string Name(int i) {
  return "key" + std::to_string(i);
}

class KeyDumpTest : public testing::Test {
 protected:
  static DumpScope Everything() {
    DumpScope scope;
    scope.classes.set();
    return scope;
  }
  static CacheOptions Large() {
    CacheOptions options = RigOptions();
    options.slabs.limit_bytes = 64ULL << 20;
    return options;
  }

  // One piece, into items_ and times_.
  bool Step() {
    DumpPiece piece;
    CrankedExecutor executor;
    Flag done;
    dump_.Next(&piece, executor, &done);
    EXPECT_TRUE(dump_.Work());
    executor.Run();
    EXPECT_TRUE(done.raised);
    EXPECT_LE(piece.items.size(), 2'000U);
    for (const DumpedItem& item : piece.items) {
      const std::string key = piece.keys.substr(item.key_at, item.key_bytes);
      items_[key] = item;
      ++times_[key];
    }
    return !piece.last;
  }
  void Finish() {
    while (Step()) {
    }
    dump_.End();
  }
  void DumpAll(const DumpScope& scope = Everything()) {
    ASSERT_TRUE(dump_.Begin(scope));
    Finish();
  }
  void ExpectOnce() {
    for (const auto& [key, times] : times_) EXPECT_EQ(times, 1) << key;
  }
  bool Listed(const std::string& key) const { return times_.contains(key); }

  CacheRig rig_{Large()};
  KeyDump dump_{rig_.InTiers()};
  std::map<std::string, DumpedItem> items_;
  std::map<std::string, int> times_;
};

TEST_F(KeyDumpTest, ListsBothTiersAndEachKeyOnce) {
  for (int i = 0; i < 3'000; ++i) rig_->Set(Name(i), "value");
  rig_.Demote();
  for (int i = 2'000; i < 5'000; ++i) rig_->Set(Name(i), "newer");
  // Two hits bring a copy back, clean.
  for (int i = 0; i < 100; ++i) {
    rig_->Get(Name(i));
    rig_->Get(Name(i));
  }
  ASSERT_TRUE(rig_.InRam(Name(0)));
  DumpAll();
  EXPECT_EQ(times_.size(), 5'000U);
  ExpectOnce();
  EXPECT_NE(items_[Name(0)].serial, 0U);
  EXPECT_NE(items_[Name(1'999)].serial, 0U);
  EXPECT_EQ(items_[Name(2'000)].serial, 0U);
}

TEST_F(KeyDumpTest, SaysOfAKeyWhatItsItemSays) {
  rig_->Set("flash", "12345", 7, kStartS + 100);
  const uint64_t flash_cas = rig_->cas_unique;
  rig_.Demote();
  rig_->Get("flash");
  rig_->Set("ram", "123", 0, 0);
  DumpAll();
  const DumpedItem flash = items_["flash"];
  EXPECT_NE(flash.serial, 0U);
  EXPECT_EQ(flash.exptime_s, kStartS + 100);
  EXPECT_EQ(flash.last_access_s, kStartS);
  EXPECT_EQ(flash.cas_unique, flash_cas);
  EXPECT_TRUE(flash.fetched);
  EXPECT_EQ(flash.size_bytes, kItemOverhead + 4 + 5 + 5);
  EXPECT_EQ(flash.slab_class, rig_.InTiers().allocator.ClassFor(5, 7, 5));
  const DumpedItem ram = items_["ram"];
  EXPECT_EQ(ram.serial, 0U);
  EXPECT_EQ(ram.exptime_s, 0U);
  EXPECT_EQ(ram.cas_unique, rig_->cas_unique);
  EXPECT_FALSE(ram.fetched);
  EXPECT_EQ(ram.size_bytes, kItemOverhead + 3 + 3);
}

TEST_F(KeyDumpTest, ListsNothingThatIsGone) {
  for (int i = 0; i < 1'000; ++i) rig_->Set(Name(i), "value", 0, i < 100 ? kStartS + 10 : 0);
  rig_.Demote();
  for (int i = 100; i < 200; ++i) rig_->Delete(Name(i));
  rig_->Set("expires", "value", 0, kStartS + 10);
  rig_.clock.Set(kStartS + 10);
  DumpAll();
  EXPECT_EQ(times_.size(), 800U);
  EXPECT_FALSE(Listed("expires"));
  EXPECT_FALSE(Listed(Name(50)));
  EXPECT_FALSE(Listed(Name(150)));
  rig_.cache->FlushAll(0);
  rig_->Set("after", "value");
  times_.clear();
  DumpAll();
  EXPECT_EQ(times_.size(), 1U);
  EXPECT_TRUE(Listed("after"));
}

TEST_F(KeyDumpTest, WhatReachesFlashMeanwhileIsListedOnce) {
  for (int i = 0; i < 3'000; ++i) rig_->Set(Name(i), "value");
  ASSERT_TRUE(dump_.Begin(Everything()));
  ASSERT_TRUE(Step());
  rig_.Demote();
  for (int i = 0; i < 3'000;
       i += 2) {  // and back, and to flash again, in a part that was walked and one that was not
    rig_->Set(Name(i), "newer");
  }
  ASSERT_TRUE(Step());
  rig_.Demote();
  Finish();
  ExpectOnce();
  EXPECT_EQ(times_.size(), 3'000U);
}

TEST_F(KeyDumpTest, WhatMovesBackToRamMeanwhileIsListedOnce) {
  for (int i = 0; i < 3'000; ++i) rig_->Set(Name(i), "value");
  rig_.Demote();
  ASSERT_TRUE(dump_.Begin(Everything()));
  ASSERT_TRUE(Step());
  for (int i = 0; i < 3'000; ++i) {
    rig_->Get(Name(i));
    rig_->Get(Name(i));
  }
  Finish();
  EXPECT_EQ(times_.size(), 3'000U);
  ExpectOnce();
}

TEST_F(KeyDumpTest, ADumpThatBeginsWhileABatchGetsItsSlotsListsAll) {
  for (int i = 0; i < 1'000; ++i) rig_->Set(Name(i), "value");
  Race race(SyncPoint::kDemoteSlotted, [&] { DumpAll(); });
  rig_.Demote();
  ASSERT_TRUE(race.Ran());
  ExpectOnce();
  EXPECT_EQ(times_.size(), 1'000U);
}

TEST_F(KeyDumpTest, ListsWhatAnEarlierRunLeftOnFlash) {
  rig_->Set("old", "value");
  rig_.Demote();
  Shard& shard = rig_.InTiers().ShardOf(rig_.cache->HashOf("old"));
  {
    const MutexLock lock(shard.mutex);
    EXPECT_NE(shard.slotted_serial, storage::kNoSerial);
  }
  CacheRig fresh;
  for (const auto& one : fresh.InTiers().shards) {
    const MutexLock lock(one->mutex);
    // So every serial of a run before counts as older.
    EXPECT_EQ(one->slotted_serial, 1ULL << storage::kSerialCounterBits);
  }
}

TEST_F(KeyDumpTest, OnlyOneAtATime) {
  ASSERT_TRUE(dump_.Begin(Everything()));
  EXPECT_FALSE(dump_.Begin(Everything()));
  dump_.End();
  EXPECT_TRUE(dump_.Begin(Everything()));
  dump_.End();
}

TEST_F(KeyDumpTest, ListsTheClassesThatWereAskedFor) {
  rig_->Set("small", "1");
  rig_->Set("large", std::string(5'000, 'v'));
  rig_.Demote();
  rig_->Set("ram", std::string(5'000, 'v'));
  DumpScope scope;
  scope.classes.set(rig_.ClassOf("ram"));
  DumpAll(scope);
  EXPECT_EQ(times_.size(), 2U);
  EXPECT_TRUE(Listed("large") && Listed("ram"));
}

TEST_F(KeyDumpTest, ABatchThatCannotBeReadIsLeftOut) {
  rig_->Set("flash", "value");
  rig_.Demote();
  rig_->Set("ram", "value");
  rig_.store->FailNth(BatchCall::kRecords, 1, Status(StatusCode::kIoError, "no"));
  DumpAll();
  EXPECT_EQ(times_.size(), 1U);
  EXPECT_TRUE(Listed("ram"));
}

}  // namespace
}  // namespace terraced::tiering
