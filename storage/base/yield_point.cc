#include "storage/base/yield_point.h"

#include <sched.h>

#include "storage/base/clock.h"

namespace terraced {

thread_local const std::atomic<bool>* YieldPoint::gives_way_ = nullptr;
thread_local uint64_t YieldPoint::since_us_ = 0;

void YieldPoint::Follow(const std::atomic<bool>& gives_way) {
  gives_way_ = &gives_way;
  since_us_ = MonotonicUs();
}

bool YieldPoint::GiveWay() {
  if (MonotonicUs() - since_us_ < kTurnUs) return false;
  sched_yield();
  since_us_ = MonotonicUs();
  return true;
}

}  // namespace terraced
