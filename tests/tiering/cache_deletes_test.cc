// delete and md with what they compare and keep, in RAM and on flash.
#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

class CacheDeletesTest : public testing::TestWithParam<bool> {
 protected:
  uint64_t Put(std::string_view value, uint32_t exptime_s = 0) {
    rig_->Set("k", value, 7, exptime_s);
    const uint64_t cas_unique = rig_->cas_unique;
    if (GetParam()) {
      rig_.Demote();
      EXPECT_FALSE(rig_.InRam("k"));
    }
    return cas_unique;
  }

  CacheRig rig_;
};
INSTANTIATE_TEST_SUITE_P(Tiers, CacheDeletesTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Flash" : "Ram"; });

TEST_P(CacheDeletesTest, OnlyTheValueThatIsMeantGoes) {
  const uint64_t cas_unique = Put("value");
  EXPECT_EQ(rig_->Delete("k", {.compares = true, .compare_cas = cas_unique + 1}), Outcome::kExists);
  EXPECT_EQ(rig_->Get("k"), "value");
  EXPECT_EQ(rig_->Delete("k", {.compares = true, .compare_cas = cas_unique}), Outcome::kDeleted);
  EXPECT_FALSE(rig_->Get("k").Hit());
  EXPECT_EQ(rig_->Delete("k", {.compares = true, .compare_cas = cas_unique}), Outcome::kNotFound);
  EXPECT_EQ(rig_.Stats().commands.delete_hits, 1U);
  EXPECT_EQ(rig_.Stats().commands.delete_misses, 1U);
}

TEST_P(CacheDeletesTest, AnInvalidatedItemKeepsAllButItsUnique) {
  const uint64_t cas_unique = Put("value", kStartS + 100);
  EXPECT_EQ(rig_->Delete("k", {.invalidates = true}), Outcome::kDeleted);
  const Got got = rig_->Get("k");
  EXPECT_EQ(got, "value");
  EXPECT_TRUE(got.meta.stale);
  EXPECT_EQ(got.meta.client_flags, 7U);
  EXPECT_EQ(got.meta.exptime_s, kStartS + 100);
  EXPECT_GT(got.meta.cas_unique, cas_unique);
  EXPECT_FALSE(rig_.OnFlash("k"));
}

TEST_P(CacheDeletesTest, AnInvalidatedItemHasNotForgottenThatItWasRead) {
  Put("value");
  EXPECT_FALSE(rig_->Get("k").meta.fetched);
  ASSERT_EQ(rig_->Delete("k", {.invalidates = true}), Outcome::kDeleted);
  EXPECT_TRUE(rig_->Get("k").meta.fetched);
}

TEST_P(CacheDeletesTest, AnInvalidatedItemMayEndSooner) {
  Put("value");
  EXPECT_EQ(rig_->Delete("k", {.invalidates = true, .touches = true, .exptime_s = kStartS + 5}),
            Outcome::kDeleted);
  EXPECT_EQ(rig_->Get("k").meta.exptime_s, kStartS + 5);
}

TEST_P(CacheDeletesTest, WithoutItsValueAnItemHasNeitherFlagsNorEnd) {
  Put("value", kStartS + 100);
  EXPECT_EQ(rig_->Delete("k", {.drops_value = true}), Outcome::kDeleted);
  const Got got = rig_->Get("k");
  EXPECT_EQ(got, "");
  EXPECT_EQ(got.meta.client_flags, 0U);
  EXPECT_EQ(got.meta.exptime_s, 0U);
  EXPECT_FALSE(got.meta.stale);
  EXPECT_EQ(rig_.Stats().curr_items, 1U);
}

TEST_P(CacheDeletesTest, ATombstoneIsEmptyAndStaleAndHasTheUniqueThatIsAskedFor) {
  Put("value");
  EXPECT_EQ(rig_->Delete("k", {.invalidates = true, .drops_value = true, .new_cas = 12'345}),
            Outcome::kDeleted);
  const Got got = rig_->Get("k");
  EXPECT_EQ(got, "");
  EXPECT_TRUE(got.meta.stale);
  EXPECT_EQ(got.meta.cas_unique, 12'345U);
}

TEST_P(CacheDeletesTest, LargeItemsAreInvalidatedToo) {
  const std::string large(300'000, 'l');
  Put(large);
  EXPECT_EQ(rig_->Delete("k", {.invalidates = true}), Outcome::kDeleted);
  EXPECT_EQ(rig_->Get("k"), large);
}

}  // namespace
}  // namespace terraced::tiering
