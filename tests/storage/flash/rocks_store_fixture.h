// RocksStoreFixture: a store on RocksDB in a directory of the test, and what its batches hold.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "storage/base/hash.h"
#include "storage/flash/batch_store.h"
#include "storage/flash/record.h"
#include "tests/support/process.h"

namespace terraced::storage {

using Values = std::map<std::string, std::string>;

inline uint64_t HashOf(std::string_view key) {
  return HashBytes(key, HashKey{.words = {1, 2, 3, 4}});
}

inline Values SomeValues(size_t count, size_t value_bytes, uint64_t seed) {
  std::mt19937_64 random(seed);
  Values values;
  while (values.size() < count) {
    std::string value(value_bytes, 'v');
    for (size_t i = 0; i < value_bytes / 2; ++i) value[i] = static_cast<char>(random());
    values["key-" + std::to_string(random() % 1'000'000'000)] = value;
  }
  return values;
}

class RocksStoreFixture : public testing::Test {
 protected:
  void SetUp() override { OpenStore(); }
  void OpenStore() {
    options_.directory = directory_.Path();
    Result<std::unique_ptr<BatchStore>> opened = OpenBatchStore(options_);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    store_ = std::move(opened).value();
  }
  void CloseStore() {
    EXPECT_TRUE(store_->Close().ok());
    store_.reset();
  }
  Result<BatchFile> Write(uint64_t serial, const Values& values,
                          const std::function<void()>& before_ingest = {}) {
    std::vector<std::string> records;
    records.reserve(values.size());
    std::vector<BatchRecord> batch;
    for (const auto& [key, value] : values) {
      EncodeRecord(serial, key, RecordMeta(), value, &records.emplace_back());
      batch.push_back({.key = key, .record = records.back(), .hash = HashOf(key)});
    }
    return store_->Write(serial, batch, before_ingest);
  }
  // The value; or why not.
  Result<std::string> Read(uint64_t serial, std::string_view key) {
    BatchRead read;
    read.serial = serial;
    read.key = key;
    store_->ReadMany(std::span<BatchRead>(&read, 1));
    if (!read.status.ok()) return read.status;
    Result<DecodedRecord> decoded = DecodeRecord(serial, key, read.record);
    if (!decoded.ok()) return decoded.status();
    return std::move(decoded).value().value;
  }
  StatusCode ReadCode(uint64_t serial, std::string_view key) {
    return Read(serial, key).status().code();
  }
  void ExpectHolds(uint64_t serial, const Values& values) {
    for (const auto& [key, value] : values) {
      const Result<std::string> read = Read(serial, key);
      ASSERT_TRUE(read.ok()) << serial << " " << key << ": " << read.status().message();
      ASSERT_EQ(read.value(), value);
    }
  }
  std::set<std::string> FilesIn(const std::string& folder, const std::string& extension) const {
    std::set<std::string> names;
    for (const auto& entry :
         std::filesystem::directory_iterator(directory_.Path() + "/" + folder)) {
      if (entry.path().extension() == extension) names.insert(entry.path().string());
    }
    return names;
  }
  // The batch's file vanishes before it is ingested: an error after which RocksDB is not asked for changes any more.
  void BreakDatabase(uint64_t serial) {
    EXPECT_FALSE(Write(serial, {{"k", "w"}}, [&] {
                   std::filesystem::remove(directory_.Path() + "/staging/" +
                                           std::to_string(serial) + ".sst");
                 }).ok());
  }
  // Another one each time that the database is opened.
  std::string Manifest() const {
    std::ifstream current(directory_.Path() + "/db/CURRENT");
    std::string name;
    std::getline(current, name);
    return name;
  }
  std::vector<uint64_t> HashesOf(uint64_t serial) {
    std::vector<uint64_t> hashes;
    const Status status =
        store_->Hashes(serial, 0, UINT64_MAX, [&](std::span<const uint64_t> slice) {
          hashes.insert(hashes.end(), slice.begin(), slice.end());
          return true;
        });
    EXPECT_TRUE(status.ok()) << status.message();
    return hashes;
  }

  support::TempDirectory directory_;
  BatchStoreOptions options_;
  std::unique_ptr<BatchStore> store_;
};

}  // namespace terraced::storage
