#include "storage/base/yield_point.h"

#include <sched.h>

#include "storage/base/clock.h"

namespace terraced {

constinit thread_local const std::atomic<bool>* YieldPoint::stands_back_ = nullptr;
constinit thread_local uint64_t YieldPoint::since_us_ = 0;
constinit thread_local uint64_t YieldPoint::away_us_ = 0;
constinit thread_local uint64_t YieldPoint::away_in_all_us_ = 0;

void YieldPoint::Follow(const std::atomic<bool>& stands_back) {
  stands_back_ = &stands_back;
  since_us_ = MonotonicUs();
}

bool YieldPoint::GiveWay() {
  const uint64_t now_us = MonotonicUs();
  const bool stands_back = stands_back_->load(std::memory_order_relaxed);
  if (now_us - since_us_ < TurnUs(stands_back, away_us_)) return false;
  sched_yield();
  since_us_ = MonotonicUs();
  away_us_ = since_us_ - now_us;
  away_in_all_us_ += away_us_;
  return true;
}

}  // namespace terraced
