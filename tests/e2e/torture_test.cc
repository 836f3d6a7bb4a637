// The short form of scripts/torture; and the daemon's faults, those that the history checker notices and those that only a
// kill shows: the torture must notice every one. TERRACED_TORTURE_CYCLES makes it longer, TERRACED_SEED repeats one.
#include <gtest/gtest.h>

#include <cstdio>

#include "storage/base/sync_point.h"
#include "tests/support/servers.h"
#include "tests/torture/torture.h"

namespace terraced::torture {
namespace {

using support::FromEnvironment;
using support::NumberFromEnvironment;

constexpr uint64_t kCycles = 40;
constexpr std::chrono::seconds kPatience{240};

ServerOptions Servers() {
  ServerOptions servers;
  servers.binary = support::TerracedBinary();
#ifdef TERRACED_MUTANT_DAEMON
  servers.twin = FromEnvironment("TERRACED_MUTANT_DAEMON_PATH", TERRACED_MUTANT_DAEMON);
#endif
  return servers;
}

TEST(TortureTest, NothingIsStaleAndNothingLostAfterAnyDeath) {
  TortureOptions options;
  options.server = Servers();
  options.seed = support::Seed();
  options.cycles = NumberFromEnvironment("TERRACED_TORTURE_CYCLES", kCycles);
  options.longest = options.cycles == kCycles ? kPatience : std::chrono::seconds(36'000);
  std::printf("TERRACED_SEED=%llu\n", static_cast<unsigned long long>(options.seed));
  const TortureReport report = RunTorture(options);
  std::printf("%s", report.Table(false).c_str());
  EXPECT_EQ(report.Fault(false), "");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // Under a sanitizer the load is too slow to move much to flash: there it looks for other faults than lost items.
  EXPECT_EQ(report.WhyItDoesNotCount(false), "");
#endif
}

#ifdef TERRACED_MUTANT_DAEMON

struct FaultCase {
  const char* mutant;
  const char* point;  // where the kill has to fall; empty: anywhere
};

class TortureMutantTest : public ::testing::TestWithParam<FaultCase> {};

TEST_P(TortureMutantTest, IsNoticed) {
  TortureOptions options;
  options.server = Servers();
  options.server.mutant = GetParam().mutant;
  options.only_point = GetParam().point;
  options.seed = support::Seed();
  options.cycles = 1'000;  // it ends when the fault is noticed
  options.longest = kPatience;
  options.until_noticed = true;
  std::printf("TERRACED_SEED=%llu\n", static_cast<unsigned long long>(options.seed));
  const TortureReport report = RunTorture(options);
  const std::string fault = report.Fault(false);
  std::printf("%s, after %llu cycles: %s\n", GetParam().mutant,
              static_cast<unsigned long long>(report.cycles), fault.c_str());
  EXPECT_NE(fault, "") << "the torture did not notice the fault " << GetParam().mutant;
}

constexpr FaultCase kFaults[] = {{"slot_not_removed_on_set", ""},
                                 {"serial_not_compared", ""},
                                 {"fill_not_validated", ""},
                                 {"demotion_not_cancelled", ""},
                                 {"flush_not_applied_to_flash", ""},
                                 {"flush_not_written_down", "flush"},
                                 {"clean_mark_kept", ""},
                                 {"serial_before_row", "batch_row"},
                                 {"ruling_before_complete", "grow_carried"},
                                 {"run_named_too_early", "start_run_begun"}};
static_assert(std::size(kFaults) + 1 == kMutantNames.size(), "every fault but none");

INSTANTIATE_TEST_SUITE_P(Faults, TortureMutantTest, ::testing::ValuesIn(kFaults),
                         [](const ::testing::TestParamInfo<FaultCase>& info) {
                           return std::string(info.param.mutant);
                         });

#endif  // TERRACED_MUTANT_DAEMON

}  // namespace
}  // namespace terraced::torture
