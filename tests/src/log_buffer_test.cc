#include "src/watch/log_buffer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>

namespace terraced::server {
namespace {

bool Put(LogBuffer* buffer, const std::string& record) {
  char* const to = buffer->Reserve(record.size());
  if (to == nullptr) return false;
  std::memcpy(to, record.data(), record.size());
  buffer->Commit();
  return true;
}

std::string Take(LogBuffer* buffer) {
  const std::string record(buffer->Front());
  if (!record.empty()) buffer->Pop();
  return record;
}

TEST(LogBufferTest, GivesRecordsBackInTheirOrder) {
  LogBuffer buffer(LogBuffer::kBytesLeast);
  EXPECT_EQ(Take(&buffer), "");
  ASSERT_TRUE(Put(&buffer, "one"));
  ASSERT_TRUE(Put(&buffer, "the second one"));
  EXPECT_EQ(Take(&buffer), "one");
  EXPECT_EQ(Take(&buffer), "the second one");
  EXPECT_EQ(Take(&buffer), "");
}

TEST(LogBufferTest, WhatIsReservedIsNotThereBeforeItIsCommitted) {
  LogBuffer buffer(LogBuffer::kBytesLeast);
  ASSERT_NE(buffer.Reserve(8), nullptr);
  EXPECT_TRUE(buffer.Front().empty());
  EXPECT_EQ(buffer.UsedBytes(), 0U);
  buffer.Commit();
  EXPECT_EQ(buffer.Front().size(), 8U);
}

TEST(LogBufferTest, RefusesWhatDoesNotFitAndTakesItOnceThereIsRoom) {
  LogBuffer buffer(LogBuffer::kBytesLeast);
  const std::string record(1'000, 'r');
  size_t taken = 0;
  while (Put(&buffer, record)) ++taken;
  EXPECT_EQ(taken, 4U) << "1,008 bytes each";
  EXPECT_EQ(Take(&buffer), record);
  EXPECT_TRUE(Put(&buffer, record)) << "the ring goes round";
  EXPECT_FALSE(Put(&buffer, record));
  for (size_t i = 0; i < taken; ++i) EXPECT_EQ(Take(&buffer), record) << i;
  EXPECT_EQ(buffer.UsedBytes(), 0U);
}

TEST(LogBufferTest, TakesTheLargestRecordWhereverTheRingStands) {
  LogBuffer buffer(1);
  EXPECT_EQ(buffer.Capacity(), LogBuffer::kBytesLeast) << "a smaller one is useless";
  const std::string largest(LogBuffer::kRecordBytesMax, 'l');
  for (size_t step = 1; step < 600; ++step) {
    ASSERT_TRUE(Put(&buffer, std::string(step % 97 + 1, 's')));
    Take(&buffer);
    ASSERT_TRUE(Put(&buffer, largest)) << step;
    ASSERT_EQ(Take(&buffer), largest) << step;
  }
}

TEST(LogBufferTest, LosesNothingBetweenTwoThreads) {
  constexpr uint64_t kRecords = 200'000;
  LogBuffer buffer(LogBuffer::kBytesLeast);
  std::thread writer([&] {
    for (uint64_t i = 0; i < kRecords; ++i) {
      const size_t bytes = sizeof(i) + i % 300;
      char* to = buffer.Reserve(bytes);
      for (; to == nullptr; to = buffer.Reserve(bytes)) std::this_thread::yield();
      std::memset(to, static_cast<int>(i % 251), bytes);
      std::memcpy(to, &i, sizeof(i));
      buffer.Commit();
    }
  });
  uint64_t wrong = 0;
  for (uint64_t i = 0; i < kRecords; ++i) {
    std::string_view record = buffer.Front();
    for (; record.empty(); record = buffer.Front()) std::this_thread::yield();
    uint64_t number = 0;
    std::memcpy(&number, record.data(), sizeof(number));
    const bool whole =
        record.size() == sizeof(i) + i % 300 &&
        (record.size() == sizeof(i) || static_cast<uint8_t>(record.back()) == i % 251);
    if (number != i || !whole) ++wrong;
    buffer.Pop();
  }
  writer.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_TRUE(buffer.Front().empty());
}

}  // namespace
}  // namespace terraced::server
