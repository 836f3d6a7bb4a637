// Draft: chunks on their way to become an item.
#include <vector>

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

class DraftTest : public testing::Test {
 protected:
  Draft Allocate(uint64_t value_bytes) {
    Draft draft;
    EXPECT_EQ(rig_.cache->Allocate(rig_->KeyOf("key"), {.value_bytes = value_bytes}, &draft),
              AllocateResult::kOk);
    return draft;
  }
  uint64_t UsedChunks() {
    uint64_t used = 0;
    for (const storage::SlabClassStats& slab : rig_.Stats().slabs) used += slab.used_chunks;
    return used;
  }
  std::string ValueOf(const Draft& draft) {
    std::string value(draft.Peek().ValueBytes(), '\0');
    rig_.InTiers().allocator.CopyValue(draft.Peek(), value.data());
    return value;
  }
  CacheRig rig_;
};

TEST_F(DraftTest, GivesItsChunksBackUnlessStored) {
  {
    Draft draft = Allocate(700'000);
    EXPECT_TRUE(draft);
    EXPECT_EQ(UsedChunks(), 3U);
  }
  EXPECT_EQ(UsedChunks(), 0U);
  Draft draft = Allocate(10);
  draft.Reset();
  EXPECT_FALSE(draft);
  EXPECT_EQ(UsedChunks(), 0U);
  draft.Reset();  // twice is once
}

TEST_F(DraftTest, MovingHandsTheChunksOn) {
  Draft first = Allocate(10);
  Draft second(std::move(first));
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): what the move leaves is the point
  EXPECT_TRUE(second);
  Draft third = Allocate(10);
  third = std::move(second);
  EXPECT_EQ(UsedChunks(), 1U);
  third.Reset();
  EXPECT_EQ(UsedChunks(), 0U);
}

TEST_F(DraftTest, KeepsAChunkOfWhatItReplacedForTheNextAllocation) {
  const Key key = rig_->KeyOf("key");
  Evidence evidence;
  ItemMeta item;
  const auto allocate = [&](Draft* draft) {
    EXPECT_EQ(rig_.cache->Allocate(key, {.value_bytes = 10}, draft), AllocateResult::kOk);
    draft->FillValue({"0123456789"});
  };
  const auto store = [&](Draft* draft) {
    EXPECT_EQ(rig_.cache->Store(key, {}, draft, &evidence, &item), Outcome::kStored);
    EXPECT_FALSE(*draft);
  };
  Draft draft;
  allocate(&draft);
  store(&draft);
  EXPECT_EQ(UsedChunks(), 1U);  // nothing was replaced
  allocate(&draft);
  store(&draft);
  EXPECT_EQ(UsedChunks(), 2U);
  allocate(&draft);
  EXPECT_EQ(UsedChunks(), 2U);  // the spare became the draft
  store(&draft);
  Draft other(std::move(draft));
  draft.Reset();
  EXPECT_EQ(UsedChunks(), 2U);
  other.Reset();
  EXPECT_EQ(UsedChunks(), 1U);
}

TEST_F(DraftTest, PartsAreLaidBehindOneAnother) {
  Draft draft = Allocate(10);
  draft.FillValue({"abc", "", "defghi", "j"});
  EXPECT_EQ(ValueOf(draft), "abcdefghij");
}

TEST_F(DraftTest, PartsMayCrossChunks) {
  std::string value;
  for (int i = 0; i < 900'000; ++i) value.push_back(static_cast<char>(i * 7));
  Draft draft = Allocate(value.size());
  const std::string_view view = value;
  draft.FillValue({view.substr(0, 5), view.substr(5, 600'000), view.substr(600'005)});
  EXPECT_EQ(ValueOf(draft), value);
  std::vector<std::span<char>> pieces;
  draft.ValuePieces(&pieces);
  EXPECT_GT(pieces.size(), 1U);
}

TEST_F(DraftTest, AnEmptyValueHasNoParts) {
  Draft draft = Allocate(0);
  draft.FillValue({});
  draft.FillValue({""});
  EXPECT_EQ(ValueOf(draft), "");
  EXPECT_EQ(draft.Peek().Key(), "key");
}

TEST_F(DraftTest, EmptyValuesGoThroughEveryCommandThatMakesADraftOfThem) {
  rig_->Set("k", "");
  rig_.Demote();
  EXPECT_EQ(rig_->Touch("k", kStartS + 9), Outcome::kHit);
  rig_.Demote();
  EXPECT_EQ(rig_->GetAndTouch("k", 0), "");
  rig_.Demote();
  EXPECT_EQ(rig_->Store(StoreMode::kAppend, "k", ""), Outcome::kStored);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rig_->Get("k"), "");
}

}  // namespace
}  // namespace terraced::tiering
