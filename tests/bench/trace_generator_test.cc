#include "tests/bench/trace_generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "tests/bench/trace_text.h"

namespace terraced::bench {
namespace {

std::vector<TraceOperation> Generate(const TraceConfig& config) {
  TraceGenerator generator(config);
  std::vector<TraceOperation> operations;
  TraceOperation operation;
  for (;;) {
    const Result<bool> more = generator.Next(&operation);
    EXPECT_TRUE(more.ok());
    if (!more.ok() || !more.value()) return operations;
    operations.push_back(operation);
  }
}

TraceConfig Everything() {
  TraceConfig config;
  config.operations = 50'000;
  config.keys = 10'000;
  config.churn_per_million = 5;
  config.scan_every = 1'000;
  config.scan_length = 100;
  config.set_share = 0.1;
  config.delete_share = 0.05;
  config.value_sigma = 1;
  config.ttls = {{0, 1}, {60, 1}};
  return config;
}

TEST(TraceGeneratorTest, TheSameSeedMakesTheSameTrace) {
  TraceConfig config = Everything();
  const std::vector<TraceOperation> operations = Generate(config);
  EXPECT_EQ(operations.size(), config.operations);
  EXPECT_EQ(Generate(config), operations);
  config.seed = 2;
  EXPECT_NE(Generate(config), operations);
}

TEST(TraceGeneratorTest, EveryOperationCanBeWrittenAsText) {
  TraceConfig config = Everything();
  for (const uint32_t key_bytes : {13U, 250U}) {
    config.key_bytes = key_bytes;
    for (const TraceOperation& operation : Generate(config)) {
      std::string line;
      AppendTraceLine(operation, &line);
      line.pop_back();
      TraceOperation parsed;
      const Result<bool> is_operation = ParseTraceLine(line, &parsed);
      ASSERT_TRUE(is_operation.ok() && is_operation.value()) << line;
      ASSERT_EQ(parsed, operation);
      ASSERT_EQ(operation.key.size(), key_bytes);
    }
  }
}

TEST(TraceGeneratorTest, KeysFollowTheirPopularity) {
  TraceConfig config;
  config.operations = 200'000;
  config.keys = 100;
  config.zipf_theta = 1;
  std::map<std::string, double> seen;
  for (const TraceOperation& operation : Generate(config)) ++seen[operation.key];
  ASSERT_EQ(seen.size(), config.keys);
  // Ranks are numbers in hexadecimal, so the order of keys is that of ranks; H(100) = 5.187.
  double rank = 1;
  for (const auto& [key, count] : seen) {
    const double expected = 200'000 / rank / 5.18738;
    EXPECT_NEAR(count, expected, 5 * std::sqrt(expected)) << key;
    ++rank;
  }
}

TEST(TraceGeneratorTest, ChurnReplacesItsShareOfThePopularRanks) {
  TraceConfig config;
  config.operations = 1'000'000;
  config.keys = 20'000;
  config.popular_share = 0.05;
  config.churn_per_million = 0.3;
  TraceGenerator generator(config);
  ASSERT_EQ(generator.PopularRanks(), 1'000U);
  TraceOperation operation;
  for (uint64_t i = 0; i < config.operations; ++i) ASSERT_TRUE(generator.Next(&operation).ok());
  std::set<uint64_t> fresh;
  uint64_t replaced_hot = 0;
  for (uint64_t rank = 0; rank < generator.PopularRanks(); ++rank) {
    const uint64_t key = generator.KeyOfRank(rank);
    if (key == rank) continue;
    EXPECT_GE(key, config.keys);
    EXPECT_TRUE(fresh.insert(key).second) << "rank " << rank << " shares its key";
    replaced_hot += rank < 500 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(fresh.size()), 300, 1);
  EXPECT_NEAR(static_cast<double>(replaced_hot), 150, 15);  // hot ranks no less than lukewarm ones
  for (uint64_t rank = generator.PopularRanks(); rank < config.keys; ++rank) {
    ASSERT_EQ(generator.KeyOfRank(rank), rank);
  }
}

TEST(TraceGeneratorTest, AReplacedKeyIsNotAskedForAgain) {
  TraceConfig config;
  config.operations = 200'000;
  config.keys = 100;
  config.popular_share = 1;
  config.churn_per_million = 50;  // 1,000 replacements: every rank ten times
  std::map<std::string, std::pair<size_t, size_t>> spans;
  const std::vector<TraceOperation> operations = Generate(config);
  for (size_t at = 0; at < operations.size(); ++at) {
    spans.try_emplace(operations[at].key, at, at).first->second.second = at;
  }
  EXPECT_GT(spans.size(), 1'000U);
  // A rank's key lives for a cycle of 20,000 operations.
  for (const auto& [key, span] : spans) ASSERT_LE(span.second - span.first, 20'100U) << key;
}

TEST(TraceGeneratorTest, ScansHaveTheirLengthAndDistanceAndNoKeyTwice) {
  TraceConfig config;
  config.operations = 100'000;
  config.keys = 1'000;
  config.scan_every = 900;
  config.scan_length = 100;
  std::set<std::string> scanned;
  const std::vector<TraceOperation> operations = Generate(config);
  for (size_t at = 0; at < operations.size(); ++at) {
    const bool is_scan = operations[at].key.front() == 's';
    ASSERT_EQ(is_scan, at % 1'000 >= 900) << at;
    if (!is_scan) continue;
    EXPECT_EQ(operations[at].verb, TraceVerb::kGet);
    EXPECT_TRUE(scanned.insert(operations[at].key).second);
  }
  EXPECT_EQ(scanned.size(), 10'000U);
}

TEST(TraceGeneratorTest, WithoutScansThereAreNone) {
  TraceConfig config;
  config.operations = 10'000;
  for (const TraceOperation& operation : Generate(config)) ASSERT_EQ(operation.key.front(), 'k');
}

TEST(TraceGeneratorTest, OperationsHaveTheirShares) {
  TraceConfig config;
  config.operations = 100'000;
  config.set_share = 0.2;
  config.delete_share = 0.05;
  std::map<TraceVerb, double> seen;
  for (const TraceOperation& operation : Generate(config)) ++seen[operation.verb];
  EXPECT_NEAR(seen[TraceVerb::kSet], 20'000, 700);
  EXPECT_NEAR(seen[TraceVerb::kDelete], 5'000, 400);
}

TEST(TraceGeneratorTest, SizesAndTtlsFollowTheirWeightsAndStayWithTheKey) {
  TraceConfig config;
  config.operations = 200'000;
  config.keys = 20'000;
  config.zipf_theta = 0;
  config.value_sizes = {{10, 1}, {1'000, 2}, {5'000, 1}};
  config.ttls = {{0, 3}, {60, 1}};
  std::map<std::string, std::pair<uint32_t, uint32_t>> items;
  std::map<uint32_t, double> sizes;
  double short_lived = 0;
  double small_and_short_lived = 0;
  for (const TraceOperation& operation : Generate(config)) {
    const std::pair item(operation.value_bytes, operation.ttl_s);
    const auto [at, is_new] = items.try_emplace(operation.key, item);
    ASSERT_EQ(at->second, item) << operation.key;
    if (!is_new) continue;
    ++sizes[operation.value_bytes];
    short_lived += operation.ttl_s == 60;
    small_and_short_lived += operation.ttl_s == 60 && operation.value_bytes == 10;
  }
  const auto count = static_cast<double>(items.size());
  EXPECT_NEAR(sizes[10] / count, 0.25, 0.02);
  EXPECT_NEAR(sizes[1'000] / count, 0.5, 0.02);
  EXPECT_NEAR(sizes[5'000] / count, 0.25, 0.02);
  EXPECT_NEAR(short_lived / count, 0.25, 0.02);
  EXPECT_NEAR(small_and_short_lived / count, 0.0625, 0.01);  // one does not follow from the other
}

TEST(TraceGeneratorTest, LognormalSizesHaveTheirMedianSpreadAndMaximum) {
  TraceConfig config;
  config.operations = 50'000;
  config.keys = 1'000'000;
  config.zipf_theta = 0;
  config.value_median = 400;
  config.value_sigma = 1;
  config.value_max = 2'000;
  std::vector<uint32_t> sizes;
  for (const TraceOperation& operation : Generate(config)) sizes.push_back(operation.value_bytes);
  std::sort(sizes.begin(), sizes.end());
  EXPECT_NEAR(sizes[sizes.size() / 2], 400, 15);
  EXPECT_NEAR(sizes[sizes.size() * 1587 / 10'000], 400 / std::numbers::e, 8);  // a deviation below
  EXPECT_EQ(sizes.back(), 2'000U);
  EXPECT_GE(sizes.front(), 1U);
}

}  // namespace
}  // namespace terraced::bench
