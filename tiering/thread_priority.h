// How threads that nobody waits for keep out of the way of those that serve clients: they run at nice 19 and give the
// core away at YieldPoints (storage/base/yield_point.h). Not under SCHED_IDLE: while other processes keep all
// cores busy, it leaves a thread that holds a mutex, or is inside of the kernel with one, without a core for seconds.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

namespace terraced::tiering {

// The calling thread stands back for good. What it does may be late when all cores are busy, and nothing may depend on
// it then. Where the kernel refuses, it keeps its priority.
void StandBack();

// Whether a thread of this process may lower its nice value to what it began with: needs CAP_SYS_NICE or an
// RLIMIT_NICE that reaches it.
bool MayReturnFromStandingBack();

// YieldingThread: a thread that stands back while it keeps up, and not when it falls behind: then it has its nice value
// back, and up to half of the core. Where the system does not let nice values return, only the latter changes, and the
// nice value is that of one side for good.
// Threads: Begin on the thread itself, before others know of it; Hurry any, costs one load unless it changes something;
// CalmDown on the thread. Ownership: outlives its thread.
class YieldingThread {
 public:
  enum class WhereStuck : uint8_t {
    kForward,  // clients may come to wait for its work
    kBack,
  };
  void Begin(WhereStuck stuck);
  void Hurry();
  void CalmDown();
  bool StandsBack() const { return back_.load(std::memory_order_relaxed); }

 private:
  void SetNice(int nice) const;

  std::atomic<bool> back_{false};
  pid_t thread_ = 0;  // 0: its nice value stays, or not begun
  int nice_forward_ = 0;
};

}  // namespace terraced::tiering
