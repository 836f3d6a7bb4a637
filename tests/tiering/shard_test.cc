// A shard's rules: LRU segments, the order in which items go, clean hints and slots (I1, I2, rules 1 and 4).
#include "tiering/shard.h"

#include <vector>

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

using storage::Item;
using storage::LruSegment;

class ShardTest : public testing::Test {
 protected:
  // Keys of one shard, so that its lists can be looked at.
  std::vector<std::string> KeysOf(uint32_t shard, size_t count) {
    std::vector<std::string> keys;
    for (int i = 0; keys.size() < count; ++i) {
      std::string key = "k" + std::to_string(1'000'000 + i);  // of one length: shares are of bytes
      if (storage::PartitionOf(rig_->KeyOf(key).hash) == shard) keys.push_back(std::move(key));
    }
    return keys;
  }
  Shard& InShard() { return *rig_.InTiers().shards[7]; }
  CacheRig rig_;
};

TEST_F(ShardTest, AnItemBeginsInHotAndAShortLivedOneInTemp) {
  rig_->Set("k", "v");
  EXPECT_EQ(rig_.ItemOf("k")->Segment(), LruSegment::kHot);
  CacheOptions options = RigOptions();
  options.temporary_ttl_s = 60;
  CacheRig with_temp(options);
  with_temp->Set("short", "v", 0, kStartS + 60);
  with_temp->Set("long", "v", 0, kStartS + 61);
  with_temp->Set("never", "v");
  EXPECT_EQ(with_temp.ItemOf("short")->Segment(), LruSegment::kTemp);
  EXPECT_EQ(with_temp.ItemOf("long")->Segment(), LruSegment::kHot);
  EXPECT_EQ(with_temp.ItemOf("never")->Segment(), LruSegment::kHot);
  options.lru_segmented = false;
  CacheRig flat(options);
  flat->Set("k", "v");
  EXPECT_EQ(flat.ItemOf("k")->Segment(), LruSegment::kCold);
}

TEST_F(ShardTest, TheSecondReadMakesAnItemActive) {
  rig_->Set("k", "v");
  EXPECT_FALSE(rig_.ItemOf("k")->Has(storage::kItemFetched));
  rig_->Get("k");
  EXPECT_TRUE(rig_.ItemOf("k")->Has(storage::kItemFetched));
  EXPECT_FALSE(rig_.ItemOf("k")->Has(storage::kItemActive));
  rig_.clock.Set(kStartS + 3);
  rig_->Get("k");
  EXPECT_TRUE(rig_.ItemOf("k")->Has(storage::kItemActive));
  EXPECT_EQ(rig_.ItemOf("k")->last_access_s, kStartS + 3);
}

TEST_F(ShardTest, JuggleKeepsHotWithinItsShareAndMovesActiveItemsToWarm) {
  const std::vector<std::string> keys = KeysOf(7, 100);
  for (const std::string& key : keys) rig_->Set(key, "v");
  for (size_t i = 0; i < 20; ++i) {  // the oldest, read twice
    rig_->Get(keys[i]);
    rig_->Get(keys[i]);
  }
  const storage::SlabClass slab_class = rig_.ClassOf(keys[0]);
  const MutexLock lock(InShard().mutex);
  EXPECT_EQ(InShard().Juggle(slab_class, rig_.Now(), 10), 10U);  // bounded
  while (InShard().Juggle(slab_class, rig_.Now(), 10) > 0) {
  }
  EXPECT_EQ(InShard().ram.List(slab_class, LruSegment::kHot).count, 20U);
  EXPECT_EQ(InShard().ram.List(slab_class, LruSegment::kWarm).count, 20U);
  EXPECT_EQ(InShard().ram.List(slab_class, LruSegment::kCold).count, 60U);
  EXPECT_EQ(InShard().classes[slab_class].moves_to_warm, 20U);
  EXPECT_EQ(InShard().classes[slab_class].moves_to_cold, 60U);
}

