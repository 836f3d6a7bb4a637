// The same random requests to Debian's memcached and to terraced, in each of three protocols: every reply must be the
// same. Three modes put the items where they hurt most. Repeat a run with TERRACED_SEED; TERRACED_DIFF_OPS makes it
// longer.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <tuple>

#include "tests/support/daemon.h"
#include "tests/support/differential.h"
#include "tests/support/servers.h"
#include "tests/support/stat_names.h"

namespace terraced::support {
namespace {

constexpr uint64_t kOperations = 30'000;  // unless TERRACED_DIFF_OPS says otherwise
constexpr uint64_t kBatchMax = 32;
// A tiny RAM tier that is filled as fast as its client can write loses some.
constexpr double kMissShareMax = 0.004;
constexpr double kSharedMarkShareMax = 0.0003;  // and none without flash

enum class Mode : uint8_t { kRam, kTinyRam, kAllDemoted };

struct ModeSpec {
  std::vector<std::string> arguments;  // of the daemon under test
  RequestMix mix = {};
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

// Keys that a run of so many requests meets more than once.
uint32_t KeysFor(uint64_t requests, uint64_t least, uint64_t most) {
  return static_cast<uint32_t>(std::clamp(requests / 10, least, most));
}

class DifferentialTest : public ::testing::TestWithParam<std::tuple<Protocol, Mode>> {
 protected:
  ModeSpec Spec() const;
  void Run(const ModeSpec& spec);
  void RunRequests(const ModeSpec& spec, Client& tested, Differential& differential);
  static void JudgeLosses(const ModeSpec& spec, const Differential& differential, Client& reference,
                          Client& tested);
  // A get that waits for a busy machine must not become a miss: those are what the run counts.
  std::string FlashOptions() const {
    return "test_commands,flash_path=" + directory_.Sub("flash") +
           ",flash_read_deadline=60000,flash_wait_deadline=60000,flash_size=";
  }
  const uint64_t seed_ = Seed();
  const uint64_t operations_ = NumberFromEnvironment("TERRACED_DIFF_OPS", kOperations);
  TempDirectory directory_;
};

ModeSpec DifferentialTest::Spec() const {
  ModeSpec spec;
  switch (std::get<Mode>(GetParam())) {
    case Mode::kRam:
      spec.arguments = {"-m", "1024", "-t", "2"};
      spec.mix.key_count = KeysFor(operations_, 4'000, 20'000);
      spec.mix.flush_per_million = 40;
      break;
    case Mode::kTinyRam:
      spec.arguments = {"-m", "8", "-t", "2", "-o", FlashOptions() + "1g"};
      // Values stay within what a batch of so small a RAM tier takes (flash_item_max): larger ones would only be
      // evicted.
      spec.mix.key_count = KeysFor(operations_, 40'000, 100'000);
      spec.mix.value_bytes_max = 16'000;
      spec.mix.large_key_count = 8;
      spec.mix.large_value_bytes_min = 60'000;
      spec.mix.large_value_bytes_max = 120'000;
      spec.mix.large_per_million = 500;
      spec.mix.flush_per_million = 2;
      spec.flash_hits_min = 0.2;
      break;
    case Mode::kAllDemoted:
      spec.arguments = {"-m", "1024", "-t", "2", "-o", FlashOptions() + "2g"};
      spec.mix.key_count = KeysFor(operations_, 3'000, 5'000);
      spec.demote_every = 300;
      spec.flash_hits_min = 0.3;
      break;
  }
  return spec;
}

void DifferentialTest::Run(const ModeSpec& spec) {
  std::printf("TERRACED_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  // The reference pads a counted number in place unless somebody else holds the item at that moment. One worker
  // and no maintainer threads (which hold items that were read lately) leave nothing of that to chance.
  Result<std::unique_ptr<Daemon>> reference = Daemon::Start(
      {.binary = ReferenceBinary(),
       .arguments = {"-m", "1024", "-t", "1", "-o", "no_lru_maintainer,no_lru_crawler"}});
  ASSERT_TRUE(reference.ok()) << reference.status().message();
  Result<std::unique_ptr<Daemon>> tested =
      Daemon::Start({.binary = TerracedBinary(), .arguments = spec.arguments});
  ASSERT_TRUE(tested.ok()) << tested.status().message();
  std::unique_ptr<Client> ask_reference = reference.value()->Connect();
  std::unique_ptr<Client> ask_tested = tested.value()->Connect();
  Differential differential(std::get<Protocol>(GetParam()), *reference.value(), *tested.value());
  RunRequests(spec, *ask_tested, differential);
  if (HasFatalFailure()) FAIL() << tested.value()->Stderr();
  JudgeLosses(spec, differential, *ask_reference, *ask_tested);
  EXPECT_EQ(tested.value()->Stop(SIGTERM), 0) << tested.value()->Stderr();
}

// The reference pads a counted number in place, except while the reply to an earlier get of the same pipeline
// still holds the item: such a pair must not share a pipeline.
bool CountsWhatWasRead(const GeneratedRequest& request,
                       const std::vector<GeneratedRequest>& batch) {
  if (!request.counts) return false;
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

// One request about every key: a set at the beginning and again after each flush, or else most reads would find
// nothing; and at the end a read.
bool ForAllKeys(GeneratedRequest (RequestGenerator::*request)(const std::string&),
                RequestGenerator* generator, Differential* differential) {
  std::vector<GeneratedRequest> batch;
  for (const std::string& key : generator->AllKeys()) {
    batch.push_back((generator->*request)(key));
    if (batch.size() < kBatchMax) continue;
    if (!differential->Exchange(batch)) return false;
    batch.clear();
  }
  return batch.empty() || differential->Exchange(batch);
}

void DifferentialTest::RunRequests(const ModeSpec& spec, Client& tested,
                                   Differential& differential) {
  const std::unique_ptr<RequestGenerator> generator =
      RequestGenerator::Create(std::get<Protocol>(GetParam()), seed_, spec.mix);
  std::deque<GeneratedRequest> ahead;
  uint64_t demoted_at = 0;
  bool fill = true;
  for (uint64_t done = 0; done < operations_;) {
    if (fill) {
      ASSERT_TRUE(ForAllKeys(&RequestGenerator::Fill, generator.get(), &differential))
          << "seed " << seed_ << ": " << differential.Failure();
    }
    const uint64_t size = 1 + generator->Below(generator->Below(3) == 0 ? kBatchMax : 6);
    const std::vector<GeneratedRequest> batch = NextBatch(size, generator.get(), &ahead);
    fill = std::any_of(batch.begin(), batch.end(),
                       [](const GeneratedRequest& request) { return request.flushes; });
    done += batch.size();
    ASSERT_TRUE(differential.Exchange(batch))
        << "seed " << seed_ << ", request " << done << ": " << differential.Failure();
    if (spec.demote_every > 0 && done - demoted_at >= spec.demote_every) {
      demoted_at = done;
      ASSERT_EQ(tested.Ask("debug demote\r\n"), "OK\r\n");
    }
  }
  ASSERT_TRUE(ForAllKeys(&RequestGenerator::Show, generator.get(), &differential))
      << "seed " << seed_ << ": " << differential.Failure();
}

void DifferentialTest::JudgeLosses(const ModeSpec& spec, const Differential& differential,
                                   Client& reference, Client& tested) {
  ASSERT_EQ(reference.Stat(kStatEvictions), 0U) << "the reference must hold everything";
  if (spec.flash_hits_min > 0) WaitForVerifiedRemovals(tested);
  std::map<std::string, std::string> stats = tested.Stats();
  const auto number = [&stats](const char* name) {
    return std::strtoull(stats[name].c_str(), nullptr, 10);
  };
  const uint64_t explained = number(kStatIndexCollisions) + number(kStatEvictions);
  std::printf("%llu requests, %llu reads, %llu hits (%llu from flash), %llu lost, %llu explained\n",
              static_cast<unsigned long long>(differential.Requests()),
              static_cast<unsigned long long>(differential.Reads()),
              static_cast<unsigned long long>(differential.Hits()), number(kStatGetHitsFlash),
              static_cast<unsigned long long>(differential.Known(kMissClass)),
              static_cast<unsigned long long>(explained));
  std::printf(
      "  at the end: %llu items and %llu bytes of them in the reference; %llu items, %llu on flash "
      "here\n",
      static_cast<unsigned long long>(reference.Stat(kStatCurrItems)),
      static_cast<unsigned long long>(reference.Stat("bytes")), number(kStatCurrItems),
      number(kStatFlashItems));
  for (size_t i = 0; i < KnownDifferences().size(); ++i) {
    std::printf("  known difference %s: %llu\n", KnownDifferences()[i].name,
                static_cast<unsigned long long>(differential.Known(i)));
  }
  EXPECT_LE(differential.Known(kMissClass), explained) << "items were lost and nothing counted it";
  EXPECT_LE(static_cast<double>(differential.Known(kMissClass)),
            kMissShareMax * static_cast<double>(differential.Reads()));
  EXPECT_LE(static_cast<double>(differential.Known(kSharedMarkClass)),
            spec.flash_hits_min > 0
                ? kSharedMarkShareMax * static_cast<double>(differential.Reads())
                : 0.0);
  if (spec.flash_hits_min == 0) {
    EXPECT_EQ(differential.Known(kFlashHitClass), 0U);
  }
  const double hits = static_cast<double>(number(kStatGetHits));
  EXPECT_GE(static_cast<double>(number(kStatGetHitsFlash)), spec.flash_hits_min * hits)
      << "the run read too little from flash to prove anything";
}

std::string NameOf(const ::testing::TestParamInfo<std::tuple<Protocol, Mode>>& info) {
  constexpr std::array<const char*, 3> kProtocols = {"Text", "Meta", "Binary"};
  constexpr std::array<const char*, 3> kModes = {"FromRam", "WithAFewMegabytesOfRam",
                                                 "WithEverythingDemoted"};
  return std::string(kProtocols[static_cast<size_t>(std::get<Protocol>(info.param))]) +
         kModes[static_cast<size_t>(std::get<Mode>(info.param))];
}

TEST_P(DifferentialTest, AnswersAsMemcachedDoes) {
  Run(Spec());
}

INSTANTIATE_TEST_SUITE_P(
    AllProtocols, DifferentialTest,
    ::testing::Combine(::testing::Values(Protocol::kText, Protocol::kMeta, Protocol::kBinary),
                       ::testing::Values(Mode::kRam, Mode::kTinyRam, Mode::kAllDemoted)),
    NameOf);

}  // namespace
}  // namespace terraced::support
