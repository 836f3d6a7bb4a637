// Reading, deleting and touching, in RAM and on flash (cache_commands.cc).
#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

class CacheCommandsTest : public testing::Test {
 protected:
  void PutOnFlash(std::string_view key, std::string_view value, uint32_t client_flags = 0,
                  uint32_t exptime_s = 0) {
    rig_->Set(key, value, client_flags, exptime_s);
    rig_.Demote();
    ASSERT_TRUE(rig_.OnFlash(key));
    ASSERT_FALSE(rig_.InRam(key));
  }
  storage::RecordMeta RecordOf(const std::string& key) {
    std::vector<storage::BatchRead> reads(1);
    reads[0].serial = rig_.SlotsOf(key).slots[0].serial;
    reads[0].key = key;
    rig_.store->ReadMany(reads);
    return storage::DecodeRecord(reads[0].serial, key, reads[0].record).value().meta;
  }

  CacheRig rig_;
};

// --- RAM --------------------------------------------------------------------------------------------------------

TEST_F(CacheCommandsTest, GetAnswersValueAndMetaFromRam) {
  rig_->Set("k", std::string("va\0lue\r\n", 8), 0xdeadbeef, kStartS + 100);
  const Got got = rig_->Get("k");
  EXPECT_EQ(got, std::string_view("va\0lue\r\n", 8));
  EXPECT_EQ(got.meta.client_flags, 0xdeadbeefU);
  EXPECT_EQ(got.meta.exptime_s, kStartS + 100);
  EXPECT_EQ(got.meta.cas_unique, rig_->cas_unique);
  EXPECT_FALSE(got.meta.fetched);
  EXPECT_TRUE(rig_->Get("k").meta.fetched);
  EXPECT_FALSE(rig_->Get("absent").Hit());
  const CommandCounters counters = rig_.Stats().commands;
  EXPECT_EQ(counters.cmd_get, 3U);
  EXPECT_EQ(counters.get_hits, 2U);
  EXPECT_EQ(counters.get_hits_ram, 2U);
  EXPECT_EQ(counters.get_misses, 1U);
}

TEST_F(CacheCommandsTest, AnEmptyValueIsAValue) {
  rig_->Set("k", "");
  EXPECT_EQ(rig_->Get("k"), "");
  rig_.Demote();
  EXPECT_EQ(rig_->Get("k"), "");
}

TEST_F(CacheCommandsTest, LargeValuesArePinnedSmallOnesCopied) {
  rig_->Set("small", std::string(kCopyBytesMax, 's'));
  rig_->Set("large", std::string(kCopyBytesMax + 1, 'l'));
  EXPECT_FALSE(rig_->Get("small").pinned);
  const Got got = rig_->Get("large");
  EXPECT_TRUE(got.pinned);
  EXPECT_EQ(got, std::string(kCopyBytesMax + 1, 'l'));
}

TEST_F(CacheCommandsTest, ExpiredAndFlushedItemsAreMissesOfTheirKind) {
  rig_->Set("expires", "v", 0, kStartS + 2);
  rig_->Set("flushed", "v");
  rig_.clock.Set(kStartS + 1);
  EXPECT_EQ(rig_->Get("expires"), "v");
  rig_.clock.Set(kStartS + 2);
  EXPECT_FALSE(rig_->Get("expires").Hit());
  EXPECT_EQ(rig_.Stats().commands.get_expired, 1U);
  rig_.cache->FlushAll(0);
  EXPECT_FALSE(rig_->Get("flushed").Hit());
  EXPECT_EQ(rig_.Stats().commands.get_flushed, 1U);
  EXPECT_EQ(rig_.Stats().ram_items, 0U);
}

TEST_F(CacheCommandsTest, TouchAndGetAndTouchChangeTheExptimeInRam) {
  rig_->Set("k", "v");
  EXPECT_EQ(rig_->Touch("k", kStartS + 10), Outcome::kHit);
  EXPECT_EQ(rig_->Get("k").meta.exptime_s, kStartS + 10);
  EXPECT_EQ(rig_->GetAndTouch("k", kExptimePast), "v");  // a negative exptime answers once more
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_EQ(rig_->Touch("k", 0), Outcome::kMiss);
  EXPECT_FALSE(rig_->GetAndTouch("k", 0).Hit());
  const CommandCounters counters = rig_.Stats().commands;
  EXPECT_EQ(counters.cmd_touch, 4U);
  EXPECT_EQ(counters.touch_hits, 2U);
  EXPECT_EQ(counters.touch_misses, 2U);
}

