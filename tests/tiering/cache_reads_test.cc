// Reads that change what they read: stale and won items, items made for a miss, what me learns; in RAM and on flash.
#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

// Where an item lies when the command comes.
class CacheReadsTest : public testing::TestWithParam<bool> {
 protected:
  bool OnFlash() const { return GetParam(); }
  void Put(std::string_view key, std::string_view value, uint32_t exptime_s = 0) {
    rig_->Set(key, value, 7, exptime_s);
    Settle(key);
  }
  void Settle(std::string_view key) {
    if (!OnFlash()) return;
    rig_.Demote();
    ASSERT_TRUE(rig_.OnFlash(key));
    ASSERT_FALSE(rig_.InRam(key));
  }

  CacheRig rig_;
};
INSTANTIATE_TEST_SUITE_P(Tiers, CacheReadsTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Flash" : "Ram"; });

constexpr ReadPlan kMeta{.may_win = true};

TEST_P(CacheReadsTest, OfAStaleItemTheFirstReaderWinsAndNobodyElse) {
  Put("k", "value");
  ASSERT_EQ(rig_->Delete("k", {.invalidates = true}), Outcome::kDeleted);
  Settle("k");
  const Got first = rig_->Read("k", kMeta);
  EXPECT_EQ(first, "value");
  EXPECT_TRUE(first.meta.stale);
  EXPECT_TRUE(first.meta.won);
  EXPECT_FALSE(first.meta.token_sent);
  Settle("k");
  const Got second = rig_->Read("k", kMeta);
  EXPECT_EQ(second, "value");
  EXPECT_TRUE(second.meta.stale);
  EXPECT_FALSE(second.meta.won);
  EXPECT_TRUE(second.meta.token_sent);
  rig_->Set("k", "anew");
  Settle("k");
  const Got third = rig_->Read("k", kMeta);
  EXPECT_EQ(third, "anew");
  EXPECT_FALSE(third.meta.stale || third.meta.won || third.meta.token_sent);
}

TEST_P(CacheReadsTest, APlainGetWinsNothing) {
  Put("k", "value");
  ASSERT_EQ(rig_->Delete("k", {.invalidates = true}), Outcome::kDeleted);
  Settle("k");
  EXPECT_EQ(rig_->Get("k"), "value");
  EXPECT_TRUE(rig_->Read("k", kMeta).meta.won);
}

TEST_P(CacheReadsTest, WhatExpiresSoonIsWonOnce) {
  Put("k", "value", kStartS + 30);
  ReadPlan plan = kMeta;
  plan.recache_before_s = kStartS + 30;  // not before its end
  EXPECT_FALSE(rig_->Read("k", plan).meta.won);
  Settle("k");
  plan.recache_before_s = kStartS + 31;
  EXPECT_TRUE(rig_->Read("k", plan).meta.won);
  EXPECT_FALSE(rig_->Read("k", plan).meta.won);
  Put("eternal", "value");
  EXPECT_FALSE(rig_->Read("eternal", plan).meta.won);
}

TEST_P(CacheReadsTest, ATouchMayComeBeforeTheComparison) {
  Put("k", "value", kStartS + 30);
  ReadPlan plan = kMeta;
  plan.touches = plan.recache_sees_touch = true;
  plan.exptime_s = kStartS + 100;
  plan.recache_before_s = kStartS + 60;
  EXPECT_FALSE(rig_->Read("k", plan).meta.won);
  Put("k", "value", kStartS + 30);
  plan.recache_sees_touch = false;
  EXPECT_TRUE(rig_->Read("k", plan).meta.won);
  EXPECT_EQ(rig_->Get("k").meta.exptime_s, kStartS + 100);
}

TEST_P(CacheReadsTest, AMissMakesAnItemThatIsWonByWhoAskedForIt) {
  ReadPlan plan = kMeta;
  plan.vivifies = plan.binary_key = true;
  plan.vivify_exptime_s = kStartS + 30;
  const Got made = rig_->Read("k", plan);
  EXPECT_EQ(made, "");
  EXPECT_TRUE(made.meta.created);
  EXPECT_TRUE(made.meta.won);
  EXPECT_EQ(rig_.Stats().commands.get_misses, 1U);
  Settle("k");
  const Got found = rig_->Read("k", plan);
  EXPECT_FALSE(found.meta.created || found.meta.won);
  EXPECT_TRUE(found.meta.token_sent && found.meta.binary_key);
  EXPECT_EQ(found.meta.exptime_s, kStartS + 30);
}

TEST_P(CacheReadsTest, WithoutABumpNothingOfTheItemChanges) {
  Put("k", "value");
  ReadPlan plan = kMeta;
  plan.bumps = false;
  EXPECT_FALSE(rig_->Read("k", plan).meta.fetched);
  EXPECT_FALSE(rig_->Read("k", plan).meta.fetched);
  EXPECT_FALSE(rig_->Read("k", kMeta).meta.fetched);
  EXPECT_TRUE(rig_->Read("k", kMeta).meta.fetched);
}

TEST_P(CacheReadsTest, DescribingCountsAsNoGet) {
  Put("k", "value");
  const Got got = rig_->Read("k", {.wants_value = false, .describes = true, .bumps = false});
  EXPECT_TRUE(got.Hit());
  EXPECT_EQ(got.meta.value_bytes, 5U);
  EXPECT_EQ(got.meta.slab_class != 0, !OnFlash());
  EXPECT_EQ(got.meta.item_bytes > 5U, !OnFlash());
  const CommandCounters counters = rig_.Stats().commands;
  EXPECT_EQ(counters.cmd_meta, 1U);
  EXPECT_EQ(counters.cmd_get, 0U);
}

TEST(CacheReadsFailureTest, AnUnknownItemIsNotMadeAnew) {
  CacheRig rig;
  rig->Set("k", "value");
  rig.Demote();
  rig->BeLate(true);
  ReadPlan plan = kMeta;
  plan.vivifies = true;
  EXPECT_EQ(rig->Read("k", plan).outcome, Outcome::kFlashFailed);
  rig->BeLate(false);
  EXPECT_EQ(rig->Read("k", plan), "value");
}

}  // namespace
}  // namespace terraced::tiering
