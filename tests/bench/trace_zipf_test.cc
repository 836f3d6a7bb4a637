#include "tests/bench/trace_zipf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace terraced::bench {
namespace {

// The shares of all ranks.
std::vector<double> Shares(uint64_t count, double theta) {
  std::vector<double> shares(count);
  double sum = 0;
  for (uint64_t rank = 0; rank < count; ++rank) {
    shares[rank] = std::pow(static_cast<double>(rank + 1), -theta);
    sum += shares[rank];
  }
  for (double& share : shares) share /= sum;
  return shares;
}

TEST(TraceZipfTest, EveryRankComesAsOftenAsTheLawSays) {
  constexpr uint64_t kCount = 500;
  constexpr double kSamples = 1'000'000;
  for (const double theta : {0.0, 0.5, 0.9, 0.99, 1.0, 1.01, 1.5, 3.0}) {
    const ZipfSampler zipf(kCount, theta);
    std::mt19937_64 random(1);
    std::vector<double> seen(kCount);
    for (int i = 0; i < static_cast<int>(kSamples); ++i) {
      const uint64_t rank = zipf.Sample(random);
      ASSERT_LT(rank, kCount);
      ++seen[rank];
    }
    const std::vector<double> shares = Shares(kCount, theta);
    double chi_square = 0;
    double ranks = 0;
    for (uint64_t rank = 0; rank < kCount; ++rank) {
      const double expected = shares[rank] * kSamples;
      // Five standard deviations, and the rare ranks as Poisson has them.
      EXPECT_NEAR(seen[rank], expected, 5 * std::sqrt(expected) + 5) << theta << ", rank " << rank;
      if (expected < 10) continue;
      chi_square += (seen[rank] - expected) * (seen[rank] - expected) / expected;
      ++ranks;
    }
    // Its mean is the number of ranks, its deviation the root of twice that.
    EXPECT_NEAR(chi_square, ranks, 5 * std::sqrt(2 * ranks)) << theta;
  }
}

TEST(TraceZipfTest, AThousandMostPopularOfManyKeysHaveTheirShare) {
  constexpr uint64_t kCount = 10'000'000;
  constexpr double kSamples = 400'000;
  const ZipfSampler zipf(kCount, 0.9);
  std::mt19937_64 random(2);
  double popular = 0;
  for (int i = 0; i < static_cast<int>(kSamples); ++i) popular += zipf.Sample(random) < 1000;
  const std::vector<double> shares = Shares(kCount, 0.9);
  double expected = 0;
  for (size_t rank = 0; rank < 1000; ++rank) expected += shares[rank];
  EXPECT_NEAR(popular / kSamples, expected, 5 * std::sqrt(expected / kSamples));
}

TEST(TraceZipfTest, OneKeyIsAlwaysChosen) {
  std::mt19937_64 random(3);
  for (const double theta : {0.0, 0.9, 1.0}) {
    const ZipfSampler zipf(1, theta);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(zipf.Sample(random), 0U);
  }
}

}  // namespace
}  // namespace terraced::bench
