// BatchModel: the half of the index model that changes items and builds batches: mutations,
// eviction, collecting, ingesting, adding slots. Rules 1, 2, 4 and 6 are here. See index_model.h.
// Threads: none; const. Errors: Step::violation.
#pragma once

#include "tests/model/explorer.h"
#include "tests/model/index_state.h"

namespace terraced::model {

class BatchModel {
 public:
  BatchModel(const Rules& rules, const Events& events) : rules_(rules), events_(events) {}

 protected:
  uint8_t Identity(const State& state, int key) const {
    return events_.identity[state.Ruling()][key];
  }
  bool StandsClean(const State& state, int key) const {
    const uint8_t clean = state.ram[key].clean;
    if (clean == 0) return false;
    const uint8_t identity = Identity(state, key);
    if (rules_.compare_serials_in_hint) return Has(state.StandingSerials(identity), clean);
    return Has(state.StandingNumbers(identity), clean - 1);
  }
  uint8_t CleanHint(const State& state, int serial) const {
    if (rules_.compare_serials_in_hint) return static_cast<uint8_t>(serial);
    return static_cast<uint8_t>(state.NumberOf(serial) + 1);
  }

  // After every step: reads that need no I/O, and forgetting what can no longer be asked for.
  const char* Settle(State* state) const {
    // Serials only rise, so a file that nothing names will not be read again.
    for (int serial = 1; serial <= kSerials; ++serial) {
      if (!rules_.serials_never_reused || !rules_.empty_when_index_lost) break;
      if (state->NumberOf(serial) >= 0 || state->batch == serial) continue;
      if (state->tries[serial] == kUnread) continue;
      state->records[serial] = {};
      Drop(&state->batch_epochs, serial);
    }
    for (int key = 0; key < kKeys; ++key) {
      if (!state->Visible(key)) {
        state->ram[key] = RamItem();  // flushed items never count again
        if (state->StandingNumbers(Identity(*state, key)) == 0) state->expect[key] = 0;
      } else if (state->ram[key].value != state->expect[key]) {
        return "STALE: RAM answers an old value";
      }
    }
    return nullptr;
  }

  // --- Mutations
  void RemoveSlots(State* state, int key) const {
    if (state->off != 0 && !rules_.remove_while_off) return;
    uint8_t& slots = state->slots[state->Ruling()][Identity(*state, key)];
    uint8_t removed = slots;
    if (!rules_.remove_every_slot) removed = static_cast<uint8_t>(removed & -removed);
    slots = static_cast<uint8_t>(slots & ~removed);
    if (state->growth == kGrowing) RemoveFromGrowing(state, key, removed);
  }
  void RemoveFromGrowing(State* state, int key, uint8_t removed) const {
    for (int other = 0; other < kKeys; ++other) {
      const bool parted = events_.identity[0][other] == events_.identity[0][key];
      if (other != key && !(parted && rules_.remove_parted_neighbours)) continue;
      const uint8_t identity = events_.identity[1][other];
      uint8_t& slots = state->slots[1][identity];
      const int number = state->NumberOf(state->carrying);
      const bool carrying = number >= 0 && Has(slots & removed, number);
      if (carrying && rules_.bar_dead_neighbours) Put(&state->barred, identity);
      slots = static_cast<uint8_t>(slots & ~removed);
    }
  }
  void Link(State* state, int key) const {
    const uint8_t mark = rules_.cancel_demotion ? uint8_t{0} : state->ram[key].mark;
    const uint8_t value = ++state->stored[key];
    state->ram[key] = RamItem{value, 0, mark, state->ram_epoch};
    state->expect[key] = value;
  }

  template <typename Emit>
  void KeySteps(const State& state, int key, const Emit& emit) const {
    if (state.stored[key] < kVersions) {
      State next = state;
      RemoveSlots(&next, key);
      Link(&next, key);
      emit({"store, or touch in place,", key}, next);
    }
    if (state.expect[key] != 0) {
      State next = state;
      RemoveSlots(&next, key);
      next.ram[key] = RamItem();
      next.expect[key] = 0;
      emit({"delete", key}, next);
    }
    if (state.ram[key].value != 0) {
      const char* violation = nullptr;
      if (events_.losses && StandsClean(state, key)) {
        const int serial = rules_.compare_serials_in_hint
                               ? state.ram[key].clean
                               : state.numbers[state.ram[key].clean - 1].serial;
        const bool there = state.records[serial][key] == state.ram[key].value;
        if (!there) violation = "LOST: a clean item is dropped and flash does not have it";
      }
      State next = state;
      next.ram[key] = RamItem();
      emit({"evict", key}, next, violation);
    }
  }

