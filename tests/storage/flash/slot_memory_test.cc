#include "storage/flash/slot_memory.h"

#include <gtest/gtest.h>

#include "storage/flash/slot_table.h"

namespace terraced::storage {
namespace {

TEST(SlotMemoryTest, OnlyLargeArraysTakeWholePages) {
  constexpr uint64_t kSmall = 255 * sizeof(SlotBucket);
  constexpr uint64_t kLarge = (16U << 10) + 4096;
  PrivateSlotMemory memory;
  SlotBucket* const small = memory.Allocate(255);
  EXPECT_EQ(memory.Bytes(), kSmall);
  SlotBucket* const large = memory.Allocate(257);
  EXPECT_EQ(memory.Bytes(), kSmall + kLarge);
  for (const SlotBucket* at : {small, large}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(at) % sizeof(SlotBucket), 0U);
  }
  memory.Free(small, 255);
  memory.Free(large, 257);
  EXPECT_EQ(memory.Bytes(), 0U);
}

TEST(SlotMemoryTest, ATableCountsUntilItGivesItsMemoryBack) {
  PrivateSlotMemory memory;
  {
    SlotTable table(1025, &memory);
    SlotTable taken(std::move(table));
    EXPECT_EQ(taken.Count(), 1025U);
    taken = SlotTable(1, &memory);
    EXPECT_EQ(memory.Bytes(), sizeof(SlotBucket));
    taken = SlotTable(2, &memory);
    EXPECT_EQ(memory.Bytes(), 2 * sizeof(SlotBucket));
  }
  EXPECT_EQ(memory.Bytes(), 0U);
}

TEST(SlotMemoryTest, PrivateMemoryHasNothingLeftFromBefore) {
  PrivateSlotMemory memory;
  EXPECT_EQ(memory.Ruling(0).count, 0U);
  EXPECT_FALSE(memory.Outlives());
}

}  // namespace
}  // namespace terraced::storage