TEST_F(CacheCommandsTest, DeleteTakesTheItemFromRam) {
  rig_->Set("k", "v");
  EXPECT_EQ(rig_->Delete("k"), Outcome::kDeleted);
  EXPECT_EQ(rig_->Delete("k"), Outcome::kNotFound);
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_EQ(rig_.Stats().commands.delete_hits, 1U);
  EXPECT_EQ(rig_.Stats().commands.delete_misses, 1U);
  EXPECT_EQ(rig_.Stats().curr_items, 0U);
}

TEST_F(CacheCommandsTest, I2ARefusedSetLeavesNoOldValueInEitherTier) {
  rig_->Set("ram", "v");
  PutOnFlash("flash", "v");
  rig_->Set("ram", "v");
  for (const std::string_view key : {"ram", "flash"}) {
    rig_.cache->DropRefused(rig_->KeyOf(key));
    EXPECT_FALSE(rig_->Get(key).Hit()) << key;
    EXPECT_FALSE(rig_.OnFlash(key)) << key;
  }
}

TEST_F(CacheCommandsTest, AMissAndASetOfANewKeyNeverTouchTheStore) {
  PutOnFlash("other", "v");
  EXPECT_FALSE(rig_->Get("absent").Hit());
  EXPECT_EQ(rig_->Set("new", "v"), Outcome::kStored);
  EXPECT_EQ(rig_->Store(StoreMode::kAdd, "newer", "v"), Outcome::kStored);
  EXPECT_EQ(rig_->Delete("missing"), Outcome::kNotFound);
  EXPECT_EQ(rig_.store->Calls(BatchCall::kRead), 0U);
}

// --- Flash ------------------------------------------------------------------------------------------------------

TEST_F(CacheCommandsTest, I4EverythingOfAnItemSurvivesDemotionAndPromotion) {
  rig_->Set("k", "value", 0x12345678, kStartS + 500);
  const uint64_t cas_unique = rig_->cas_unique;
  rig_.clock.Set(kStartS + 7);
  rig_->Get("k");
  rig_.clock.Set(kStartS + 9);
  rig_.ItemOf("k")->Set(storage::kItemStale | storage::kItemTokenSent | storage::kItemBinaryKey);
  rig_.Demote();
  const storage::RecordMeta record = RecordOf("k");
  EXPECT_TRUE(record.stale && record.token_sent && record.binary_key && record.fetched);
  EXPECT_EQ(record.last_access_s, kStartS + 7);
  for (int hit = 0; hit < 3; ++hit) {  // from flash, from flash while it is promoted, from RAM
    const Got got = rig_->Get("k");
    EXPECT_EQ(got, "value");
    EXPECT_EQ(got.meta.client_flags, 0x12345678U);
    EXPECT_EQ(got.meta.exptime_s, kStartS + 500);
    EXPECT_EQ(got.meta.cas_unique, cas_unique);
    EXPECT_TRUE(got.meta.fetched);
  }
  ASSERT_TRUE(rig_.InRam("k"));
  EXPECT_TRUE(rig_.ItemOf("k")->Has(storage::kItemStale | storage::kItemTokenSent |
                                    storage::kItemBinaryKey | storage::kItemFetched));
}

TEST_F(CacheCommandsTest, I4AnItemThatWasNeverReadComesBackUnfetched) {
  PutOnFlash("k", "value");
  EXPECT_FALSE(RecordOf("k").fetched);
  EXPECT_FALSE(rig_->Get("k").meta.fetched);
}

TEST_F(CacheCommandsTest, I4AnItemReadOnFlashIsFetchedFromThenOn) {
  PutOnFlash("read", "value");
  PutOnFlash("touched", "value");
  EXPECT_FALSE(rig_->Get("read").meta.fetched);
  EXPECT_TRUE(rig_->Get("read").meta.fetched);
  rig_->Get("touched");
  EXPECT_EQ(rig_->Touch("touched", 0), Outcome::kHit);
  EXPECT_TRUE(rig_.ItemOf("touched")->Has(storage::kItemFetched));
}

