// A batch and what happens to its items while it is collected, built and ingested: I2 and rules 2 and 6 of the flash
// index (storage/README.md).
#include "tiering/batch_builder.h"

#include <optional>
#include <ostream>
#include <vector>

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

using storage::BatchNumber;
using storage::LruSegment;

constexpr uint32_t kLaterS = kStartS + 1'000;

// --- Mutations at every point of a demotion ------------------------------------------------------------------

struct Mutation {
  const char* name;
  void (*act)(CacheRig& rig, CacheClient& client);
  std::optional<std::string_view> value;  // that the key has from then on; nullopt: none
  uint32_t exptime_s = kLaterS;
};
std::ostream& operator<<(std::ostream& out, const Mutation& mutation) {
  return out << mutation.name;
}

const std::vector<Mutation>& Mutations() {
  static const std::vector<Mutation> mutations = {
      {"Set", [](CacheRig&, CacheClient& to) { to.Set("k", "new"); }, "new", 0},
      {"Replace", [](CacheRig&, CacheClient& to) { to.Store(StoreMode::kReplace, "k", "new"); },
       "new", 0},
      {"Cas", [](CacheRig&, CacheClient& to) { to.Cas("k", "new", to.Get("k").meta.cas_unique); },
       "new", 0},
      {"Append", [](CacheRig&, CacheClient& to) { to.Store(StoreMode::kAppend, "k", "5"); }, "105"},
      {"Prepend", [](CacheRig&, CacheClient& to) { to.Store(StoreMode::kPrepend, "k", "5"); },
       "510"},
      {"Increment", [](CacheRig&, CacheClient& to) { to.Increment("k", 3); }, "13"},
      {"Decrement", [](CacheRig&, CacheClient& to) { to.Decrement("k", 1); }, "9 "},
      {"Touch", [](CacheRig&, CacheClient& to) { to.Touch("k", kLaterS + 1); }, "10", kLaterS + 1},
      {"GetAndTouch", [](CacheRig&, CacheClient& to) { to.GetAndTouch("k", kLaterS + 1); }, "10",
       kLaterS + 1},
      {"Delete", [](CacheRig&, CacheClient& to) { to.Delete("k"); }, std::nullopt},
      {"RefusedSet", [](CacheRig& rig, CacheClient& to) { rig.cache->DropRefused(to.KeyOf("k")); },
       std::nullopt},
      {"DeleteAndAdd",
       [](CacheRig&, CacheClient& to) {
         to.Delete("k");
         to.Store(StoreMode::kAdd, "k", "new");
       },
       "new", 0},
      {"Expiry", [](CacheRig& rig, CacheClient&) { rig.clock.Set(kLaterS); }, std::nullopt},
      {"FlushAll", [](CacheRig& rig, CacheClient&) { rig.cache->FlushAll(0); }, std::nullopt},
      {"FlushAllAndSet",
       [](CacheRig& rig, CacheClient& to) {
         rig.cache->FlushAll(0);
         to.Set("k", "new");
       },
       "new", 0},
  };
  return mutations;
}

class BatchRaceTest : public testing::TestWithParam<std::tuple<Mutation, SyncPoint>> {};

TEST_P(BatchRaceTest, I2AnOlderRecordNeverBecomesVisible) {
  const Mutation& mutation = std::get<0>(GetParam());
  CacheRig rig;
  CacheClient other(*rig.cache);
  rig->Set("k", "10", 7, kLaterS);
  for (int i = 0; i < 20; ++i) rig->Set("neighbour" + std::to_string(i), "value");
  {
    const Race race(std::get<1>(GetParam()), [&] { mutation.act(rig, other); });
    rig.Demote();
    ASSERT_TRUE(race.Ran());
  }
  // From flash, from flash again (which promotes), from RAM, and after another demotion.
  for (int round = 0; round < 8; ++round) {
    const Got got = rig->Get("k");
    ASSERT_EQ(got.Hit(), mutation.value.has_value()) << round;
    if (got.Hit()) {
      EXPECT_EQ(got.value, *mutation.value);
      EXPECT_EQ(got.meta.exptime_s, mutation.exptime_s);
    }
    if (round == 3) rig.Demote();
  }
  const bool flushes = std::string_view(mutation.name).starts_with("Flush");
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(rig->Get("neighbour" + std::to_string(i)).Hit(), !flushes);
  }
  EXPECT_EQ(rig.Stats().evictions, 0U);
  EXPECT_EQ(rig.Stats().commands.flash_index_collisions, 0U);
}

