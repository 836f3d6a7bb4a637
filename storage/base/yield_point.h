// YieldPoint: where a thread that nobody waits for lets others have its core. Those points lie between two steps of
// its work, where it holds no mutex, so that whoever comes in between never waits for what it has taken. Priorities
// alone do not get there: Linux gives a thread that runs what it is owed before one that wakes (EEVDF, since 6.6), and
// asks again at the next tick, up to 4 ms later; and one that is put off at any point may hold a lock for so long.
// Threads: each passes for itself. Costs a thread that does not give way one load; one that does the time of day, and
// every kTurnUs a sched_yield(2), which returns at once where nobody waits for the core.
#pragma once

#include <atomic>
#include <cstdint>

namespace terraced {

class YieldPoint {
 public:
  static constexpr uint64_t kTurnUs = 50;

  // From now on this thread gives way while `gives_way`, which must outlive it. Never, for one that has not said so.
  static void Follow(const std::atomic<bool>& gives_way);
  // Never with a mutex held. Returns whether it gave way.
  static bool Pass() {
    return gives_way_ != nullptr && gives_way_->load(std::memory_order_relaxed) && GiveWay();
  }

 private:
  static bool GiveWay();
  static thread_local const std::atomic<bool>* gives_way_;
  static thread_local uint64_t since_us_;
};

}  // namespace terraced
