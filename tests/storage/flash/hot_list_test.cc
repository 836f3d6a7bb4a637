#include "storage/flash/hot_list.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "tests/support/process.h"

namespace terraced::storage {
namespace {

constexpr IndexIdentity kIdentity = {.directory_id = 5, .run_id = 6};
constexpr char kName[] = "HOT";

std::string KeyOf(int i) {
  return "key" + std::to_string(i) + std::string(static_cast<size_t>(i) % 200, 'k');
}

struct Read {
  std::vector<std::pair<int, std::string>> keys;
  Status status;
};

class HotListTest : public testing::Test {
 protected:
  void SetUp() override {
    Result<FileDescriptor> opened = OpenDirectory(directory_.Path());
    ASSERT_TRUE(opened.ok());
    fd_ = std::move(opened).value();
  }
  // `keys` keys, segments 3, 2 and 1 one after the other.
  void WriteList(int keys) {
    Result<std::unique_ptr<HotListWriter>> writer = HotListWriter::Create(fd_.Get(), kName);
    ASSERT_TRUE(writer.ok());
    for (int i = 0; i < keys; ++i) {
      ASSERT_TRUE(writer.value()->Add({.segment = SegmentOf(i, keys), .key = KeyOf(i)}).ok());
    }
    EXPECT_EQ(writer.value()->Keys(), static_cast<uint64_t>(keys));
    ASSERT_TRUE(writer.value()->Finish(kIdentity).ok());
  }
  static uint8_t SegmentOf(int i, int keys) { return static_cast<uint8_t>(3 - i * 3 / keys); }
  Read ReadList() const {
    Read read;
    const auto reader = HotListReader::Open(fd_.Get(), kName, kIdentity);
    read.status = reader.status();
    HotKey key;
    while (read.status.ok()) {
      const Result<bool> next = reader.value()->Next(&key);
      read.status = next.status();
      if (!next.ok() || !next.value()) break;
      read.keys.emplace_back(key.segment, key.key);
    }
    return read;
  }
  std::string Bytes() const {
    std::ostringstream bytes;
    bytes << std::ifstream(directory_.Sub(kName), std::ios::binary).rdbuf();
    return bytes.str();
  }
  void Replace(const std::string& bytes) const {
    std::ofstream(directory_.Sub(kName), std::ios::binary | std::ios::trunc) << bytes;
  }

  support::TempDirectory directory_;
  FileDescriptor fd_;
};

TEST_F(HotListTest, GivesBackKeysAndSegmentsInOrder) {
  constexpr int kKeys = 5'000;  // many blocks
  ASSERT_NO_FATAL_FAILURE(WriteList(kKeys));
  const Read read = ReadList();
  EXPECT_TRUE(read.status.ok()) << read.status.message();
  ASSERT_EQ(read.keys.size(), static_cast<size_t>(kKeys));
  for (int i = 0; i < kKeys; ++i) {
    const auto& [segment, key] = read.keys[static_cast<size_t>(i)];
    ASSERT_EQ(segment, SegmentOf(i, kKeys)) << i;
    ASSERT_EQ(key, KeyOf(i));
  }
}

TEST_F(HotListTest, AnEmptyListIsOne) {
  ASSERT_NO_FATAL_FAILURE(WriteList(0));
  const Read read = ReadList();
  EXPECT_TRUE(read.status.ok()) << read.status.message();
  EXPECT_TRUE(read.keys.empty());
}

TEST_F(HotListTest, KeysOfAllLengthsPass) {
  Result<std::unique_ptr<HotListWriter>> writer = HotListWriter::Create(fd_.Get(), kName);
  ASSERT_TRUE(writer.ok());
  for (size_t length = 1; length <= 255; ++length) {
    ASSERT_TRUE(writer.value()->Add({.segment = 1, .key = std::string(length, '\xff')}).ok());
  }
  ASSERT_TRUE(writer.value()->Finish(kIdentity).ok());
  const Read read = ReadList();
  ASSERT_EQ(read.keys.size(), 255U);
  for (size_t i = 0; i < 255; ++i) EXPECT_EQ(read.keys[i].second, std::string(i + 1, '\xff'));
}

TEST_F(HotListTest, AWriterThatDoesNotFinishLeavesTheOldListAndNothingElse) {
  ASSERT_NO_FATAL_FAILURE(WriteList(3));
  {
    Result<std::unique_ptr<HotListWriter>> writer = HotListWriter::Create(fd_.Get(), kName);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer.value()->Add({.segment = 1, .key = "other"}).ok());
  }
  EXPECT_EQ(ReadList().keys.size(), 3U);
  EXPECT_FALSE(std::filesystem::exists(directory_.Sub(TemporaryName(kName))));
}

TEST_F(HotListTest, AnotherDirectorysOrRunsIsNone) {
  ASSERT_NO_FATAL_FAILURE(WriteList(3));
  for (const IndexIdentity other : {IndexIdentity{5, 7}, IndexIdentity{6, 6}}) {
    EXPECT_EQ(HotListReader::Open(fd_.Get(), kName, other).status().code(),
              StatusCode::kCorruption);
  }
  ASSERT_TRUE(RemoveFile(fd_.Get(), kName).ok());
  EXPECT_EQ(ReadList().status.code(), StatusCode::kNotFound);
}

TEST_F(HotListTest, EveryBitThatIsTurnedIsNoticed) {
  ASSERT_NO_FATAL_FAILURE(WriteList(9));
  const std::string whole = Bytes();
  const size_t keys = ReadList().keys.size();
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      Replace(bytes);
      const Read read = ReadList();
      ASSERT_EQ(read.status.code(), StatusCode::kCorruption) << at << " " << bit;
      ASSERT_LT(read.keys.size(), keys);
    }
  }
}

TEST_F(HotListTest, EveryLengthThatIsTooShortOrTooLongIsNoticed) {
  ASSERT_NO_FATAL_FAILURE(WriteList(9));
  const std::string whole = Bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    Replace(whole.substr(0, length));
    ASSERT_EQ(ReadList().status.code(), StatusCode::kCorruption) << length;
  }
  Replace(whole + "x");
  EXPECT_EQ(ReadList().status.code(), StatusCode::kCorruption);
}

}  // namespace
}  // namespace terraced::storage
