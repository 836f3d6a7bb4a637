#include <gtest/gtest.h>

#include <vector>

#include "storage/flash/batch_store.h"

namespace terraced::storage {
namespace {

TEST(NullBatchStoreTest, HoldsNothingAndRefusesWrites) {
  const std::unique_ptr<BatchStore> store = MakeNullBatchStore();
  const std::vector<BatchRecord> records = {{.key = "a", .record = "r"}};
  EXPECT_EQ(store->Write(1, records, {}).status().code(), StatusCode::kUnavailable);
  BatchRead read;
  read.record = "left over";
  store->ReadMany(std::span<BatchRead>(&read, 1));
  EXPECT_EQ(read.status.code(), StatusCode::kNotFound);
  EXPECT_TRUE(read.record.empty());
  EXPECT_TRUE(store->Drop(1).ok());
  EXPECT_TRUE(store->Retain([](uint64_t) { return false; }).ok());
  EXPECT_TRUE(store->Recover(0).ok());
  EXPECT_EQ(store->Stats().files, 0U);
  EXPECT_TRUE(store->Close().ok());
}

}  // namespace
}  // namespace terraced::storage
