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
  if (!stands_back_.load(std::memory_order_relaxed)) return;
  if (!stands_back_.exchange(false, std::memory_order_acq_rel)) return;
  SetPolicy(thread_.load(std::memory_order_acquire), SCHED_OTHER);
}

// A Hurry at the same moment may be overtaken by this one's change: the next allocation hurries again.
void YieldingThread::CalmDown() {
  if (thread_.load(std::memory_order_relaxed) == 0 || StandsBack()) return;
  if (SetPolicy(0, SCHED_IDLE)) stands_back_.store(true, std::memory_order_release);
}

}  // namespace terraced::tiering
