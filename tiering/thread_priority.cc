#include "tiering/thread_priority.h"

#include <sys/resource.h>
#include <unistd.h>

#include <thread>

#include "storage/base/start_thread.h"
#include "storage/base/yield_point.h"

namespace terraced::tiering {
namespace {

constexpr int kNiceBack = 19;
const std::atomic<bool> kAlways{true};

// On Linux a nice value is a thread's own (setpriority(2), "C library/kernel differences"); 0: the calling one.
bool SetNiceOf(pid_t thread, int nice) {
  return setpriority(PRIO_PROCESS, static_cast<id_t>(thread), nice) == 0;
}

}  // namespace

void StandBack() {
  SetNiceOf(0, kNiceBack);
  YieldPoint::Follow(kAlways);
}

// Tried by a thread that ends here: one that could not return would be lost for its work.
bool MayReturnFromStandingBack() {
  bool may = false;
  Result<std::thread> trial = StartThread("nice", [&may] {
    const int nice = getpriority(PRIO_PROCESS, 0);
    may = SetNiceOf(0, kNiceBack) && SetNiceOf(0, nice);
  });
  if (trial.ok()) trial.value().join();
  return may;
}

void YieldingThread::Begin(WhereStuck stuck) {
  nice_forward_ = getpriority(PRIO_PROCESS, 0);
  if (MayReturnFromStandingBack()) {
    thread_ = gettid();
  } else if (stuck == WhereStuck::kBack) {
    SetNiceOf(0, kNiceBack);
  }
  YieldPoint::Follow(back_);
  CalmDown();
}

void YieldingThread::SetNice(int nice) const {
  if (thread_ != 0) SetNiceOf(thread_, nice);
}

// Who finds it back also sees what Begin wrote.
void YieldingThread::Hurry() {
  if (!back_.load(std::memory_order_relaxed)) return;
  if (back_.exchange(false, std::memory_order_acq_rel)) SetNice(nice_forward_);
}

void YieldingThread::CalmDown() {
  if (back_.load(std::memory_order_relaxed)) return;
  back_.store(true, std::memory_order_release);
  SetNice(kNiceBack);
  // A Hurry in the middle may have come before that.
  if (!back_.load(std::memory_order_acquire)) SetNice(nice_forward_);
}

}  // namespace terraced::tiering
