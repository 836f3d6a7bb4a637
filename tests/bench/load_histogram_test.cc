#include "tests/bench/load_histogram.h"

#include <gtest/gtest.h>

namespace terraced::bench {
namespace {

TEST(LoadHistogramTest, QuantilesAreWithinAThirtySecondOfTheTruth) {
  LatencyHistogram histogram;
  for (uint64_t ns = 1; ns <= 1'000'000; ++ns) histogram.Add(ns);
  for (const double share : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const double truth = share * 1e6;
    const auto said = static_cast<double>(histogram.QuantileNs(share));
    EXPECT_GE(said, truth);
    EXPECT_LE(said, truth * (1 + 1.0 / 32) + 1);
  }
  EXPECT_EQ(histogram.LongestNs(), 1'000'000U);
  EXPECT_EQ(histogram.QuantileNs(1), 1'000'000U);
}

TEST(LoadHistogramTest, CountsEveryLatencyOnceHoweverLong) {
  LatencyHistogram histogram;
  for (const uint64_t ns : {0ULL, 1ULL, 31ULL, 32ULL, 63ULL, 64ULL, 1ULL << 39, 1ULL << 50})
    histogram.Add(ns);
  uint64_t total = 0;
  uint64_t last_end = 0;
  histogram.ForEach([&](uint64_t end_ns, uint64_t count) {
    EXPECT_GE(end_ns, last_end);
    last_end = end_ns;
    total += count;
  });
  EXPECT_EQ(total, 8U);
  EXPECT_EQ(histogram.LongestNs(), 1ULL << 50);
}

}  // namespace
}  // namespace terraced::bench