TEST_F(CacheCommandsTest, TheSecondFlashHitPromotes) {
  PutOnFlash("k", "value");
  EXPECT_EQ(rig_->Get("k"), "value");
  EXPECT_FALSE(rig_.InRam("k"));
  EXPECT_TRUE(rig_.SlotsOf("k").slots[0].hit);
  EXPECT_EQ(rig_->Get("k"), "value");
  ASSERT_TRUE(rig_.InRam("k"));
  EXPECT_TRUE(rig_.ItemOf("k")->Has(storage::kItemClean));  // I1
  EXPECT_TRUE(rig_.OnFlash("k"));
  EXPECT_EQ(rig_->Get("k"), "value");
  const CacheStats stats = rig_.Stats();
  EXPECT_EQ(stats.commands.flash_promotions, 1U);
  EXPECT_EQ(stats.commands.get_hits_flash, 2U);
  EXPECT_EQ(stats.commands.get_hits_ram, 1U);
  EXPECT_EQ(stats.commands.get_hits, 3U);
  EXPECT_EQ(stats.commands.total_items, 1U);
  EXPECT_EQ(stats.curr_items, 1U);
}

TEST(PromoteHitsTest, OneHitIsEnough) {
  CacheOptions options = RigOptions();
  options.promote_hits = 1;
  CacheRig rig(options);
  rig->Set("k", "value");
  rig.Demote();
  EXPECT_EQ(rig->Get("k"), "value");
  EXPECT_TRUE(rig.InRam("k"));
  // For the record's second chance, once the copy is dropped.
  EXPECT_TRUE(rig.SlotsOf("k").slots[0].hit);
}

TEST(PromoteHitsTest, ZeroNeverPromotes) {
  CacheOptions options = RigOptions();
  options.promote_hits = 0;
  CacheRig rig(options);
  rig->Set("k", "value");
  rig.Demote();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(rig->Get("k"), "value");
  EXPECT_FALSE(rig.InRam("k"));
}

TEST(PromoteHitsTest, MoreThanTwoAreAChanceOfEachHitAfterTheFirst) {
  CacheOptions options = RigOptions();
  options.promote_hits = 5;
  CacheRig rig(options);
  constexpr int kItems = 400;
  for (int i = 0; i < kItems; ++i) rig->Set(CacheRig::NameOf(i), "value");
  rig.Demote();
  for (int i = 0; i < kItems; ++i) rig->Get(CacheRig::NameOf(i));
  EXPECT_EQ(rig.Stats().commands.flash_promotions, 0U);
  for (int i = 0; i < kItems; ++i) rig->Get(CacheRig::NameOf(i));
  EXPECT_NEAR(static_cast<double>(rig.Stats().commands.flash_promotions), kItems / 4, 30);
}

TEST(PromoteHitsTest, AreHeededAsSoonAsTheyChange) {
  CacheOptions options = RigOptions();
  options.promote_hits = 0;
  CacheRig rig(options);
  rig->Set("k", "value");
  rig.Demote();
  for (int i = 0; i < 3; ++i) rig->Get("k");
  EXPECT_FALSE(rig.InRam("k"));
  options.promote_hits = 2;
  ASSERT_TRUE(rig.cache->ChangeSettings(options).ok());
  rig->Get("k");
  EXPECT_TRUE(rig.InRam("k"));
}

TEST_F(CacheCommandsTest, I2ATouchedPromotedItemLosesItsSlotAndIsWrittenAgain) {
  PutOnFlash("k", "value");
  rig_->Get("k");
  rig_->Get("k");
  EXPECT_EQ(rig_->Touch("k", kStartS + 50), Outcome::kHit);
  EXPECT_FALSE(rig_.OnFlash("k"));
  EXPECT_FALSE(rig_.ItemOf("k")->Has(storage::kItemClean));
  EXPECT_EQ(rig_.Stats().curr_items, 1U);
  rig_.Demote();
  EXPECT_EQ(rig_->Get("k").meta.exptime_s, kStartS + 50);
  EXPECT_EQ(rig_.Stats().commands.flash_index_collisions, 0U);
}

