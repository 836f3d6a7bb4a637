// FlushEpoch: flush_all for both tiers as one number. Items, batches and records carry the epoch
// under which they were stored and live only while it is the current one, so a flush is a single
// store: two marks, one per tier, leak in either order (tests/model proves it). RAM items carry its
// low 8 bits; a value comes round again only after the crawler has proved that no older item is
// left.
// With a mark (memory that outlives the process) every flush is written down there before it counts here, so that
// who is answered "OK" is never forgotten; one that was not yet answered may be found there, and then it has happened.
// Threads: any; the only writer of `swept` is the crawler.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include "storage/base/flush_mark.h"
#include "storage/base/kill_point.h"
#include "storage/base/sync_point.h"

namespace terraced::tiering {

class FlushEpoch {
 public:
  uint64_t Current() const { return epoch_.load(std::memory_order_acquire); }
  static uint8_t Short(uint64_t epoch) { return static_cast<uint8_t>(epoch); }

  // False: 255 flushes have outrun the crawler; sweep first (Cache does), then call again.
  bool Raise() {
    uint64_t now = epoch_.load(std::memory_order_relaxed);
    do {
      if (now + 1 - swept_.load(std::memory_order_acquire) >= 255) return false;
      RaiseMarks(now + 1);
      KillPoints::Pass(KillPoint::kFlushWritten);
    } while (!epoch_.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel));
    return true;
  }
  // At start-up, before any item exists; or with items of an earlier process in RAM, of which nobody knows whether they
  // were swept.
  void Restore(uint64_t epoch, bool with_items = false) {
    epoch_.store(epoch, std::memory_order_release);
    const uint64_t unswept = with_items ? std::min(epoch, kUnsweptAfterRestore) : 0;
    swept_.store(epoch - unswept, std::memory_order_release);
  }
  // At start-up, after Restore() and SetDue(): from now on flushes are written down there too; in two places at most.
  void WriteDownIn(storage::FlushMark* mark) {
    mark->due_s.store(Due(), std::memory_order_relaxed);
    mark->epoch.store(Current(), std::memory_order_release);
    (marks_[0] == nullptr ? marks_[0] : marks_[1]) = mark;
  }
  // A whole walk over RAM that began under `epoch` has found and removed everything older.
  void Swept(uint64_t epoch) { swept_.store(epoch, std::memory_order_release); }
  bool NeedsSweep() const { return Unswept() != 0; }
  // Flushes since the one that the last whole walk began under; at 255 the next one has to wait.
  uint64_t Unswept() const { return Current() - swept_.load(std::memory_order_relaxed); }

  // A delayed flush_all: one at most, a later one replaces it. Unix seconds, 0 = none.
  void SetDue(uint32_t at_s) {
    MarkDue(at_s);
    due_s_.store(at_s, std::memory_order_release);
  }
  uint32_t Due() const { return due_s_.load(std::memory_order_acquire); }
  // Takes the due time if it has come; true: the caller raises the epoch now and says so with TookDue().
  bool TakeDue(uint32_t now_s) {
    uint32_t due_s = due_s_.load(std::memory_order_acquire);
    return due_s != 0 && due_s <= now_s && due_s_.compare_exchange_strong(due_s, 0);
  }
  // The mark keeps the due time until its flush is in there.
  void TookDue() { MarkDue(Due()); }

 private:
  // One less than the most, for a flush that was written down in one of two places.
  static constexpr uint64_t kUnsweptAfterRestore = 253;

  void RaiseMarks(uint64_t epoch) {
    if (MutantIs(Mutant::kFlushNotWrittenDown)) return;
    for (storage::FlushMark* const mark : marks_) {
      if (mark == nullptr) continue;
      uint64_t marked = mark->epoch.load(std::memory_order_relaxed);
      while (marked < epoch && !mark->epoch.compare_exchange_weak(marked, epoch)) {
      }
    }
  }
  void MarkDue(uint32_t at_s) {
    for (storage::FlushMark* const mark : marks_) {
      if (mark != nullptr) mark->due_s.store(at_s, std::memory_order_release);
    }
  }

  std::array<storage::FlushMark*, 2> marks_{};  // constant while threads run
  std::atomic<uint64_t> epoch_{1};
  std::atomic<uint64_t> swept_{1};
  std::atomic<uint32_t> due_s_{0};
};

}  // namespace terraced::tiering
