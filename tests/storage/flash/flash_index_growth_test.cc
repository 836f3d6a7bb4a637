// Growth of a partition (rule 7), while everything else goes on.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "storage/flash/flash_index.h"
#include "storage/flash/slot_table.h"
#include "tests/storage/flash/flash_index_fixture.h"

namespace terraced::storage {
namespace {

// Records, as the files know them: which hashes a batch holds, and which of those records may still
// be seen. A record that could not be found once must never be found again, whatever grows
// meanwhile.
class FlashIndexGrowthTest : public FlashIndexTest {
 protected:
  struct Batch {
    BatchNumber number = kNoBatch;
    std::map<uint64_t, bool> alive;  // by hash
  };

  uint64_t RandomHash() { return pool_[random_() % pool_.size()]; }
  void MakePool(size_t size, uint32_t fingerprints) {
    pool_.clear();
    for (size_t i = 0; i < size; ++i) {
      pool_.push_back(HashOf(static_cast<uint32_t>(random_()),
                             static_cast<uint32_t>(random_() % fingerprints)));
    }
  }

  // Strangers in a table of kOld buckets, of one identity in the one it grows into.
  static constexpr uint32_t kOld = 64;
  static constexpr uint32_t kNew = 80;
  std::pair<uint64_t, uint64_t> TwoThatTheNewTableJoins() {
    const auto identity = [](uint64_t hash, uint32_t buckets) {
      return SlotPlace::Of(hash, buckets).Identity();
    };
    for (;;) {
      const uint64_t one = HashOf(static_cast<uint32_t>(random_()), 1);
      const uint64_t other = HashOf(static_cast<uint32_t>(random_()), 1);
      if (identity(one, kOld) != identity(other, kOld) &&
          identity(one, kNew) == identity(other, kNew)) {
        return {one, other};
      }
    }
  }

  // Rule 2: an identity with an entry that is no longer valid gets no slot in this batch.
  void NewBatch(size_t records) {
    Batch batch;
    batch.number = Open(++serial_);
    std::set<uint64_t> poisoned;
    for (size_t i = 0; i < records; ++i) {
      const uint64_t hash = RandomHash();
      if (random_() % 4 == 0) poisoned.insert(index_->Identity(kPart, hash));
      batch.alive[hash] = false;
    }
    for (auto& [hash, alive] : batch.alive) {
      if (poisoned.contains(index_->Identity(kPart, hash))) continue;
      alive = index_->Add(kPart, hash, batch.number, false) != AddResult::kFull;
    }
    living_[serial_] = batch;
  }
  void Remove(uint64_t hash) {
    const uint64_t identity = index_->Identity(kPart, hash);
    index_->Remove(kPart, hash, kEpoch);
    for (auto& [serial, batch] : living_) Bury(&batch, identity);
  }
  void RemoveSerial(uint64_t hash, uint64_t serial) {
    index_->RemoveSerial(kPart, hash, serial);
    Bury(&living_[serial], index_->Identity(kPart, hash));
  }
  void Bury(Batch* batch, uint64_t identity) {
    for (auto& [hash, alive] : batch->alive) {
      if (index_->Identity(kPart, hash) == identity) alive = false;
    }
  }
  void DropOldest() {
    const BatchNumber number = living_.begin()->second.number;
    batches_->Kill(number);
    living_.erase(living_.begin());
    SweepAll();
    batches_->Free(number);
  }
  void DropAll() {
    while (!living_.empty()) DropOldest();
  }
  void RandomMutation() {
    const uint64_t dice = random_() % 10;
    if (dice < 7) return Remove(RandomHash());
    if (dice < 9) {
      const auto nth = static_cast<ptrdiff_t>(random_() % living_.size());
      return RemoveSerial(RandomHash(), std::next(living_.begin(), nth)->first);
    }
    if (living_.size() > 3) DropOldest();
  }

