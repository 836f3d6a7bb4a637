// BackgroundThread: a loop that works, rests as long as its last round said, and can be woken or
// stopped at once. It may stand back behind the threads that serve clients (thread_priority.h).
// Threads: Start and Join by the owner; Wake by any; the round runs on the thread.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "storage/base/mutex.h"
#include "storage/base/status.h"

namespace terraced::tiering {

class BackgroundThread {
 public:
  BackgroundThread() = default;
  ~BackgroundThread() { Join(); }

  // `round` answers how long to rest before the next one.
  // `stands_back`: not where somebody may wait for a round.
  // Errors: the system has no more threads.
  Status Start(const char* name, std::function<std::chrono::milliseconds()> round,
               bool stands_back = true);
  void Join();
  void Wake();
  bool Stopping() const;

 private:
  void Run(const std::function<std::chrono::milliseconds()>& round, bool stands_back);

  std::thread thread_;
  mutable Mutex mutex_;
  CondVar wake_;
  bool stopping_ TERRACED_GUARDED_BY(mutex_) = false;
  bool wanted_ TERRACED_GUARDED_BY(mutex_) = false;
};

}  // namespace terraced::tiering
