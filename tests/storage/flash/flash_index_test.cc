#include "storage/flash/flash_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include "storage/base/mutex.h"
#include "storage/flash/slot_table.h"

namespace terraced::storage {
namespace {

constexpr uint64_t kEpoch = 3;
constexpr Partition kPart = 5;
using AddResult = FlashIndex::AddResult;

// A hash of partition kPart whose bucket and fingerprint bits are chosen.
uint64_t HashOf(uint32_t bucket_hash, uint32_t fingerprint) {
  return (uint64_t{kPart} << (64 - kPartitionBits)) | (uint64_t{bucket_hash} << 24) | fingerprint;
}

std::set<uint64_t> Serials(const SlotList& list) {
  std::set<uint64_t> serials;
  for (const Slot& slot : list) serials.insert(slot.serial);
  return serials;
}

class FlashIndexTest : public testing::Test {
 protected:
  void Make(uint32_t buckets) { index_ = std::make_unique<FlashIndex>(*batches_, buckets); }
  BatchNumber Open(uint64_t serial, uint64_t epoch = kEpoch) {
    BatchInfo info;
    info.serial = serial;
    info.epoch = epoch;
    return batches_->Open(info).value();
  }
  void SweepAll() {
    uint64_t cursor = 0;
    while (!index_->Sweep(kPart, &cursor, 3)) {
    }
  }
  std::set<uint64_t> Find(uint64_t hash) const {
    return Serials(index_->Find(kPart, hash, kEpoch));
  }

