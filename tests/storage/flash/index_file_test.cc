#include "storage/flash/index_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "storage/base/file_io.h"
#include "tests/support/process.h"

namespace terraced::storage {
namespace {

constexpr IndexIdentity kIdentity = {.directory_id = 5, .run_id = 6};
constexpr uint64_t kEpoch = 9;
constexpr size_t kSlots = 2000;

class IndexFileTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<FileDescriptor> opened = OpenDirectory(directory_.Path());
    ASSERT_TRUE(opened.ok());
    fd_ = std::move(opened).value();
    std::mt19937_64 random(1);
    for (uint64_t serial = 1; serial <= 8; ++serial) {
      numbers_.push_back(
          *batches_.Open({.serial = serial, .epoch = kEpoch, .record_count = serial * 10}));
    }
    for (size_t i = 0; i < kSlots; ++i) {
      const uint64_t hash = random();
      if (index_.Add(PartitionOf(hash), hash, numbers_[i % 8], i % 3 == 0) ==
          FlashIndex::AddResult::kAdded) {
        hashes_.push_back(hash);
      }
    }
    batches_.Kill(numbers_[2]);  // dead and unswept: neither it nor its slots may come back
    const Status status = WriteIndexFile(fd_.Get(), "INDEX", kIdentity, batches_, index_);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  std::string Bytes() const {
    std::ostringstream bytes;
    bytes << std::ifstream(directory_.Sub("INDEX"), std::ios::binary).rdbuf();
    return bytes.str();
  }
  Status Load(const std::string& bytes, const IndexIdentity& identity = kIdentity) {
    std::ofstream(directory_.Sub("INDEX"), std::ios::binary | std::ios::trunc) << bytes;
    BatchTable batches;
    FlashIndex index(batches, 16);
    return ReadIndexFile(fd_.Get(), "INDEX", identity, &batches, &index);
  }

  support::TempDirectory directory_;
  FileDescriptor fd_;
  BatchTable batches_;
  FlashIndex index_{batches_, 16};
  std::vector<BatchNumber> numbers_;
  std::vector<uint64_t> hashes_;
};

TEST_F(IndexFileTest, GivesBackBatchesAndSlots) {
  BatchTable batches;
  FlashIndex index(batches, 16);
  const Status status = ReadIndexFile(fd_.Get(), "INDEX", kIdentity, &batches, &index);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(batches.Living().size(), 7U);
  for (const BatchNumber number : batches.Living()) {
    EXPECT_EQ(batches.Info(number).serial, batches_.Info(number).serial);
    EXPECT_EQ(batches.Info(number).record_count, batches_.Info(number).record_count);
    EXPECT_EQ(batches.EpochOf(number), kEpoch);
    EXPECT_EQ(batches.Live(number), batches_.Live(number));
  }
  ASSERT_GT(hashes_.size(), kSlots / 2);
  for (const uint64_t hash : hashes_) {
    const SlotList expected = index_.Find(PartitionOf(hash), hash, kEpoch);
    const SlotList found = index.Find(PartitionOf(hash), hash, kEpoch);
    ASSERT_EQ(found.count, expected.count);
    for (const Slot& slot : expected) EXPECT_TRUE(found.Has(slot.serial));
  }
}

TEST_F(IndexFileTest, ANumberOfADeadBatchCarriesNoOldSlotsWhenItIsUsedAgain) {
  BatchTable batches;
  FlashIndex index(batches, 16);
  ASSERT_TRUE(ReadIndexFile(fd_.Get(), "INDEX", kIdentity, &batches, &index).ok());
  // Every number that is free now is handed out; none may be met in a slot (rule 5).
  uint64_t serial = 100;
  while (batches.Open({.serial = serial, .epoch = kEpoch}).has_value()) ++serial;
  for (const uint64_t hash : hashes_) {
    for (const Slot& slot : index.Find(PartitionOf(hash), hash, kEpoch))
      ASSERT_LT(slot.serial, 100U);
  }
}

TEST_F(IndexFileTest, SaysWhoseItIs) {
  const Result<IndexIdentity> identity = ReadIndexIdentity(fd_.Get(), "INDEX");
  ASSERT_TRUE(identity.ok());
  EXPECT_EQ(identity.value().run_id, kIdentity.run_id);
  EXPECT_EQ(identity.value().directory_id, kIdentity.directory_id);
  EXPECT_EQ(ReadIndexIdentity(fd_.Get(), "NONE").status().code(), StatusCode::kNotFound);
}

TEST_F(IndexFileTest, RefusesAnIndexOfAnotherRunOrDirectory) {
  const std::string bytes = Bytes();
  EXPECT_EQ(Load(bytes, {.directory_id = 5, .run_id = 7}).code(), StatusCode::kCorruption);
  EXPECT_EQ(Load(bytes, {.directory_id = 4, .run_id = 6}).code(), StatusCode::kCorruption);
  EXPECT_TRUE(Load(bytes).ok());
}

TEST_F(IndexFileTest, RefusesFlippedBytesAnywhere) {
  const std::string bytes = Bytes();
  std::mt19937_64 random(2);
  for (int i = 0; i < 150; ++i) {
    // Half of them in the header section.
    const size_t at = i % 2 == 0 ? random() % bytes.size() : random() % 6000;
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (random() % 8)));
    ASSERT_EQ(Load(damaged).code(), StatusCode::kCorruption) << at;
  }
}

TEST_F(IndexFileTest, RefusesAnotherByteAnywhereInItsHeaderSection) {
  const std::string bytes = Bytes();
  constexpr size_t kSectionBytesAt = 12;
  uint32_t section_bytes = 0;
  std::memcpy(&section_bytes, bytes.data() + kSectionBytesAt, sizeof(section_bytes));
  ASSERT_LE(section_bytes, bytes.size());
  for (size_t at = 0; at < section_bytes; ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ (at % 2 == 0 ? 0x80 : 1 << (at / 2 % 8)));
    ASSERT_EQ(Load(damaged).code(), StatusCode::kCorruption) << at;
  }
}

TEST_F(IndexFileTest, RefusesTruncation) {
  const std::string bytes = Bytes();
  std::mt19937_64 random(3);
  for (int i = 0; i < 40; ++i)
    ASSERT_EQ(Load(bytes.substr(0, random() % bytes.size())).code(), StatusCode::kCorruption);
  EXPECT_EQ(Load("").code(), StatusCode::kCorruption);
}

TEST_F(IndexFileTest, ReplacesAnOlderOneWhole) {
  BatchTable batches;
  const FlashIndex index(batches, 16);
  ASSERT_TRUE(
      WriteIndexFile(fd_.Get(), "INDEX", {.directory_id = 1, .run_id = 2}, batches, index).ok());
  EXPECT_EQ(ReadIndexIdentity(fd_.Get(), "INDEX").value().run_id, 2U);
  EXPECT_FALSE(std::filesystem::exists(directory_.Sub("INDEX.new")));
}

}  // namespace
}  // namespace terraced::storage