std::string NameOf(const testing::TestParamInfo<std::tuple<Mutation, SyncPoint>>& info) {
  const auto& [mutation, point] = info.param;
  return std::string(mutation.name) + "_" +
         std::string(kSyncPointNames[static_cast<size_t>(point)]);
}

INSTANTIATE_TEST_SUITE_P(
    EveryPoint, BatchRaceTest,
    testing::Combine(testing::ValuesIn(Mutations()),
                     testing::Values(SyncPoint::kDemoteCollected, SyncPoint::kDemoteBuilt,
                                     SyncPoint::kDemoteIngested, SyncPoint::kDemoteSlotted)),
    NameOf);

// --- One batch, step by step ----------------------------------------------------------------------------------

class BatchBuilderTest : public testing::Test {
 protected:
  static CollectRules Everything() {
    CollectRules rules;
    rules.everything = true;
    rules.item_bytes_max = 1U << 20;
    return rules;
  }
  static CollectRules OnlyCold() {
    CollectRules rules = Everything();
    rules.everything = false;
    return rules;
  }
  std::unique_ptr<BatchBuilder> Begin() {
    return std::make_unique<BatchBuilder>(rig_.InTiers(), admission_, ++serial_,
                                          rig_.InTiers().flush.Current(),
                                          BatchLimits{.ram_bytes = 4U << 20});
  }
  uint32_t Collect(BatchBuilder* builder, const CollectRules& rules) {
    uint32_t taken = 0;
    for (const LruSegment segment : {LruSegment::kCold, LruSegment::kWarm, LruSegment::kHot}) {
      if (segment != LruSegment::kCold && !rules.everything) continue;
      for (const auto& shard : rig_.InTiers().shards) {
        for (storage::SlabClass i = 1; i <= rig_.InTiers().arena->LargestClass(); ++i) {
          taken += builder->Collect(*shard, i, segment, UINT32_MAX, rules);
        }
      }
    }
    return taken;
  }
  BatchNumber OpenFor(const BatchBuilder& builder) {
    return rig_.InTiers()
        .batches
        .Open({.serial = builder.Serial(),
               .epoch = builder.Epoch(),
               .record_count = builder.RecordCount()})
        .value();
  }
  void WriteAndSlot(BatchBuilder* builder, InRam keep = InRam::kNone) {
    ASSERT_TRUE(builder->Write().ok());
    builder->Slot(OpenFor(*builder), keep);
  }
  uint64_t Cancelled() { return rig_.Stats().commands.flash_demotions_cancelled; }

  CacheRig rig_;
  AdmissionPolicy admission_{rig_.InTiers().live};
  uint64_t serial_ = 1'000;
};

TEST_F(BatchBuilderTest, ItemsStayReadableUntilTheirSlotStands) {
  rig_->Set("k", "value");
  const auto builder = Begin();
  EXPECT_EQ(Collect(builder.get(), Everything()), 1U);
  EXPECT_TRUE(rig_.ItemOf("k")->Has(storage::kItemInBatch));
  EXPECT_EQ(rig_->Get("k"), "value");
  ASSERT_TRUE(builder->Write().ok());
  EXPECT_FALSE(rig_.OnFlash("k"));
  EXPECT_EQ(rig_->Get("k"), "value");
  builder->Slot(OpenFor(*builder), InRam::kNone);
  EXPECT_TRUE(rig_.OnFlash("k"));
  EXPECT_FALSE(rig_.InRam("k"));
  EXPECT_EQ(rig_->Get("k"), "value");
  EXPECT_EQ(rig_.Stats().commands.get_hits_flash, 1U);
}

TEST_F(BatchBuilderTest, CountsWhatItHolds) {
  rig_->Set("key", std::string(100, 'v'));
  const auto builder = Begin();
  EXPECT_TRUE(builder->Empty());
  Collect(builder.get(), Everything());
  EXPECT_EQ(builder->RecordCount(), 1U);
  EXPECT_EQ(builder->RawBytes(), 103U);
  EXPECT_EQ(builder->RamBytes(), rig_.InTiers().allocator.FootprintBytes(*rig_.ItemOf("key")));
  const auto per_partition = builder->EntriesPerPartition();
  EXPECT_EQ(per_partition[storage::PartitionOf(rig_->KeyOf("key").hash)], 1U);
}

