// The state of the index model and what can be asked of it. Two keys, A and B, of one index
// identity (or of two identities where a growing table joins or parts them), two values each, two
// short batch numbers, three batch serials: every rule of the flash index shows with so little.
// Threads: plain values. Sizes: one byte a variable; equal states are equal bytes.
#pragma once

#include <cstdint>

namespace terraced::model {

constexpr int kKeys = 2;
constexpr int kNumbers = 2;
constexpr int kSerials = 3;  // 1 to 3; 0 is none
constexpr uint8_t kVersions = 2;

// An array whose index may be an int, as all the small numbers here are.
template <typename T, int kSize>
struct Row {
  T items[kSize] = {};
  constexpr T& operator[](int i) { return items[i]; }
  constexpr const T& operator[](int i) const { return items[i]; }
  constexpr T* begin() { return items; }                    // NOLINT(readability-identifier-naming)
  constexpr T* end() { return items + kSize; }              // NOLINT(readability-identifier-naming)
  constexpr const T* begin() const { return items; }        // NOLINT(readability-identifier-naming)
  constexpr const T* end() const { return items + kSize; }  // NOLINT(readability-identifier-naming)
};

// Small sets of numbers, serials, keys or identities.
constexpr uint8_t Bit(int i) {
  return static_cast<uint8_t>(1U << i);
}
constexpr bool Has(uint8_t set, int i) {
  return (set & Bit(i)) != 0;
}
constexpr void Put(uint8_t* set, int i) {
  *set = static_cast<uint8_t>(*set | Bit(i));
}
constexpr void Drop(uint8_t* set, int i) {
  *set = static_cast<uint8_t>(*set & ~Bit(i));
}

// Which rules hold; each test of the checker switches one off.
struct Rules {
  bool remove_every_slot = true;         // 1
  bool remove_before_link = true;        // 1, a kill between the two
  bool cancel_demotion = true;           // 2, a changed item is no longer valid in its batch
  bool poison_identity = true;           // 2
  bool once_per_batch = true;            // 2
  bool validate_found = true;            // 3
  bool validate_not_found = true;        // 3
  bool compare_serials_in_fill = true;   // 3 and 5
  bool compare_serials_in_hint = true;   // 4 and 5
  bool sweep_before_reuse = true;        // 5
  bool change_words_under_lock = true;   // 5
  bool check_source_slot = true;         // 6
  bool carry_only_standing = true;       // 7
  bool bar_dead_neighbours = true;       // 7
  bool remove_parted_neighbours = true;  // 7
  bool remove_while_off = true;          // 8
  bool empty_when_index_lost = true;     // 9
  bool serials_never_reused = true;
  enum class Flush : uint8_t { kOneEpoch, kRamMarkFirst, kFlashMarkFirst };
  Flush flush = Flush::kOneEpoch;
};

// Which events there are, beside those of a quiet day.
struct Events {
  uint8_t serials = kSerials;  // batches begun in all
  bool losses = true;          // a clean item without its record counts as a violation
  bool failed_ingest = false;  // which may lie: the file may be there all the same
  bool rewrite = false;        // second chance
  bool flush = false;          // one, epoch 0 to 1
  bool kill = false;           // the flash index survives, the RAM tier may or may not
  bool index_lost = false;
  bool off = false;  // the flash tier is turned off after errors, and on again
  // The identities of A and B in the old table and in the one that it grows into.
  bool growth = false;
  Row<Row<uint8_t, kKeys>, 2> identity = {{{0, 0}, {0, 0}}};
  // A and B, and the two numbers, are only names: explore one state of those that differ in names.
  // Off for traces that are to be read.
  bool fold_names = false;
};

struct RamItem {
  uint8_t value = 0;  // 0: no item
  uint8_t clean = 0;  // the hint: serial of the batch that has the same value
  uint8_t mark = 0;   // serial of the batch that it is being demoted in
  uint8_t epoch = 0;
};

enum NumberUse : uint8_t { kFree, kLiving, kDead };
struct Number {
  uint8_t use = kFree;
  uint8_t serial = 0;  // while living
};

struct BatchEntry {
  uint8_t value = 0;   // 0: the key is not in the batch
  uint8_t source = 0;  // serial that it is rewritten from; 0: collected from RAM
};

enum BatchPhase : uint8_t { kNoBatch, kCollecting, kIngested };
enum FillTry : uint8_t { kNotTried, kUnread, kReadNothing, kReadValue };  // kReadValue + v - 1
enum GrowthPhase : uint8_t { kNotGrowing, kGrowing, kGrown };

struct State {
  Row<uint8_t, kKeys> stored{};  // values given to the key so far
  Row<uint8_t, kKeys> expect{};  // what a read must answer; 0: absent
  Row<RamItem, kKeys> ram{};

  // Flash: slots[table][identity], bit n for number n; table 1 is the growing one.
  Row<Row<uint8_t, kKeys>, 2> slots{};
  Row<Number, kNumbers> numbers{};
  Row<Row<uint8_t, kKeys>, kSerials + 1> records{};  // the files, orphans too
  uint8_t batch_epochs = 0;                          // bit s: of serial s
  uint8_t serials_used = 0;

  // The demoter's batch.
  uint8_t phase = kNoBatch;
  uint8_t batch = 0;
  Row<BatchEntry, kKeys> entries{};
  uint8_t slotted = 0;  // bit i: the entries of identity i are done

  uint8_t ram_epoch = 0;
  uint8_t flash_epoch = 0;  // the same, unless the flush has two marks
  uint8_t flushing = 0;     // between the two
  Row<uint8_t, kKeys> flush_cut{};

  uint8_t fill = 0;  // key + 1
  uint8_t fill_numbers = 0;
  Row<uint8_t, kSerials + 1> tries{};

  uint8_t blind_store =
      0;  // a slot word that was loaded and will be stored: 1 + identity * 2 + number
  uint8_t off = 0;

  uint8_t growth = kNotGrowing;
  uint8_t carrying = 0;  // serial
  uint8_t carried = 0;   // bit s
  uint8_t visited = 0;   // bit k, of the batch being carried
  uint8_t barred = 0;    // bit i: identity in the new table

  bool Visible(int key) const { return ram[key].value != 0 && ram[key].epoch == ram_epoch; }
  bool IsCurrent(int serial) const { return Has(batch_epochs, serial) == (flash_epoch != 0); }
  int Ruling() const { return growth == kGrown ? 1 : 0; }
  bool Stands(int number) const {
    return numbers[number].use == kLiving && IsCurrent(numbers[number].serial);
  }
  // Standing slots of an identity in the ruling table, as bits of numbers and as bits of serials.
  uint8_t StandingNumbers(uint8_t identity) const {
    uint8_t standing = 0;
    for (int n = 0; n < kNumbers; ++n) {
      if (Has(slots[Ruling()][identity], n) && Stands(n)) Put(&standing, n);
    }
    return standing;
  }
  uint8_t StandingSerials(uint8_t identity) const {
    uint8_t standing = 0;
    for (int n = 0; n < kNumbers; ++n) {
      if (Has(StandingNumbers(identity), n)) Put(&standing, numbers[n].serial);
    }
    return standing;
  }
  int NumberOf(int serial) const {
    for (int n = 0; n < kNumbers; ++n) {
      if (numbers[n].use == kLiving && numbers[n].serial == serial) return n;
    }
    return -1;
  }
  void EndBatch() {
    phase = kNoBatch;
    batch = 0;
    entries = {};
    slotted = 0;
  }
  void EndFill() {
    fill = 0;
    fill_numbers = 0;
    tries = {};
  }
};

}  // namespace terraced::model
