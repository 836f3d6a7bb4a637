// The doubles that the tiering tests stand on keep the contract of BatchStore.
#include "tests/support/faulty_batch_store.h"

#include <gtest/gtest.h>

namespace terraced::support {
namespace {

const std::vector<BatchRecord> kTwo = {{.key = "a", .record = "ra", .hash = 9},
                                       {.key = "b", .record = "rb", .hash = 3}};

StatusCode ReadCode(BatchStore& store, uint64_t serial, std::string_view key) {
  BatchRead read;
  read.serial = serial;
  read.key = key;
  store.ReadMany(std::span<BatchRead>(&read, 1));
  return read.status.code();
}

TEST(MemoryBatchStoreTest, HoldsBatchesUntilTheyAreDropped) {
  MemoryBatchStore store;
  bool called = false;
  ASSERT_TRUE(store.Write(4, kTwo, [&] { called = true; }).ok());
  EXPECT_TRUE(called);
  EXPECT_EQ(ReadCode(store, 4, "a"), StatusCode::kOk);
  EXPECT_EQ(ReadCode(store, 4, "c"), StatusCode::kNotFound);
  EXPECT_EQ(ReadCode(store, 5, "a"), StatusCode::kNotFound);
  std::vector<uint64_t> hashes;
  ASSERT_TRUE(store
                  .Hashes(4, 0, 8,
                          [&](std::span<const uint64_t> slice) {
                            hashes.assign(slice.begin(), slice.end());
                            return true;
                          })
                  .ok());
  EXPECT_EQ(hashes, std::vector<uint64_t>{3});
  std::string keys;
  ASSERT_TRUE(store
                  .Records(4, "",
                           [&](std::string_view key, std::string_view) {
                             keys += key;
                             return true;
                           })
                  .ok());
  EXPECT_EQ(keys, "ab");
  ASSERT_TRUE(store.Drop(4).ok());
  EXPECT_EQ(ReadCode(store, 4, "a"), StatusCode::kNotFound);
}

TEST(MemoryBatchStoreTest, RefusesWhatRocksDbRefuses) {
  MemoryBatchStore store;
  EXPECT_FALSE(store.Write(1, {}, {}).ok());
  EXPECT_FALSE(store.Write(0, kTwo, {}).ok());
  const std::vector<BatchRecord> unsorted = {kTwo[1], kTwo[0]};
  EXPECT_FALSE(store.Write(1, unsorted, {}).ok());
  EXPECT_TRUE(store.Write(1, kTwo, {}).ok());
  EXPECT_FALSE(store.Write(1, kTwo, {}).ok());
}

TEST(MemoryBatchStoreTest, RetainsAndTampers) {
  MemoryBatchStore store;
  for (uint64_t serial = 1; serial <= 3; ++serial) ASSERT_TRUE(store.Write(serial, kTwo, {}).ok());
  ASSERT_TRUE(store.Retain([](uint64_t serial) { return serial == 2; }).ok());
  EXPECT_EQ(store.Serials(), std::vector<uint64_t>{2});
  EXPECT_TRUE(store.Tamper(2, "a", [](std::string* record) { record->clear(); }));
  EXPECT_FALSE(store.Tamper(2, "z", [](std::string*) {}));
}

TEST(FaultyBatchStoreTest, FailsTheNthCallAndThoseAfterIt) {
  FaultyBatchStore store(std::make_unique<MemoryBatchStore>());
  store.FailNth(BatchCall::kWrite, 2, Status(StatusCode::kNoSpace, "full"),
                FaultyBatchStore::When::kBefore, 2);
  EXPECT_TRUE(store.Write(1, kTwo, {}).ok());
  EXPECT_EQ(store.Write(2, kTwo, {}).status().code(), StatusCode::kNoSpace);
  EXPECT_EQ(store.Write(3, kTwo, {}).status().code(), StatusCode::kNoSpace);
  EXPECT_TRUE(store.Write(4, kTwo, {}).ok());
  EXPECT_EQ(ReadCode(store, 2, "a"), StatusCode::kNotFound);
  EXPECT_EQ(store.Calls(BatchCall::kWrite), 4U);
}

TEST(FaultyBatchStoreTest, AnErrorAfterTheFactLeavesTheBatchThere) {
  FaultyBatchStore store(std::make_unique<MemoryBatchStore>());
  store.FailNth(BatchCall::kWrite, 1, Status(StatusCode::kIoError, "late"),
                FaultyBatchStore::When::kAfter);
  EXPECT_EQ(store.Write(1, kTwo, {}).status().code(), StatusCode::kIoError);
  EXPECT_EQ(ReadCode(store, 1, "a"), StatusCode::kOk);
}

TEST(FaultyBatchStoreTest, CountsEachRecordOfAReadAndHeals) {
  FaultyBatchStore store(std::make_unique<MemoryBatchStore>());
  ASSERT_TRUE(store.Write(1, kTwo, {}).ok());
  store.FailNth(BatchCall::kRead, 2, Status(StatusCode::kIoError, "bad"),
                FaultyBatchStore::When::kAfter, 100);
  std::vector<BatchRead> reads(2);
  reads[0].serial = reads[1].serial = 1;
  reads[0].key = "a";
  reads[1].key = "b";
  store.ReadMany(reads);
  EXPECT_TRUE(reads[0].status.ok());
  EXPECT_EQ(reads[1].status.code(), StatusCode::kIoError);
  EXPECT_TRUE(reads[1].record.empty());
  store.Heal();
  EXPECT_EQ(ReadCode(store, 1, "b"), StatusCode::kOk);
}

}  // namespace
}  // namespace terraced::support