  std::unique_ptr<BatchTable> batches_ = std::make_unique<BatchTable>();
  std::unique_ptr<FlashIndex> index_;
  std::mt19937_64 random_{20240607};
};

TEST_F(FlashIndexTest, FindsWhatWasAddedUntilItIsRemoved) {
  Make(4);
  const BatchNumber first = Open(10);
  const BatchNumber second = Open(11);
  const uint64_t hash = HashOf(123456789, 77);
  EXPECT_EQ(index_->Add(kPart, hash, first, false), AddResult::kAdded);
  EXPECT_EQ(index_->Add(kPart, hash, second, true), AddResult::kAdded);
  EXPECT_EQ(index_->Add(kPart, hash, second, false), AddResult::kAlreadyThere);
  EXPECT_EQ(Find(hash), (std::set<uint64_t>{10, 11}));
  EXPECT_TRUE(Find(HashOf(123456789, 78)).empty());
  EXPECT_EQ(index_->SlotsUsed(kPart), 2U);
  EXPECT_EQ(batches_->Live(first), 1);

  EXPECT_EQ(Serials(index_->Remove(kPart, hash, kEpoch)), (std::set<uint64_t>{10, 11}));
  EXPECT_TRUE(Find(hash).empty());
  EXPECT_EQ(index_->SlotsUsed(kPart), 0U);
  EXPECT_EQ(batches_->Live(first), 0);
  EXPECT_EQ(index_->Remove(kPart, hash, kEpoch).count, 0U);
}

TEST_F(FlashIndexTest, Rule1RemovesTheNeighboursSlotsToo) {
  Make(4);
  const BatchNumber first = Open(10);
  const BatchNumber second = Open(11);
  const uint64_t one = HashOf(5, 9);
  const uint64_t neighbour = HashOf(6, 9);  // the same bucket of four
  ASSERT_EQ(index_->Identity(kPart, one), index_->Identity(kPart, neighbour));
  index_->Add(kPart, one, first, false);
  index_->Add(kPart, neighbour, second, false);
  index_->Remove(kPart, one, kEpoch);
  EXPECT_TRUE(Find(neighbour).empty());
}

TEST_F(FlashIndexTest, RemoveSerialLeavesTheOtherSlots) {
  Make(4);
  const uint64_t hash = HashOf(5, 0);  // fingerprint 0 must not be taken for an empty slot
  index_->Add(kPart, hash, Open(10), false);
  index_->Add(kPart, hash, Open(11), false);
  EXPECT_FALSE(index_->RemoveSerial(kPart, hash, 12));
  EXPECT_FALSE(index_->RemoveSerial(kPart, hash, kNoSerial));
  EXPECT_TRUE(index_->RemoveSerial(kPart, hash, 10));
  EXPECT_EQ(Find(hash), std::set<uint64_t>{11});
}

TEST_F(FlashIndexTest, HitBitsAreKeptWithTheirSlot) {
  Make(4);
  const uint64_t hash = HashOf(1, 1);
  const BatchNumber number = Open(10);
  index_->Add(kPart, hash, number, false);
  EXPECT_FALSE(index_->Find(kPart, hash, kEpoch).slots[0].hit);
  EXPECT_FALSE(index_->MarkHit(kPart, hash, 11));
  EXPECT_TRUE(index_->MarkHit(kPart, hash, 10));
  EXPECT_TRUE(index_->Find(kPart, hash, kEpoch).slots[0].hit);
  EXPECT_EQ(index_->SlotsUsed(kPart), 1U);
  EXPECT_TRUE(index_->Remove(kPart, hash, kEpoch).slots[0].hit);
}

TEST_F(FlashIndexTest, SlotsOfAnotherEpochOrADeadBatchDoNotStand) {
  Make(4);
  const uint64_t hash = HashOf(1, 1);
  const BatchNumber flushed = Open(10, kEpoch - 1);
  const BatchNumber dead = Open(11);
  index_->Add(kPart, hash, flushed, false);
  index_->Add(kPart, hash, dead, false);
  batches_->Kill(dead);
  EXPECT_TRUE(Find(hash).empty());
  EXPECT_EQ(index_->Remove(kPart, hash, kEpoch).count, 0U) << "nothing that stood";
  EXPECT_EQ(index_->SlotsUsed(kPart), 0U) << "but they are gone";
}

TEST_F(FlashIndexTest, AnIdentityHasABoundedNumberOfSlots) {
  Make(4);
  const uint64_t hash = HashOf(1, 1);
  for (uint64_t serial = 1; serial <= kIdentitySlotsMax; ++serial) {
    EXPECT_EQ(index_->Add(kPart, hash, Open(serial), false), AddResult::kAdded);
  }
  const BatchNumber last = Open(100);
  EXPECT_EQ(index_->Add(kPart, hash, last, false), AddResult::kFull);
  EXPECT_EQ(batches_->Live(last), 0);
  batches_->Kill(batches_->Living().front());
  EXPECT_EQ(index_->Add(kPart, hash, last, false), AddResult::kAdded) << "a dead slot makes room";
  EXPECT_EQ(index_->Find(kPart, hash, kEpoch).count, kIdentitySlotsMax);
}

TEST_F(FlashIndexTest, AFullPairOfBucketsRefusesUntilADeadSlotIsPurged) {
  Make(1);
  const BatchNumber dead = Open(1);
  const BatchNumber living = Open(2);
  index_->Add(kPart, HashOf(0, 1), dead, false);
  for (uint32_t fingerprint = 2; fingerprint <= 16; ++fingerprint) {
    index_->Add(kPart, HashOf(0, fingerprint), living, false);
  }
  EXPECT_EQ(index_->Add(kPart, HashOf(0, 99), living, false), AddResult::kFull);
  EXPECT_TRUE(index_->WantsGrowth(kPart));
  batches_->Kill(dead);
  EXPECT_EQ(index_->Add(kPart, HashOf(0, 99), living, false), AddResult::kAdded);
  EXPECT_EQ(batches_->Live(dead), 0);
  EXPECT_EQ(batches_->Live(living), 16);
}

TEST_F(FlashIndexTest, IdentityIsAnEquivalenceForAnyNumberOfBuckets) {
  for (const uint32_t buckets : {1U, 2U, 3U, 5U, 7U, 16U, 31U}) {
    Make(buckets);
    const BatchNumber number = Open(1000 + buckets);
    for (int round = 0; round < 200; ++round) {
      const auto fingerprint = static_cast<uint32_t>(random_() % 4);
      const uint64_t left = HashOf(static_cast<uint32_t>(random_()), fingerprint);
      const uint64_t right = HashOf(static_cast<uint32_t>(random_()), fingerprint);
      index_->Add(kPart, left, number, false);
      EXPECT_EQ(index_->Find(kPart, right, kEpoch).count == 1,
                index_->Identity(kPart, left) == index_->Identity(kPart, right));
      index_->Remove(kPart, left, kEpoch);
      EXPECT_EQ(index_->SlotsUsed(kPart), 0U);
    }
  }
}

TEST_F(FlashIndexTest, WithoutBucketsItIsAlwaysEmpty) {
  Make(0);
  const BatchNumber number = Open(1);
  uint64_t cursor = 0;
  EXPECT_EQ(index_->Add(kPart, 1, number, false), AddResult::kFull);
  EXPECT_EQ(index_->Find(kPart, 1, kEpoch).count, 0U);
  EXPECT_EQ(index_->Remove(kPart, 1, kEpoch).count, 0U);
  EXPECT_FALSE(index_->MarkHit(kPart, 1, 1));
  EXPECT_FALSE(index_->RemoveSerial(kPart, 1, 1));
  EXPECT_FALSE(index_->WantsGrowth(kPart));
  EXPECT_TRUE(index_->Sweep(kPart, &cursor, 1));
  EXPECT_EQ(index_->MemoryBytes(), 0U);
  index_->Prefetch(kPart, 1);
  index_->Clear(kPart);
  std::string saved;
  index_->SavePartition(kPart, &saved);
  EXPECT_TRUE(index_->LoadPartition(kPart, saved).ok());
  Make(4);
  EXPECT_EQ(index_->LoadPartition(kPart, saved).code(), StatusCode::kCorruption);
}

// --- Against a reference

// Identity -> serial -> hit, kept by the rules alone.
TEST_F(FlashIndexTest, AgreesWithAMapOverRandomChanges) {
  for (const uint32_t buckets : {1U, 3U, 8U, 21U}) {
    Make(buckets);
    std::map<uint64_t, std::map<uint64_t, bool>> reference;
    std::map<uint64_t, BatchNumber> living;
    uint64_t serial = buckets * 100000ULL;
    const auto random_living = [&] {
      return *std::next(living.begin(), static_cast<ptrdiff_t>(random_() % living.size()));
    };
    for (int step = 0; step < 20000; ++step) {
      const uint64_t hash =
          HashOf(static_cast<uint32_t>(random_()), static_cast<uint32_t>(random_() % 5));
      const uint64_t identity = index_->Identity(kPart, hash);
      const uint64_t dice = random_() % 100;
      if (living.size() < 6) {
        ++serial;
        living[serial] = Open(serial);
      } else if (dice < 55) {
        const auto [added, number] = random_living();
        const bool hit = random_() % 2 == 0;
        const AddResult result = index_->Add(kPart, hash, number, hit);
        if (result != AddResult::kFull) reference[identity][added] |= hit;
      } else if (dice < 75) {
        std::set<uint64_t> expected;
        for (const auto& [stood, hit] : reference[identity]) expected.insert(stood);
        EXPECT_EQ(Serials(index_->Remove(kPart, hash, kEpoch)), expected);
        reference.erase(identity);
      } else if (dice < 85) {
        const uint64_t removed = random_living().first;
        EXPECT_EQ(index_->RemoveSerial(kPart, hash, removed),
                  reference[identity].erase(removed) == 1);
      } else if (dice < 95) {
        const uint64_t marked = random_living().first;
        const bool there = reference[identity].contains(marked);
        EXPECT_EQ(index_->MarkHit(kPart, hash, marked), there);
        if (there) reference[identity][marked] = true;
      } else {
        const auto [dead, number] = random_living();
        batches_->Kill(number);
        for (auto& [one, slots] : reference) slots.erase(dead);
        living.erase(dead);
        if (dice < 98) SweepAll();
        if (dice < 98) batches_->Free(number);  // stops the process if a slot were left
      }
      const SlotList found = index_->Find(kPart, hash, kEpoch);
      ASSERT_EQ(found.count, reference[identity].size()) << "step " << step;
      for (const Slot& slot : found) {
        const auto expected = reference[identity].find(slot.serial);
        ASSERT_TRUE(expected != reference[identity].end());
        EXPECT_EQ(slot.hit, expected->second);
        EXPECT_EQ(batches_->SerialOf(slot.number), slot.serial);
      }
    }
    std::map<uint64_t, int64_t> live;
    for (const auto& [identity, slots] : reference) {
      for (const auto& [one, hit] : slots) ++live[one];
    }
    for (const auto& [one, number] : living) EXPECT_EQ(batches_->Live(number), live[one]);
    SweepAll();
    uint64_t slots_used = 0;
    for (const auto& [one, count] : live) slots_used += static_cast<uint64_t>(count);
    EXPECT_EQ(index_->SlotsUsed(kPart), slots_used);
    for (const auto& [one, number] : living) batches_->Kill(number);
    SweepAll();
    for (const BatchNumber number : batches_->Dead()) batches_->Free(number);
    EXPECT_EQ(index_->SlotsUsed(kPart), 0U);
  }
}

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
    uint64_t collisions = 0;
    do {
      collisions = index_->GrowthCollisions();
      index_->BeginGrowth(kPart);
    } while (!CarryAll(0));
    collisions = index_->GrowthCollisions() - collisions;
    ASSERT_TRUE(index_->FinishGrowth(kPart));
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
  Make(16);
  const auto identity = [](uint64_t hash, uint32_t buckets) {
    return SlotPlace::Of(hash, buckets).Identity();
  };
  for (int pair = 0; pair < 40; ++pair) {
    uint64_t living = 0;
    uint64_t dead = 0;
    do {
      living = HashOf(static_cast<uint32_t>(random_()), 1);
      dead = HashOf(static_cast<uint32_t>(random_()), 1);
    } while (identity(living, 16) == identity(dead, 16) ||
             identity(living, 20) != identity(dead, 20));
    const bool dead_first = pair % 2 == 0;
    Make(16);
    const BatchNumber number = Open(++serial_);
    index_->Add(kPart, living, number, false);
    index_->BeginGrowth(kPart);
    index_->CarryOver(kPart, dead_first ? dead : living, serial_);
    index_->CarryOver(kPart, dead_first ? living : dead, serial_);
    ASSERT_TRUE(index_->FinishGrowth(kPart));
    EXPECT_EQ(index_->SlotsTotal(kPart), 20U * 16);
    EXPECT_TRUE(Find(dead).empty());
    EXPECT_TRUE(Find(living).empty()) << "lost, as a collision";
    EXPECT_EQ(index_->GrowthCollisions(), 1U);
  }
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

// --- Load

TEST_F(FlashIndexTest, GrowthIsWantedBeforeAdditionsFail) {
  uint64_t serial = 0;
  for (const uint32_t buckets : {64U, 257U, 1000U, 4096U}) {
    Make(buckets);
    const BatchNumber number = Open(++serial);
    while (!index_->WantsGrowth(kPart)) {
      ASSERT_NE(index_->Add(kPart,
                            HashOf(static_cast<uint32_t>(random_()),
                                   static_cast<uint32_t>(random_() >> 46)),
                            number, false),
                AddResult::kFull)
          << buckets << " buckets, " << index_->SlotsUsed(kPart) << " slots";
    }
    EXPECT_GT(index_->SlotsUsed(kPart) * 100, index_->SlotsTotal(kPart) * 91);
  }
}

TEST_F(FlashIndexTest, FalseMatchesAreAsRareAsTheFingerprintPromises) {
  constexpr uint32_t kBuckets = 2000;
  constexpr uint64_t kLookups = 4000000;
  Make(kBuckets);
  const BatchNumber number = Open(1);
  while (!index_->WantsGrowth(kPart)) {
    index_->Add(kPart,
                HashOf(static_cast<uint32_t>(random_()), static_cast<uint32_t>(random_() >> 46)),
                number, false);
  }
  uint64_t matches = 0;
  for (uint64_t i = 0; i < kLookups; ++i) {
    const uint64_t hash =
        HashOf(static_cast<uint32_t>(random_()), static_cast<uint32_t>(random_() >> 46));
    matches += index_->Find(kPart, hash, kEpoch).count;
  }
  const double expected = 2.0 * 16 * 0.92 / (1 << 18) * kLookups;
  EXPECT_NEAR(static_cast<double>(matches), expected, expected * 0.2);
  RecordProperty("false_matches_per_million", static_cast<int>(matches * 1000000 / kLookups));
}

// --- The index file

class FlashIndexSaveTest : public FlashIndexTest {
 protected:
  // An index with two living batches and a dead one, saved; hashes_ are those of the living.
  void Save(uint32_t buckets, uint32_t count) {
    Make(buckets);
    const BatchNumber first = Open(10);
    const BatchNumber second = Open(11);
    const BatchNumber dead = Open(12);
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t hash = HashOf(static_cast<uint32_t>(random_()), i);
      index_->Add(kPart, hash, i % 2 == 0 ? first : second, i % 3 == 0);
      hashes_.push_back(hash);
      index_->Add(kPart, HashOf(static_cast<uint32_t>(random_()), 1000 + i), dead, false);
    }
    batches_->Kill(dead);
    index_->SavePartition(kPart, &saved_);
    infos_ = {batches_->Info(first), batches_->Info(second)};
    lives_ = {batches_->Live(first), batches_->Live(second)};
  }
  void Restart(uint32_t buckets) {
    index_ = nullptr;
    batches_ = std::make_unique<BatchTable>();
    for (const BatchInfo& info : infos_) batches_->Restore(info, 0);
    Make(buckets);
  }