TEST_F(CacheCommandsTest, DeleteReadsTheRecordAndRemovesItsSlot) {
  PutOnFlash("k", "value");
  EXPECT_EQ(rig_->Delete("k"), Outcome::kDeleted);
  EXPECT_FALSE(rig_.OnFlash("k"));
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_EQ(rig_->Delete("k"), Outcome::kNotFound);
  EXPECT_EQ(rig_.Stats().curr_items, 0U);
  EXPECT_EQ(rig_.Stats().commands.flash_index_collisions, 0U);
}

TEST_F(CacheCommandsTest, TouchMovesAFlashItemToRamWithItsNewExptime) {
  PutOnFlash("k", "value", 9);
  const uint64_t cas_unique = rig_->cas_unique;
  EXPECT_EQ(rig_->Touch("k", kStartS + 50), Outcome::kHit);
  EXPECT_TRUE(rig_.InRam("k"));
  EXPECT_FALSE(rig_.OnFlash("k"));
  const Got got = rig_->Get("k");
  EXPECT_EQ(got, "value");
  EXPECT_EQ(got.meta.client_flags, 9U);
  EXPECT_EQ(got.meta.cas_unique, cas_unique);
  EXPECT_EQ(got.meta.exptime_s, kStartS + 50);
  EXPECT_TRUE(got.meta.fetched);  // memcached takes a touch for an access
  EXPECT_EQ(rig_.Stats().commands.total_items, 1U);
}

TEST_F(CacheCommandsTest, GetAndTouchAnswersAndMovesAFlashItem) {
  PutOnFlash("k", "value");
  EXPECT_EQ(rig_->GetAndTouch("k", kStartS + 50), "value");
  EXPECT_FALSE(rig_.OnFlash("k"));
  EXPECT_EQ(rig_->Get("k").meta.exptime_s, kStartS + 50);
  EXPECT_EQ(rig_.Stats().commands.touch_hits, 1U);
}

TEST_F(CacheCommandsTest, AnExpiredRecordIsAMissAndItsSlotGoes) {
  PutOnFlash("k", "value", 0, kStartS + 5);
  rig_.clock.Set(kStartS + 5);
  EXPECT_EQ(rig_->Touch("k", 0), Outcome::kMiss);
  EXPECT_FALSE(rig_.OnFlash("k"));
  EXPECT_EQ(rig_.Stats().curr_items, 0U);
}

TEST_F(CacheCommandsTest, ACorruptRecordIsAMissCountedAndItsSlotGoes) {
  for (const std::string key : {"get", "delete", "add", "touch"}) PutOnFlash(key, "value");
  for (const uint64_t serial : rig_.memory->Serials()) {
    for (const std::string_view key : {"get", "delete", "add", "touch"}) {
      rig_.memory->Tamper(serial, key, [](std::string* record) { record->back() ^= 1; });
    }
  }
  EXPECT_FALSE(rig_->Get("get").Hit());
  EXPECT_EQ(rig_->Delete("delete"), Outcome::kNotFound);
  EXPECT_EQ(rig_->Store(StoreMode::kAdd, "add", "new"), Outcome::kStored);
  EXPECT_EQ(rig_->Touch("touch", 0), Outcome::kMiss);
  for (const std::string_view key : {"get", "delete", "add", "touch"})
    EXPECT_FALSE(rig_.OnFlash(key)) << key;
  EXPECT_EQ(rig_->Get("add"), "new");
  EXPECT_EQ(rig_.Stats().flash.records_corrupt, 4U);
}

TEST_F(CacheCommandsTest, ATruncatedRecordIsAMissToo) {
  PutOnFlash("k", "value");
  rig_.memory->Tamper(rig_.memory->Serials()[0], "k",
                      [](std::string* record) { record->resize(3); });
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_EQ(rig_.Stats().flash.records_corrupt, 1U);
}

