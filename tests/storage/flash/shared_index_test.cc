#include "storage/flash/shared_index.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "storage/flash/slot_table.h"
#include "tests/support/process.h"

namespace terraced::storage {
namespace {

using support::TempDirectory;
using testing::HasSubstr;

constexpr uint64_t kDirectoryId = 0xabcdef0123456789U;
constexpr uint64_t kRun = 77;
constexpr uint64_t kEpoch = 5;

class SharedIndexTest : public testing::Test {
 protected:
  std::unique_ptr<SharedIndex> Open(uint64_t bytes_max = 64U << 20,
                                    uint64_t directory_id = kDirectoryId) {
    Result<std::unique_ptr<SharedIndex>> opened = SharedIndex::Open(
        {.directory = directory_.Path(), .directory_id = directory_id, .bytes_max = bytes_max});
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return opened.ok() ? std::move(opened).value() : nullptr;
  }
  std::string PathOf() const { return directory_.Sub("terraced-abcdef0123456789.index"); }
  static uint64_t HashOf(uint64_t i) { return (i + 1) * 0x9e3779b97f4a7c15U; }

  // An index over it with one batch of so many keys, in run kRun.
  void Begin(uint64_t keys, uint64_t bytes_max = 64U << 20) {
    shared_ = Open(bytes_max);
    ASSERT_TRUE(shared_->Clear().ok());
    MakeTables();
    number_ =
        batches_->Open({.serial = 900, .epoch = kEpoch, .file_bytes = 4'096, .record_count = keys})
            .value();
    for (uint64_t i = 0; i < keys; ++i) {
      ASSERT_EQ(index_->Add(PartitionOf(HashOf(i)), HashOf(i), number_, false),
                FlashIndex::AddResult::kAdded);
    }
    shared_->Flush().epoch = kEpoch;
    shared_->File().BeginRun(kRun);
    shared_->File().ConfirmRun();
  }
  void MakeTables() {
    batches_ = std::make_unique<BatchTable>(&shared_->Batches());
    index_ = std::make_unique<FlashIndex>(*batches_, 4, shared_.get());
  }
  // As a kill: nothing is said to the file.
  void Leave() {
    index_.reset();
    batches_.reset();
    shared_.reset();
  }
  Status Left(uint64_t run = kRun) { return Open()->CheckLeft(run, TimeStamp::Now(), 0); }
  void TakeOver(uint64_t run = kRun) {
    shared_ = Open();
    const Status left = shared_->CheckLeft(run, TimeStamp::Now(), 0);
    ASSERT_TRUE(left.ok()) << left.message();
    MakeTables();
  }
  bool Finds(uint64_t i) const {
    return index_->Find(PartitionOf(HashOf(i)), HashOf(i), kEpoch).Has(900);
  }
  void Grow(Partition partition, uint64_t keys) {
    index_->BeginGrowth(partition);
    for (uint64_t i = 0; i < keys; ++i) {
      if (PartitionOf(HashOf(i)) == partition) {
        ASSERT_TRUE(index_->CarryOver(partition, HashOf(i), 900));
      }
    }
    ASSERT_TRUE(index_->FinishGrowth(partition));
  }
  uint64_t DiskBytes() const {
    struct stat info = {};
    EXPECT_EQ(::stat(PathOf().c_str(), &info), 0);
    return static_cast<uint64_t>(info.st_blocks) * 512;
  }
  void Overwrite(uint64_t offset, std::string_view bytes) const {
    std::fstream file(PathOf(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file << bytes;
  }

  TempDirectory directory_;
  std::unique_ptr<SharedIndex> shared_;
  std::unique_ptr<BatchTable> batches_;
  std::unique_ptr<FlashIndex> index_;
  BatchNumber number_ = kNoBatch;
};

TEST_F(SharedIndexTest, ASlotOutlivesTheProcessAndARemovedOneDoesNotComeBack) {
  ASSERT_NO_FATAL_FAILURE(Begin(3'000));
  for (uint64_t i = 0; i < 3'000; i += 3) index_->Remove(PartitionOf(HashOf(i)), HashOf(i), kEpoch);
  std::vector<bool> stood;
  for (uint64_t i = 0; i < 3'000; ++i) stood.push_back(Finds(i));
  const int64_t live = batches_->Live(number_);
  const uint64_t memory = index_->MemoryBytes();
  Leave();
  ASSERT_NO_FATAL_FAILURE(TakeOver());
  for (uint64_t i = 0; i < 3'000; ++i) ASSERT_EQ(Finds(i), stood[i]) << i;
  EXPECT_EQ(batches_->Live(number_), live);
  EXPECT_EQ(batches_->Info(number_).file_bytes, 4'096U);
  EXPECT_EQ(batches_->LivingBytes(), 4'096U);
  EXPECT_EQ(index_->MemoryBytes(), memory);
  EXPECT_EQ(shared_->Flush().epoch, kEpoch);
  EXPECT_GT(batches_->Open({.serial = 901, .epoch = kEpoch}).value(), number_);
}

TEST_F(SharedIndexTest, TheFileIsItsOwnersOnly) {
  ASSERT_NO_FATAL_FAILURE(Begin(1));
  struct stat info = {};
  ASSERT_EQ(::stat(PathOf().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(SharedIndexTest, SlotsOfADroppedBatchGoWhenItIsTakenOver) {
  ASSERT_NO_FATAL_FAILURE(Begin(500));
  batches_->Kill(number_);
  Leave();
  ASSERT_NO_FATAL_FAILURE(TakeOver());
  EXPECT_TRUE(batches_->Living().empty());
  EXPECT_TRUE(batches_->Dead().empty());
  uint64_t used = 0;
  for (Partition i = 0; i < kPartitions; ++i) used += index_->SlotsUsed(i);
  EXPECT_EQ(used, 0U);
}

TEST_F(SharedIndexTest, AGrownPartitionIsFoundAndOneThatWasGrowingAsItWas) {
  ASSERT_NO_FATAL_FAILURE(Begin(3'000));
  ASSERT_NO_FATAL_FAILURE(Grow(1, 3'000));
  const uint64_t grown = index_->SlotsTotal(1);
  index_->BeginGrowth(2);
  Leave();
  ASSERT_NO_FATAL_FAILURE(TakeOver());
  EXPECT_EQ(index_->SlotsTotal(1), grown);
  EXPECT_LT(index_->SlotsTotal(2), grown);
  for (uint64_t i = 0; i < 3'000; ++i) ASSERT_TRUE(Finds(i)) << i;
}

TEST_F(SharedIndexTest, WhatWasOutgrownIsGivenBackToTheFilesystem) {
  ASSERT_NO_FATAL_FAILURE(Begin(10));
  const uint64_t before = DiskBytes();
  index_->BeginGrowth(7, 100'000);  // 0.5 MB
  EXPECT_GT(DiskBytes(), before + 400'000);
  for (uint64_t i = 0; i < 10; ++i) {
    if (PartitionOf(HashOf(i)) == 7) {
      ASSERT_TRUE(index_->CarryOver(7, HashOf(i), 900));
    }
  }
  index_->AbandonGrowth(7);
  EXPECT_LE(DiskBytes(), before + 8'192);
  index_->BeginGrowth(7, 100'000);
  Leave();  // under way
  ASSERT_NO_FATAL_FAILURE(TakeOver());
  EXPECT_LE(DiskBytes(), before + 8'192);
}

TEST_F(SharedIndexTest, MemoryUsedAgainIsEmpty) {
  ASSERT_NO_FATAL_FAILURE(Begin(0));
  for (const uint32_t buckets : {5U, 200U, 300U, 5'000U}) {
    for (int i = 0; i < 3; ++i) {
      SlotTable table(buckets, shared_.get());
      for (uint32_t bucket = 0; bucket < buckets; ++bucket) {
        ASSERT_EQ(table.Empty(bucket), 0xffffU) << buckets;
        table.SetWord(bucket, 3, 0x12345);
      }
    }
  }
}

TEST_F(SharedIndexTest, BetweenTwoRunsEitherNameOpensIt) {
  ASSERT_NO_FATAL_FAILURE(Begin(1));
  shared_->File().BeginRun(kRun + 1);
  Leave();
  EXPECT_TRUE(Left(kRun).ok());
  EXPECT_TRUE(Left(kRun + 1).ok());
  ASSERT_NO_FATAL_FAILURE(TakeOver(kRun + 1));
  shared_->File().BeginRun(kRun + 2);
  shared_->File().ConfirmRun();
  Leave();
  EXPECT_THAT(std::string(Left(kRun).message()), HasSubstr("another run"));
  EXPECT_THAT(std::string(Left(0).message()), HasSubstr("no run"));
  EXPECT_TRUE(Left(kRun + 2).ok());
}

// As of a start after a clean stop: the file is new, and STATE names its run before the file says so.
TEST_F(SharedIndexTest, ANewFileAnswersToTheRunThatBegins) {
  shared_ = Open();
  ASSERT_TRUE(shared_->Clear().ok());
  MakeTables();
  shared_->File().BeginRun(kRun);
  Leave();
  EXPECT_TRUE(Left(kRun).ok());
  EXPECT_THAT(std::string(Left(kRun + 1).message()), HasSubstr("another run"));
}

TEST_F(SharedIndexTest, NothingIsTakenOverThatDoesNotAddUp) {
  EXPECT_THAT(std::string(Left().message()), HasSubstr("no shared index"));
  ASSERT_NO_FATAL_FAILURE(Begin(100));
  Leave();
  ASSERT_TRUE(Left().ok());
  const std::string whole = support::ReadTextFile(PathOf());
  const auto damaged = [&](uint64_t offset, std::string_view bytes) {
    Overwrite(offset, bytes);
    const std::string why(Left().message());
    std::ofstream(PathOf(), std::ios::binary | std::ios::trunc) << whole;
    return why;
  };
  EXPECT_THAT(damaged(0, "x"), HasSubstr("version"));            // magic
  EXPECT_THAT(damaged(8, "x"), HasSubstr("version"));            // version
  EXPECT_THAT(damaged(16, "x"), HasSubstr("directory"));         // directory id
  EXPECT_THAT(damaged(24, "0000"), HasSubstr("started again"));  // boot id
  EXPECT_THAT(damaged(64, std::string(16, 'x')), HasSubstr("another run"));
  // The partitions' words begin after run ids, heartbeat and flush mark.
  EXPECT_THAT(damaged(104, std::string(8, '\0')), HasSubstr("contradicts"));
  EXPECT_THAT(damaged(104, std::string(8, '\xff')), HasSubstr("contradicts"));
  EXPECT_THAT(damaged(104, whole.substr(112, 8)), HasSubstr("contradicts"));  // another's place
  // Serials follow: number 1 has the one of the batch, number 2 none.
  EXPECT_THAT(damaged(104 + 2048 + 8, "x"), HasSubstr("contradicts"));
  EXPECT_THAT(damaged(104 + 2048 + 16, whole.substr(104 + 2048 + 8, 8)), HasSubstr("contradicts"));
  std::filesystem::resize_file(PathOf(), 5'000);
  EXPECT_THAT(std::string(Left().message()), HasSubstr("cut off"));
}

TEST_F(SharedIndexTest, AnotherDirectoryHasAnotherFile) {
  ASSERT_NO_FATAL_FAILURE(Begin(1));
  Leave();
  const std::unique_ptr<SharedIndex> other = Open(64U << 20, kDirectoryId + 1);
  EXPECT_THAT(std::string(other->CheckLeft(kRun, TimeStamp::Now(), 0).message()),
              HasSubstr("no shared index"));
}

TEST_F(SharedIndexTest, ADowntimeThatIsTooLongOrAClockThatWentBackIsACold) {
  ASSERT_NO_FATAL_FAILURE(Begin(1));
  const TimeStamp now = TimeStamp::Now();
  Leave();
  const auto left = [this](uint32_t wall_s, uint32_t boot_s, uint32_t max_s) {
    return std::string(Open()->CheckLeft(kRun, {wall_s, boot_s}, max_s).message());
  };
  EXPECT_EQ(left(now.wall_s + 100, now.boot_s + 100, 0), "ok");
  EXPECT_EQ(left(now.wall_s + 100, now.boot_s + 100, 200), "ok");
  EXPECT_THAT(left(now.wall_s + 300, now.boot_s + 300, 200), HasSubstr("max_downtime is 200"));
  EXPECT_THAT(left(now.wall_s + 50, now.boot_s + 100, 0), HasSubstr("clock went back"));
  EXPECT_EQ(left(now.wall_s + 500, now.boot_s + 100, 200), "ok");  // forward: more has expired
  EXPECT_TRUE(CheckDowntime(1'000, 0, 995, 0).ok());
  EXPECT_FALSE(CheckDowntime(1'000, 0, 994, 0).ok());
}

TEST_F(SharedIndexTest, ALockedFileIsRefused) {
  ASSERT_NO_FATAL_FAILURE(Begin(1));
  const Result<std::unique_ptr<SharedIndex>> second = SharedIndex::Open(
      {.directory = directory_.Path(), .directory_id = kDirectoryId, .bytes_max = 1U << 20});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kBusy);
}

TEST_F(SharedIndexTest, ALinkOrADirectoryThatIsNotThereIsRefused) {
  std::ofstream(directory_.Sub("other")) << "precious";
  std::filesystem::create_symlink(directory_.Sub("other"), PathOf());
  EXPECT_FALSE(
      SharedIndex::Open(
          {.directory = directory_.Path(), .directory_id = kDirectoryId, .bytes_max = 1U << 20})
          .ok());
  EXPECT_EQ(support::ReadTextFile(directory_.Sub("other")), "precious");
  EXPECT_FALSE(SharedIndex::Open(
                   {.directory = directory_.Sub("none"), .directory_id = 1, .bytes_max = 1U << 20})
                   .ok());
}

TEST_F(SharedIndexTest, WithoutRoomItGoesOnInPrivateMemoryAndIsWorthNothing) {
  ASSERT_NO_FATAL_FAILURE(Begin(1'000, 2U << 20));
  index_->BeginGrowth(3, 400'000);  // more than there is room for
  EXPECT_TRUE(shared_->File().GivenUp());
  for (uint64_t i = 0; i < 1'000; ++i) {
    if (PartitionOf(HashOf(i)) == 3) {
      ASSERT_TRUE(index_->CarryOver(3, HashOf(i), 900));
    }
  }
  ASSERT_TRUE(index_->FinishGrowth(3));
  for (uint64_t i = 0; i < 1'000; ++i) ASSERT_TRUE(Finds(i)) << i;
  shared_->File().BeginRun(kRun + 1);
  shared_->File().ConfirmRun();
  Leave();
  EXPECT_THAT(std::string(Left().message()), HasSubstr("given up"));
  EXPECT_FALSE(Left(kRun + 1).ok());
}

TEST_F(SharedIndexTest, AfterACleanStopThereIsNoFile) {
  ASSERT_NO_FATAL_FAILURE(Begin(1));
  shared_->File().Remove();
  Leave();
  EXPECT_FALSE(std::filesystem::exists(PathOf()));
}

}  // namespace
}  // namespace terraced::storage
