// What ma and binary incr ask beside incr: uniques to compare and to set, items made for a miss, another exptime.
#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

class CacheCountsTest : public testing::TestWithParam<bool> {
 protected:
  void Settle() {
    if (GetParam()) rig_.Demote();
  }
  uint64_t Put(std::string_view value, uint32_t exptime_s = 0) {
    rig_->Set("k", value, 7, exptime_s);
    const uint64_t cas_unique = rig_->cas_unique;
    Settle();
    return cas_unique;
  }

  CacheRig rig_;
};
INSTANTIATE_TEST_SUITE_P(Tiers, CacheCountsTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Flash" : "Ram"; });

TEST_P(CacheCountsTest, OnlyTheNumberThatIsMeantIsCounted) {
  const uint64_t cas_unique = Put("10");
  EXPECT_EQ(rig_->Count("k", CountPlan{.compare_cas = cas_unique + 1}), Outcome::kExists);
  EXPECT_EQ(rig_->Get("k"), "10");
  EXPECT_EQ(rig_->Count("k", CountPlan{.compare_cas = cas_unique}), Outcome::kStored);
  EXPECT_EQ(rig_->number, 11U);
  EXPECT_GT(rig_->item.cas_unique, cas_unique);
}

TEST_P(CacheCountsTest, AMissMakesTheFirstNumberWithoutTheDelta) {
  const CountPlan plan{
      .delta = 5, .vivifies = true, .initial = 100, .vivify_exptime_s = kStartS + 9};
  EXPECT_EQ(rig_->Count("k", plan), Outcome::kStored);
  EXPECT_EQ(rig_->number, 100U);
  Settle();
  const Got got = rig_->Get("k");
  EXPECT_EQ(got, "100");
  EXPECT_EQ(got.meta.exptime_s, kStartS + 9);
  EXPECT_EQ(rig_->Count("k", plan), Outcome::kStored);
  EXPECT_EQ(rig_->number, 105U);
  EXPECT_EQ(rig_.Stats().commands.incr_misses, 1U);
}

TEST_P(CacheCountsTest, EndAndUniqueMayBeSet) {
  Put("10", kStartS + 5);
  EXPECT_EQ(rig_->Count("k", CountPlan{.direction = Arithmetic::kDecrement,
                                       .delta = 3,
                                       .touches = true,
                                       .exptime_s = kStartS + 50,
                                       .new_cas = 777}),
            Outcome::kStored);
  const Got got = rig_->Get("k");
  EXPECT_EQ(got, "7 ");
  EXPECT_EQ(got.meta.exptime_s, kStartS + 50);
  EXPECT_EQ(got.meta.cas_unique, 777U);
  EXPECT_EQ(got.meta.client_flags, 7U);
}

TEST_P(CacheCountsTest, AStaleNumberStaysStale) {
  Put("10");
  ASSERT_EQ(rig_->Delete("k", {.invalidates = true}), Outcome::kDeleted);
  Settle();
  EXPECT_EQ(rig_->Count("k", CountPlan{}), Outcome::kStored);
  EXPECT_TRUE(rig_->Get("k").meta.stale);
}

}  // namespace
}  // namespace terraced::tiering
