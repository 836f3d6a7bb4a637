// The same random requests to Debian's memcached and to terraced: every reply must be the same. Three modes put
// the items where they hurt most. Repeat a run with TERRACED_SEED; TERRACED_DIFF_OPS makes it longer.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <deque>

#include "tests/support/daemon.h"
#include "tests/support/differential.h"
#include "tests/support/servers.h"
#include "tests/support/stat_names.h"

namespace terraced::support {
namespace {

constexpr uint64_t kBatchMax = 32;
constexpr double kMissShareMax = 0.001;

struct Mode {
  std::string name;
  std::vector<std::string> arguments;  // of the daemon under test
  RequestMix mix;
  uint64_t requests = 0;      // unless TERRACED_DIFF_OPS says otherwise
  uint64_t demote_every = 0;  // requests; 0: never
  double flash_hits_min = 0;  // share of hits that must have come from flash
};

// Waits until every removed slot was told apart, own record or neighbour: then the counts are exact.
void WaitForVerifiedRemovals(Client& client) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (client.Stat(kStatRemovalsUnverified) > 0 && std::chrono::steady_clock::now() < end) {
    (void)client.Ask("debug demote\r\n");
  }
}

class DifferentialTest : public ::testing::Test {
 protected:
  void RunMode(const Mode& mode);
  void RunRequests(const Mode& mode, uint64_t seed, Client& tested, Differential& differential);
  static void JudgeLosses(const Mode& mode, const Differential& differential, Client& reference,
                          Client& tested);
  // A get that waits for a busy machine must not become a miss: those are what the run counts.
  std::string FlashOptions() const {
    return "flash_path=" + directory_.Sub("flash") +
           ",flash_read_deadline=60000,flash_wait_deadline=60000";
  }
  TempDirectory directory_;
};

void DifferentialTest::RunMode(const Mode& mode) {
  const uint64_t seed = Seed();
  std::printf("TERRACED_SEED=%llu\n", static_cast<unsigned long long>(seed));
  // The reference pads a counted number in place unless somebody else holds the item at that moment. One worker
  // and no maintainer threads (which hold items that were read lately) leave nothing of that to chance.
  Result<std::unique_ptr<Daemon>> reference = Daemon::Start(
      {.binary = ReferenceBinary(),
       .arguments = {"-m", "1024", "-t", "1", "-o", "no_lru_maintainer,no_lru_crawler"}});
  ASSERT_TRUE(reference.ok()) << reference.status().message();
  Result<std::unique_ptr<Daemon>> tested =
      Daemon::Start({.binary = TerracedBinary(), .arguments = mode.arguments});
  ASSERT_TRUE(tested.ok()) << tested.status().message();
  std::unique_ptr<Client> ask_reference = reference.value()->Connect();
  std::unique_ptr<Client> ask_tested = tested.value()->Connect();
  Differential differential(*reference.value(), *tested.value());
  RunRequests(mode, seed, *ask_tested, differential);
  if (HasFatalFailure()) FAIL() << tested.value()->Stderr();
  JudgeLosses(mode, differential, *ask_reference, *ask_tested);
  EXPECT_EQ(tested.value()->Stop(SIGTERM), 0) << tested.value()->Stderr();
}

// The reference pads a counted number in place, except while the reply to an earlier get of the same pipeline
// still holds the item: such a pair must not share a pipeline.
bool CountsWhatWasRead(const GeneratedRequest& request,
                       const std::vector<GeneratedRequest>& batch) {
  if (!request.text.starts_with("incr ") && !request.text.starts_with("decr ")) return false;
  return std::any_of(batch.begin(), batch.end(), [&request](const GeneratedRequest& earlier) {
    return earlier.reads > 0 && std::find(earlier.keys.begin(), earlier.keys.end(),
                                          request.keys[0]) != earlier.keys.end();
  });
}

// Up to `size` requests that may share a pipeline; a malformed one is alone.
std::vector<GeneratedRequest> NextBatch(size_t size, RequestGenerator* generator,
                                        std::deque<GeneratedRequest>* ahead) {
  std::vector<GeneratedRequest> batch;
  while (batch.size() < size) {
    if (ahead->empty()) generator->Next(ahead);
    GeneratedRequest& next = ahead->front();
    if (!batch.empty() && (next.malformed || CountsWhatWasRead(next, batch))) break;
    batch.push_back(std::move(next));
    ahead->pop_front();
    if (batch.back().malformed) break;
  }
  return batch;
}

// Sets every key: at the beginning, and again after each flush, or else most reads would find nothing.
bool Fill(RequestGenerator* generator, Differential* differential) {
  std::vector<GeneratedRequest> batch;
  for (const std::string& key : generator->AllKeys()) {
    batch.push_back(generator->Fill(key));
    if (batch.size() < kBatchMax) continue;
    if (!differential->Exchange(std::move(batch))) return false;
    batch.clear();
  }
  return batch.empty() || differential->Exchange(std::move(batch));
}

bool Flushes(const std::vector<GeneratedRequest>& batch) {
  return std::any_of(batch.begin(), batch.end(), [](const GeneratedRequest& request) {
    return request.text.starts_with("flush_all") && !request.malformed;
  });
}

void DifferentialTest::RunRequests(const Mode& mode, uint64_t seed, Client& tested,
                                   Differential& differential) {
  const uint64_t wanted = NumberFromEnvironment("TERRACED_DIFF_OPS", mode.requests);
  RequestGenerator generator(seed, mode.mix);
  std::deque<GeneratedRequest> ahead;
  uint64_t demoted_at = 0;
  bool fill = true;
  while (differential.Requests() < wanted) {
    if (fill) {
      ASSERT_TRUE(Fill(&generator, &differential))
          << "seed " << seed << ": " << differential.Failure();
    }
    const uint64_t size = 1 + generator.Below(generator.Below(3) == 0 ? kBatchMax : 6);
    std::vector<GeneratedRequest> batch = NextBatch(size, &generator, &ahead);
    fill = Flushes(batch);
    ASSERT_TRUE(differential.Exchange(std::move(batch)))
        << "seed " << seed << ", request " << differential.Requests() << ": "
        << differential.Failure();
    if (mode.demote_every > 0 && differential.Requests() - demoted_at >= mode.demote_every) {
      demoted_at = differential.Requests();
      ASSERT_EQ(tested.Ask("debug demote\r\n"), "OK\r\n");
    }
  }
  ASSERT_TRUE(differential.Sweep(generator.AllKeys()))
      << "seed " << seed << ": " << differential.Failure();
}

void DifferentialTest::JudgeLosses(const Mode& mode, const Differential& differential,
                                   Client& reference, Client& tested) {
  ASSERT_EQ(reference.Stat(kStatEvictions), 0U) << "the reference must hold everything";
  if (mode.flash_hits_min > 0) WaitForVerifiedRemovals(tested);
  std::map<std::string, std::string> stats = tested.Stats();
  const auto number = [&stats](const char* name) {
    return std::strtoull(stats[name].c_str(), nullptr, 10);
  };
  const uint64_t explained = number(kStatIndexCollisions) + number(kStatEvictions);
  std::printf(
      "%s: %llu requests, %llu reads, %llu hits (%llu from flash), %llu lost, %llu explained\n",
      mode.name.c_str(), static_cast<unsigned long long>(differential.Requests()),
      static_cast<unsigned long long>(differential.Reads()),
      static_cast<unsigned long long>(differential.Hits()), number(kStatGetHitsFlash),
      static_cast<unsigned long long>(differential.AcceptedMisses()),
      static_cast<unsigned long long>(explained));
  std::printf(
      "  at the end: %llu items and %llu bytes of them in the reference; %llu items, %llu on flash "
      "here\n",
      static_cast<unsigned long long>(reference.Stat(kStatCurrItems)),
      static_cast<unsigned long long>(reference.Stat("bytes")), number(kStatCurrItems),
      number(kStatFlashItems));
  EXPECT_LE(differential.AcceptedMisses(), explained) << "items were lost and nothing counted it";
  EXPECT_LE(static_cast<double>(differential.AcceptedMisses()),
            kMissShareMax * static_cast<double>(differential.Reads()));
  const double hits = static_cast<double>(number(kStatGetHits));
  EXPECT_GE(static_cast<double>(number(kStatGetHitsFlash)), mode.flash_hits_min * hits)
      << "the run read too little from flash to prove anything";
}

TEST_F(DifferentialTest, AnswersAsMemcachedDoesFromRam) {
  RunMode({.name = "RAM only",
           .arguments = {"-m", "1024", "-t", "2"},
           .mix = {},
           .requests = 400'000,
           .demote_every = 0,
           .flash_hits_min = 0});
}

TEST_F(DifferentialTest, AnswersAsMemcachedDoesWithAFewMegabytesOfRam) {
  // Values stay within what a batch of so small a RAM tier takes (flash_item_max): larger ones would only be
  // evicted.
  RequestMix mix;
  mix.key_count = 100'000;
  mix.value_bytes_max = 16'000;
  mix.large_key_count = 8;
  mix.large_value_bytes_min = 60'000;
  mix.large_value_bytes_max = 120'000;
  mix.large_per_million = 500;
  mix.flush_per_million = 2;
  RunMode(
      {.name = "tiny RAM",
       .arguments = {"-m", "8", "-t", "2", "-o", "test_commands,flash_size=1g," + FlashOptions()},
       .mix = mix,
       .requests = 260'000,
       .demote_every = 0,
       .flash_hits_min = 0.3});
}

TEST_F(DifferentialTest, AnswersAsMemcachedDoesWithEverythingDemoted) {
  RequestMix mix;
  mix.key_count = 5'000;
  RunMode({.name = "all demoted",
           .arguments = {"-m", "1024", "-t", "2", "-o",
                         "test_commands,flash_size=2g," + FlashOptions()},
           .mix = mix,
           .requests = 120'000,
           .demote_every = 300,
           .flash_hits_min = 0.3});
}

}  // namespace
}  // namespace terraced::support
