// Kill points: named places between two stores of which a process killed there leaves only the first. A test has the
// process kill itself at one of them, or at a sync point, when it is passed the n-th time. Nothing else is done there,
// so they may stand inside locks. Passing one is a load of a word that nobody writes; those on hot paths (HotKillPoint)
// are compiled into the tests' twin only.
// Threads: any. Errors: Arm says whether there is such a point in this build.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace terraced {

enum class KillPoint : uint8_t {
  // A start, in this order.
  kStartStateRenewed,  // STATE names the new run, nothing else has changed
  kStartOpening,       // OPENING blames this start, RocksDB is not open yet
  kStartEmptied,       // only where the tier is not taken over: it is gone
  kStartStoreOpen,     // RocksDB is open, OPENING still blames this start
  kStartOpened,        // OPENING says so
  kStartIndexCleared,  // only after a clean stop or empty: the shared index is a new one
  kStartIndexLoaded,   // only after a clean stop: INDEX is in memory, its mark still stands
  kStartRunBegun,      // the shared index answers to the run before and to this one
  kStartStateWritten,  // STATE names this run's shared index, and no clean run
  kStartMarkRemoved,   // the clean mark is gone, INDEX may still be there
  kStartRunConfirmed,  // the shared index answers to this run only
  // A clean stop, in this order.
  kStopHotListed,     // the hot list is there, its file has no name
  kStopDrained,       // what was in RAM has its slots
  kStopClosed,        // RocksDB is closed
  kStopIndexWritten,  // INDEX is there, nothing refers to it
  kStopStateWritten,  // STATE names the clean run, there is no mark
  kStopMarked,        // the mark stands, so does the shared index
  kStopRemoved,       // the shared index has lost its name
  // flush_all.
  kFlushWritten,   // written down, not yet counted
  kFlushDueTaken,  // a delayed one: its time has been taken, the epoch is what it was
  // Batches.
  kBatchRow,       // its row is complete, its serial is not stored
  kBatchOpen,      // its serial stands, it has no slot
  kBatchSlotSome,  // between two slices of its slots
  kRewriteMoving,  // the old slot of a rewritten record is gone, the new one not there
  kDropFileGone,   // dead, file removed, slots not swept
  kSweepStep,      // between two partitions of a sweep
  // Growth of the flash index.
  kGrowCarried,     // a slice of a batch's hashes was carried over
  kGrowTableReady,  // the larger table is complete, the file names the old one
  kGrowTableRules,  // the file names the larger one, the old one is not freed
  kGrowPartition,   // one partition of a group has switched
  // Pages of the RAM tier.
  kPageLeaving,     // no chunk of it is given out any more
  kPageItemMoving,  // an item is copied, neither copy is linked
  kPageNobodys,     // it has left its class and is in no other
  // On hot paths: see HotKillPoint.
  kSlotsRemoved,     // a store's or removal's slots are gone, RAM is what it was
  kReplaceUnlinked,  // the old item is no longer linked, the new one not yet
  kOverwriteCopied,  // the new value stands in the old item's chunk, which is not linked
  kValueHalf,        // the beginning of a value was received into its chunk
  kHashSplit,        // a bucket of the RAM index has been copied, the old one still counts
  kCount
};
constexpr KillPoint kFirstHotKillPoint = KillPoint::kSlotsRemoved;

constexpr std::array<std::string_view, static_cast<size_t>(KillPoint::kCount)> kKillPointNames = {
    "start_state_renewed", "start_opening",       "start_emptied",       "start_store_open",
    "start_opened",        "start_index_cleared", "start_index_loaded",  "start_run_begun",
    "start_state_written", "start_mark_removed",  "start_run_confirmed", "stop_hot_listed",
    "stop_drained",        "stop_closed",         "stop_index_written",  "stop_state_written",
    "stop_marked",         "stop_removed",        "flush_written",       "flush_due_taken",
    "batch_row",           "batch_open",          "batch_slot_some",     "rewrite_moving",
    "drop_file_gone",      "sweep_step",          "grow_carried",        "grow_table_ready",
    "grow_table_rules",    "grow_partition",      "page_leaving",        "page_item_moving",
    "page_nobodys",        "slots_removed",       "replace_unlinked",    "overwrite_copied",
    "value_half",          "hash_split"};

class KillPoints {
 public:
  // The process ends by SIGKILL when it passes the point of that name (a kill point or a sync point) for the `nth` time
  // from now; one point at a time. False: no such point here, or nth is 0.
  static bool Arm(std::string_view name, uint64_t nth);
  // "<name>:<nth>", as it is given at start.
  static bool Arm(std::string_view name_and_nth);

  static void Pass(KillPoint point) {
    if (armed_.load(std::memory_order_relaxed) == static_cast<int>(point)) [[unlikely]]
      CountDown();
  }

 private:
  static void CountDown();
  static std::atomic<int> armed_;  // a KillPoint; -1: none
  static std::atomic<uint64_t> left_;
};

#ifdef TERRACED_MUTANTS
inline void HotKillPoint(KillPoint point) {
  KillPoints::Pass(point);
}
#else
constexpr void HotKillPoint(KillPoint) {}
#endif

}  // namespace terraced
