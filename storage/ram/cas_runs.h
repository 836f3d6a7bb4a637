// CasRuns: CAS uniques in 6 bytes of an item instead of 8. The upper 24 bits of a unique say which run of the daemon
// gave it out, and few runs have items in RAM: this one, and those whose records were promoted. So an item holds the
// number of the run in a table of 256, and the lower 40 bits. Clients may choose a unique (meta protocol, E), which has
// any upper bits: the first of those have numbers too; an item for another is made with room for a whole unique
// (Item::HasWholeUnique).
// Threads: any. Numbers stay what they are for as long as the table lives.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "storage/ram/arena_file.h"
#include "storage/ram/item.h"

namespace terraced::storage {

class CasRuns {
 public:
  CasRuns() : CasRuns(nullptr) {}
  // In `table`, which outlives it (null: its own).
  explicit CasRuns(CasRunTable* table);
  // Of a table that was left, once it is written down that not every item has been looked at. `all_seen`: they were by
  // the process before, so that numbers without use are free again. Where many are in use, the items of the oldest runs
  // shall have new uniques (IsRetiring). Before any item is looked at.
  // A number is taken for the run of `next_unique`.
  void TakeOver(bool all_seen, uint64_t next_unique);
  // Whether that leaves a number for a new run and one more.
  static bool HasRoom(const CasRunTable& table, bool all_seen);
  // An item that was left has its number.
  void NoteUse(const Item& item) {
    if (!item.HasWholeUnique()) MarkUsed(item.cas_run);
  }
  // A client that has its unique will be told once that the value changed.
  bool IsRetiring(const Item& item) const {
    return !item.HasWholeUnique() && retiring_[item.cas_run];
  }

  uint64_t Unique(const Item& item) const {
    if (item.HasWholeUnique()) return uint64_t{item.UniqueHigh()} << 32 | item.cas_low;
    const uint64_t run = table_.runs[item.cas_run].load(std::memory_order_acquire) - 1;
    return run << kCounterBits | uint64_t{item.cas_middle} << 32 | item.cas_low;
  }
  // Whether every item can hold the unique of a record, or one that a client chose; else only an item that has room for
  // a whole one. A yes lasts: its number is taken.
  bool HasNumberFor(uint64_t unique);
  // One of this run, one that there is a number for, or any where the item has room for a whole one.
  void Set(Item* item, uint64_t unique);

 private:
  static constexpr int kCounterBits = 40;
  static constexpr size_t kRuns = kCasRuns;
  // The rest is for this run, which takes another number after 2^40 uniques, and for those to come.
  static constexpr size_t kForeignRuns = 96;

  static uint32_t RunOf(uint64_t unique) { return static_cast<uint32_t>(unique >> kCounterBits); }
  // The run's number below `end`, a new one where it has none; `end` where there is no place.
  size_t NumberOf(uint32_t run, size_t end);
  void MarkUsed(size_t number) {
    if (table_.in_use[number].load(std::memory_order_relaxed) == 0) {
      table_.in_use[number].store(1, std::memory_order_relaxed);
    }
  }

  std::array<bool, kRuns> retiring_{};  // constant once items are looked at
  const std::unique_ptr<CasRunTable> own_table_;
  CasRunTable& table_;  // a run + 1; 0 is none
};

}  // namespace terraced::storage