  std::vector<uint64_t> hashes_;
  std::vector<BatchInfo> infos_;
  std::vector<int64_t> lives_;
  std::string saved_;
};

TEST_F(FlashIndexSaveTest, ComesBackAsItWasSaved) {
  Save(40, 200);
  Restart(4);
  const BatchNumber other = Open(20);
  index_->Add(kPart, HashOf(7, 7), other, false);
  ASSERT_TRUE(index_->LoadPartition(kPart, saved_).ok());
  for (size_t i = 0; i < hashes_.size(); ++i) {
    const SlotList found = index_->Find(kPart, hashes_[i], kEpoch);
    ASSERT_EQ(found.count, 1U);
    EXPECT_EQ(found.slots[0].serial, 10 + i % 2);
    EXPECT_EQ(found.slots[0].hit, i % 3 == 0);
  }
  EXPECT_EQ(index_->SlotsUsed(kPart), hashes_.size()) << "slots of dead batches are not saved";
  for (size_t i = 0; i < infos_.size(); ++i) {
    EXPECT_EQ(batches_->Live(infos_[i].number), lives_[i]);
  }
  EXPECT_EQ(batches_->Live(other), 0) << "what was there before is gone";
  std::string again;
  index_->SavePartition(kPart, &again);
  EXPECT_EQ(again, saved_);
}

TEST_F(FlashIndexSaveTest, EveryFlippedByteIsNoticed) {
  Save(4, 20);
  Restart(4);
  index_->Add(kPart, hashes_[0], infos_[0].number, false);
  for (size_t at = 0; at < saved_.size(); ++at) {
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      std::string damaged = saved_;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      EXPECT_EQ(index_->LoadPartition(kPart, damaged).code(), StatusCode::kCorruption) << at;
    }
  }
  EXPECT_EQ(index_->SlotsUsed(kPart), 1U) << "the partition is as it was";
  EXPECT_EQ(batches_->Live(infos_[0].number), 1);
}

