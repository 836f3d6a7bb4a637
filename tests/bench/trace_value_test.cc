#include "tests/bench/trace_value.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace terraced::bench {
namespace {

constexpr size_t kSizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 100, 1'000, 4'097};

std::string ValueOf(std::string_view key, size_t bytes) {
  std::string value;
  AppendTraceValue(TraceKeyHash(key), bytes, &value);
  return value;
}

TEST(TraceValueTest, AValueIsItsKeysAndOfItsSize) {
  for (const size_t bytes : kSizes) {
    const std::string value = ValueOf("key", bytes);
    EXPECT_EQ(value.size(), bytes);
    EXPECT_TRUE(IsTraceValue(TraceKeyHash("key"), value)) << bytes;
    EXPECT_EQ(value, ValueOf("key", bytes));
  }
  EXPECT_TRUE(IsTraceValue(TraceKeyHash("key"), ""));
}

TEST(TraceValueTest, AnotherKeysValueIsNoticed) {
  for (const size_t bytes : kSizes) {
    if (bytes < 8) continue;  // too short to tell all keys apart
    EXPECT_FALSE(IsTraceValue(TraceKeyHash("other"), ValueOf("key", bytes))) << bytes;
  }
}

TEST(TraceValueTest, AChangedByteIsNoticedWhereverItIs) {
  for (const size_t bytes : kSizes) {
    const std::string value = ValueOf("key", bytes);
    for (size_t at = 0; at < bytes; ++at) {
      std::string changed = value;
      changed[at] = static_cast<char>(changed[at] ^ 1);
      ASSERT_FALSE(IsTraceValue(TraceKeyHash("key"), changed)) << bytes << ", byte " << at;
    }
  }
}

TEST(TraceValueTest, AShortenedValueIsNoticed) {
  const std::string value = ValueOf("key", 1'000);
  EXPECT_FALSE(IsTraceValue(TraceKeyHash("key"), std::string_view(value).substr(0, 999)));
}

TEST(TraceValueTest, HalfOfAValueRepeatsOneByte) {
  const std::string value = ValueOf("key", 4'096);
  EXPECT_TRUE(
      std::all_of(value.begin() + 2'048, value.end(), [](char byte) { return byte == 'x'; }));
  size_t runs = 0;
  for (size_t at = 1; at < 2'048; ++at) runs += value[at] == value[at - 1];
  EXPECT_LT(runs, 40U);  // 8 by chance
}

}  // namespace
}  // namespace terraced::bench
