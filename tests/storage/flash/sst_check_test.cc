#include "storage/flash/sst_check.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "storage/flash/batch_store.h"
#include "storage/flash/record.h"
#include "tests/support/process.h"

namespace terraced::storage {
namespace {

constexpr uint64_t kSerial = 7;

// An SST as the store makes it, at one place of which there is another byte.
class SstCheckTest : public testing::Test {
 protected:
  void SetUp() override {
    OpenStore();
    ASSERT_NE(store_, nullptr);
    EncodeRecord(kSerial, "k", {}, "value", &record_);
    const BatchRecord record = {.key = "k", .record = record_, .hash = 1};
    ASSERT_TRUE(store_->Write(kSerial, {&record, 1}, {}).ok());
    CloseStore();
    for (const auto& entry : std::filesystem::directory_iterator(directory_.Sub("db"))) {
      if (entry.path().extension() == ".sst") path_ = entry.path().string();
    }
    good_ = support::ReadTextFile(path_);
    // The block of properties begins with its first name, and a byte for each of three lengths.
    properties_ = good_.find("rocksdb.block.based.table.index.type") - 3;
    ASSERT_LT(properties_, good_.size());
    properties_end_ = good_.size() - kFooterBytes;
  }
  void OpenStore() {
    Result<std::unique_ptr<BatchStore>> opened = OpenBatchStore({.directory = directory_.Path()});
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    store_ = std::move(opened).value();
  }
  void CloseStore() {
    EXPECT_TRUE(store_->Close().ok());
    store_.reset();
  }
  void Put(size_t at, int flip) {
    std::string bytes = good_;
    bytes[at] = static_cast<char>(bytes[at] ^ flip);
    std::ofstream(path_, std::ios::binary) << bytes;
  }

  // Thousands of small files: on memory where there is some.
  static std::string Base() { return std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : ""; }

  static constexpr size_t kFooterBytes = 53;
  support::TempDirectory directory_{Base()};
  std::unique_ptr<BatchStore> store_;
  std::string record_;
  std::string path_;
  std::string good_;
  size_t properties_ = 0;
  size_t properties_end_ = 0;
};

TEST_F(SstCheckTest, WhatTheStoreWroteAddsUp) {
  EXPECT_TRUE(CheckSst(path_).ok()) << CheckSst(path_).message();
  EXPECT_EQ(CheckSst(directory_.Sub("absent")).code(), StatusCode::kIoError);
  std::ofstream(path_, std::ios::binary) << good_.substr(0, 40);
  EXPECT_EQ(CheckSst(path_).code(), StatusCode::kCorruption);
  std::ofstream(path_, std::ios::binary) << "";
  EXPECT_EQ(CheckSst(path_).code(), StatusCode::kCorruption);
}

TEST_F(SstCheckTest, BlocksThatDoNotAddUpAreRefused) {
  const std::string restarts("\0\0\0\0\1\0\0\0", 8);
  const std::string entry("\0\1\1kv", 5);
  EXPECT_TRUE(AddsUpAsProperties(entry + restarts));
  EXPECT_FALSE(AddsUpAsProperties(""));
  EXPECT_FALSE(AddsUpAsProperties("abc"));
  EXPECT_FALSE(AddsUpAsProperties(entry + std::string(4, '\0')));                  // no restart
  EXPECT_FALSE(AddsUpAsProperties(entry + std::string("\0\0\0\0\1\0\0\x80", 8)));  // hashes
  EXPECT_FALSE(AddsUpAsProperties(entry + std::string("\0\0\0\0\x20\0\0\0", 8)));  // too many
  EXPECT_FALSE(AddsUpAsProperties(entry + std::string("\x06\0\0\0\1\0\0\0", 8)));  // beyond
  EXPECT_FALSE(AddsUpAsProperties(entry + std::string("\0\0", 2) + restarts));     // too short
  EXPECT_FALSE(AddsUpAsProperties(std::string("\1\1\1kv", 5) + restarts));  // of no key before it
  EXPECT_FALSE(AddsUpAsProperties(std::string("\0\1\2kv", 5) + restarts));  // a value too long
  EXPECT_FALSE(AddsUpAsProperties(std::string("\0\x7f\1kv", 5) + restarts));
  EXPECT_FALSE(AddsUpAsProperties(std::string(10, '\xff') + restarts));  // a number without end
}

TEST_F(SstCheckTest, AnyByteOfPropertiesAndFooterIsToldOrLeftToRocksDb) {
  size_t refused = 0;
  for (size_t at = properties_; at < good_.size(); ++at) {
    for (const int flip : {0x01, 0x80}) {
      Put(at, flip);
      const Status status = CheckSst(path_);
      refused += status.ok() ? 0 : 1;
      ASSERT_TRUE(status.ok() || status.code() == StatusCode::kCorruption) << status.message();
    }
  }
  EXPECT_GT(refused, 100U);
}

// The process would end here: RocksDB looks for hashes behind the entries.
TEST_F(SstCheckTest, TheStoreAnswersWithAStatusWhateverByteOfThePropertiesIsAnother) {
  size_t refused = 0;
  for (size_t at = properties_; at < properties_end_;) {
    Put(at, at % 2 == 0 ? 0x80 : 1 << (at / 2 % 7));
    ASSERT_NO_FATAL_FAILURE(OpenStore()) << at;
    BatchRead read{.serial = kSerial, .key = "k", .status = {}, .record = {}};
    store_->ReadMany({&read, 1});
    ASSERT_TRUE(!read.status.ok() || read.record == record_) << at;
    refused += read.status.ok() ? 0 : 1;
    CloseStore();
    // Each byte of what follows the entries: the counts of this block and of the next, and their check sums.
    at += at + 120 < properties_end_ ? 17 : 1;
  }
  EXPECT_GT(refused, 50U);
}

}  // namespace
}  // namespace terraced::storage
