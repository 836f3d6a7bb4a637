// WatchHub: from what happens to those who watch. Each thread that has events writes them to a LogBuffer of its own; the
// logger thread takes them from there in the order of their numbers (gid), makes lines of them, and hands each watcher
// those of its classes. What does not fit is dropped and counted: nobody waits for a watcher.
// Threads: Note by any, under whatever mutex it holds; Add and Remove by workers; the logger runs from the first Add to
// Stop. Mutexes are leaves, and none is held while lines are made.
// Ownership: owns the buffers of all threads, for as long as it lives: it outlives the cache that has it as its sink.
// Errors: Add says what is in the way of a watcher.
// Sizes: kWatchersMax watchers of watcher_logbuf_size; worker_logbuf_size for each thread that ever had an event.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/watch/event_line.h"
#include "src/watch/log_buffer.h"
#include "src/watch/watcher.h"
#include "storage/base/mutex.h"
#include "tiering/event_sink.h"

namespace terraced::server {

constexpr size_t kWatchersMax = 20;  // memcached's

struct WatchStats {
  uint64_t written = 0;  // events in buffers of threads
  uint64_t dropped = 0;  // events that found no room there
  uint64_t sent = 0;     // lines for watchers
  uint64_t skipped = 0;  // lines that found no room there
  uint64_t watchers = 0;
};

class WatchHub final : public tiering::EventSink {
 public:
  explicit WatchHub(size_t thread_buffer_bytes);
  ~WatchHub();
  WatchHub(const WatchHub&) = delete;
  WatchHub& operator=(const WatchHub&) = delete;

  enum class Added : uint8_t { kYes, kTooMany, kNoThread };
  Added Add(const std::shared_ptr<Watcher>& watcher);
  void Remove(const Watcher* watcher);
  // Joins the logger: no host of a watcher is called any more. All watchers have been removed.
  void Stop();

  void Note(const tiering::Event& event) override;
  WatchStats Stats() const;

  // Tests crank the logger by hand: Add starts no thread, Pass does what one of its rounds does.
  void RunByHandForTest() { by_hand_ = true; }
  bool Pass();

 private:
  // What one thread has written and the logger not read yet.
  struct ThreadLog {
    explicit ThreadLog(size_t bytes) : buffer(bytes) {}
    LogBuffer buffer;
    // While the thread writes: a number that its event's is not below.
    std::atomic<uint64_t> writing{UINT64_MAX};
    std::atomic<uint64_t> written{0};
    std::atomic<uint64_t> dropped{0};
  };
  struct Subscription {
    std::shared_ptr<Watcher> watcher;
    uint64_t since;  // events with smaller numbers were before it
  };

  ThreadLog& LogOfThisThread();
  void Run();
  bool WaitForWork(std::chrono::microseconds rest);
  void ShowWanted() TERRACED_REQUIRES(mutex_);
  // All events of smaller numbers have been written.
  uint64_t WrittenBelow(std::vector<ThreadLog*>* logs);
  void Deliver(std::string_view record, const std::vector<Subscription>& subscriptions);

  // Constant after construction.
  const size_t thread_buffer_bytes_;
  const uint64_t id_;  // of this hub among all that ever were, for the threads' memory of their log
  bool by_hand_ = false;
  // Self-synchronised.
  std::atomic<uint64_t> next_gid_{1};
  std::atomic<uint64_t> sent_{0};
  std::atomic<uint64_t> skipped_{0};
  // The logger's.
  std::string line_;
  // Guarded.
  mutable Mutex logs_mutex_;
  std::vector<std::unique_ptr<ThreadLog>> logs_ TERRACED_GUARDED_BY(logs_mutex_);
  mutable Mutex mutex_;
  CondVar changed_;
  std::vector<Subscription> subscriptions_ TERRACED_GUARDED_BY(mutex_);
  bool stopping_ TERRACED_GUARDED_BY(mutex_) = false;
  std::thread thread_ TERRACED_GUARDED_BY(mutex_);
};

// Of a server that nobody gave one.
WatchHub& UnusedWatchHub();

}  // namespace terraced::server