TEST_F(BatchBuilderTest, IsFullAtItsLimitOfRam) {
  for (int i = 0; i < 200; ++i) rig_->Set("key" + std::to_string(i), std::string(1'000, 'v'));
  BatchBuilder builder(rig_.InTiers(), admission_, ++serial_, rig_.InTiers().flush.Current(),
                       {.ram_bytes = 64U << 10});
  for (const auto& shard : rig_.InTiers().shards) {
    for (storage::SlabClass i = 1; i <= rig_.InTiers().arena->LargestClass() && !builder.Full();
         ++i) {
      builder.Collect(*shard, i, LruSegment::kHot, UINT32_MAX, Everything());
    }
  }
  EXPECT_TRUE(builder.Full());
  EXPECT_LT(builder.RecordCount(), 70U);
  builder.Abandon();
}

TEST_F(BatchBuilderTest, IsFullAtItsLimitOfRecords) {
  for (int i = 0; i < 30; ++i) rig_->Set("key" + std::to_string(i), "v");
  BatchBuilder builder(rig_.InTiers(), admission_, ++serial_, rig_.InTiers().flush.Current(),
                       {.ram_bytes = 1U << 20, .records = 30});
  const bool was_full = builder.Full();
  EXPECT_EQ(Collect(&builder, Everything()), 30U);
  EXPECT_FALSE(was_full);
  EXPECT_TRUE(builder.Full());
  builder.Abandon();
}

TEST_F(BatchBuilderTest, LargeValuesAreEncodedFromWhereTheyLie) {
  std::string value;
  for (int i = 0; i < 700'000; ++i) value.push_back(static_cast<char>(i * 31));  // chunked
  const std::string middling = value.substr(0, 40'000);  // pinned, one chunk
  rig_->Set("large", value);
  rig_->Set("middling", middling);
  const auto builder = Begin();
  EXPECT_EQ(Collect(builder.get(), Everything()), 2U);
  EXPECT_FALSE(rig_.ItemOf("large")->IsPinned());
  WriteAndSlot(builder.get());
  EXPECT_FALSE(rig_.InRam("large"));
  EXPECT_EQ(rig_->Get("large"), value);
  EXPECT_EQ(rig_->Get("middling"), middling);
}

TEST_F(BatchBuilderTest, ExpiredItemsAreReapedNotWritten) {
  rig_->Set("k", "value", 0, kStartS + 5);
  rig_.clock.Set(kStartS + 5);
  const auto builder = Begin();
  EXPECT_EQ(Collect(builder.get(), Everything()), 0U);
  EXPECT_FALSE(rig_.InRam("k"));
  EXPECT_EQ(rig_.Stats().ram_items, 0U);
}

TEST_F(BatchBuilderTest, AnItemThatWasReadAgainGoesToWarmInstead) {
  rig_->Set("k", "value");
  rig_->Get("k");
  rig_->Get("k");
  rig_.Cool("k");
  const auto builder = Begin();
  EXPECT_EQ(Collect(builder.get(), OnlyCold()), 0U);
  EXPECT_EQ(rig_.ItemOf("k")->Segment(), LruSegment::kWarm);
  EXPECT_FALSE(rig_.ItemOf("k")->Has(storage::kItemActive));
}

TEST_F(BatchBuilderTest, I1ACleanItemIsDroppedWithoutAWrite) {
  rig_->Set("k", "value");
  rig_.Demote();
  rig_->Get("k");
  rig_->Get("k");  // promoted
  ASSERT_TRUE(rig_.ItemOf("k")->Has(storage::kItemClean));
  serial_ = 1ULL << 40;  // beyond the demoter's
  const auto builder = Begin();
  EXPECT_EQ(Collect(builder.get(), Everything()), 0U);
  EXPECT_FALSE(rig_.InRam("k"));
  EXPECT_EQ(rig_.Stats().flash.clean_drops, 1U);
  EXPECT_EQ(rig_.Stats().evictions, 0U);
  EXPECT_EQ(rig_.Stats().curr_items, 1U);
  EXPECT_EQ(rig_->Get("k"), "value");
}

TEST_F(BatchBuilderTest, Rule2ACancelledItemIsNotTakenIntoTheSameBatchAgain) {
  rig_->Set("k", "value");
  const auto builder = Begin();
  ASSERT_EQ(Collect(builder.get(), Everything()), 1U);
  rig_->Touch("k", kLaterS);
  EXPECT_EQ(Collect(builder.get(), Everything()), 0U);
  WriteAndSlot(builder.get());
  EXPECT_FALSE(rig_.OnFlash("k"));
  EXPECT_EQ(Cancelled(), 1U);
  const auto later = Begin();
  EXPECT_EQ(Collect(later.get(), Everything()), 1U);
  WriteAndSlot(later.get());
  EXPECT_EQ(rig_->Get("k").meta.exptime_s, kLaterS);
}

TEST_F(BatchBuilderTest, Rule2AKeyStoredOverWhileTheBatchIsOpenGetsNoSlotInIt) {
  rig_->Set("k", "old");
  const auto builder = Begin();
  ASSERT_EQ(Collect(builder.get(), Everything()), 1U);
  rig_->Set("k", "new");
  ASSERT_EQ(Collect(builder.get(), Everything()), 1U);  // another item of the same key
  WriteAndSlot(builder.get());
  EXPECT_FALSE(rig_.OnFlash("k"));
  EXPECT_EQ(rig_->Get("k"), "new");
  EXPECT_FALSE(rig_.ItemOf("k")->Has(storage::kItemInBatch));
}

TEST_F(BatchBuilderTest, TwoValidKeysOfOneIdentityShareOneSlot) {
  const auto [one, twin] = rig_.TwoOfOneIdentity();
  rig_->Set(one, "first");
  rig_->Set(twin, "second");
  const auto builder = Begin();
  ASSERT_EQ(Collect(builder.get(), Everything()), 2U);
  WriteAndSlot(builder.get());
  EXPECT_EQ(rig_.SlotsOf(one).count, 1U);
  EXPECT_EQ(rig_->Get(one), "first");
  EXPECT_EQ(rig_->Get(twin), "second");
}

TEST_F(BatchBuilderTest, Rule2AnInvalidNeighbourKeepsTheWholeIdentityOut) {
  const auto [one, twin] = rig_.TwoOfOneIdentity();
  rig_->Set(one, "first");
  rig_->Set(twin, "second");
  const auto builder = Begin();
  ASSERT_EQ(Collect(builder.get(), Everything()), 2U);
  EXPECT_EQ(rig_->Delete(one), Outcome::kDeleted);
  WriteAndSlot(builder.get());
  // A slot for the twin would bring the deleted record back.
  EXPECT_FALSE(rig_.OnFlash(one));
  EXPECT_FALSE(rig_->Get(one).Hit());
  EXPECT_EQ(rig_->Get(twin), "second");
  ASSERT_TRUE(rig_.InRam(twin));
  EXPECT_FALSE(rig_.ItemOf(twin)->Has(storage::kItemInBatch));
}

TEST_F(BatchBuilderTest, ItemsOverTheLimitStayInRamAndAreCounted) {
  rig_->Set("k", std::string(2'000, 'v'));
  CollectRules rules = Everything();
  rules.item_bytes_max = 1'000;
  const auto builder = Begin();
  EXPECT_EQ(Collect(builder.get(), rules), 0U);
  EXPECT_TRUE(rig_.InRam("k"));
  EXPECT_GE(rig_.Stats().flash.items_too_large, 1U);
  rules.item_bytes_max = 2'000;
  EXPECT_EQ(Collect(builder.get(), rules), 1U);
  builder->Abandon();
}

TEST_F(BatchBuilderTest, AFlushClosesTheBatch) {
  rig_->Set("k", "value");
  const auto builder = Begin();
  Collect(builder.get(), Everything());
  rig_.cache->FlushAll(0);
  rig_->Set("after", "value");
  EXPECT_EQ(Collect(builder.get(), Everything()), 0U);
  EXPECT_TRUE(builder->Flushed());
  builder->Abandon();
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_EQ(rig_->Get("after"), "value");
}

TEST_F(BatchBuilderTest, I6AnAbandonedBatchLeavesItsItemsAsTheyWere) {
  rig_->Set("k", "value");
  const auto builder = Begin();
  Collect(builder.get(), Everything());
  rig_.store->FailNth(BatchCall::kWrite, 1, Status(StatusCode::kNoSpace, "full"));
  EXPECT_EQ(builder->Write().status().code(), StatusCode::kNoSpace);
  builder->Abandon();
  EXPECT_FALSE(rig_.ItemOf("k")->Has(storage::kItemInBatch));
  EXPECT_FALSE(rig_.OnFlash("k"));
  EXPECT_EQ(rig_->Get("k"), "value");
}

TEST_F(BatchBuilderTest, AnItemReadWhileItsFileWasBuiltStaysInRamClean) {
  rig_->Set("k", "value");
  const auto builder = Begin();
  Collect(builder.get(), Everything());
  rig_->Get("k");
  rig_->Get("k");
  WriteAndSlot(builder.get(), InRam::kHit);
  ASSERT_TRUE(rig_.InRam("k"));
  EXPECT_TRUE(rig_.ItemOf("k")->Has(storage::kItemClean));
  EXPECT_TRUE(rig_.OnFlash("k"));
  EXPECT_EQ(rig_.Stats().curr_items, 1U);  // both copies are one key
  EXPECT_EQ(rig_->Set("k", "new"), Outcome::kStored);
  EXPECT_FALSE(rig_.OnFlash("k"));
  EXPECT_EQ(rig_.Stats().curr_items, 1U);
}

TEST_F(BatchBuilderTest, Rule6ARewriteGetsItsSlotOnlyWhileItsSourceStands) {
  rig_->Set("kept", "value");
  rig_->Set("changed", "value");
  const auto source = Begin();
  Collect(source.get(), Everything());
  WriteAndSlot(source.get());
  const auto builder = Begin();
  storage::DecodedRecord record;
  record.value = "value";
  record.meta.epoch = builder->Epoch();
  for (const std::string_view key : {"kept", "changed"}) {
    builder->AddRewrite(rig_->KeyOf(key).hash, source->Serial(), key, record);
  }
  rig_->Set("changed", "new");
  WriteAndSlot(builder.get());
  ASSERT_EQ(rig_.SlotsOf("kept").count, 1U);
  EXPECT_EQ(rig_.SlotsOf("kept").slots[0].serial, builder->Serial());
  EXPECT_FALSE(rig_.OnFlash("changed"));
  EXPECT_EQ(rig_->Get("kept"), "value");
  EXPECT_EQ(rig_->Get("changed"), "new");
  EXPECT_EQ(rig_.Stats().flash.second_chances, 1U);
}

TEST_F(BatchBuilderTest, I1ARewriteTakesTheCleanMarkOfItsItemAlong) {
  rig_->Set("k", "value");
  const auto source = Begin();
  Collect(source.get(), Everything());
  WriteAndSlot(source.get());
  const auto builder = Begin();
  storage::DecodedRecord record;
  record.value = "value";
  record.meta.epoch = builder->Epoch();
  builder->AddRewrite(rig_->KeyOf("k").hash, source->Serial(), "k", record);
  rig_->Get("k");
  rig_->Get("k");  // promoted between the read for the second chance and its slot
  ASSERT_TRUE(rig_.InRam("k"));
  WriteAndSlot(builder.get());
  EXPECT_EQ(rig_.Stats().curr_items, 1U);
  EXPECT_EQ(rig_->Set("k", "new"), Outcome::kStored);
  EXPECT_EQ(rig_.Stats().curr_items, 1U);
  EXPECT_EQ(rig_.Stats().commands.flash_index_collisions, 0U);
  EXPECT_EQ(rig_->Get("k"), "new");
}

TEST_F(BatchBuilderTest, SlotsBeyondTheIndexsRoomLeaveTheItemDirtyInRam) {
  // 64 slots a partition at first, and nobody lets it grow here.
  for (int i = 0; i < 30'000; ++i)
    ASSERT_EQ(rig_->Set("key" + std::to_string(i), "v"), Outcome::kStored);
  const auto builder = Begin();
  ASSERT_EQ(Collect(builder.get(), Everything()), 30'000U);
  WriteAndSlot(builder.get());
  const CacheStats stats = rig_.Stats();
  EXPECT_GT(stats.flash.index_full, 10'000U);
  EXPECT_GE(stats.ram_items, stats.flash.index_full);  // identities, of two keys now and then
  EXPECT_LT(stats.ram_items, stats.flash.index_full + 50);
  EXPECT_EQ(stats.evictions, 0U);
  for (int i = 0; i < 30'000; i += 7) EXPECT_EQ(rig_->Get("key" + std::to_string(i)), "v");
}

}  // namespace
}  // namespace terraced::tiering
