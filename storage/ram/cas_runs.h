// CasRuns: CAS uniques in 6 bytes of an item instead of 8. The upper 24 bits of a unique say which run of the daemon
// gave it out, and few runs have items in RAM: this one, and those whose records were promoted. So an item holds the
// number of the run in a table of 256, and the lower 40 bits.
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
  void NoteUse(const Item& item) { MarkUsed(item.cas_run); }
  // A client that has its unique will be told once that the value changed.
  bool IsRetiring(const Item& item) const { return retiring_[item.cas_run]; }

  uint64_t Unique(const Item& item) const {
    const uint64_t run = table_.runs[item.cas_run].load(std::memory_order_acquire) - 1;
    return run << kCounterBits | uint64_t{item.cas_middle} << 32 | item.cas_low;
  }
  // A unique of this run.
  void Set(Item* item, uint64_t unique);
  // One of any run, of a record or by the choice of a client. False: no place is left for another run, and the item is
  // as it was. Clients may use up half of the places, so that records find some.
  bool SetForeign(Item* item, uint64_t unique) { return SetBelow(kForeignRuns, item, unique); }
  bool SetChosen(Item* item, uint64_t unique) { return SetBelow(kForeignRuns / 2, item, unique); }

 private:
  static constexpr int kCounterBits = 40;
  static constexpr size_t kRuns = kCasRuns;
  // The rest is for this run, which takes another number after 2^39 uniques.
  static constexpr size_t kForeignRuns = kRuns - 16;

  // The run's number below `end`, a new one where it has none; `end` where there is no place.
  size_t NumberOf(uint32_t run, size_t end);
  bool SetBelow(size_t end, Item* item, uint64_t unique);
  void Put(Item* item, size_t number, uint64_t unique);
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
