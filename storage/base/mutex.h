// Mutex, MutexLock, CondVar: std's, with the annotations that let clang's -Wthread-safety prove
// which lock guards what (std::mutex cannot carry them). Lock order: shard mutex -> slab arena
// mutex -> leaf (queue, statistics); two shard mutexes are never held together.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define TERRACED_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define TERRACED_THREAD_ANNOTATION(x)
#endif
#define TERRACED_CAPABILITY(x) TERRACED_THREAD_ANNOTATION(capability(x))
#define TERRACED_SCOPED_CAPABILITY TERRACED_THREAD_ANNOTATION(scoped_lockable)
#define TERRACED_GUARDED_BY(x) TERRACED_THREAD_ANNOTATION(guarded_by(x))
#define TERRACED_PT_GUARDED_BY(x) TERRACED_THREAD_ANNOTATION(pt_guarded_by(x))
#define TERRACED_REQUIRES(...) TERRACED_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define TERRACED_EXCLUDES(...) TERRACED_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
#define TERRACED_ACQUIRE(...) TERRACED_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define TERRACED_TRY_ACQUIRE(...) TERRACED_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define TERRACED_RELEASE(...) TERRACED_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define TERRACED_NO_THREAD_SAFETY_ANALYSIS TERRACED_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace terraced {

class TERRACED_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() TERRACED_ACQUIRE() { mutex_.lock(); }
  bool TryLock() TERRACED_TRY_ACQUIRE(true) { return mutex_.try_lock(); }
  void Unlock() TERRACED_RELEASE() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class TERRACED_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) TERRACED_ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() TERRACED_RELEASE() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class CondVar {
 public:
  void Wait(Mutex& mutex) TERRACED_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // False when the time passed without a notification.
  bool WaitFor(Mutex& mutex, std::chrono::microseconds wait) TERRACED_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool notified = condition_.wait_for(lock, wait) == std::cv_status::no_timeout;
    lock.release();
    return notified;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace terraced
