// How the database of the store is opened again, by whoever writes to it, and what a reader sees meanwhile.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "tests/storage/flash/rocks_store_fixture.h"
#include "tests/support/file_size_limit.h"

namespace terraced::storage {
namespace {

using RocksDatabaseTest = RocksStoreFixture;

TEST_F(RocksDatabaseTest, OpeningItAgainKeepsReadersGoing) {
  const Values values = SomeValues(200, 200, 1);
  ASSERT_TRUE(Write(1, values).ok());
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> failures{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!stop.load()) {
        for (const auto& [key, value] : values) {
          const Result<std::string> read = Read(1, key);
          if (!read.ok() || read.value() != value) failures.fetch_add(1);
        }
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    BreakDatabase(50 + static_cast<uint64_t>(i));
    EXPECT_TRUE(store_->Recover(0).ok());
    EXPECT_TRUE(Write(100 + static_cast<uint64_t>(i), values).ok());
    static_cast<void>(store_->Stats());
  }
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(failures.load(), 0U);
}

TEST_F(RocksDatabaseTest, AManifestThatCannotBeWrittenIsAnErrorAndTheStoreOpensItselfAgain) {
  for (uint64_t serial = 1; serial <= 150; ++serial)
    ASSERT_TRUE(Write(serial, {{"k", std::to_string(serial)}}).ok());
  uint64_t manifest_bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_.Path() + "/db")) {
    if (entry.path().filename().string().starts_with("MANIFEST"))
      manifest_bytes = entry.file_size();
  }
  ASSERT_GT(manifest_bytes, 8192U) << "hash list and SST must fit under the limit";
  {
    const support::FileSizeLimit limit(manifest_bytes);
    EXPECT_FALSE(Write(200, {{"k", "200"}}).ok());
    EXPECT_EQ(Read(1, "k").value(), "1") << "readers go on";
    static_cast<void>(Write(201, {{"k", "201"}}).ok());
    static_cast<void>(store_->Drop(2).ok());
  }
  ASSERT_TRUE(store_->Recover(0).ok());
  EXPECT_TRUE(Write(202, {{"k", "202"}}).ok());
  EXPECT_TRUE(store_->Drop(3).ok());
  EXPECT_EQ(Read(202, "k").value(), "202");
  EXPECT_EQ(ReadCode(3, "k"), StatusCode::kNotFound);
  for (uint64_t serial = 4; serial <= 150; ++serial)
    ASSERT_EQ(Read(serial, "k").value(), std::to_string(serial));
  ASSERT_TRUE(store_->Retain([](uint64_t serial) { return serial == 202; }).ok());
  EXPECT_EQ(store_->Stats().files, 1U);
}

TEST_F(RocksDatabaseTest, RecoveryOpensTheDatabaseAgainOnlyIfItIsBroken) {
  ASSERT_TRUE(Write(1, {{"k", "v"}}).ok());
  const std::string manifest = Manifest();
  {
    const support::FileSizeLimit limit(1024);
    EXPECT_FALSE(Write(2, SomeValues(2000, 500, 1)).ok());
  }
  EXPECT_TRUE(store_->Recover(1U << 20).ok());
  EXPECT_EQ(Manifest(), manifest);
  EXPECT_TRUE(std::filesystem::is_empty(directory_.Path() + "/staging"));
  BreakDatabase(3);
  EXPECT_TRUE(store_->Recover(0).ok());
  EXPECT_NE(Manifest(), manifest);
  EXPECT_TRUE(Write(4, {{"k", "x"}}).ok());
  EXPECT_EQ(Read(1, "k").value(), "v");
}

TEST_F(RocksDatabaseTest, ADiskThatTakesNoSmallFileLeavesTheDatabaseToReaders) {
  const Values values = SomeValues(500, 500, 1);
  ASSERT_TRUE(Write(1, values).ok());
  BreakDatabase(2);
  const std::string manifest = Manifest();
  {
    const support::FileSizeLimit limit(64);
    EXPECT_FALSE(store_->Recover(0).ok());
    EXPECT_FALSE(Write(3, values).ok());
    EXPECT_FALSE(store_->Drop(1).ok());
    EXPECT_EQ(Manifest(), manifest);
    ExpectHolds(1, values);
  }
  {
    const support::FileSizeLimit limit(64U << 10);
    EXPECT_FALSE(store_->Recover(1U << 20).ok()) << "no room for a batch";
    ExpectHolds(1, values);
  }
  EXPECT_TRUE(store_->Recover(1U << 20).ok());
  EXPECT_TRUE(Write(4, values).ok());
}

TEST_F(RocksDatabaseTest, ADatabaseThatCannotBeOpenedAgainIsStillRead) {
  for (uint64_t serial = 1; serial <= 150; ++serial)
    ASSERT_TRUE(Write(serial, {{"k", std::to_string(serial)}}).ok());
  BreakDatabase(200);
  {
    const support::FileSizeLimit limit(
        8192);  // less than a MANIFEST of 150 files, enough for a small file
    EXPECT_FALSE(store_->Recover(0).ok());
    for (uint64_t serial = 1; serial <= 150; ++serial)
      ASSERT_EQ(Read(serial, "k").value(), std::to_string(serial));
    EXPECT_FALSE(Write(201, {{"k", "201"}}).ok());
    EXPECT_FALSE(store_->Retain([](uint64_t) { return false; }).ok());
    EXPECT_EQ(Read(1, "k").value(), "1");
  }
  ASSERT_TRUE(store_->Recover(0).ok());
  EXPECT_TRUE(Write(202, {{"k", "202"}}).ok());
  for (uint64_t serial = 1; serial <= 150; ++serial)
    ASSERT_EQ(Read(serial, "k").value(), std::to_string(serial));
}

TEST_F(RocksDatabaseTest, DropsDoNotOpenABrokenDatabase) {
  ASSERT_TRUE(Write(1, {{"k", "v"}}).ok());
  BreakDatabase(2);
  const std::string manifest = Manifest();
  EXPECT_FALSE(store_->Drop(1).ok());
  EXPECT_FALSE(store_->Retain([](uint64_t) { return false; }).ok());
  EXPECT_EQ(Manifest(), manifest);
  EXPECT_EQ(Read(1, "k").value(), "v");
  ASSERT_TRUE(store_->Recover(0).ok());
  EXPECT_TRUE(store_->Retain([](uint64_t) { return false; }).ok());
  EXPECT_EQ(ReadCode(1, "k"), StatusCode::kNotFound);
}

TEST_F(RocksDatabaseTest, RecoveryNoticesThatTheFilesAreGone) {
  ASSERT_TRUE(Write(1, {{"k", "v"}}).ok());
  for (const char* const name : {"db", "staging", "hashes"})
    std::filesystem::remove_all(directory_.Path() + "/" + name);
  ASSERT_TRUE(store_->Recover(0).ok());
  ASSERT_TRUE(Write(2, {{"k", "w"}}).ok());
  CloseStore();
  OpenStore();
  EXPECT_EQ(Read(2, "k").value(), "w");
  EXPECT_EQ(ReadCode(1, "k"), StatusCode::kNotFound);
}

}  // namespace
}  // namespace terraced::storage