TEST_F(FlashIndexSaveTest, EveryTruncationIsNoticed) {
  Save(4, 20);
  Restart(4);
  for (size_t size = 0; size < saved_.size(); ++size) {
    EXPECT_EQ(index_->LoadPartition(kPart, std::string_view(saved_).substr(0, size)).code(),
              StatusCode::kCorruption);
  }
  EXPECT_EQ(index_->LoadPartition(kPart, saved_ + '\0').code(), StatusCode::kCorruption);
}

TEST_F(FlashIndexSaveTest, ASlotWithoutItsBatchIsCorruption) {
  Save(4, 20);
  infos_.pop_back();
  Restart(4);
  const Status status = index_->LoadPartition(kPart, saved_);
  EXPECT_EQ(status.code(), StatusCode::kCorruption);
  EXPECT_NE(status.message().find("partition 5"), std::string_view::npos);
  EXPECT_EQ(batches_->Live(infos_[0].number), 0);
  EXPECT_EQ(index_->MemoryBytes(), FlashIndex(*batches_, 4).MemoryBytes());
}

TEST_F(FlashIndexSaveTest, SavesAppend) {
  Save(4, 20);
  const size_t one = saved_.size();
  index_->SavePartition(kPart, &saved_);
  EXPECT_EQ(saved_.substr(0, one), saved_.substr(one));
}

