#include "tests/bench/load_keys.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace terraced::bench {
namespace {

LoadShape Shape(KeyChoice choice) {
  LoadShape shape;
  shape.choice = choice;
  shape.keys = 1'000;
  shape.first_key = 5'000;
  return shape;
}

TEST(LoadKeysTest, UniformKeysReachAllOfTheRange) {
  const LoadShape shape = Shape(KeyChoice::kUniform);
  KeyPicker keys(shape);
  std::set<uint64_t> seen;
  for (int i = 0; i < 20'000; ++i) seen.insert(keys.Next());
  EXPECT_EQ(seen.size(), 1'000U);
  EXPECT_EQ(*seen.begin(), 5'000U);
  EXPECT_EQ(*seen.rbegin(), 5'999U);
}

TEST(LoadKeysTest, ZipfKeysAreFewAndFarApart) {
  const LoadShape shape = Shape(KeyChoice::kZipf);
  KeyPicker keys(shape);
  std::map<uint64_t, int> counts;
  for (int i = 0; i < 20'000; ++i) ++counts[keys.Next()];
  int most = 0;
  for (const auto& [key, count] : counts) most = std::max(most, count);
  // 1 / H(1000, 0.99) = 13 % of all go to the first rank.
  EXPECT_NEAR(most, 2'600, 400);
  EXPECT_LT(counts.rbegin()->first, 6'000U);
}

TEST(LoadKeysTest, EachTenthBatchOfAScanIsASweep) {
  const LoadShape shape = Shape(KeyChoice::kScan);
  KeyPicker keys(shape);
  for (int batch = 1; batch <= 20; ++batch) {
    keys.BeginBatch();
    if (batch % 10 == 0) {
      for (uint64_t i = 0; i < 4; ++i) {
        EXPECT_EQ(keys.Next(), 5'000 + static_cast<uint64_t>(batch / 10 - 1) * 4 + i);
      }
    }
  }
}

}  // namespace
}  // namespace terraced::bench