  // --- The batch
  template <typename Emit>
  void BatchKeySteps(const State& state, int key, const Emit& emit) const {
    if (state.phase != kCollecting) return;
    const bool current = state.IsCurrent(state.batch);
    const BatchEntry& entry = state.entries[key];
    if (!current || (entry.value != 0 && (rules_.once_per_batch || entry.source != 0))) return;
    if (state.Visible(key) && state.ram[key].mark == 0 && !StandsClean(state, key)) {
      State next = state;
      next.ram[key].mark = state.batch;
      // Taken twice, the file has the first of the two.
      if (entry.value == 0) next.entries[key] = BatchEntry{state.ram[key].value, 0};
      emit({"collect", key, state.batch}, next);
    }
    if (!events_.rewrite || entry.value != 0) return;
    const uint8_t standing = state.StandingSerials(Identity(state, key));
    for (uint8_t source = 1; source <= kSerials; ++source) {
      if (!Has(standing, source) || state.records[source][key] == 0) continue;
      State next = state;
      next.entries[key] = BatchEntry{state.records[source][key], source};
      emit({"read for a second chance", key, source}, next);
    }
  }

  template <typename Emit>
  void BatchSteps(const State& state, const Emit& emit) const {
    if (state.phase == kNoBatch && state.serials_used < events_.serials && state.off == 0) {
      State next = state;
      next.phase = kCollecting;
      next.batch = ++next.serials_used;
      Drop(&next.batch_epochs, next.batch);
      if (state.flash_epoch != 0) Put(&next.batch_epochs, next.batch);
      emit({"open batch", -1, next.batch}, next);
    }
    const bool empty = state.entries[0].value == 0 && state.entries[1].value == 0;
    if (state.phase == kCollecting && !empty) {
      for (int number = 0; number < kNumbers; ++number) {
        if (state.numbers[number].use != kFree) continue;
        State next = WithFile(state);
        next.phase = kIngested;
        next.numbers[number] = Number{kLiving, state.batch};
        emit({"ingest; number", -1, number}, next);
      }
      if (events_.failed_ingest) {
        emit({"ingest fails", -1, state.batch}, GivenUp(state));
        emit({"ingest fails, but the file is there", -1, state.batch}, GivenUp(WithFile(state)));
      }
    }
    if (state.phase == kIngested) {
      for (uint8_t identity = 0; identity < kKeys; ++identity) AddSlots(state, identity, emit);
    }
  }
  static State WithFile(const State& state) {
    State next = state;
    for (int key = 0; key < kKeys; ++key) {
      if (state.entries[key].value != 0) next.records[state.batch][key] = state.entries[key].value;
    }
    return next;
  }
  State GivenUp(const State& state) const {
    State next = state;
    for (RamItem& item : next.ram) item.mark = 0;
    if (!rules_.serials_never_reused) next.serials_used = static_cast<uint8_t>(state.batch - 1);
    next.EndBatch();
    return next;
  }

  bool EntryIsValid(const State& state, int key) const {
    const BatchEntry& entry = state.entries[key];
    if (!state.IsCurrent(state.batch)) return false;
    if (entry.source == 0) return state.Visible(key) && state.ram[key].mark == state.batch;
    if (!rules_.check_source_slot) return true;
    return Has(state.StandingSerials(Identity(state, key)), entry.source);
  }
  template <typename Emit>
  void AddSlots(const State& state, uint8_t identity, const Emit& emit) const {
    int entries = 0;
    int valid = 0;
    int left = 0;
    for (int key = 0; key < kKeys; ++key) {
      if (state.entries[key].value == 0) continue;
      const uint8_t of_key = Identity(state, key);
      if (of_key != identity) left += !Has(state.slotted, of_key) ? 1 : 0;
      if (of_key != identity) continue;
      ++entries;
      valid += EntryIsValid(state, key) ? 1 : 0;
    }
    if (entries == 0 || Has(state.slotted, identity)) return;
    const bool add = rules_.poison_identity ? valid == entries : valid > 0;
    State next = state;
    if (add) Put(&next.slots[state.Ruling()][identity], state.NumberOf(state.batch));
    for (int key = 0; key < kKeys; ++key) {
      if (next.ram[key].mark != state.batch || Identity(state, key) != identity) continue;
      next.ram[key].mark = 0;
      next.ram[key].clean = add ? CleanHint(state, state.batch) : uint8_t{0};
    }
    Put(&next.slotted, identity);
    if (left == 0) next.EndBatch();
    emit({add ? "add slots of batch" : "no slots for batch", -1, state.batch}, next);
  }

  const Rules rules_;
  const Events events_;
};

}  // namespace terraced::model
