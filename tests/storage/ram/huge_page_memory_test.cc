#include "storage/ram/huge_page_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace terraced::storage {
namespace {

constexpr uint64_t kMapping = 2U << 20;

bool IsZero(const void* at, uint64_t bytes) {
  const char* const begin = static_cast<const char*>(at);
  return std::all_of(begin, begin + bytes, [](char byte) { return byte == 0; });
}

TEST(HugePageMemoryTest, GivesZeroedAlignedMemoryThatDoesNotOverlap) {
  HugePageMemory memory;
  std::vector<char*> taken;
  for (int i = 0; i < 3; ++i) {
    for (const uint64_t bytes :
         {uint64_t{64}, uint64_t{512}, kMapping / 2, kMapping, 3 * kMapping + 4096}) {
      char* const at = static_cast<char*>(memory.Take(bytes));
      EXPECT_EQ(reinterpret_cast<uintptr_t>(at) % 64, 0U);
      EXPECT_TRUE(IsZero(at, bytes));  // no other write reached it
      std::memset(at, 0xff, bytes);
      taken.push_back(at);
    }
  }
  for (char* const at : taken) EXPECT_EQ(*at, static_cast<char>(0xff));
}

TEST(HugePageMemoryTest, CutsSmallOnesFromOneMapping) {
  HugePageMemory memory;
  EXPECT_EQ(memory.MappedBytes(), 0U);
  for (int i = 0; i < 256; ++i) memory.Take(kMapping / 256);
  EXPECT_EQ(memory.MappedBytes(), kMapping);
  memory.Take(64);
  EXPECT_EQ(memory.MappedBytes(), 2 * kMapping);
  memory.Take(2 * kMapping);
  EXPECT_EQ(memory.MappedBytes(), 4 * kMapping);
}

TEST(HugePageMemoryTest, BeginsAtALargePage) {
  HugePageMemory memory;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.Take(kMapping + 4096)) % kMapping, 0U);
  }
}

TEST(HugePageMemoryTest, ServesThreads) {
  HugePageMemory memory;
  constexpr int kTakes = 2'000;
  std::vector<std::vector<uint64_t*>> taken(2);
  std::vector<std::thread> threads;
  for (std::vector<uint64_t*>& mine : taken) {
    threads.emplace_back([&memory, &mine] {
      for (int i = 0; i < kTakes; ++i) {
        mine.push_back(static_cast<uint64_t*>(memory.Take(4096)));
        ++*mine.back();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<uint64_t*>& mine : taken) {
    for (const uint64_t* const at : mine) EXPECT_EQ(*at, 1U);
  }
}

}  // namespace
}  // namespace terraced::storage
