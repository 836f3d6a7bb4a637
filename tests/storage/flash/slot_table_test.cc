#include "storage/flash/slot_table.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace terraced::storage {
namespace {

class SlotTableTest : public testing::Test {
 protected:
  static uint32_t WordOf(uint32_t fingerprint, uint32_t number) {
    return (fingerprint << kFingerprintShift) | number;
  }
  std::atomic<uint64_t> memory_bytes_{0};
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
  SlotTable table(1, &memory_bytes_);
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
  SlotTable table(1, &memory_bytes_);  // both buckets of every place are the same
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

TEST_F(SlotTableTest, OnlyLargeTablesTakeWholePages) {
  constexpr uint64_t kSmall = 255 * sizeof(SlotBucket);
  constexpr uint64_t kLarge = (16U << 10) + 4096;
  const SlotTable small(255, &memory_bytes_);
  EXPECT_EQ(memory_bytes_, kSmall);
  const SlotTable large(257, &memory_bytes_);
  EXPECT_EQ(memory_bytes_, kSmall + kLarge);
  for (const SlotTable* table : {&small, &large}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(table->Base()) % sizeof(SlotBucket), 0U);
  }
}

TEST_F(SlotTableTest, ANewTableIsEmptyWhateverItsMemoryHeld) {
  for (const uint32_t buckets : {5U, 255U, 256U}) {
    for (int i = 0; i < 2; ++i) {
      SlotTable table(buckets, &memory_bytes_);
      for (uint32_t bucket = 0; bucket < buckets; ++bucket) {
        ASSERT_EQ(table.Empty(bucket), 0xffffU) << buckets;
        for (uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
          table.SetWord(bucket, slot, WordOf(1, 1));
        }
      }
    }
  }
}

TEST_F(SlotTableTest, MemoryIsCountedUntilItIsGivenBack) {
  {
    SlotTable table(1025, &memory_bytes_);
    SlotTable taken(std::move(table));
    EXPECT_EQ(taken.Count(), 1025U);
    taken = SlotTable(1, &memory_bytes_);
    EXPECT_EQ(memory_bytes_.load(), sizeof(SlotBucket));
    taken = SlotTable(2, &memory_bytes_);
    EXPECT_EQ(memory_bytes_.load(), 2 * sizeof(SlotBucket));
  }
  EXPECT_EQ(memory_bytes_.load(), 0U);
}

}  // namespace
}  // namespace terraced::storage