TEST_F(FlashIndexSaveTest, ClearForgetsEverySlot) {
  Save(4, 20);
  index_->BeginGrowth(kPart);
  index_->CarryOver(kPart, hashes_[0], 10);
  index_->Clear(kPart);
  EXPECT_EQ(index_->SlotsUsed(kPart), 0U);
  ASSERT_TRUE(index_->FinishGrowth(kPart));
  EXPECT_EQ(index_->SlotsUsed(kPart), 0U);
  for (const BatchInfo& info : infos_) EXPECT_EQ(batches_->Live(info.number), 0);
}

// --- Threads

TEST_F(FlashIndexTest, PartitionsAreIndependentAndSizesMayBeReadAtAnyTime) {
  Make(2);
  const BatchNumber number = Open(1);
  Mutex mutexes[2];
  std::atomic<bool> stop{false};
  const auto work = [&](Partition partition) {
    std::mt19937_64 random(partition);
    for (int i = 0; i < 20000; ++i) {
      const uint64_t hash = random() >> kPartitionBits;
      MutexLock lock(mutexes[partition]);
      if (index_->Add(partition, hash, number, false) == AddResult::kFull) {
        index_->BeginGrowth(partition);
        index_->CarryOver(partition, hash, 1);
        index_->FinishGrowth(partition);
      }
      index_->Find(partition, hash, kEpoch);
      if (i % 3 == 0) index_->Remove(partition, hash, kEpoch);
    }
  };
  std::thread watcher([&] {
    for (uint64_t hash = 0; !stop.load(); ++hash) {
      index_->Prefetch(hash % 2, hash << 30);
      EXPECT_GT(index_->MemoryBytes(), 0U);
      EXPECT_GE(batches_->Live(number), 0);
    }
  });
  std::thread first(work, 0);
  std::thread second(work, 1);
  first.join();
  second.join();
  stop.store(true);
  watcher.join();
  EXPECT_EQ(batches_->Live(number),
            static_cast<int64_t>(index_->SlotsUsed(0) + index_->SlotsUsed(1)));
}

}  // namespace
}  // namespace terraced::storage
