#include "storage/flash/batch_table.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace terraced::storage {
namespace {

BatchInfo Batch(uint64_t serial, uint64_t file_bytes = 100) {
  BatchInfo info;
  info.serial = serial;
  info.epoch = 7;
  info.file_bytes = file_bytes;
  return info;
}

class BatchTableTest : public testing::Test {
 protected:
  void Drop(BatchNumber number) {
    table_->Kill(number);
    table_->Free(number);
  }
  // On the heap: the table is larger than a test's stack frame should be.
  std::unique_ptr<BatchTable> table_ = std::make_unique<BatchTable>();
};

TEST_F(BatchTableTest, ANumberIsFreeThenLivingThenDeadThenFree) {
  const BatchNumber number = table_->Open(Batch(5)).value();
  EXPECT_NE(number, kNoBatch);
  EXPECT_EQ(table_->SerialOf(number), 5U);
  EXPECT_EQ(table_->EpochOf(number), 7U);
  EXPECT_EQ(table_->Info(number).number, number);
  EXPECT_EQ(table_->Living(), std::vector<BatchNumber>{number});
  EXPECT_TRUE(table_->Dead().empty());

  table_->Kill(number);
  EXPECT_EQ(table_->SerialOf(number), kNoSerial);
  EXPECT_TRUE(table_->Living().empty());
  EXPECT_EQ(table_->Dead(), std::vector<BatchNumber>{number});
  EXPECT_EQ(table_->UsedNumbers(), 1U);

  table_->Free(number);
  EXPECT_TRUE(table_->Dead().empty());
  EXPECT_EQ(table_->UsedNumbers(), 0U);
}

TEST_F(BatchTableTest, NumbersGoRoundBeforeOneIsUsedAgain) {
  std::set<BatchNumber> seen;
  for (uint64_t serial = 1; serial < kBatchNumbers; ++serial) {
    const BatchNumber number = table_->Open(Batch(serial)).value();
    EXPECT_TRUE(seen.insert(number).second);
    Drop(number);
  }
  EXPECT_EQ(seen.size(), kBatchNumbers - 1);
  EXPECT_FALSE(seen.contains(kNoBatch));
  EXPECT_EQ(table_->Open(Batch(kBatchNumbers)).value(), *seen.begin());
}

TEST_F(BatchTableTest, RefusesWhenHalfOfTheNumbersAreInUse) {
  for (uint64_t serial = 1; serial <= kBatchesMax; ++serial) {
    ASSERT_TRUE(table_->Open(Batch(serial)).has_value());
  }
  EXPECT_FALSE(table_->Open(Batch(kBatchesMax + 1)).has_value());
  const BatchNumber oldest = table_->Living().front();
  table_->Kill(oldest);
  EXPECT_FALSE(table_->Open(Batch(kBatchesMax + 1)).has_value()) << "an unswept number is in use";
  table_->Free(oldest);
  EXPECT_TRUE(table_->Open(Batch(kBatchesMax + 1)).has_value());
}

TEST_F(BatchTableTest, LivingBatchesComeOldestFirst) {
  table_->Restore(
      [] {
        BatchInfo info = Batch(9);
        info.number = 3;
        return info;
      }(),
      0);
  table_->Restore(
      [] {
        BatchInfo info = Batch(4);
        info.number = 8;
        return info;
      }(),
      0);
  table_->Open(Batch(10));
  std::vector<uint64_t> serials;
  for (const BatchNumber number : table_->Living()) serials.push_back(table_->SerialOf(number));
  EXPECT_EQ(serials, (std::vector<uint64_t>{4, 9, 10}));
}

TEST_F(BatchTableTest, CountsTheBytesOfLivingBatchesOnly) {
  const BatchNumber first = table_->Open(Batch(1, 100)).value();
  const BatchNumber second = table_->Open(Batch(2, 50)).value();
  EXPECT_EQ(table_->LivingBytes(), 150U);
  table_->SetSizes(second, 20, 3, 90);
  EXPECT_EQ(table_->LivingBytes(), 120U);
  EXPECT_EQ(table_->LivingRecords(), Batch(1).record_count + 3);
  EXPECT_EQ(table_->Info(second).record_count, 3U);
  EXPECT_EQ(table_->Info(second).raw_bytes, 90U);
  Drop(first);
  EXPECT_EQ(table_->LivingBytes(), 20U);
}

TEST_F(BatchTableTest, ANewBatchBeginsWithoutCounts) {
  const BatchNumber number = table_->Open(Batch(1)).value();
  table_->AddLive(number, 3);
  table_->AddClean(number, 2);
  EXPECT_EQ(table_->Live(number), 3);
  EXPECT_EQ(table_->Clean(number), 2);
  table_->AddLive(number, -3);
  Drop(number);
  BatchInfo again = Batch(2);
  again.number = number;
  table_->Restore(again, 4);
  EXPECT_EQ(table_->Live(number), 4);
  EXPECT_EQ(table_->Clean(number), 0);
}

TEST_F(BatchTableTest, RestoredBatchesKeepNumberSerialAndEpoch) {
  BatchInfo info = Batch(77, 1000);
  info.number = 4000;
  table_->Restore(info, 0);
  EXPECT_EQ(table_->SerialOf(4000), 77U);
  EXPECT_EQ(table_->EpochOf(4000), 7U);
  EXPECT_EQ(table_->LivingBytes(), 1000U);
  EXPECT_EQ(table_->Open(Batch(78)).value(), 4001) << "numbers go on behind the restored ones";
}

using BatchTableDeathTest = BatchTableTest;

TEST_F(BatchTableDeathTest, ASerialIsNeverUsedAgain) {
  table_->Open(Batch(5));
  EXPECT_DEATH(table_->Open(Batch(5)), "newest_serial_");
  EXPECT_DEATH(table_->Open(Batch(4)), "newest_serial_");
}

TEST_F(BatchTableDeathTest, Rule5NoNumberIsFreedWhileSlotsCarryIt) {
  const BatchNumber number = table_->Open(Batch(5)).value();
  EXPECT_DEATH(table_->Free(number), "SerialOf");
  table_->AddLive(number, 1);
  table_->Kill(number);
  EXPECT_DEATH(table_->Free(number), "Live");
}

}  // namespace
}  // namespace terraced::storage
