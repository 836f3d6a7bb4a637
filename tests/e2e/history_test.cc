// The history checker on terraced: tiny RAM tier, everything pushed to flash all the time, delays at the places
// where tiers meet. No get may return what was stored over, deleted, flushed or expired before it began. Then
// the same on the daemon's faulty twin, once for each of its faults: the checker must notice every one.
// TERRACED_HISTORY_S makes the run longer, TERRACED_SEED repeats one.
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>

#include "storage/base/sync_point.h"
#include "tests/support/daemon.h"
#include "tests/support/history_runner.h"
#include "tests/support/servers.h"
#include "tests/support/stat_names.h"

namespace terraced::support {
namespace {

// What makes a run count: the share of gets answered from flash, and demoted records that were changed while
// their batch was in flight.
constexpr double kFlashShareMin = 0.30;
constexpr uint64_t kCancelledMin = 1'000;
constexpr std::chrono::seconds kMutantPatience{240};

class HistoryDaemonTest : public ::testing::Test {
 protected:
  void StartDaemon(const std::string& binary, const std::string& more) {
    Result<std::unique_ptr<Daemon>> daemon =
        Daemon::Start({.binary = binary,
                       .arguments = {"-m", "8", "-t", "2", "-o",
                                     "test_commands,flash_path=" + directory_.Sub("flash") +
                                         ",flash_size=32m" + more}});
    ASSERT_TRUE(daemon.ok()) << daemon.status().message();
    daemon_ = std::move(daemon).value();
  }
  HistoryLoad Load() const {
    HistoryLoad load;
    load.port = daemon_->Port();
    load.seed = Seed();
    load.duration = std::chrono::seconds(NumberFromEnvironment("TERRACED_HISTORY_S", 20));
    load.longest = load.duration + std::chrono::seconds(180);
    load.filler_keys_per_burst = 40;
    load.demotes = true;
    std::printf("TERRACED_SEED=%llu\n", static_cast<unsigned long long>(load.seed));
    return load;
  }
  TempDirectory directory_;
  std::unique_ptr<Daemon> daemon_;
};

// What the run has not shown yet; empty: it counts.
std::string Missing(Client& client) {
  std::string missing;
  std::map<std::string, std::string> points = client.SyncPoints();
  for (const std::string_view name : kSyncPointNames) {
    if (std::strtoull(points[std::string(name)].c_str(), nullptr, 10) == 0) {
      missing.append(" sync point ").append(name).append(" never passed;");
    }
  }
  std::map<std::string, std::string> stats = client.Stats();
  const auto number = [&stats](const char* name) {
    return std::strtoull(stats[name].c_str(), nullptr, 10);
  };
  const double share = static_cast<double>(number(kStatGetHitsFlash)) /
                       static_cast<double>(std::max<uint64_t>(number(kStatCmdGet), 1));
  if (share < kFlashShareMin) {
    missing.append(" only " + std::to_string(share) + " of the gets answered from flash;");
  }
  if (number(kStatDemotionsCancelled) < kCancelledMin) {
    missing.append(" only " + std::to_string(number(kStatDemotionsCancelled)) +
                   " demotions cancelled;");
  }
  return missing;
}

TEST_F(HistoryDaemonTest, NoGetReturnsAValueFromThePast) {
  ASSERT_NO_FATAL_FAILURE(StartDaemon(TerracedBinary(), ""));
  HistoryLoad load = Load();
  std::string missing;
  load.enough = [&missing](Client& client) {
    missing = Missing(client);
    return missing.empty();
  };
  const HistoryReport report = RunHistory(load);
  std::printf("%s\n", report.Summary().c_str());
  EXPECT_TRUE(report.violations.empty() && report.errors.empty()) << daemon_->Stderr();
  EXPECT_TRUE(report.enough) << "the run does not count:" << missing;
  std::map<std::string, std::string> stats = daemon_->Connect()->Stats();
  for (const char* name :
       {kStatCmdGet, kStatGetHits, kStatGetHitsFlash, kStatDemotionsCancelled, kStatPromotions,
        kStatSecondChances, kStatBatchesDropped, kStatEvictions}) {
    std::printf("  %s %s\n", name, stats[name].c_str());
  }
  EXPECT_EQ(daemon_->Stop(SIGTERM), 0) << daemon_->Stderr();
}

#ifdef TERRACED_MUTANT_DAEMON

class HistoryMutantTest : public HistoryDaemonTest, public ::testing::WithParamInterface<size_t> {
 protected:
  static std::string MutantBinary() {
    return FromEnvironment("TERRACED_MUTANT_DAEMON_PATH", TERRACED_MUTANT_DAEMON);
  }
};

TEST_F(HistoryMutantTest, PassesOnTheTwinWithItsFaultsOff) {
  ASSERT_NO_FATAL_FAILURE(StartDaemon(MutantBinary(), ",mutant=none"));
  HistoryLoad load = Load();
  load.duration = std::chrono::seconds(10);
  const HistoryReport report = RunHistory(load);
  EXPECT_TRUE(report.violations.empty() && report.errors.empty()) << report.Summary();
}

TEST_P(HistoryMutantTest, IsNoticed) {
  const std::string name(kMutantNames[GetParam()]);
  ASSERT_NO_FATAL_FAILURE(StartDaemon(MutantBinary(), ",mutant=" + name));
  HistoryLoad load = Load();
  load.duration = kMutantPatience;  // it ends at the first violation
  const HistoryReport report = RunHistory(load);
  std::printf("%s: %s\n", name.c_str(), report.Summary().c_str());
  EXPECT_TRUE(report.errors.empty());
  EXPECT_FALSE(report.violations.empty()) << "the checker did not notice the fault " << name;
}

INSTANTIATE_TEST_SUITE_P(Faults, HistoryMutantTest,
                         ::testing::Range<size_t>(1, static_cast<size_t>(kFirstKillMutant)),
                         [](const ::testing::TestParamInfo<size_t>& info) {
                           return std::string(kMutantNames[info.param]);
                         });

#endif  // TERRACED_MUTANT_DAEMON

}  // namespace
}  // namespace terraced::support
