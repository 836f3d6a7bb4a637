#include "tests/torture/torture_plan.h"

#include <algorithm>
#include <array>
#include <vector>

#include "storage/base/check.h"

namespace terraced::torture {
namespace {

constexpr int kAttemptsMax = 4;
// Of each round, beside the points.
constexpr int kRandomKills = 24;
constexpr int kTermAndKills = 6;
constexpr int kCleanStops = 4;
constexpr int kReboots = 3;
constexpr int kTwiceOpenings = 1;
constexpr size_t kAgainAfter = 5;

using enum Death;
using enum LoadShape;
using enum Before;

constexpr std::array kPoints = {
    // --- Demotion
    PointPlan{.name = "demote_collected", .nth_max = 6},
    PointPlan{.name = "demote_built", .nth_max = 6},
    PointPlan{.name = "demote_ingested", .nth_max = 6},
    PointPlan{.name = "batch_row", .nth_max = 6},
    PointPlan{.name = "batch_open", .nth_max = 6},
    PointPlan{.name = "batch_slot_some", .nth_max = 2'000},
    PointPlan{.name = "demote_slotted", .nth_max = 6},
    PointPlan{.name = "fill_read", .nth_max = 500},
    // --- flush_all, and what it drops
    PointPlan{.name = "flush", .load = kFlushes},
    PointPlan{.name = "flush_written", .load = kFlushes},
    PointPlan{.name = "flush_due_taken", .load = kDelayedFlushes},
    PointPlan{.name = "crawl_step", .load = kFlushes},
    PointPlan{.name = "drop_begin", .load = kFlushes, .nth_max = 4},
    PointPlan{.name = "drop_dead", .load = kFlushes, .nth_max = 4},
    PointPlan{.name = "drop_file_gone", .load = kFlushes, .nth_max = 4},
    PointPlan{.name = "sweep_step", .load = kFlushes, .nth_max = 250},
    // --- A tier that turns over
    PointPlan{.name = "second_chance_read", .load = kFills, .nth_max = 3},
    PointPlan{.name = "rewrite_moving", .load = kFills, .nth_max = 40},
    // --- Growth of the flash index
    PointPlan{.name = "grow_begin", .load = kGrows, .before = kColdTier, .nth_max = 4},
    PointPlan{.name = "grow_carried", .load = kGrows, .before = kColdTier, .nth_max = 1'000},
    PointPlan{.name = "grow_switch", .load = kGrows, .before = kColdTier, .nth_max = 4},
    PointPlan{.name = "grow_table_ready", .load = kGrows, .before = kColdTier, .nth_max = 60},
    PointPlan{.name = "grow_table_rules", .load = kGrows, .before = kColdTier, .nth_max = 60},
    PointPlan{.name = "grow_partition", .load = kGrows, .before = kColdTier, .nth_max = 60},
    // --- The RAM tier
    PointPlan{.name = "page_leaving", .load = kShifts},
    PointPlan{.name = "page_item_moving", .load = kShifts, .nth_max = 10},
    PointPlan{.name = "page_nobodys", .load = kShifts},
    PointPlan{.name = "slots_removed", .nth_max = 1'000, .twin_only = true},
    PointPlan{.name = "replace_unlinked", .nth_max = 200, .twin_only = true},
    PointPlan{.name = "overwrite_copied", .nth_max = 20, .twin_only = true},
    PointPlan{.name = "value_half", .nth_max = 10, .twin_only = true},
    PointPlan{.name = "hash_split", .load = kGrows, .nth_max = 100, .twin_only = true},
    // --- Clean stops
    PointPlan{.name = "stop_hot_listed", .death = kStopPoint},
    PointPlan{.name = "stop_drained", .death = kStopPoint},
    PointPlan{.name = "stop_closed", .death = kStopPoint},
    PointPlan{.name = "stop_index_written", .death = kStopPoint},
    PointPlan{.name = "stop_state_written", .death = kStopPoint},
    PointPlan{.name = "stop_marked", .death = kStopPoint},
    PointPlan{.name = "stop_removed", .death = kStopPoint},
    // --- Starts
    PointPlan{.name = "start_state_renewed", .death = kStartPoint},
    PointPlan{.name = "start_opening", .death = kStartPoint},
    PointPlan{.name = "start_emptied", .death = kStartPoint, .before = kColdTier},
    PointPlan{.name = "start_store_open", .death = kStartPoint},
    PointPlan{.name = "start_opened", .death = kStartPoint},
    PointPlan{.name = "start_index_cleared", .death = kStartPoint, .before = kStoppedCleanly},
    PointPlan{.name = "start_index_loaded", .death = kStartPoint, .before = kStoppedCleanly},
    PointPlan{.name = "start_run_begun", .death = kStartPoint},
    PointPlan{.name = "start_state_written", .death = kStartPoint},
    PointPlan{.name = "start_mark_removed", .death = kStartPoint, .before = kStoppedCleanly},
    PointPlan{.name = "start_run_confirmed", .death = kStartPoint},
};

}  // namespace

std::string_view NameOf(Death death) {
  constexpr std::array<std::string_view, static_cast<size_t>(kCount)> kNames = {
      "at a random moment",     "at a point under load", "at a point of a stop",
      "at a point of a start",  "SIGTERM, then SIGKILL", "clean stop",
      "reboot (index is gone)", "twice opening RocksDB"};
  return kNames[static_cast<size_t>(death)];
}

std::span<const PointPlan> Points() {
  return kPoints;
}

const PointPlan* PointByName(std::string_view name) {
  const auto* const found = std::find_if(
      kPoints.begin(), kPoints.end(), [&](const PointPlan& point) { return point.name == name; });
  return found == kPoints.end() ? nullptr : found;
}

void TorturePlan::Add(const PointPlan& point) {
  if (point.twin_only && !with_twin_) return;
  Life life{.death = point.death, .before = point.before, .load = point.load, .point = &point};
  // Those that must do the same after a kill and after a clean stop see both.
  if (point.death == kStartPoint && life.before == kAnything && random_() % 2 == 0) {
    life.before = kStoppedCleanly;
  }
  life.nth = 1 + random_() % point.nth_max;
  lives_.push_back(life);
}

void TorturePlan::FillRound() {
  if (!only_.empty()) {
    const PointPlan* const point = PointByName(only_);
    TERRACED_CHECK(point != nullptr);
    return Add(*point);
  }
  for (const PointPlan& point : kPoints) Add(point);
  const auto add = [this](int count, Life life) {
    for (int i = 0; i < count; ++i) lives_.push_back(life);
  };
  constexpr std::array kShapes = {kPlain, kPlain, kFlushes, kShifts, kFills};
  for (int i = 0; i < kRandomKills; ++i) {
    lives_.push_back({.load = kShapes[random_() % kShapes.size()]});
  }
  add(kTermAndKills, {.death = kTermAndKill});
  add(kCleanStops, {.death = kCleanStop, .load = kFlushes});
  add(kReboots, {.death = kReboot, .before = kColdTier});
  add(kTwiceOpenings, {.death = kTwiceOpening, .before = kAnything});
  std::shuffle(lives_.begin(), lives_.end(), random_);
}

Life TorturePlan::Next() {
  if (lives_.empty()) FillRound();
  Life life = lives_.front();
  lives_.pop_front();
  return life;
}

void TorturePlan::Again(const Life& life) {
  if (life.attempt >= kAttemptsMax || life.point == nullptr) return;
  Life again = life;
  ++again.attempt;
  again.nth = 1 + again.nth / 4;
  lives_.insert(lives_.begin() + static_cast<ptrdiff_t>(std::min(kAgainAfter, lives_.size())),
                again);
}

size_t TorturePlan::RoundLength() const {
  size_t points = 0;
  for (const PointPlan& point : kPoints) points += !point.twin_only || with_twin_ ? 1U : 0U;
  return points + kRandomKills + kTermAndKills + kCleanStops + kReboots + kTwiceOpenings;
}

}  // namespace terraced::torture