TEST_F(ShardTest, JuggleMovesItemsThatAreMuchOlderThanColds) {
  const std::vector<std::string> keys = KeysOf(7, 40);
  for (const std::string& key : keys) rig_->Set(key, "v");
  const storage::SlabClass slab_class = rig_.ClassOf(keys[0]);
  {
    const MutexLock lock(InShard().mutex);
    while (InShard().Juggle(slab_class, rig_.Now(), 10) > 0) {
    }
    ASSERT_EQ(InShard().ram.List(slab_class, LruSegment::kHot).count, 8U);
  }
  rig_.clock.Set(kStartS + 1'000);
  for (const std::string& key : keys) {  // COLD is young, HOT is not
    if (rig_.ItemOf(key)->Segment() == LruSegment::kCold) rig_->Get(key);
  }
  const MutexLock lock(InShard().mutex);
  while (InShard().Juggle(slab_class, rig_.Now(), 10) > 0) {
  }
  EXPECT_EQ(InShard().ram.List(slab_class, LruSegment::kHot).count, 0U);
}

TEST_F(ShardTest, ASetOfTheSameSizeStaysInPlaceButNotIntoOrOutOfTemp) {
  rig_->Set("k", "one");
  Item* const item = rig_.ItemOf("k");
  rig_->Set("k", "two");
  EXPECT_EQ(rig_.ItemOf("k"), item);
  EXPECT_EQ(rig_->Get("k"), "two");
  {
    const MutexLock lock(rig_.InTiers().ShardOf(rig_->KeyOf("k").hash).mutex);
    rig_.InTiers().ShardOf(rig_->KeyOf("k").hash).ram.MoveTo(item, LruSegment::kTemp);
  }
  rig_->Set("k", "six");
  EXPECT_NE(rig_.ItemOf("k"), item);
  EXPECT_EQ(rig_.ItemOf("k")->Segment(), LruSegment::kHot);
}

TEST_F(ShardTest, EvictionSparesOnceWhatWasUsedAgainInCold) {
  const std::vector<std::string> keys = KeysOf(7, 2);
  const MutexLock lock(InShard().mutex);
  for (const std::string& key : keys) {
    storage::SlabClass short_of = storage::kNoSlabClass;
    const storage::Position position = rig_.InTiers().allocator.New(key, 0, 1, &short_of);
    InShard().Link(position, nullptr, rig_->KeyOf(key), rig_.Now(), LruSegment::kCold);
  }
  const Key spared = rig_->KeyOf(keys[0]);
  const Key taken = rig_->KeyOf(keys[1]);
  Item* const item = InShard().ram.Find(spared.hash, spared.bytes);
  const storage::SlabClass slab_class = rig_.InTiers().allocator.ListClass(*item);
  item->Set(storage::kItemActive);  // it is at the tail
  EXPECT_EQ(InShard().Reclaim(slab_class, EvictPolicy::kEvict, rig_.Now()), Reclaimed::kYes);
  ASSERT_EQ(InShard().ram.Find(spared.hash, spared.bytes), item);
  EXPECT_EQ(InShard().ram.Find(taken.hash, taken.bytes), nullptr);
  EXPECT_EQ(item->Segment(), LruSegment::kWarm);
  EXPECT_FALSE(item->Has(storage::kItemActive));
  EXPECT_EQ(InShard().classes[slab_class].moves_to_warm, 1U);
  EXPECT_EQ(InShard().classes[slab_class].direct_reclaims, 1U);
  EXPECT_EQ(InShard().Reclaim(slab_class, EvictPolicy::kEvict, rig_.Now()), Reclaimed::kYes);
  EXPECT_EQ(InShard().ram.Find(spared.hash, spared.bytes), nullptr);
  EXPECT_EQ(InShard().classes[slab_class].direct_reclaims, 2U);
  EXPECT_EQ(InShard().classes[slab_class].evicted_active, 0U);
}

TEST_F(ShardTest, AnActiveItemOfWarmStaysInIt) {
  const std::string key = KeysOf(7, 1)[0];
  const MutexLock lock(InShard().mutex);
  storage::SlabClass short_of = storage::kNoSlabClass;
  const storage::Position position = rig_.InTiers().allocator.New(key, 0, 1, &short_of);
  InShard().Link(position, nullptr, rig_->KeyOf(key), rig_.Now(), LruSegment::kWarm);
  Item* const item = rig_.InTiers().arena->ItemAt(position);
  const storage::SlabClass slab_class = rig_.InTiers().allocator.ListClass(*item);
  item->Set(storage::kItemActive);
  EXPECT_EQ(InShard().Juggle(slab_class, rig_.Now(), 1),
            1U);  // all of the class is too much for WARM
  EXPECT_EQ(item->Segment(), LruSegment::kWarm);
  EXPECT_FALSE(item->Has(storage::kItemActive));
  EXPECT_EQ(InShard().classes[slab_class].moves_within_lru, 1U);
}

TEST_F(ShardTest, InAFlatListNobodyIsSpared) {
  rig_.cache->Admin().Settings().lru_segmented.Set(false);
  const std::string key = KeysOf(7, 1)[0];
  rig_->Set(key, "v");
  const storage::SlabClass slab_class = rig_.ClassOf(key);
  const MutexLock lock(InShard().mutex);
  InShard().ram.Find(rig_->KeyOf(key).hash, key)->Set(storage::kItemActive);
  EXPECT_EQ(InShard().Reclaim(slab_class, EvictPolicy::kEvict, rig_.Now()), Reclaimed::kYes);
  EXPECT_EQ(InShard().ram.Find(rig_->KeyOf(key).hash, key), nullptr);
  EXPECT_EQ(InShard().classes[slab_class].evicted_active, 1U);
}

TEST_F(ShardTest, ReclaimTakesColdBeforeHotBeforeWarmBeforeTemp) {
  const std::vector<std::string> keys = KeysOf(7, 4);
  const std::vector<LruSegment> order = {LruSegment::kCold, LruSegment::kHot, LruSegment::kWarm,
                                         LruSegment::kTemp};
  const MutexLock lock(InShard().mutex);
  // Alone in its segments an item is over its share: one round of juggling goes before each look.
  for (size_t i = 0; i < keys.size(); ++i) {
    storage::SlabClass short_of = storage::kNoSlabClass;
    const storage::Position position = rig_.InTiers().allocator.New(keys[i], 0, 1, &short_of);
    InShard().Link(position, nullptr, rig_->KeyOf(keys[i]), rig_.Now(), order[i]);
  }
  const storage::SlabClass slab_class =
      rig_.InTiers().allocator.ListClass(*InShard().ram.Find(rig_->KeyOf(keys[0]).hash, keys[0]));
  EXPECT_EQ(InShard().Reclaim(slab_class, EvictPolicy::kSpareDirty, rig_.Now()),
            Reclaimed::kNeedsDemotion);
  EXPECT_EQ(InShard().ram.ItemCount(), 4U);
  EXPECT_EQ(InShard().Reclaim(slab_class, EvictPolicy::kEvict, rig_.Now()), Reclaimed::kYes);
  EXPECT_EQ(InShard().ram.Find(rig_->KeyOf(keys[0]).hash, keys[0]), nullptr);
  for (int left = 3; left > 0; --left) {
    EXPECT_NE(InShard().ram.Find(rig_->KeyOf(keys[3]).hash, keys[3]), nullptr);  // TEMP is last
    EXPECT_EQ(InShard().Reclaim(slab_class, EvictPolicy::kEvict, rig_.Now()), Reclaimed::kYes);
  }
  EXPECT_EQ(InShard().Reclaim(slab_class, EvictPolicy::kEvict, rig_.Now()), Reclaimed::kNothing);
  EXPECT_EQ(InShard().classes[slab_class].evicted, 4U);
}

TEST_F(ShardTest, Rule4ACleanHintIsBelievedOnlyWhileItsSlotStands) {
  rig_->Set("k", "v");
  rig_.Demote();
  rig_->Get("k");
  rig_->Get("k");
  Item* const item = rig_.ItemOf("k");
  const Key key = rig_->KeyOf("k");
  Shard& shard = rig_.InTiers().ShardOf(key.hash);
  const MutexLock lock(shard.mutex);
  ASSERT_TRUE(shard.CleanSlot(*item, key.hash, rig_.Now().epoch).has_value());
  EXPECT_FALSE(shard.CleanSlot(*item, key.hash, rig_.Now().epoch + 1).has_value());
  rig_.InTiers().index.Remove(shard.Number(), key.hash, rig_.Now().epoch);
  EXPECT_FALSE(shard.CleanSlot(*item, key.hash, rig_.Now().epoch).has_value());
  // Without its slot it is the only copy: not to be dropped unwritten.
  EXPECT_EQ(shard.Reclaim(rig_.InTiers().allocator.ListClass(*item), EvictPolicy::kSpareDirty,
                          rig_.Now()),
            Reclaimed::kNeedsDemotion);
}

TEST_F(ShardTest, ACleanActiveItemLeavesItsHitWithTheSlot) {
  rig_->Set("k", "v");
  rig_.Demote();
  rig_->Get("k");
  rig_->Get("k");
  const Key key = rig_->KeyOf("k");
  Shard& shard = rig_.InTiers().ShardOf(key.hash);
  const MutexLock lock(shard.mutex);
  Item* const item = shard.ram.Find(key.hash, key.bytes);
  const uint64_t serial = shard.CleanSlot(*item, key.hash, rig_.Now().epoch)->serial;
  item->Set(storage::kItemActive);
  shard.Evict(item, key.hash, rig_.Now());
  const storage::SlotList slots =
      rig_.InTiers().index.Find(shard.Number(), key.hash, rig_.Now().epoch);
  ASSERT_EQ(slots.count, 1U);
  EXPECT_EQ(slots.slots[0].serial, serial);
  EXPECT_TRUE(slots.slots[0].hit);
}

TEST_F(ShardTest, LiveItemsAreThoseOfTheCurrentEpoch) {
  rig_->Set("a", "v");
  rig_->Set("b", "v");
  rig_->Set("a", "w");
  EXPECT_EQ(rig_.Stats().ram_items, 2U);
  rig_.cache->FlushAll(0);
  EXPECT_EQ(rig_.Stats().ram_items, 0U);
  rig_->Set("a", "x");  // in place of one of the old epoch
  EXPECT_EQ(rig_.Stats().ram_items, 1U);
  EXPECT_FALSE(rig_->Get("b").Hit());  // reaped on the way
  EXPECT_EQ(rig_.Stats().ram_items, 1U);
  EXPECT_EQ(rig_->Delete("a"), Outcome::kDeleted);
  EXPECT_EQ(rig_.Stats().ram_items, 0U);
}

TEST_F(ShardTest, Rule1AMutationRemovesEverySlotOfTheIdentity) {
  const auto [key, twin] = rig_.TwoOfOneIdentity();
  rig_->Set(twin, "v");
  rig_.Demote();
  const Key of = rig_->KeyOf(key);
  Shard& shard = rig_.InTiers().ShardOf(of.hash);
  {
    const MutexLock lock(shard.mutex);
    shard.RemoveSlots(of, rig_.Now(), nullptr, storage::kNoSerial);
  }
  EXPECT_FALSE(rig_.OnFlash(twin));
  EXPECT_EQ(rig_.InTiers().removals.Pending(), 1U);
}

}  // namespace
}  // namespace terraced::tiering
