// The commands that store, incr and decr, and flush_all, in RAM and on flash (cache_stores.cc).
#include <functional>

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

// Every case runs twice: on an item in RAM, and on one that was demoted before each command.
class CacheStoresTest : public testing::TestWithParam<bool> {
 protected:
  void Settle() {
    if (GetParam()) rig_.Demote();
  }
  Got Get(std::string_view key) {
    Settle();
    return rig_->Get(key);
  }
  Outcome Store(StoreMode mode, std::string_view key, std::string_view value,
                uint32_t client_flags = 0, uint32_t exptime_s = 0) {
    Settle();
    return rig_->Store(mode, key, value, client_flags, exptime_s);
  }
  CacheRig rig_;
};
INSTANTIATE_TEST_SUITE_P(Tiers, CacheStoresTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Flash" : "Ram"; });

TEST_P(CacheStoresTest, NoUniqueIsNotOlderThanAnother) {
  EXPECT_EQ(Store(StoreMode::kSet, "k", "old"), Outcome::kStored);
  Settle();
  const StorePlan plan{.mode = StoreMode::kCas, .compare_cas = 0, .stale_if_older = true};
  EXPECT_EQ(rig_->Store(plan, "k", "new"), Outcome::kExists);
  EXPECT_EQ(Get("k"), "old");
}

TEST_P(CacheStoresTest, SetReplacesWhateverIsThere) {
  EXPECT_EQ(Store(StoreMode::kSet, "k", "old", 1, kStartS + 10), Outcome::kStored);
  EXPECT_EQ(Store(StoreMode::kSet, "k", "new", 2), Outcome::kStored);
  const Got got = Get("k");
  EXPECT_EQ(got, "new");
  EXPECT_EQ(got.meta.client_flags, 2U);
  EXPECT_EQ(got.meta.exptime_s, 0U);
  EXPECT_EQ(rig_.Stats().curr_items, 1U);
  EXPECT_EQ(rig_.Stats().commands.total_items, 2U);
  EXPECT_EQ(rig_.Stats().commands.cmd_set, 2U);
}

TEST_P(CacheStoresTest, AddStoresOnlyWhereNothingIs) {
  EXPECT_EQ(Store(StoreMode::kAdd, "k", "first"), Outcome::kStored);
  EXPECT_EQ(Store(StoreMode::kAdd, "k", "second"), Outcome::kNotStored);
  EXPECT_EQ(Get("k"), "first");
  Settle();
  EXPECT_EQ(rig_->Delete("k"), Outcome::kDeleted);
  EXPECT_EQ(Store(StoreMode::kAdd, "k", "third"), Outcome::kStored);
  EXPECT_EQ(Get("k"), "third");
}

TEST_P(CacheStoresTest, AddStoresWhereTheItemHasExpired) {
  Store(StoreMode::kSet, "k", "old", 0, kStartS + 5);
  Settle();
  rig_.clock.Set(kStartS + 5);
  EXPECT_EQ(rig_->Store(StoreMode::kAdd, "k", "new"), Outcome::kStored);
  EXPECT_EQ(Get("k"), "new");
}

TEST_P(CacheStoresTest, ReplaceStoresOnlyWhereSomethingIs) {
  EXPECT_EQ(Store(StoreMode::kReplace, "k", "first"), Outcome::kNotStored);
  EXPECT_FALSE(Get("k").Hit());
  Store(StoreMode::kSet, "k", "first");
  EXPECT_EQ(Store(StoreMode::kReplace, "k", "second"), Outcome::kStored);
  EXPECT_EQ(Get("k"), "second");
}

TEST_P(CacheStoresTest, CasComparesTheUnique) {
  EXPECT_EQ(rig_->Cas("k", "x", 1), Outcome::kNotFound);
  Store(StoreMode::kSet, "k", "first");
  const uint64_t first = rig_->cas_unique;
  Settle();
  EXPECT_EQ(rig_->Cas("k", "x", first + 1), Outcome::kExists);
  EXPECT_EQ(rig_->Cas("k", "x", 0), Outcome::kExists);
  Settle();
  EXPECT_EQ(rig_->Cas("k", "second", first), Outcome::kStored);
  EXPECT_GT(rig_->cas_unique, first);
  Settle();
  EXPECT_EQ(rig_->Cas("k", "third", first), Outcome::kExists);
  EXPECT_EQ(Get("k"), "second");
  const CommandCounters counters = rig_.Stats().commands;
  EXPECT_EQ(counters.cas_misses, 1U);
  EXPECT_EQ(counters.cas_badval, 3U);
  EXPECT_EQ(counters.cas_hits, 1U);
}

TEST_P(CacheStoresTest, AppendAndPrependKeepFlagsAndExptime) {
  EXPECT_EQ(Store(StoreMode::kAppend, "k", "x"), Outcome::kNotStored);
  Store(StoreMode::kSet, "k", "mid", 7, kStartS + 100);
  const uint64_t before = rig_->cas_unique;
  EXPECT_EQ(Store(StoreMode::kAppend, "k", "-end", 99, 1), Outcome::kStored);
  EXPECT_EQ(Store(StoreMode::kPrepend, "k", "begin-", 99, 1), Outcome::kStored);
  const Got got = Get("k");
  EXPECT_EQ(got, "begin-mid-end");
  EXPECT_EQ(got.meta.client_flags, 7U);
  EXPECT_EQ(got.meta.exptime_s, kStartS + 100);
  EXPECT_GT(got.meta.cas_unique, before);
}

TEST_P(CacheStoresTest, AppendBeyondTheLimitIsRefusedAndKeepsTheOldValue) {
  const std::string large(700'000, 'a');
  Store(StoreMode::kSet, "k", large);
  EXPECT_EQ(Store(StoreMode::kAppend, "k", large), Outcome::kTooLarge);
  EXPECT_EQ(Get("k"), large);
}

TEST_P(CacheStoresTest, ChunkedItemsGoThroughEveryCommand) {
  std::string large;
  for (int i = 0; i < 800'000; ++i) large.push_back(static_cast<char>(i / 3));
  EXPECT_EQ(Store(StoreMode::kSet, "k", large, 3), Outcome::kStored);
  EXPECT_EQ(Get("k"), large);
  EXPECT_EQ(Store(StoreMode::kAppend, "k", "tail"), Outcome::kStored);
  EXPECT_EQ(Store(StoreMode::kPrepend, "k", "head"), Outcome::kStored);
  EXPECT_EQ(Get("k"), "head" + large + "tail");
  Settle();
  EXPECT_EQ(rig_->Touch("k", kStartS + 9), Outcome::kHit);
  Settle();
  EXPECT_EQ(rig_->GetAndTouch("k", kStartS + 10), "head" + large + "tail");
  EXPECT_EQ(Get("k").meta.client_flags, 3U);
  Settle();
  EXPECT_EQ(rig_->Increment("k", 1), Outcome::kNonNumeric);
  EXPECT_EQ(rig_->Delete("k"), Outcome::kDeleted);
  EXPECT_FALSE(Get("k").Hit());
}

TEST_P(CacheStoresTest, CountsUpAndDown) {
  EXPECT_EQ(rig_->Increment("k", 1), Outcome::kNotFound);
  Store(StoreMode::kSet, "k", "10", 5, kStartS + 100);
  const uint64_t before = rig_->cas_unique;
  Settle();
  EXPECT_EQ(rig_->Increment("k", 90), Outcome::kStored);
  EXPECT_EQ(rig_->number, 100U);
  Settle();
  EXPECT_EQ(rig_->Decrement("k", 1), Outcome::kStored);
  EXPECT_EQ(rig_->number, 99U);
  const Got got = Get("k");
  EXPECT_EQ(got, "99 ");  // padded to the length it had
  EXPECT_EQ(got.meta.client_flags, 5U);
  EXPECT_EQ(got.meta.exptime_s, kStartS + 100);
  EXPECT_GT(got.meta.cas_unique, before);
  Settle();
  EXPECT_EQ(rig_->Decrement("k", 1'000), Outcome::kStored);
  EXPECT_EQ(Get("k"), "0  ");
  const CommandCounters counters = rig_.Stats().commands;
  EXPECT_EQ(counters.incr_hits, 1U);
  EXPECT_EQ(counters.incr_misses, 1U);
  EXPECT_EQ(counters.decr_hits, 2U);
  EXPECT_EQ(counters.decr_misses, 0U);
}

TEST_P(CacheStoresTest, IncrementWrapsAt64Bits) {
  Store(StoreMode::kSet, "k", "18446744073709551615");
  Settle();
  EXPECT_EQ(rig_->Increment("k", 1), Outcome::kStored);
  EXPECT_EQ(rig_->number, 0U);
  EXPECT_EQ(Get("k"), "0                   ");
}

TEST_P(CacheStoresTest, ATextIsNotCountedAndStays) {
  Store(StoreMode::kSet, "k", "12abc");
  Settle();
  EXPECT_EQ(rig_->Increment("k", 1), Outcome::kNonNumeric);
  EXPECT_EQ(Get("k"), "12abc");
  Store(StoreMode::kSet, "empty", "");
  Settle();
  EXPECT_EQ(rig_->Decrement("empty", 1), Outcome::kNonNumeric);
}

TEST_P(CacheStoresTest, FlushAllEmptiesBothTiersAndSparesWhatComesAfter) {
  Store(StoreMode::kSet, "old", "v");
  Settle();
  rig_.cache->FlushAll(0);
  EXPECT_EQ(rig_.Stats().curr_items, 0U);
  Store(StoreMode::kSet, "new", "v");
  EXPECT_FALSE(Get("old").Hit());
  EXPECT_EQ(Get("new"), "v");
  EXPECT_EQ(rig_->Increment("old", 1), Outcome::kNotFound);
  EXPECT_EQ(rig_->Touch("old", 0), Outcome::kMiss);
  EXPECT_EQ(rig_->Delete("old"), Outcome::kNotFound);
  EXPECT_EQ(rig_.Stats().commands.get_misses, 1U);
}

TEST_P(CacheStoresTest, ADelayedFlushFallsDueWithTheClock) {
  Store(StoreMode::kSet, "before", "v");
  rig_.cache->FlushAll(kStartS + 10);
  rig_.clock.Set(kStartS + 9);
  rig_.cache->Tick();
  EXPECT_EQ(Get("before"), "v");
  Store(StoreMode::kSet, "between", "v");
  rig_.clock.Set(kStartS + 10);
  rig_.cache->Tick();
  EXPECT_FALSE(Get("before").Hit());
  EXPECT_FALSE(Get("between").Hit());
  Store(StoreMode::kSet, "after", "v");
  rig_.clock.Set(kStartS + 100);
  rig_.cache->Tick();  // once only
  EXPECT_EQ(Get("after"), "v");
}

TEST_P(CacheStoresTest, ALaterFlushReplacesThePendingOne) {
  rig_.cache->FlushAll(kStartS + 10);
  rig_.cache->FlushAll(kStartS + 20);
  Store(StoreMode::kSet, "k", "v");
  rig_.clock.Set(kStartS + 10);
  rig_.cache->Tick();
  EXPECT_EQ(Get("k"), "v");
  rig_.cache->FlushAll(0);  // takes the pending one back
  Store(StoreMode::kSet, "k", "v");
  rig_.clock.Set(kStartS + 20);
  rig_.cache->Tick();
  EXPECT_EQ(Get("k"), "v");
}

TEST_P(CacheStoresTest, TheShortEpochMayComeRoundAgain) {
  Store(StoreMode::kSet, "first", "v");
  for (int flush = 0; flush < 300; ++flush) {
    if (flush % 60 == 7) Store(StoreMode::kSet, "of" + std::to_string(flush), "v");
    rig_.cache->FlushAll(0);
    EXPECT_EQ(rig_.Stats().curr_items, 0U) << flush;
    if (flush % 25 == 0) {
      EXPECT_FALSE(Get("first").Hit()) << flush;
    }
  }
  for (int flush = 7; flush < 300; flush += 60)
    EXPECT_FALSE(Get("of" + std::to_string(flush)).Hit()) << flush;
  Store(StoreMode::kSet, "last", "v");
  EXPECT_EQ(Get("last"), "v");
  EXPECT_EQ(rig_.Stats().cmd_flush, 300U);
}

// --- Room -------------------------------------------------------------------------------------------------------

TEST(AllocateTest, AValueOverTheLimitIsTooLargeAndCounted) {
  CacheRig rig;
  EXPECT_EQ(rig->Set("k", std::string(1U << 20, 'x')), Outcome::kTooLarge);
  Draft draft;
  EXPECT_EQ(
      rig.cache->Allocate(rig->KeyOf("k"), {.value_bytes = 1ULL << 40, .may_wait = true}, &draft),
      AllocateResult::kTooLarge);
  EXPECT_FALSE(draft);
  EXPECT_EQ(rig.Stats().store_too_large, 2U);
}

TEST(AllocateTest, WithoutEvictionsAFullCacheSaysSo) {
  CacheOptions options = RigOptions();
  options.flash_path.clear();
  options.slabs.limit_bytes = 2U << 20;
  options.evict_to_free = false;
  CacheRig rig(options);
  int stored = 0;
  while (rig->Set("k" + std::to_string(stored), std::string(1'000, 'v')) == Outcome::kStored)
    ++stored;
  EXPECT_GT(stored, 900);
  EXPECT_EQ(rig->Set("more", std::string(1'000, 'v')), Outcome::kNoMemory);
  EXPECT_EQ(rig.Stats().evictions, 0U);
  EXPECT_EQ(rig.Stats().store_no_memory, 2U);
  for (int i = 0; i < stored; ++i) EXPECT_TRUE(rig->Get("k" + std::to_string(i)).Hit());
  // What has expired may go all the same.
  EXPECT_EQ(rig->Touch("k0", kStartS + 1), Outcome::kHit);
  EXPECT_EQ(rig->Delete("k1"), Outcome::kDeleted);
  EXPECT_EQ(rig->Set("more", std::string(1'000, 'v')), Outcome::kStored);
}

TEST(AllocateTest, AnAppendMakesRoomForItself) {
  CacheOptions options = RigOptions();
  options.flash_path.clear();
  options.slabs.limit_bytes = 2U << 20;
  CacheRig rig(options);
  rig->Set("k", std::string(1'000, 'a'));
  for (int i = 0; i < 3'000; ++i) rig->Set("f" + std::to_string(i), std::string(1'100, 'v'));
  rig->Set("k", std::string(1'000, 'a'));
  EXPECT_EQ(rig->Store(StoreMode::kAppend, "k", std::string(100, 'b')), Outcome::kStored);
  EXPECT_EQ(rig->Get("k"), std::string(1'000, 'a') + std::string(100, 'b'));
  EXPECT_EQ(rig->Set("n", "5"), Outcome::kStored);
  EXPECT_EQ(rig->Increment("n", 5), Outcome::kStored);
}

// Whose turn it is to be evicted goes round the shards: each of these rounds begins elsewhere.
TEST(AllocateTest, MakingRoomForAnAppendSparesTheItemItself) {
  CacheOptions options = RigOptions();
  options.flash_path.clear();
  options.slabs.limit_bytes = 1U << 20;
  options.slabs.slab_sizes = {128, 512U << 10};  // two large chunks
  CacheRig rig(options);
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(rig->Set("x", std::string(400'000, 'x')), Outcome::kStored);
    ASSERT_EQ(rig->Set("other" + std::to_string(i % 7), std::string(400'000, 'o')),
              Outcome::kStored);
    if (!rig.InRam("x")) continue;
    ASSERT_EQ(rig->Store(StoreMode::kAppend, "x", "z"), Outcome::kStored) << i;
    ASSERT_EQ(rig->Get("x"), std::string(400'000, 'x') + "z");
  }
}

TEST(AllocateTest, MakingRoomForAnIncrSparesTheItemItself) {
  CacheOptions options = RigOptions();
  options.flash_path.clear();
  options.slabs.limit_bytes = 1U << 20;
  options.slabs.slab_sizes = {256U << 10};
  CacheRig rig(options);
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(rig->Set("n", "5"), Outcome::kStored);
    for (int other = 0; other < 3; ++other) {
      ASSERT_EQ(rig->Set("other" + std::to_string((i + other) % 7), "o"), Outcome::kStored);
    }
    if (!rig.InRam("n")) continue;
    ASSERT_EQ(rig->Increment("n", 2), Outcome::kStored) << i;
    ASSERT_EQ(rig->Get("n"), "7");
  }
}

TEST(AllocateTest, AnAppendForWhichThereIsNoRoomLeavesTheItemAsItWas) {
  CacheOptions options = RigOptions();
  options.flash_path.clear();
  options.slabs.limit_bytes = 1U << 20;
  options.slabs.slab_sizes = {128, 512U << 10};
  options.slabs.slab_chunk_bytes_max = 1U << 20;
  CacheRig rig(options);
  ASSERT_EQ(rig->Set("x", std::string(600'000, 'x')), Outcome::kStored);  // the class's one chunk
  EXPECT_EQ(rig->Store(StoreMode::kAppend, "x", "z"), Outcome::kNoMemory);
  EXPECT_EQ(rig->Get("x"), std::string(600'000, 'x'));
}

TEST(AllocateTest, I4CasUniquesGrowAndBelongToOneStartsBlock) {
  CacheRig rig;
  rig->Set("a", "v");
  const uint64_t first = rig->cas_unique;
  EXPECT_EQ(first >> 40, 1U);  // the rig's start count
  rig->Set("b", "v");
  EXPECT_GT(rig->cas_unique, first);
}

// --- What ms asks beside set ------------------------------------------------------------------------------------

TEST_F(CacheStoresTest, AnOlderUniqueMayStoreAStaleValueThatKeepsTheEnd) {
  for (const bool on_flash : {false, true}) {
    rig_->Set("k", "old", 0, kStartS + 100);
    const uint64_t cas_unique = rig_->cas_unique;
    if (on_flash) rig_.Demote();
    const StorePlan plan{
        .mode = StoreMode::kCas, .compare_cas = cas_unique - 1, .stale_if_older = true};
    EXPECT_EQ(rig_->Store(plan, "k", "new", 0, kStartS + 5), Outcome::kStored);
    const Got got = rig_->Get("k");
    EXPECT_EQ(got, "new");
    EXPECT_TRUE(got.meta.stale);
    EXPECT_EQ(got.meta.exptime_s, kStartS + 100);
    const StorePlan newer{
        .mode = StoreMode::kCas, .compare_cas = rig_->cas_unique + 1, .stale_if_older = true};
    EXPECT_EQ(rig_->Store(newer, "k", "no"), Outcome::kExists);
  }
}

TEST_F(CacheStoresTest, ARefusedAddIsAnAccess) {
  rig_->Set("k", "v");
  rig_.clock.Set(kStartS + 30);
  EXPECT_EQ(rig_->Store(StoreMode::kReplace, "absent", "x"), Outcome::kNotStored);
  EXPECT_EQ(rig_.ItemOf("k")->last_access_s, kStartS);
  EXPECT_EQ(rig_->Store(StoreMode::kAdd, "k", "x"), Outcome::kNotStored);
  EXPECT_EQ(rig_.ItemOf("k")->last_access_s, kStartS + 30);
}

TEST_F(CacheStoresTest, AUniqueMayBeChosenAndComparedByAppend) {
  EXPECT_EQ(rig_->Store({.new_cas = 4'711, .binary_key = true}, "k", "a"), Outcome::kStored);
  EXPECT_TRUE(rig_->Get("k").meta.binary_key);
  EXPECT_EQ(rig_->Get("k").meta.cas_unique, 4'711U);
  EXPECT_EQ(rig_->Store({.mode = StoreMode::kAppend, .compare_cas = 4'712}, "k", "b"),
            Outcome::kExists);
  EXPECT_EQ(rig_->Store({.mode = StoreMode::kAppend, .compare_cas = 4'711}, "k", "b"),
            Outcome::kStored);
  EXPECT_EQ(rig_->Get("k"), "ab");
  EXPECT_EQ(rig_->item.value_bytes, 2U);
}

TEST_F(CacheStoresTest, AppendToNothingMayStoreWhatItHas) {
  EXPECT_EQ(rig_->Store({.mode = StoreMode::kPrepend}, "k", "a"), Outcome::kNotStored);
  EXPECT_EQ(rig_->Store({.mode = StoreMode::kPrepend, .vivifies = true}, "k", "a"),
            Outcome::kStored);
  EXPECT_EQ(rig_->Get("k"), "a");
}

}  // namespace
}  // namespace terraced::tiering
