// YieldPoint: where a thread that works in the background lets others have its core. Those points lie between two steps
// of its work, where it holds no mutex, so that whoever comes in between never waits for what it has taken. Priorities
// alone do not get there: Linux gives a thread that runs what it is owed before one that wakes (EEVDF, since 6.6), and
// asks again at the next tick, up to 4 ms later; and one that is put off at any point may hold a lock for so long.
// A thread that stands back does so every kTurnUs and takes what is left over; where others leave nothing it has
// 1/kStandBackShare of the time, lest it never ends. One that does not stand back keeps the core afterwards for as long
// as it was away: those who serve short requests come in between, and others that would take all of it leave it up to a
// half. No turn is longer than kTurnMaxUs. All by the wall clock: a turn goes on while it is preempted or waits.
// Threads: each passes for itself. Costs a thread that has not said Follow one load; one that has the time of day, and
// now and then a sched_yield(2), which returns at once where nobody waits for the core.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace terraced {

class YieldPoint {
 public:
  static constexpr uint64_t kTurnUs = 50;
  // For who was away much longer than by others' turns.
  static constexpr uint64_t kTurnMaxUs = 20'000;
  // Below the hundredth request that a p99 is about.
  static constexpr uint64_t kStandBackShare = 100;

  // From now on this thread gives way, as one that stands back while `stands_back`, which must outlive it.
  static void Follow(const std::atomic<bool>& stands_back);
  // Never with a mutex held. Returns whether it gave way.
  static bool Pass() { return stands_back_ != nullptr && GiveWay(); }
  // For how long this thread has been without the core at such points.
  static uint64_t AwayUs() { return away_in_all_us_; }
  // For how long a thread keeps the core that was without it for `away_us`.
  static constexpr uint64_t TurnUs(bool stands_back, uint64_t away_us) {
    return std::clamp(stands_back ? away_us / kStandBackShare : away_us, kTurnUs, kTurnMaxUs);
  }

 private:
  static bool GiveWay();
  // constinit: other files need not ask for an initialisation first, which UBSan of g++ 12 reports as a null pointer.
  static constinit thread_local const std::atomic<bool>* stands_back_;
  static constinit thread_local uint64_t since_us_;  // when it had the core back
  static constinit thread_local uint64_t away_us_;   // for how long it had not
  static constinit thread_local uint64_t away_in_all_us_;
};

}  // namespace terraced
