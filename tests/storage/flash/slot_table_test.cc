#include "storage/flash/slot_table.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <span>
#include <vector>

namespace terraced::storage {
namespace {

class SlotTableTest : public testing::Test {
 protected:
  static uint32_t WordOf(uint32_t fingerprint, uint32_t number) {
    return (fingerprint << kFingerprintShift) | number;
  }
  PrivateSlotMemory memory_;
  std::mt19937_64 random_{7};
};

TEST_F(SlotTableTest, TheOtherBucketOfTheOtherBucketIsTheFirst) {
  for (const uint32_t buckets : {1U, 2U, 3U, 10U, 641U, 65536U, kSlotBucketsMax}) {
    for (int i = 0; i < 1000; ++i) {
      const SlotPlace place = SlotPlace::Of(random_(), buckets);
      ASSERT_LT(place.first, buckets);
      ASSERT_LT(place.second, buckets);
      EXPECT_EQ(SlotPlace::Other(place.fingerprint, place.second, buckets), place.first);
    }
  }
}

TEST_F(SlotTableTest, BucketsAreUsedEvenly) {
  constexpr uint32_t kBuckets = 37;
  constexpr uint32_t kHashes = 370000;
  std::array<uint32_t, kBuckets> seconds{};
  for (uint32_t i = 0; i < kHashes; ++i) ++seconds[SlotPlace::Of(random_(), kBuckets).second];
  for (const uint32_t count : seconds) EXPECT_NEAR(count, kHashes / kBuckets, 600);
}

TEST_F(SlotTableTest, MatchesAreExactlyTheSlotsWithTheFingerprint) {
  SlotTable table(1, &memory_);
  for (int round = 0; round < 2000; ++round) {
    const auto wanted = static_cast<uint32_t>(random_() % 3);
    uint32_t matches = 0;
    uint32_t empty = 0;
    for (uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
      const auto fingerprint = static_cast<uint32_t>(random_() % 3);
      const bool used = random_() % 4 != 0;
      const uint32_t hit = random_() % 2 == 0 ? kSlotHitBit : 0;
      table.SetWord(0, slot, used ? WordOf(fingerprint, 1 + slot) | hit : 0);
      if (!used) empty |= 1U << slot;
      if (used && fingerprint == wanted) matches |= 1U << slot;
    }
    ASSERT_EQ(table.Matches(0, wanted << kFingerprintShift), matches);
    ASSERT_EQ(table.Empty(0), empty);
    ASSERT_EQ(table.Used(), kSlotsPerBucket - static_cast<uint32_t>(std::popcount(empty)));
  }
}

TEST_F(SlotTableTest, AVisitorMayEraseAndSeesABucketOnce) {
  SlotTable table(1, &memory_);  // both buckets of every place are the same
  const SlotPlace place = table.Locate(5);
  for (uint32_t slot = 0; slot < 4; ++slot) table.SetWord(0, slot, place.fingerprint | (slot + 1));
  std::set<BatchNumber> seen;
  table.ForEachSlot(place, [&](uint32_t bucket, uint32_t slot, uint32_t word) {
    EXPECT_TRUE(seen.insert(SlotNumber(word)).second);
    table.SetWord(bucket, slot, 0);
  });
  EXPECT_EQ(seen.size(), 4U);
  EXPECT_EQ(table.Used(), 0U);
}

TEST_F(SlotTableTest, ANewTableIsEmptyWhateverItsMemoryHeld) {
  for (const uint32_t buckets : {5U, 255U, 256U}) {
    for (int i = 0; i < 2; ++i) {
      SlotTable table(buckets, &memory_);
      for (uint32_t bucket = 0; bucket < buckets; ++bucket) {
        ASSERT_EQ(table.Empty(bucket), 0xffffU) << buckets;
        for (uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
          table.SetWord(bucket, slot, WordOf(1, 1));
        }
      }
    }
  }
}

TEST_F(SlotTableTest, ATableTakenOverIsCountedAndRidOfWhatIsNotWanted) {
  SlotTable before(3, &memory_);
  before.SetWord(0, 0, WordOf(9, 1));
  before.SetWord(0, 5, WordOf(9, 2) | kSlotHitBit);
  before.SetWord(2, 15, WordOf(8, 1));
  before.SetWord(1, 1, WordOf(7, 0));  // of no batch: nothing ever stores that
  SlotTable after(before.Slots(), &memory_);
  before.LeaveInPlace();
  std::vector<int64_t> numbers(kBatchNumbers, 0);
  const auto keep = std::make_unique<bool[]>(kBatchNumbers);
  keep[1] = true;
  after.Recount(std::span(keep.get(), kBatchNumbers), numbers);
  EXPECT_EQ(after.Used(), 2U);
  EXPECT_EQ(numbers[1], 2);
  EXPECT_EQ(numbers[2], 0);
  EXPECT_EQ(numbers[kNoBatch], 46);
  EXPECT_EQ(after.Word(0, 0), WordOf(9, 1));
  EXPECT_EQ(after.Word(0, 5), 0U);
  EXPECT_EQ(after.Word(1, 1), 0U);
}

}  // namespace
}  // namespace terraced::storage
