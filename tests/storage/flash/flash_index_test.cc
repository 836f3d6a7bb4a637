#include "storage/flash/flash_index.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include "storage/base/mutex.h"
#include "tests/storage/flash/flash_index_fixture.h"

namespace terraced::storage {
namespace {

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
class FlashIndexReferenceTest : public FlashIndexTest {
 protected:
  std::pair<uint64_t, BatchNumber> RandomLiving() {
    return *std::next(living_.begin(), static_cast<ptrdiff_t>(random_() % living_.size()));
  }
  void Drop(bool sweep) {
    const auto [serial, number] = RandomLiving();
    batches_->Kill(number);
    for (auto& [identity, slots] : reference_) slots.erase(serial);
    living_.erase(serial);
    if (!sweep) return;
    SweepAll();
    batches_->Free(number);  // stops the process if a slot were left
  }
  void Step(uint64_t hash) {
    std::map<uint64_t, bool>& slots = reference_[index_->Identity(kPart, hash)];
    const auto [serial, number] = RandomLiving();
    const uint64_t dice = random_() % 100;
    if (dice < 55) {
      const bool hit = random_() % 2 == 0;
      const AddResult result = index_->Add(kPart, hash, number, hit);
      if (result != AddResult::kFull) slots[serial] |= hit;
    } else if (dice < 75) {
      std::set<uint64_t> expected;
      for (const auto& [stood, hit] : slots) expected.insert(stood);
      EXPECT_EQ(Serials(index_->Remove(kPart, hash, kEpoch)), expected);
      slots.clear();
    } else if (dice < 85) {
      EXPECT_EQ(index_->RemoveSerial(kPart, hash, serial), slots.erase(serial) == 1);
    } else if (dice < 95) {
      EXPECT_EQ(index_->MarkHit(kPart, hash, serial), slots.contains(serial));
      if (slots.contains(serial)) slots[serial] = true;
    } else {
      Drop(/*sweep=*/dice < 98);
    }
  }
  void Compare(uint64_t hash) {
    const std::map<uint64_t, bool>& slots = reference_[index_->Identity(kPart, hash)];
    const SlotList found = index_->Find(kPart, hash, kEpoch);
    ASSERT_EQ(found.count, slots.size());
    for (const Slot& slot : found) {
      const auto expected = slots.find(slot.serial);
      ASSERT_TRUE(expected != slots.end());
      EXPECT_EQ(slot.hit, expected->second);
      EXPECT_EQ(batches_->SerialOf(slot.number), slot.serial);
    }
  }
  void CompareCounts() {
    std::map<uint64_t, int64_t> live;
    uint64_t used = 0;
    for (const auto& [identity, slots] : reference_) {
      for (const auto& [serial, hit] : slots) ++live[serial];
      used += slots.size();
    }
    for (const auto& [serial, number] : living_) EXPECT_EQ(batches_->Live(number), live[serial]);
    SweepAll();
    EXPECT_EQ(index_->SlotsUsed(kPart), used);
  }

  std::map<uint64_t, std::map<uint64_t, bool>> reference_;
  std::map<uint64_t, BatchNumber> living_;
};

TEST_F(FlashIndexReferenceTest, AgreesWithAMapOverRandomChanges) {
  uint64_t serial = 0;
  for (const uint32_t buckets : {1U, 3U, 8U, 21U}) {
    Make(buckets);
    reference_.clear();
    for (int step = 0; step < 20000; ++step) {
      while (living_.size() < 6) {
        ++serial;
        living_[serial] = Open(serial);
      }
      const uint64_t hash =
          HashOf(static_cast<uint32_t>(random_()), static_cast<uint32_t>(random_() % 5));
      Step(hash);
      Compare(hash);
      ASSERT_FALSE(HasFatalFailure()) << buckets << " buckets, step " << step;
    }
    CompareCounts();
    while (!living_.empty()) Drop(/*sweep=*/true);
    for (const BatchNumber number : batches_->Dead()) batches_->Free(number);
    EXPECT_EQ(index_->SlotsUsed(kPart), 0U);
  }
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