class ReadErrorTest : public CacheCommandsTest {
 protected:
  void FailReads() {
    rig_.store->FailNth(BatchCall::kRead, 1, Status(StatusCode::kIoError, "EIO"),
                        FaultyBatchStore::When::kBefore, 1'000);
  }
};

TEST_F(ReadErrorTest, I6AGetIsAMissAndTheItemComesBackWithTheDisk) {
  PutOnFlash("k", "value");
  FailReads();
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_EQ(rig_.Stats().flash.read_errors, 1U);
  rig_.store->Heal();
  EXPECT_EQ(rig_->Get("k"), "value");
}

TEST_F(ReadErrorTest, I6CommandsThatMustKnowAnswerSoAndChangeNothing) {
  PutOnFlash("k", "10", 0, kStartS + 50);
  const uint64_t cas_unique = rig_->cas_unique;
  FailReads();
  EXPECT_EQ(rig_->Increment("k", 1), Outcome::kFlashFailed);
  EXPECT_EQ(rig_->Touch("k", 0), Outcome::kFlashFailed);
  EXPECT_EQ(rig_->GetAndTouch("k", 0).outcome, Outcome::kFlashFailed);
  EXPECT_EQ(rig_->Store(StoreMode::kAdd, "k", "x"), Outcome::kFlashFailed);
  EXPECT_EQ(rig_->Store(StoreMode::kAppend, "k", "x"), Outcome::kFlashFailed);
  EXPECT_EQ(rig_->Cas("k", "x", cas_unique), Outcome::kFlashFailed);
  rig_.store->Heal();
  const Got got = rig_->Get("k");
  EXPECT_EQ(got, "10");
  EXPECT_EQ(got.meta.cas_unique, cas_unique);
  EXPECT_EQ(got.meta.exptime_s, kStartS + 50);
}

TEST_F(ReadErrorTest, I2ADeleteRemovesTheSlotsWhateverTheReadSays) {
  PutOnFlash("k", "value");
  FailReads();
  EXPECT_EQ(rig_->Delete("k"), Outcome::kFlashFailed);
  rig_.store->Heal();
  EXPECT_FALSE(rig_.OnFlash("k"));
  EXPECT_FALSE(rig_->Get("k").Hit());
}

TEST_F(ReadErrorTest, ASetNeedsNoRead) {
  PutOnFlash("k", "old");
  FailReads();
  EXPECT_EQ(rig_->Set("k", "new"), Outcome::kStored);
  EXPECT_EQ(rig_->Get("k"), "new");
  EXPECT_FALSE(rig_.OnFlash("k"));
}

TEST_F(ReadErrorTest, AReadThatIsTooLateIsACountedMissOrAFailure) {
  PutOnFlash("k", "10");
  rig_->BeLate(true);
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_EQ(rig_->Increment("k", 1), Outcome::kFlashFailed);
  EXPECT_EQ(rig_.Stats().flash.reads_timed_out, 2U);
  rig_->BeLate(false);
  EXPECT_EQ(rig_->Get("k"), "10");
  rig_->BeLate(true);
  EXPECT_EQ(rig_->Delete("k"), Outcome::kFlashFailed);
  rig_->BeLate(false);
  EXPECT_FALSE(rig_->Get("k").Hit());
}

TEST(RamOnlyTest, EveryCommandWorksWithoutFlash) {
  CacheOptions options = RigOptions();
  options.flash_path.clear();
  CacheRig rig(options);
  EXPECT_FALSE(rig.cache->HasFlash());
  EXPECT_EQ(rig->Set("k", "1"), Outcome::kStored);
  EXPECT_EQ(rig->Increment("k", 1), Outcome::kStored);
  EXPECT_EQ(rig->Store(StoreMode::kAppend, "k", "0"), Outcome::kStored);
  EXPECT_EQ(rig->GetAndTouch("k", kStartS + 5), "20");
  EXPECT_FALSE(rig->Get("absent").Hit());
  rig.Demote();
  EXPECT_TRUE(rig.InRam("k"));
  rig.cache->FlushAll(0);
  EXPECT_FALSE(rig->Get("k").Hit());
  EXPECT_EQ(rig.Stats().flash.state, "off");
  EXPECT_TRUE(rig.cache->Stop([] { return false; }).ok());
}

}  // namespace
}  // namespace terraced::tiering
