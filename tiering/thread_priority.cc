#include "tiering/thread_priority.h"

#include <sched.h>
#include <unistd.h>

#include <thread>

namespace terraced::tiering {
namespace {

// 0: the calling thread. Their nice value stays what it was.
bool SetPolicy(pid_t thread, int policy) {
  const sched_param none{};
  return sched_setscheduler(thread, policy, &none) == 0;
}

}  // namespace

void StandBack() {
  SetPolicy(0, SCHED_IDLE);
}

// Tried by a thread that ends here: one that could not return would be lost for its work.
bool MayReturnFromStandingBack() {
  bool may = false;
  std::thread([&may] { may = SetPolicy(0, SCHED_IDLE) && SetPolicy(0, SCHED_OTHER); }).join();
  return may;
}

void YieldingThread::Begin() {
  if (!MayReturnFromStandingBack()) return;
  thread_.store(gettid(), std::memory_order_release);
  CalmDown();
}

void YieldingThread::Hurry() {
  if (state_.load(std::memory_order_relaxed) == State::kForward) return;
  if (state_.exchange(State::kForward, std::memory_order_acq_rel) == State::kForward) return;
  SetPolicy(thread_.load(std::memory_order_acquire), SCHED_OTHER);
}

// A Hurry in the middle finds kCalming and makes this fail, so that the thread comes forward again.
void YieldingThread::CalmDown() {
  if (thread_.load(std::memory_order_relaxed) == 0) return;
  State expected = State::kForward;
  if (!state_.compare_exchange_strong(expected, State::kCalming, std::memory_order_acq_rel)) return;
  const bool is_back = SetPolicy(0, SCHED_IDLE);
  expected = State::kCalming;
  const State now = is_back ? State::kBack : State::kForward;
  if (!state_.compare_exchange_strong(expected, now, std::memory_order_acq_rel))
    SetPolicy(0, SCHED_OTHER);
}

}  // namespace terraced::tiering
