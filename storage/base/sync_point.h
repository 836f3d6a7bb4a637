// Sync points: named places between the tiers where a race would show. Each counts how often it was
// passed; a test can attach a callback (to hold the thread there), and `-o test_commands` can
// attach a delay. They stand on cold paths only: one relaxed increment and one load where nothing
// is attached.
// Threads: any. The list of names is fixed by the enum, so a run can prove that it passed every
// one.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

namespace terraced {

enum class SyncPoint : uint8_t {
  kDemoteCollected,   // a batch's items are marked and encoded, its file is not begun
  kDemoteBuilt,       // the file is built, not ingested
  kDemoteIngested,    // ingested, no slot yet
  kDemoteSlotted,     // every slot of the batch is in place
  kFillRead,          // a reader has its record, nobody has validated it
  kDropBegin,         // the victim's serial still stands
  kDropDead,          // its serial is dead, its file still there
  kSecondChanceRead,  // a hit record was read for rewriting
  kGrowBegin,         // a partition's new table is empty
  kGrowSwitch,        // the new table is complete, the old one still rules
  kFlush,             // the epoch has just been raised
  kCrawlStep,         // the crawler is between two steps of a walk
  kCount
};

constexpr std::array<std::string_view, static_cast<size_t>(SyncPoint::kCount)> kSyncPointNames = {
    "demote_collected", "demote_built", "demote_ingested", "demote_slotted",
    "fill_read",        "drop_begin",   "drop_dead",       "second_chance_read",
    "grow_begin",       "grow_switch",  "flush",           "crawl_step"};

std::optional<SyncPoint> SyncPointByName(std::string_view name);

class SyncPoints {
 public:
  static void Pass(SyncPoint point) {
    State& state = states_[static_cast<size_t>(point)];
    state.passed.fetch_add(1, std::memory_order_relaxed);
    if (state.armed.load(std::memory_order_acquire)) RunAttached(point);
  }
  static uint64_t Passed(SyncPoint point) {
    return states_[static_cast<size_t>(point)].passed.load(std::memory_order_relaxed);
  }
  // Callbacks run on the passing thread, outside every lock of ours; an empty function detaches.
  static void Attach(SyncPoint point, std::function<void()> callback);
  // Holds every passing thread for that long; 0 detaches.
  static void AttachDelay(SyncPoint point, uint32_t delay_ms);
  // The process kills itself where it passes the point for the `nth` time from now, whatever else is attached.
  static void AttachKill(SyncPoint point, uint64_t nth);

 private:
  struct State {
    std::atomic<uint64_t> passed{0};
    std::atomic<bool> armed{false};
    std::atomic<uint64_t> passes_left{0};  // until the process is killed; 0: it is not
  };
  static void RunAttached(SyncPoint point);
  static std::array<State, static_cast<size_t>(SyncPoint::kCount)> states_;
};

// Faults that prove the history checker and the torture; compiled in only with -DTERRACED_MUTANTS=ON.
enum class Mutant : uint8_t {
  kNone,
  kSlotNotRemovedOnSet,
  kSerialNotCompared,
  kFillNotValidated,
  kDemotionNotCancelled,
  kFlushNotAppliedToFlash,
  // From here on faults that only a kill shows, which the torture must notice.
  kFlushNotWrittenDown,
  kCleanMarkKept,
  kSerialBeforeRow,
  kRulingBeforeComplete,
  kRunNamedTooEarly,
  kCount
};
constexpr Mutant kFirstKillMutant = Mutant::kFlushNotWrittenDown;
constexpr std::array<std::string_view, static_cast<size_t>(Mutant::kCount)> kMutantNames = {
    "none",
    "slot_not_removed_on_set",
    "serial_not_compared",
    "fill_not_validated",
    "demotion_not_cancelled",
    "flush_not_applied_to_flash",
    "flush_not_written_down",
    "clean_mark_kept",
    "serial_before_row",
    "ruling_before_complete",
    "run_named_too_early"};

#ifdef TERRACED_MUTANTS
inline std::atomic<Mutant> g_mutant{Mutant::kNone};
inline bool MutantIs(Mutant mutant) {
  return g_mutant.load(std::memory_order_relaxed) == mutant;
}
#else
constexpr bool MutantIs(Mutant) {
  return false;
}
#endif

}  // namespace terraced
