// Torture: a daemon under the load of the history checker dies again and again, in every way that the plan knows, and is
// started again on what it left. Nothing it answers may ever be stale, and what it acknowledged and did not evict must
// be there.
// Threads: RunTorture starts and joins its own. Ownership: directories and processes go with the run.
// Errors: in the report; a run that cannot go on ends there.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/torture/torture_plan.h"
#include "tests/torture/torture_server.h"

namespace terraced::torture {

struct TortureOptions {
  ServerOptions server;
  uint64_t seed = 1;
  uint64_t cycles = 100;
  std::chrono::seconds longest{3'600};
  std::string only_point;      // every life dies there
  bool until_noticed = false;  // ends with the first fault that is seen: for faulty daemons
  bool prints = false;         // a line on stdout now and then
};

struct TortureReport {
  uint64_t cycles = 0;
  uint64_t starts = 0;
  std::map<Death, uint64_t> deaths;
  std::map<std::string_view, uint64_t> points;  // died there so often
  std::vector<std::string_view> never_passed;   // of those that had their turn

  uint64_t gets = 0;  // keys asked for, judged where they were hits
  uint64_t hits = 0;
  uint64_t swept = 0;  // of the gets: after a start
  uint64_t changes = 0;
  uint64_t flushes = 0;
  uint64_t stale = 0;
  std::vector<std::string> stale_texts;  // the first ones
  std::vector<std::string> problems;  // crashes, tiers that were lost, answers that should not come

  uint64_t flash_expected = 0;
  uint64_t flash_kept = 0;
  uint64_t ram_expected = 0;
  uint64_t ram_kept = 0;
  uint64_t deaths_weighed = 0;   // those that had enough to lose
  double worst_flash_share = 1;  // of one of them
  std::string worst_flash_life;  // what had ended there

  // By the daemon's own counters, each life's last sample.
  uint64_t get_keys = 0;
  uint64_t get_hits_flash = 0;
  uint64_t demotions_cancelled = 0;

  std::vector<uint64_t> answer_us;  // from exec, of warm starts after a kill
  std::vector<uint64_t> hit_us;
  double seconds = 0;

  double FlashShare() const;
  double RamShare() const;
  // Something is wrong with the daemon; the first reason, or nothing.
  std::string Fault(bool arena) const;
  // Why the run proves nothing, or nothing.
  std::string WhyItDoesNotCount(bool whole_round) const;
  std::string Table(bool arena) const;
};

TortureReport RunTorture(const TortureOptions& options);

}  // namespace terraced::torture
