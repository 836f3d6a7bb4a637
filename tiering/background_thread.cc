#include "tiering/background_thread.h"

#include "storage/base/start_thread.h"
#include "tiering/thread_priority.h"

namespace terraced::tiering {

Status BackgroundThread::Start(const char* name, std::function<std::chrono::milliseconds()> round,
                               bool stands_back) {
  TERRACED_ASSIGN_OR_RETURN(thread_, StartThread(name, [this, round = std::move(round),
                                                        stands_back] { Run(round, stands_back); }));
  return {};
}

void BackgroundThread::Run(const std::function<std::chrono::milliseconds()>& round,
                           bool stands_back) {
  if (stands_back) StandBack();
  while (!Stopping()) {
    const std::chrono::milliseconds rest = round();
    MutexLock lock(mutex_);
    if (!stopping_ && !wanted_ && rest.count() > 0) wake_.WaitFor(mutex_, rest);
    wanted_ = false;
  }
}

void BackgroundThread::Join() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void BackgroundThread::Wake() {
  MutexLock lock(mutex_);
  wanted_ = true;
  wake_.NotifyAll();
}

bool BackgroundThread::Stopping() const {
  MutexLock lock(mutex_);
  return stopping_;
}

}  // namespace terraced::tiering
