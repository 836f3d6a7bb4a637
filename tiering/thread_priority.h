// How threads that nobody waits for keep out of the way of those that serve clients: they run under SCHED_IDLE, which
// gives the core to a worker the moment it has something to do. Any other policy lets who is running finish its slice
// of some milliseconds, even at the lowest nice value (EEVDF, Linux 6.6 and later).
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

namespace terraced::tiering {

// The calling thread stands back for good. What it does may be late when all cores are busy, and nothing may depend on
// it then. Where the kernel refuses, it stays as it is.
void StandBack();

// Whether a thread of this process that stood back may return: needs CAP_SYS_NICE or RLIMIT_NICE of 20.
bool MayReturnFromStandingBack();

// YieldingThread: a thread that stands back while it keeps up, and not when others begin to wait for it.
// Threads: Begin on the thread itself, before others know of it; Hurry any, costs one load unless it changes something;
// CalmDown on the thread.
class YieldingThread {
 public:
  void Begin();
  void Hurry();
  void CalmDown();
  bool StandsBack() const { return state_.load(std::memory_order_relaxed) == State::kBack; }

 private:
  enum class State : uint8_t { kForward, kCalming, kBack };
  std::atomic<pid_t> thread_{0};  // 0: may not change its priority, or not begun
  std::atomic<State> state_{State::kForward};
};

}  // namespace terraced::tiering
