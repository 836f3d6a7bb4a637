#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "storage/base/hash.h"
#include "storage/flash/batch_store.h"
#include "storage/flash/record.h"
#include "tests/storage/flash/rocks_store_fixture.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/process.h"

namespace terraced::storage {
namespace {

using RocksBatchStoreTest = RocksStoreFixture;

TEST_F(RocksBatchStoreTest, ReadsWhatWasWritten) {
  for (const size_t value_bytes : {10U, 100U, 1000U, 20'000U}) {
    const Values values = SomeValues(500, value_bytes, value_bytes);
    const Result<BatchFile> file = Write(value_bytes, values);
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_GT(file.value().sst_bytes, 0U);
    EXPECT_EQ(file.value().hash_list_bytes, 4096U);
    ExpectHolds(value_bytes, values);
  }
}

TEST_F(RocksBatchStoreTest, AbsentKeysAndBatchesAreNotFound) {
  const Values values = SomeValues(100, 100, 1);
  ASSERT_TRUE(Write(5, values).ok());
  const std::string key = values.begin()->first;
  EXPECT_EQ(ReadCode(5, "no such key"), StatusCode::kNotFound);
  EXPECT_EQ(ReadCode(4, key), StatusCode::kNotFound);
  EXPECT_EQ(ReadCode(6, key), StatusCode::kNotFound);
  EXPECT_EQ(ReadCode(0, key), StatusCode::kNotFound);
  EXPECT_EQ(ReadCode(UINT64_MAX, key), StatusCode::kNotFound);
}

TEST_F(RocksBatchStoreTest, ReadsManyInAnyOrderFromManyBatches) {
  for (uint64_t serial = 1; serial <= 5; ++serial)
    ASSERT_TRUE(Write(serial, {{"a", std::to_string(serial)}}).ok());
  std::vector<BatchRead> reads(6);
  const std::vector<uint64_t> serials = {4, 1, 9, 5, 4, 2};
  for (size_t i = 0; i < reads.size(); ++i) {
    reads[i].serial = serials[i];
    reads[i].key = "a";
    reads[i].record = "left over";
  }
  store_->ReadMany(reads);
  for (const BatchRead& read : reads) {
    if (read.serial == 9) {
      EXPECT_EQ(read.status.code(), StatusCode::kNotFound);
      EXPECT_TRUE(read.record.empty());
      continue;
    }
    const Result<DecodedRecord> decoded = DecodeRecord(read.serial, "a", read.record);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded.value().value, std::to_string(read.serial));
  }
}

TEST_F(RocksBatchStoreTest, TheSameKeyInTwoBatchesStaysTwoRecords) {
  ASSERT_TRUE(Write(8, {{"k", "new"}}).ok());
  ASSERT_TRUE(Write(7, {{"k", "old"}}).ok());
  EXPECT_EQ(Read(7, "k").value(), "old");
  EXPECT_EQ(Read(8, "k").value(), "new");
  ASSERT_TRUE(store_->Drop(8).ok());
  EXPECT_EQ(Read(7, "k").value(), "old");
  EXPECT_EQ(ReadCode(8, "k"), StatusCode::kNotFound);
}

TEST_F(RocksBatchStoreTest, CallsBackBetweenBuildingAndIngesting) {
  bool called = false;
  const auto look = [&] {
    called = true;
    EXPECT_EQ(FilesIn("staging", ".sst").size(), 1U);
    EXPECT_EQ(ReadCode(3, "k"), StatusCode::kNotFound);
  };
  ASSERT_TRUE(Write(3, {{"k", "v"}}, look).ok());
  EXPECT_TRUE(called);
  EXPECT_TRUE(FilesIn("staging", ".sst").empty());
  EXPECT_EQ(Read(3, "k").value(), "v");
}

TEST_F(RocksBatchStoreTest, DropFreesTheFilesOfThatBatchOnly) {
  std::map<uint64_t, Values> batches;
  for (uint64_t serial = 254; serial <= 258; ++serial) {
    batches[serial] = SomeValues(200, 300, serial);
    ASSERT_TRUE(Write(serial, batches[serial]).ok());
  }
  const std::set<std::string> before = FilesIn("db", ".sst");
  ASSERT_EQ(before.size(), 5U);
  const uint64_t bytes_before = store_->Stats().live_sst_bytes;
  ASSERT_TRUE(store_->Drop(256).ok());
  EXPECT_EQ(FilesIn("db", ".sst").size(), 4U);
  EXPECT_EQ(FilesIn("hashes", ".h").size(), 4U);
  EXPECT_EQ(store_->Stats().files, 4U);
  EXPECT_LT(store_->Stats().live_sst_bytes, bytes_before);
  EXPECT_EQ(ReadCode(256, batches[256].begin()->first), StatusCode::kNotFound);
  for (const uint64_t serial : {254U, 255U, 257U, 258U}) ExpectHolds(serial, batches[serial]);
  EXPECT_TRUE(store_->Drop(256).ok()) << "a second drop finds nothing to do";
  EXPECT_TRUE(store_->Drop(9999).ok());
}

TEST_F(RocksBatchStoreTest, ARecordBeingVisitedOutlivesTheDropOfItsBatch) {
  const Values values = SomeValues(2000, 500, 1);
  ASSERT_TRUE(Write(1, values).ok());
  Values seen;
  const Status status = store_->Records(1, "", [&](std::string_view key, std::string_view record) {
    if (seen.empty()) {
      EXPECT_TRUE(store_->Drop(1).ok());
    }
    Result<DecodedRecord> decoded = DecodeRecord(1, key, record);
    EXPECT_TRUE(decoded.ok());
    if (decoded.ok()) seen[std::string(key)] = decoded.value().value;
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(seen, values);
  EXPECT_EQ(ReadCode(1, values.begin()->first), StatusCode::kNotFound);
}

TEST_F(RocksBatchStoreTest, RecordsComeInKeyOrderUntilTheVisitorHasEnough) {
  ASSERT_TRUE(Write(1, {{"a", "1"}, {"b", "2"}, {"c", "3"}}).ok());
  ASSERT_TRUE(Write(2, {{"d", "4"}}).ok());
  std::string keys;
  const auto visit = [&](std::string_view key, std::string_view) {
    keys += key;
    return key != "b";
  };
  EXPECT_TRUE(store_->Records(1, "", visit).ok());
  EXPECT_EQ(keys, "ab");
  EXPECT_TRUE(store_->Records(2, "", visit).ok());
  EXPECT_EQ(keys, "abd");
}

TEST_F(RocksBatchStoreTest, HashesAreThoseOfTheKeysSorted) {
  const Values values = SomeValues(3000, 10, 1);
  ASSERT_TRUE(Write(1, values).ok());
  std::vector<uint64_t> expected;
  for (const auto& [key, value] : values) expected.push_back(HashOf(key));
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(HashesOf(1), expected);
  EXPECT_EQ(store_->Hashes(2, 0, 1, [](std::span<const uint64_t>) { return true; }).code(),
            StatusCode::kNotFound);
}

TEST_F(RocksBatchStoreTest, RefusesWhatCannotBeABatch) {
  const std::string record = "r";
  const std::vector<BatchRecord> unsorted = {{.key = "b", .record = record},
                                             {.key = "a", .record = record}};
  const std::vector<BatchRecord> twice = {{.key = "a", .record = record},
                                          {.key = "a", .record = record}};
  const std::vector<BatchRecord> good = {{.key = "a", .record = record}};
  EXPECT_EQ(store_->Write(1, {}, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Write(2, unsorted, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Write(3, twice, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Write(0, good, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Write(UINT64_MAX, good, {}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(FilesIn("staging", ".sst").empty());
  EXPECT_TRUE(FilesIn("hashes", ".h").empty());
  EXPECT_TRUE(store_->Write(4, good, {}).ok());
}

TEST_F(RocksBatchStoreTest, RefusesASerialTwice) {
  ASSERT_TRUE(Write(1, {{"a", "first"}}).ok());
  EXPECT_FALSE(Write(1, {{"a", "second"}}).ok());
  EXPECT_FALSE(Write(1, {{"z", "second"}}).ok());
  // Also where only the file is left of it (an ingest that failed and happened all the same).
  ASSERT_EQ(std::filesystem::remove_all(directory_.Path() + "/hashes/0000000000000001.h"), 1U);
  EXPECT_EQ(Write(1, {{"A", "second"}, {"z", "second"}}).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Read(1, "a").value(), "first");
  EXPECT_EQ(ReadCode(1, "z"), StatusCode::kNotFound);
  EXPECT_TRUE(Write(2, {{"a", "third"}}).ok()) << "a refusal breaks nothing";
}

TEST_F(RocksBatchStoreTest, ThousandsOfBatchesComeAndGo) {
  constexpr uint64_t kBatches = 1200;
  constexpr uint64_t kKept = 800;
  for (uint64_t serial = 1; serial <= kBatches; ++serial) {
    ASSERT_TRUE(Write(serial, {{"k" + std::to_string(serial % 7), std::to_string(serial)}}).ok());
    if (serial > kKept) {
      ASSERT_TRUE(store_->Drop(serial - kKept).ok());
    }
  }
  EXPECT_EQ(store_->Stats().files, kKept);
  EXPECT_EQ(FilesIn("db", ".sst").size(), kKept);
  for (uint64_t serial = 1; serial <= kBatches; ++serial) {
    const std::string key = "k" + std::to_string(serial % 7);
    if (serial <= kBatches - kKept) {
      ASSERT_EQ(ReadCode(serial, key), StatusCode::kNotFound);
    } else {
      ASSERT_EQ(Read(serial, key).value(), std::to_string(serial));
    }
  }
}

TEST_F(RocksBatchStoreTest, EverythingIsThereAfterCloseAndOpen) {
  const Values values = SomeValues(1000, 200, 1);
  ASSERT_TRUE(Write(1, values).ok());
  ASSERT_TRUE(Write(2, {{"k", "v"}}).ok());
  ASSERT_TRUE(store_->Drop(2).ok());
  CloseStore();
  std::ofstream(directory_.Path() + "/staging/left-over.sst") << "half a file";
  OpenStore();
  ExpectHolds(1, values);
  EXPECT_EQ(HashesOf(1).size(), values.size());
  EXPECT_EQ(ReadCode(2, "k"), StatusCode::kNotFound);
  EXPECT_TRUE(FilesIn("staging", ".sst").empty());
  EXPECT_TRUE(Write(3, values).ok());
}

TEST_F(RocksBatchStoreTest, AClosedStoreAnswersUnavailable) {
  ASSERT_TRUE(Write(1, {{"k", "v"}}).ok());
  ASSERT_TRUE(store_->Close().ok());
  EXPECT_TRUE(store_->Close().ok());
  EXPECT_EQ(ReadCode(1, "k"), StatusCode::kUnavailable);
  EXPECT_EQ(Write(2, {{"k", "v"}}).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(store_->Drop(1).code(), StatusCode::kUnavailable);
  EXPECT_EQ(store_->Recover(0).code(), StatusCode::kUnavailable);
  EXPECT_EQ(store_->Stats().files, 0U);
}

TEST_F(RocksBatchStoreTest, ReadersNeverSeeAnythingWrongWhileBatchesComeAndGo) {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> newest{0};
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> readers;
  for (uint64_t i = 0; i < 3; ++i) {
    readers.emplace_back([&, i] {
      std::mt19937_64 random(i);
      while (!stop.load()) {
        const uint64_t serial = newest.load() - random() % 8;
        const Result<std::string> read = Read(serial, "k");
        const bool absent = read.status().code() == StatusCode::kNotFound;
        if (!absent && (!read.ok() ||
                        read.value() != std::string(3000, static_cast<char>('a' + serial % 26)))) {
          wrong.fetch_add(1);
        }
      }
    });
  }
  for (uint64_t serial = 1; serial <= 300; ++serial) {
    ASSERT_TRUE(
        Write(serial, {{"k", std::string(3000, static_cast<char>('a' + serial % 26))}}).ok());
    newest.store(serial);
    if (serial > 4) {
      ASSERT_TRUE(store_->Drop(serial - 4).ok());
    }
  }
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong.load(), 0U);
}

TEST_F(RocksBatchStoreTest, RetainDropsEverythingElse) {
  for (uint64_t serial = 1; serial <= 6; ++serial)
    ASSERT_TRUE(Write(serial, {{"k", std::to_string(serial)}}).ok());
  // What a failed ingest or a kill can leave: a file without its list, a list without its file, and
  // noise.
  const std::string hashes = directory_.Path() + "/hashes/";
  std::filesystem::remove(hashes + "0000000000000001.h");
  std::filesystem::copy_file(hashes + "0000000000000002.h", hashes + "0000000000000063.h");
  std::ofstream(hashes + "noise") << "x";
  ASSERT_TRUE(store_->Retain([](uint64_t serial) { return serial == 2 || serial == 5; }).ok());
  EXPECT_EQ(FilesIn("db", ".sst").size(), 2U);
  EXPECT_EQ(FilesIn("hashes", ".h"),
            (std::set<std::string>{hashes + "0000000000000002.h", hashes + "0000000000000005.h"}));
  EXPECT_TRUE(FilesIn("hashes", "").empty());
  EXPECT_EQ(Read(2, "k").value(), "2");
  EXPECT_EQ(Read(5, "k").value(), "5");
  EXPECT_EQ(ReadCode(1, "k"), StatusCode::kNotFound);
}

TEST_F(RocksBatchStoreTest, CountsItsWork) {
  const BatchStoreStats before = store_->Stats();
  const Result<BatchFile> file = Write(1, SomeValues(1000, 300, 1));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(store_->Stats().rocksdb_get_calls, before.rocksdb_get_calls) << "writing reads nothing";
  EXPECT_EQ(ReadCode(1, "absent"), StatusCode::kNotFound);
  const BatchStoreStats after = store_->Stats();
  EXPECT_EQ(after.reads, 1U);
  EXPECT_EQ(after.rocksdb_get_calls - before.rocksdb_get_calls, 1U);
  EXPECT_EQ(after.bytes_written, file.value().sst_bytes + file.value().hash_list_bytes);
  EXPECT_EQ(after.live_sst_bytes, file.value().sst_bytes);
  EXPECT_EQ(after.files, 1U);
  EXPECT_GT(after.table_reader_bytes, 0U);
}

TEST_F(RocksBatchStoreTest, AFailedBuildIsAnErrorAndTheStoreGoesOn) {
  ASSERT_TRUE(Write(1, {{"k", "v"}}).ok());
  std::filesystem::remove_all(directory_.Path() + "/staging");
  EXPECT_FALSE(Write(2, {{"k", "w"}}).ok());
  std::filesystem::create_directory(directory_.Path() + "/staging");
  EXPECT_TRUE(Write(3, {{"k", "x"}}).ok());
  EXPECT_EQ(Read(1, "k").value(), "v");
  EXPECT_EQ(ReadCode(2, "k"), StatusCode::kNotFound);
  EXPECT_EQ(Read(3, "k").value(), "x");
}

TEST_F(RocksBatchStoreTest, AFailedIngestIsAnErrorAndTheStoreOpensItselfAgain) {
  ASSERT_TRUE(Write(1, {{"k", "v"}}).ok());
  const auto vanish = [&] { std::filesystem::remove_all(directory_.Path() + "/staging/2.sst"); };
  EXPECT_FALSE(Write(2, {{"k", "w"}}, vanish).ok());
  EXPECT_TRUE(Write(3, {{"k", "x"}}).ok());
  EXPECT_EQ(Read(1, "k").value(), "v");
  EXPECT_EQ(ReadCode(2, "k"), StatusCode::kNotFound);
  EXPECT_EQ(Read(3, "k").value(), "x");
}

TEST_F(RocksBatchStoreTest, AFullDiskIsAnErrorAndTheStoreGoesOn) {
  const Values values = SomeValues(2000, 500, 1);
  ASSERT_TRUE(Write(1, values).ok());
  {
    const support::FileSizeLimit limit(64U << 10);
    EXPECT_FALSE(Write(2, values).ok());
    ExpectHolds(1, values);
  }
  EXPECT_TRUE(FilesIn("staging", ".sst").empty());
  EXPECT_EQ(FilesIn("hashes", ".h").size(), 1U);
  EXPECT_TRUE(Write(3, values).ok());
  ExpectHolds(3, values);
}

// Flips bytes of the SST while nobody has it open; every record must be right, absent or refused.
// It says so for positions all over the file, the footer and the index among them.
class RocksBatchStoreDamageTest : public RocksBatchStoreTest {
 protected:
  void ExpectNothingWrongAfter(const std::function<void(std::fstream&, uint64_t)>& damage,
                               const Values& values) {
    CloseStore();
    const std::string path = *FilesIn("db", ".sst").begin();
    const std::string copy = directory_.Path() + "/copy";
    std::filesystem::copy_file(path, copy);
    {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      damage(file, std::filesystem::file_size(path));
    }
    OpenStore();
    for (const auto& [key, value] : values) {
      const Result<std::string> read = Read(1, key);
      if (read.ok()) {
        ASSERT_EQ(read.value(), value);
      }
    }
    static_cast<void>(store_
                          ->Records(1, "",
                                    [](std::string_view key, std::string_view record) {
                                      static_cast<void>(DecodeRecord(1, key, record).ok());
                                      return true;
                                    })
                          .ok());
    EXPECT_EQ(Read(2, "other").value(), "intact");
    CloseStore();
    std::filesystem::copy_file(copy, path, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::remove(copy);
    OpenStore();
  }
};

TEST_F(RocksBatchStoreDamageTest, FlippedBytesNeverBecomeAWrongValue) {
  for (const size_t value_bytes : {40U, 700U}) {
    const Values values = SomeValues(60, value_bytes, 1);
    ASSERT_TRUE(Write(1, values).ok());
    ASSERT_TRUE(Write(2, {{"other", "intact"}}).ok());
    std::mt19937_64 random(value_bytes);
    for (uint64_t i = 0; i < 60; ++i) {
      const auto flip = [&](std::fstream& file, uint64_t bytes) {
        // Two of three anywhere, one of three near the end: index, properties, footer.
        const uint64_t at =
            i % 3 == 0 ? bytes - 1 - random() % std::min<uint64_t>(bytes, 1500) : random() % bytes;
        file.seekg(static_cast<std::streamoff>(at));
        const int old = file.get();
        file.seekp(static_cast<std::streamoff>(at));
        file.put(static_cast<char>(old ^ static_cast<int>(1 + random() % 255)));
      };
      ExpectNothingWrongAfter(flip, values);
    }
    ASSERT_TRUE(store_->Drop(1).ok());
    ASSERT_TRUE(store_->Drop(2).ok());
  }
}

TEST_F(RocksBatchStoreDamageTest, ATruncatedFileCostsItsOwnRecordsOnly) {
  const Values values = SomeValues(60, 300, 1);
  ASSERT_TRUE(Write(1, values).ok());
  ASSERT_TRUE(Write(2, {{"other", "intact"}}).ok());
  const std::string path = *FilesIn("db", ".sst").begin();
  for (const uint64_t percent : {0U, 30U, 90U, 99U}) {
    const auto cut = [&](std::fstream&, uint64_t bytes) {
      std::filesystem::resize_file(path, bytes * percent / 100);
    };
    ExpectNothingWrongAfter(cut, values);
  }
}

TEST_F(RocksBatchStoreDamageTest, AMissingFileCostsItsOwnRecordsOnly) {
  ASSERT_TRUE(Write(1, {{"k", "v"}}).ok());
  const std::string path = *FilesIn("db", ".sst").begin();
  ASSERT_TRUE(Write(2, {{"other", "intact"}}).ok());
  CloseStore();
  std::filesystem::remove(path);
  OpenStore();
  const StatusCode code = ReadCode(1, "k");
  EXPECT_NE(code, StatusCode::kOk);
  EXPECT_EQ(Read(2, "other").value(), "intact");
  EXPECT_TRUE(store_->Drop(1).ok());
  EXPECT_EQ(ReadCode(1, "k"), StatusCode::kNotFound);
}

TEST_F(RocksBatchStoreDamageTest, ADamagedManifestIsAStatus) {
  ASSERT_TRUE(Write(1, {{"k", "v"}}).ok());
  CloseStore();
  for (const auto& entry : std::filesystem::directory_iterator(directory_.Path() + "/db")) {
    if (entry.path().filename().string().starts_with("MANIFEST"))
      std::filesystem::resize_file(entry.path(), 3);
  }
  const Result<std::unique_ptr<BatchStore>> opened = OpenBatchStore(options_);
  EXPECT_FALSE(opened.ok());
  EXPECT_NE(opened.status().code(), StatusCode::kNotFound);
}

TEST_F(RocksBatchStoreTest, ReadsDirectlyWithABlockCache) {
  CloseStore();
  options_.direct_reads = true;
  options_.block_cache_bytes = 1U << 20;
  Result<std::unique_ptr<BatchStore>> opened = OpenBatchStore(options_);
  ASSERT_TRUE(opened.ok());
  store_ = std::move(opened).value();
  const Values values = SomeValues(5000, 400, 1);
  const Result<BatchFile> file = Write(1, values);
  if (!file.ok()) GTEST_SKIP() << "no direct I/O here: " << file.status().message();
  ExpectHolds(1, values);
  EXPECT_LE(store_->Stats().block_cache_bytes, (1U << 20) + (1U << 16));
}

}  // namespace
}  // namespace terraced::storage