  // Nothing dead is found. Returns how many living records are not found, and buries those.
  uint64_t CheckAndCountLost() {
    uint64_t lost = 0;
    std::map<uint64_t, std::set<uint64_t>> identities;
    for (auto& [serial, batch] : living_) {
      for (auto& [hash, alive] : batch.alive) {
        const bool found = index_->Find(kPart, hash, kEpoch).Has(serial);
        EXPECT_TRUE(alive || !found) << "a dead record is back: serial " << serial;
        lost += alive && !found ? 1U : 0U;
        alive = found;
        if (found) identities[serial].insert(index_->Identity(kPart, hash));
      }
      EXPECT_EQ(batches_->Live(batch.number), static_cast<int64_t>(identities[serial].size()));
    }
    return lost;
  }
  bool CarryBatch(uint64_t serial, uint64_t mutations_per_hash_percent) {
    std::vector<uint64_t> hashes;
    for (const auto& [hash, alive] : living_[serial].alive) hashes.push_back(hash);
    for (const uint64_t hash : hashes) {
      if (!index_->CarryOver(kPart, hash, serial)) return false;
      if (random_() % 100 < mutations_per_hash_percent) RandomMutation();
    }
    return true;
  }
  bool CarryAll(uint64_t mutations_percent) {
    std::vector<uint64_t> serials;
    for (const auto& [serial, batch] : living_) serials.push_back(serial);
    std::shuffle(serials.begin(), serials.end(), random_);
    for (const uint64_t serial : serials) {
      if (living_.contains(serial) && !CarryBatch(serial, mutations_percent)) return false;
    }
    return true;
  }

