// IndexModel: the rules of the flash index (storage/README.md, "Flash index") as steps from state
// to state. A violation is a read that answers an old value, an absence that turns out not to have
// been one, or a clean item that is dropped while flash does not have it. A get of an absent key is
// assumed to happen at every moment: what could have been answered as absent must never be back
// without a store. Threads: none; const. Errors: Step::violation.
#pragma once

#include <cstring>
#include <utility>

#include "tests/model/explorer.h"
#include "tests/model/flash_model.h"
#include "tests/model/index_state.h"

namespace terraced::model {

class IndexModel : private FlashModel {
 public:
  using State = model::State;
  using FlashModel::FlashModel;

  State Initial() const { return State(); }
  State Canonical(const State& state) const {
    if (!events_.fold_names) return state;
    const State one = WithSortedNumbers(state);
    const State other = WithSortedNumbers(WithSwappedKeys(state));
    return std::memcmp(&one, &other, sizeof(State)) <= 0 ? one : other;
  }

  template <typename Visit>
  void ForEachStep(const State& state, const Visit& visit) const {
    const auto emit = [&](Label label, State next, const char* violation = nullptr) {
      if (violation == nullptr) violation = Settle(&next);
      visit(Step<State>{label, next, violation});
    };
    for (int key = 0; key < kKeys; ++key) {
      KeySteps(state, key, emit);
      BatchKeySteps(state, key, emit);
    }
    BatchSteps(state, emit);
    NumberSteps(state, emit);
    FillSteps(state, emit);
    if (events_.flush) FlushSteps(state, emit);
    if (events_.kill) KillSteps(state, emit);
    if (events_.index_lost) IndexLostStep(state, emit);
    if (events_.off) OffSteps(state, emit);
    if (events_.growth) GrowthSteps(state, emit);
    if (!rules_.change_words_under_lock) BlindStoreSteps(state, emit);
  }

 private:
  // --- Names
  static uint8_t SwapTwoBits(uint8_t set) {
    return static_cast<uint8_t>((set & ~3U) | (set & 1U) << 1 | (set >> 1 & 1U));
  }
  State WithSwappedKeys(const State& state) const {
    State swapped = state;
    std::swap(swapped.stored[0], swapped.stored[1]);
    std::swap(swapped.expect[0], swapped.expect[1]);
    std::swap(swapped.ram[0], swapped.ram[1]);
    std::swap(swapped.entries[0], swapped.entries[1]);
    std::swap(swapped.flush_cut[0], swapped.flush_cut[1]);
    for (auto& file : swapped.records) std::swap(file[0], file[1]);
    if (state.fill != 0) swapped.fill = static_cast<uint8_t>(3 - state.fill);
    swapped.visited = SwapTwoBits(state.visited);
    for (int table = 0; table < 2; ++table) {
      if (events_.identity[table][0] == events_.identity[table][1]) continue;
      std::swap(swapped.slots[table][0], swapped.slots[table][1]);
      if (table == 1) swapped.barred = SwapTwoBits(state.barred);
      if (table == state.Ruling()) swapped.slotted = SwapTwoBits(state.slotted);
    }
    return swapped;
  }
  static State WithSortedNumbers(const State& state) {
    const auto rank = [&state](int n) {
      int bits = 0;
      for (const auto& table : state.slots) {
        for (const uint8_t slots : table) bits = bits * 2 + (Has(slots, n) ? 1 : 0);
      }
      return (state.numbers[n].use * 8 + state.numbers[n].serial) * 16 + bits;
    };
    if (rank(0) <= rank(1)) return state;
    State sorted = state;
    std::swap(sorted.numbers[0], sorted.numbers[1]);
    for (auto& table : sorted.slots) {
      for (uint8_t& slots : table) slots = SwapTwoBits(slots);
    }
    return sorted;
  }

  // --- The end of the process
  template <typename Emit>
  void KillSteps(const State& state, const Emit& emit) const {
    Kill(state, emit);
    if (state.phase == kCollecting) Kill(WithFile(state), emit);  // ingested, nobody was told
    for (int key = 0; key < kKeys; ++key) {  // half way through a store, before its answer
      if (state.stored[key] == kVersions) continue;
      State half = state;
      if (rules_.remove_before_link) {
        RemoveSlots(&half, key);
        Kill(half, emit);
      } else {
        Link(&half, key);
        KillKeepingRam(half, emit);
      }
    }
  }
  template <typename Emit>
  void Kill(const State& state, const Emit& emit) const {
    KillKeepingRam(state, emit);
    State cold = Restarted(state);
    cold.ram = {};
    emit({"KILL, RAM is lost"}, cold);
  }
  template <typename Emit>
  void KillKeepingRam(const State& state, const Emit& emit) const {
    emit({"KILL, RAM survives"}, Restarted(state));
  }
  State Restarted(const State& state) const {
    State next = state.phase == kCollecting ? GivenUp(state) : state;
    for (RamItem& item : next.ram) item.mark = 0;
    next.EndBatch();
    next.EndFill();
    next.off = 0;
    next.blind_store = 0;
    if (state.growth == kGrowing) AbandonGrowth(&next);
    return next;
  }

