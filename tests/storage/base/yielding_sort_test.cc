#include "storage/base/yielding_sort.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "tests/support/work_for.h"

namespace terraced {
namespace {

std::vector<uint64_t> RandomNumbers(size_t count) {
  std::mt19937_64 random(count);
  std::vector<uint64_t> numbers(count);
  for (uint64_t& number : numbers) number = random() % (count + 1);
  return numbers;
}

TEST(YieldingSortTest, SortsAsStdSortDoes) {
  for (const size_t count : {0UL, 1UL, 2UL, 1'000UL, 100'000UL}) {
    std::vector<uint64_t> numbers = RandomNumbers(count);
    std::vector<uint64_t> expected = numbers;
    std::sort(expected.begin(), expected.end());
    YieldingSort(numbers.begin(), numbers.end(), [](uint64_t a, uint64_t b) { return a < b; });
    EXPECT_EQ(numbers, expected);
  }
}

// A turn that is over when the point comes is given away there: who asks right after it has nothing to give. Several
// tries, for the machine may put this thread off in between.
TEST(YieldingSortTest, GivesWayOnTheWay) {
  std::thread([] {
    const std::atomic<bool> stands_back{true};
    YieldPoint::Follow(stands_back);
    bool gave_way = false;
    for (int i = 0; i < 100 && !gave_way; ++i) {
      support::WorkFor(YieldPoint::kTurnUs);
      std::vector<uint64_t> numbers = RandomNumbers(2 * kComparisonsPerPoint);
      uint32_t comparisons = 0;
      YieldingSort(numbers.begin(), numbers.end(), [&](uint64_t a, uint64_t b) {
        if (++comparisons == kComparisonsPerPoint) gave_way = !YieldPoint::Pass();
        return a < b;
      });
    }
    EXPECT_TRUE(gave_way);
  }).join();
}

}  // namespace
}  // namespace terraced