  std::vector<uint64_t> pool_;
  std::map<uint64_t, Batch> living_;
  uint64_t serial_ = 0;
};

TEST_F(FlashIndexGrowthTest, Rule7CarriesOverExactlyWhatStands) {
  uint64_t rounds_with_collisions = 0;
  for (uint32_t round = 0; round < 400; ++round) {
    MakePool(200, 1 + round % 7);
    Make(1 + static_cast<uint32_t>(random_() % 30));
    for (int batch = 0; batch < 5; ++batch) NewBatch(1 + random_() % 60);
    for (int i = 0; i < 40; ++i) Remove(RandomHash());
    ASSERT_EQ(CheckAndCountLost(), 0U);
    const uint64_t total = index_->SlotsTotal(kPart);
    const uint64_t before = index_->UnseenCollisions();
    do {
      index_->BeginGrowth(kPart);
    } while (!CarryAll(0));
    EXPECT_EQ(index_->UnseenCollisions(), before) << "before the switch nothing is lost";
    ASSERT_TRUE(index_->FinishGrowth(kPart));
    const uint64_t collisions = index_->UnseenCollisions() - before;
    EXPECT_GT(index_->SlotsTotal(kPart), total);
    const uint64_t lost = CheckAndCountLost();
    EXPECT_EQ(lost > 0, collisions > 0);
    EXPECT_GE(lost, collisions) << "keys that shared a slot before are counted once";
    rounds_with_collisions += collisions > 0 ? 1U : 0U;
    ASSERT_FALSE(HasFailure()) << "round " << round;
    DropAll();
  }
  EXPECT_GT(rounds_with_collisions, 50U);
}

TEST_F(FlashIndexGrowthTest, NothingRemovedWhileGrowingComesBack) {
  uint64_t alive_after = 0;
  uint64_t lost = 0;
  for (uint32_t round = 0; round < 600; ++round) {
    MakePool(150, 1 + round % 5);
    Make(1 + static_cast<uint32_t>(random_() % 20));
    for (int batch = 0; batch < 5; ++batch) NewBatch(1 + random_() % 50);
    index_->BeginGrowth(kPart);
    while (!CarryAll(4)) index_->BeginGrowth(kPart);
    while (!index_->FinishGrowth(kPart)) CarryBatch(living_.rbegin()->first, 0);
    lost += CheckAndCountLost();
    ASSERT_FALSE(HasFailure()) << "round " << round;
    for (int i = 0; i < 20; ++i) RandomMutation();
    ASSERT_EQ(CheckAndCountLost(), 0U);
    for (const auto& [serial, batch] : living_) {
      for (const auto& [hash, alive] : batch.alive) alive_after += alive ? 1U : 0U;
    }
    DropAll();
  }
  EXPECT_GT(alive_after, 5000U) << "the test has lost its teeth";
  EXPECT_LT(lost, alive_after / 2);
}

TEST_F(FlashIndexGrowthTest, ABatchAddedMeanwhileMustBeCarriedOverToo) {
  MakePool(100, 1000);
  Make(8);
  NewBatch(30);
  index_->BeginGrowth(kPart);
  ASSERT_TRUE(CarryAll(0));
  NewBatch(30);
  EXPECT_FALSE(index_->FinishGrowth(kPart));
  EXPECT_EQ(CheckAndCountLost(), 0U) << "the old table still rules";
  ASSERT_TRUE(CarryBatch(living_.rbegin()->first, 0));
  EXPECT_TRUE(index_->FinishGrowth(kPart));
  EXPECT_EQ(CheckAndCountLost(), 0U);
}

TEST_F(FlashIndexGrowthTest, ABatchThatGetsMoreSlotsIsCarriedOverAgain) {
  Make(8);
  const BatchNumber number = Open(1);
  const uint64_t early = HashOf(1, 1);
  const uint64_t late = HashOf(1U << 31, 2);
  index_->Add(kPart, early, number, false);
  index_->BeginGrowth(kPart);
  for (const uint64_t hash : {early, late}) index_->CarryOver(kPart, hash, 1);
  index_->Add(kPart, late, number, false);
  EXPECT_FALSE(index_->FinishGrowth(kPart));
  for (const uint64_t hash : {early, late}) index_->CarryOver(kPart, hash, 1);
  EXPECT_TRUE(index_->FinishGrowth(kPart));
  EXPECT_FALSE(Find(early).empty());
  EXPECT_FALSE(Find(late).empty());
}

TEST_F(FlashIndexGrowthTest, ABatchThatDiesMeanwhileNeedNotBeCarriedOver) {
  MakePool(100, 1000);
  Make(8);
  index_->BeginGrowth(kPart);
  NewBatch(30);
  batches_->Kill(living_.begin()->second.number);
  EXPECT_TRUE(index_->FinishGrowth(kPart));
  EXPECT_EQ(index_->SlotsUsed(kPart), 0U);
}

TEST_F(FlashIndexGrowthTest, TheOldTableRulesUntilTheSwitch) {
  MakePool(100, 1000);
  Make(8);
  NewBatch(50);
  const uint64_t total = index_->SlotsTotal(kPart);
  const uint64_t memory = index_->MemoryBytes();
  index_->BeginGrowth(kPart);
  EXPECT_GT(index_->MemoryBytes(), memory);
  EXPECT_FALSE(index_->WantsGrowth(kPart)) << "it is growing";
  EXPECT_EQ(CheckAndCountLost(), 0U);
  index_->AbandonGrowth(kPart);
  EXPECT_EQ(index_->SlotsTotal(kPart), total);
  EXPECT_EQ(index_->MemoryBytes(), memory);
  EXPECT_EQ(CheckAndCountLost(), 0U);
}

TEST_F(FlashIndexGrowthTest, HitBitsAreCarriedOverAndMarkedInBothTables) {
  Make(8);
  const BatchNumber number = Open(1);
  const uint64_t before = HashOf(1, 1);
  const uint64_t meanwhile = HashOf(1U << 31, 2);
  index_->Add(kPart, before, number, true);
  index_->Add(kPart, meanwhile, number, false);
  index_->BeginGrowth(kPart);
  index_->CarryOver(kPart, before, 1);
  index_->CarryOver(kPart, meanwhile, 1);
  EXPECT_TRUE(index_->MarkHit(kPart, meanwhile, 1));
  ASSERT_TRUE(index_->FinishGrowth(kPart));
  EXPECT_TRUE(index_->Find(kPart, before, kEpoch).slots[0].hit);
  EXPECT_TRUE(index_->Find(kPart, meanwhile, kEpoch).slots[0].hit);
}

// The case that made rule 7 longer: two keys of one batch, strangers in the old table, share an
// identity in the new one; one of them is dead.
TEST_F(FlashIndexGrowthTest, ADeadRecordDoesNotReturnBehindANewNeighbour) {
  for (int pair = 0; pair < 40; ++pair) {
    const auto [living, dead] = TwoThatTheNewTableJoins();
    const bool dead_first = pair % 2 == 0;
    Make(kOld);
    const BatchNumber number = Open(++serial_);
    index_->Add(kPart, living, number, false);
    index_->BeginGrowth(kPart);
    index_->CarryOver(kPart, dead_first ? dead : living, serial_);
    index_->CarryOver(kPart, dead_first ? living : dead, serial_);
    ASSERT_TRUE(index_->FinishGrowth(kPart));
    EXPECT_EQ(index_->SlotsTotal(kPart), kNew * kSlotsPerBucket);
    EXPECT_TRUE(Find(dead).empty());
    EXPECT_TRUE(Find(living).empty()) << "lost, as a collision";
    EXPECT_EQ(index_->UnseenCollisions(), 1U);
  }
}

TEST_F(FlashIndexGrowthTest, AGrowthThatIsAbandonedHasLostNothing) {
  const auto [living, dead] = TwoThatTheNewTableJoins();
  Make(kOld);
  index_->Add(kPart, living, Open(++serial_), false);
  for (int attempt = 0; attempt < 3; ++attempt) {
    index_->BeginGrowth(kPart);
    index_->CarryOver(kPart, dead, serial_);
    index_->CarryOver(kPart, living, serial_);
    index_->AbandonGrowth(kPart);
  }
  EXPECT_EQ(Find(living).size(), 1U);
  EXPECT_EQ(index_->UnseenCollisions(), 0U);
}

// Its slots are there already, and each of one key.
TEST_F(FlashIndexGrowthTest, WhatIsCarriedOverAgainIsNotShared) {
  Make(kOld);
  const uint64_t early = HashOf(1, 1);
  const uint64_t late = HashOf(2, 2);
  const BatchNumber number = Open(++serial_);
  index_->Add(kPart, early, number, false);
  index_->BeginGrowth(kPart);
  index_->CarryOver(kPart, early, serial_);
  index_->Add(kPart, late, number, false);
  index_->CarryOver(kPart, early, serial_);
  index_->CarryOver(kPart, late, serial_);
  ASSERT_TRUE(index_->FinishGrowth(kPart));
  index_->Remove(kPart, early, kEpoch);
  EXPECT_EQ(Find(late).size(), 1U);
  EXPECT_EQ(index_->UnseenCollisions(), 0U);
}

TEST_F(FlashIndexGrowthTest, TwoThatTheNewTableJoinsAreBothLostWithTheirSlotAndCounted) {
  const auto [one, other] = TwoThatTheNewTableJoins();
  Make(kOld);
  const BatchNumber number = Open(++serial_);
  index_->Add(kPart, one, number, false);
  index_->Add(kPart, other, number, false);
  index_->BeginGrowth(kPart);
  index_->CarryOver(kPart, one, serial_);
  index_->CarryOver(kPart, other, serial_);
  ASSERT_TRUE(index_->FinishGrowth(kPart));
  EXPECT_EQ(Find(one).size(), 1U);
  EXPECT_EQ(Find(other).size(), 1U);
  EXPECT_EQ(index_->UnseenCollisions(), 0U);
  index_->Remove(kPart, one, kEpoch);
  EXPECT_TRUE(Find(other).empty());
  EXPECT_EQ(index_->UnseenCollisions(), 1U);
}

// The other way round: two keys share an identity, one is removed, and its neighbour, answered as
// absent from then on, has a slot of its own in the growing table.
TEST_F(FlashIndexGrowthTest, ANeighbourThatWasRemovedIsNotBackAfterTheSwitch) {
  for (const bool whole_batch_carried : {false, true}) {
    Make(1);
    const BatchNumber number = Open(++serial_);
    const uint64_t one = HashOf(0, 3);
    const uint64_t neighbour = HashOf(~0U, 3);
    index_->Add(kPart, one, number, false);
    index_->BeginGrowth(kPart);
    index_->CarryOver(kPart, neighbour, serial_);
    if (whole_batch_carried) index_->CarryOver(kPart, one, serial_);
    index_->Remove(kPart, one, kEpoch);
    if (!whole_batch_carried) index_->CarryOver(kPart, one, serial_);
    ASSERT_TRUE(index_->FinishGrowth(kPart));
    EXPECT_TRUE(Find(one).empty());
    EXPECT_TRUE(Find(neighbour).empty());
  }
}

TEST_F(FlashIndexGrowthTest, ASweepMayBeOvertakenByTheSwitch) {
  MakePool(200, 1000);
  Make(16);
  NewBatch(60);
  NewBatch(60);
  index_->BeginGrowth(kPart);
  ASSERT_TRUE(CarryAll(0));
  const BatchNumber dead = living_.begin()->second.number;
  batches_->Kill(dead);
  living_.erase(living_.begin());
  uint64_t cursor = 0;
  EXPECT_FALSE(index_->Sweep(kPart, &cursor, 5));
  ASSERT_TRUE(index_->FinishGrowth(kPart));
  while (!index_->Sweep(kPart, &cursor, 5)) {
  }
  EXPECT_EQ(batches_->Live(dead), 0);
  CheckAndCountLost();
}

}  // namespace
}  // namespace terraced::storage