  // Rule 9. The files stay for a while, as orphans.
  template <typename Emit>
  void IndexLostStep(const State& state, const Emit& emit) const {
    State next = Restarted(state);
    next.ram = {};
    next.slots = {};
    next.numbers = Row<Number, kNumbers>();
    next.growth = kNotGrowing;
    if (!rules_.empty_when_index_lost) {
      int number = 0;
      for (uint8_t serial = kSerials; serial > 0 && number < kNumbers; --serial) {
        if (next.records[serial][0] == 0 && next.records[serial][1] == 0) continue;
        next.numbers[number] = Number{kLiving, serial};
        for (int key = 0; key < kKeys; ++key) {
          if (next.records[serial][key] != 0) Put(&next.slots[0][Identity(next, key)], number);
        }
        ++number;
      }
    }
    emit({"power loss, the index is lost"}, next);
  }

  // Rule 8.
  template <typename Emit>
  void OffSteps(const State& state, const Emit& emit) const {
    if (state.phase != kNoBatch || state.growth == kGrowing) return;
    State next = state;
    next.off ^= 1;
    emit({next.off != 0 ? "flash is turned off" : "flash is turned on"}, next);
  }

  // Rule 5: a hit bit set by loading, changing and storing a word without the mutex.
  template <typename Emit>
  void BlindStoreSteps(const State& state, const Emit& emit) const {
    State next = state;
    if (state.blind_store != 0) {
      const int word = state.blind_store - 1;
      Put(&next.slots[state.Ruling()][word / 2], word % 2);
      next.blind_store = 0;
      return emit({"blind store of the hit bit"}, next);
    }
    for (int word = 0; word < kKeys * kNumbers; ++word) {
      if (!Has(state.slots[state.Ruling()][word / 2], word % 2)) continue;
      next.blind_store = static_cast<uint8_t>(word + 1);
      emit({"load of a slot word"}, next);
    }
  }

  // --- Growth (rule 7), by the thread that adds slots and not while it adds them
  static void AbandonGrowth(State* state) {
    state->growth = kNotGrowing;
    state->slots[1] = {};
    state->carrying = state->carried = state->visited = state->barred = 0;
  }
  template <typename Emit>
  void GrowthSteps(const State& state, const Emit& emit) const {
    if (state.phase == kIngested) return;
    if (state.growth == kNotGrowing) {
      State next = state;
      next.growth = kGrowing;
      emit({"growth begins"}, next);
    }
    if (state.growth != kGrowing) return;
    if (state.carrying != 0) return CarryOver(state, emit);
    bool all_carried = true;
    for (const Number& number : state.numbers) {
      if (number.use != kLiving || Has(state.carried, number.serial)) continue;
      all_carried = false;
      State next = state;
      next.carrying = number.serial;
      emit({"growth begins with batch", -1, number.serial}, next);
    }
    if (!all_carried) return;
    State next = state;
    next.slots[0] = {};
    next.growth = kGrown;
    next.carried = 0;
    emit({"growth: the new table rules"}, next);
  }
  template <typename Emit>
  void CarryOver(const State& state, const Emit& emit) const {
    const int number = state.NumberOf(state.carrying);
    bool done = true;
    for (int key = 0; key < kKeys && number >= 0; ++key) {
      if (state.records[state.carrying][key] == 0 || Has(state.visited, key)) continue;
      done = false;
      State next = state;
      Put(&next.visited, key);
      Visit(&next, key, number);
      emit({"growth visits", key, state.carrying}, next);
    }
    if (!done) return;
    State next = state;
    Put(&next.carried, state.carrying);
    next.carrying = next.visited = next.barred = 0;
    emit({"growth is done with batch", -1, state.carrying}, next);
  }
  void Visit(State* state, int key, int number) const {
    const uint8_t identity = events_.identity[1][key];
    const bool stands = Has(state->slots[0][events_.identity[0][key]], number);
    uint8_t& grown = state->slots[1][identity];
    if (stands || !rules_.carry_only_standing) {
      if (!Has(state->barred, identity)) Put(&grown, number);
    } else if (rules_.bar_dead_neighbours) {
      Put(&state->barred, identity);
      Drop(&grown, number);
    }
  }
};

}  // namespace terraced::model
