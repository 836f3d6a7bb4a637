// FlashModel: the part of the index model that reads and drops batches: death of a serial, sweep, reuse of a
// number, fills, flush_all. Rules 3 and 5 are here. See index_model.h.
// Threads: none; const. Errors: Step::violation.
#pragma once

#include "tests/model/batch_model.h"
#include "tests/model/explorer.h"
#include "tests/model/index_state.h"

namespace terraced::model {

class FlashModel : protected BatchModel {
 public:
  using BatchModel::BatchModel;

 protected:
  // --- Dropping a batch: its serial dies, its file goes, a sweep purges its slots (rule 5)
  template <typename Emit>
  void NumberSteps(const State& state, const Emit& emit) const {
    for (int n = 0; n < kNumbers; ++n) {
      const Number& number = state.numbers[n];
      if (number.use == kLiving && !IsNeeded(state, number.serial)) {
        State next = state;
        next.numbers[n] = Number{rules_.sweep_before_reuse ? kDead : kFree, 0};
        emit({"drop batch", -1, number.serial}, next);
      }
      if (number.use == kDead) {
        State next = state;
        next.numbers[n] = Number{kFree, 0};
        for (auto& table : next.slots) {
          for (uint8_t& slots : table) Drop(&slots, n);
        }
        emit({"sweep; free is number", -1, n}, next);
      }
    }
    for (int serial = 1; serial <= kSerials; ++serial) {
      const bool there = state.records[serial][0] != 0 || state.records[serial][1] != 0;
      if (!there || state.NumberOf(serial) >= 0 || state.batch == serial) continue;
      State next = state;
      next.records[serial] = {};
      emit({"the file goes of batch", -1, serial}, next);
    }
  }
  // The demoter is not done with it: being slotted, or source of rewrites that have no slots yet
  // (rule 6).
  static bool IsNeeded(const State& state, int serial) {
    if (state.batch == serial) return true;
    return state.entries[0].source == serial || state.entries[1].source == serial;
  }

  // --- Fills (rule 3)
  template <typename Emit>
  void FillSteps(const State& state, const Emit& emit) const {
    if (state.fill != 0) return ContinueFill(state, emit);
    for (int key = 0; key < kKeys; ++key) {
      const uint8_t identity = Identity(state, key);
      const uint8_t standing = state.StandingSerials(identity);
      if (state.Visible(key) || standing == 0 || state.off != 0) continue;
      State next = state;
      next.fill = static_cast<uint8_t>(key + 1);
      if (!rules_.compare_serials_in_fill) next.fill_numbers = state.StandingNumbers(identity);
      for (int serial = 1; serial <= kSerials; ++serial) {
        if (Has(standing, serial)) next.tries[serial] = kUnread;
      }
      emit({"get: fill begins for", key}, next);
    }
  }
  template <typename Emit>
  void ContinueFill(const State& state, const Emit& emit) const {
    const int key = state.fill - 1;
    bool done = true;
    for (int serial = 1; serial <= kSerials; ++serial) {
      if (state.tries[serial] != kUnread) continue;
      done = false;
      const uint8_t value = state.records[serial][key];
      State next = state;
      next.tries[serial] =
          value == 0 ? uint8_t{kReadNothing} : static_cast<uint8_t>(kReadValue + value - 1);
      emit({"fill reads in batch", -1, serial}, next);
    }
    if (done) EndFill(state, key, emit);
  }
  template <typename Emit>
  void EndFill(const State& state, int key, const Emit& emit) const {
    State ended = state;
    ended.EndFill();
    const uint8_t identity = Identity(state, key);
    const uint8_t standing = state.StandingSerials(identity);
    uint8_t tried = 0;
    int newest = 0;  // of the serials that count, the newest with a record
    for (int serial = 1; serial <= kSerials; ++serial) {
      if (state.tries[serial] == kNotTried) continue;
      Put(&tried, serial);
      const bool counts =
          Has(standing, serial) || !rules_.validate_found || !rules_.compare_serials_in_fill;
      if (counts && state.tries[serial] >= kReadValue) newest = serial;
    }
    bool covers = (standing & ~tried) == 0;
    if (!rules_.compare_serials_in_fill) {
      covers = (state.StandingNumbers(identity) & ~state.fill_numbers) == 0;
      if (standing == 0) newest = 0;
    }
    if (state.Visible(key)) return emit({"fill: RAM has it by now:", key}, ended);
    if (newest != 0 && (covers || !rules_.validate_found)) {
      const auto value = static_cast<uint8_t>(state.tries[newest] - kReadValue + 1);
      const char* stale =
          value != state.expect[key] ? "STALE: a fill answers an old value" : nullptr;
      emit({"fill answers", key, newest}, ended, stale);
      State promoted = ended;
      promoted.ram[key] = RamItem{value, CleanHint(state, newest), 0, state.ram_epoch};
      emit({"fill answers and promotes", key, newest}, promoted, stale);
    } else if (newest == 0 && (covers || !rules_.validate_not_found)) {
      ended.expect[key] = 0;
      emit({"fill answers: absent is", key}, ended);
    } else {
      emit({"fill begins again for", key}, ended);
    }
  }

  // --- flush_all
  template <typename Emit>
  void FlushSteps(const State& state, const Emit& emit) const {
    State next = state;
    if (rules_.flush == Rules::Flush::kOneEpoch) {
      if (state.ram_epoch != 0) return;
      next.ram_epoch = next.flash_epoch = 1;
      next.expect = {};
      emit({"flush_all"}, next);
    } else if (state.ram_epoch + state.flash_epoch == 0) {
      const bool ram_first = rules_.flush == Rules::Flush::kRamMarkFirst;
      (ram_first ? next.ram_epoch : next.flash_epoch) = 1;
      next.flushing = 1;
      next.flush_cut = state.stored;
      emit({ram_first ? "flush_all: mark of RAM" : "flush_all: mark of flash"}, next);
    } else if (state.flushing != 0) {
      next.ram_epoch = next.flash_epoch = 1;
      next.flushing = 0;
      for (int key = 0; key < kKeys; ++key) {
        if (state.expect[key] <= state.flush_cut[key]) next.expect[key] = 0;
      }
      next.flush_cut = {};
      emit({"flush_all: the other mark, OK"}, next);
    }
  }
};

}  // namespace terraced::model
