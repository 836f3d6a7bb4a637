#include "src/watch/watch_hub.h"

#include <algorithm>
#include <utility>

#include "src/watch/running_connection.h"
#include "storage/base/check.h"
#include "storage/base/start_thread.h"

namespace terraced::server {
namespace {

using std::chrono::microseconds;

// How long the logger rests between two rounds: shortly while there are events, longer where there are none.
constexpr microseconds kShortRest{1'000};
constexpr microseconds kLongRest{20'000};

std::atomic<uint64_t> hubs_made{0};

uint64_t WallUs() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<microseconds>(now).count());
}

// Which log of which hub the calling thread writes to.
struct OwnLog {
  uint64_t hub_id = 0;
  void* log = nullptr;
};
constinit thread_local OwnLog own_log;

}  // namespace

WatchHub::WatchHub(size_t thread_buffer_bytes)
    : thread_buffer_bytes_(thread_buffer_bytes), id_(hubs_made.fetch_add(1) + 1) {}

WatchHub::~WatchHub() {
  Stop();
}

// --- Writing --------------------------------------------------------------------------------------

// The first event of a thread makes its log, the others find it.
WatchHub::ThreadLog& WatchHub::LogOfThisThread() {
  if (own_log.hub_id != id_) {
    auto log = std::make_unique<ThreadLog>(thread_buffer_bytes_);
    own_log = {id_, log.get()};
    const MutexLock lock(logs_mutex_);
    logs_.push_back(std::move(log));
  }
  return *static_cast<ThreadLog*>(own_log.log);
}

void WatchHub::Note(const tiering::Event& event) {
  ThreadLog& log = LogOfThisThread();
  // In one order with the logger's reads in WrittenBelow: whoever sees a later number sees this one being written.
  log.writing.store(next_gid_.load());
  char* const to = log.buffer.Reserve(RecordBytes(event));
  if (to == nullptr) {
    log.dropped.fetch_add(1, std::memory_order_relaxed);
  } else {
    WriteRecord({.gid = next_gid_.fetch_add(1),
                 .time_us = WallUs(),
                 .connection = RunningConnection::Get(),
                 .text_bytes = 0,
                 .type = event.type},
                event, to);
    log.buffer.Commit();
    log.written.fetch_add(1, std::memory_order_relaxed);
  }
  log.writing.store(UINT64_MAX, std::memory_order_release);
}

// --- Watchers -------------------------------------------------------------------------------------

WatchHub::Added WatchHub::Add(const std::shared_ptr<Watcher>& watcher) {
  const MutexLock lock(mutex_);
  if (subscriptions_.size() >= kWatchersMax) return Added::kTooMany;
  if (!by_hand_ && !thread_.joinable()) {
    Result<std::thread> thread = StartThread("logger", [this] { Run(); });
    if (!thread.ok()) return Added::kNoThread;
    thread_ = std::move(thread).value();
  }
  subscriptions_.push_back({watcher, next_gid_.load()});
  ShowWanted();
  changed_.NotifyOne();
  return Added::kYes;
}

void WatchHub::Remove(const Watcher* watcher) {
  const MutexLock lock(mutex_);
  std::erase_if(subscriptions_,
                [&](const Subscription& one) { return one.watcher.get() == watcher; });
  ShowWanted();
}

void WatchHub::ShowWanted() {
  uint32_t wanted = 0;
  for (const Subscription& one : subscriptions_) wanted |= one.watcher->Classes();
  wanted_.store(wanted);
}

void WatchHub::Stop() {
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    TERRACED_DCHECK(subscriptions_.empty());
    stopping_ = true;
    changed_.NotifyOne();
    thread.swap(thread_);
  }
  if (thread.joinable()) thread.join();
  const MutexLock lock(mutex_);
  stopping_ = false;
}

WatchStats WatchHub::Stats() const {
  WatchStats stats;
  {
    const MutexLock lock(logs_mutex_);
    for (const std::unique_ptr<ThreadLog>& log : logs_) {
      stats.written += log->written.load(std::memory_order_relaxed);
      stats.dropped += log->dropped.load(std::memory_order_relaxed);
    }
  }
  stats.sent = sent_.load(std::memory_order_relaxed);
  stats.skipped = skipped_.load(std::memory_order_relaxed);
  const MutexLock lock(mutex_);
  stats.watchers = subscriptions_.size();
  return stats;
}

// --- The logger -----------------------------------------------------------------------------------

void WatchHub::Run() {
  microseconds rest = kShortRest;
  while (WaitForWork(rest)) rest = Pass() ? kShortRest : std::min(2 * rest, kLongRest);
}

bool WatchHub::WaitForWork(microseconds rest) {
  const MutexLock lock(mutex_);
  if (!stopping_ && !subscriptions_.empty()) changed_.WaitFor(mutex_, rest);
  while (!stopping_ && subscriptions_.empty()) changed_.Wait(mutex_);
  return !stopping_;
}

uint64_t WatchHub::WrittenBelow(std::vector<ThreadLog*>* logs) {
  // First: a log that is not in the list yet has no number below it.
  uint64_t below = next_gid_.load();
  {
    const MutexLock lock(logs_mutex_);
    for (const std::unique_ptr<ThreadLog>& log : logs_) logs->push_back(log.get());
  }
  for (const ThreadLog* log : *logs) below = std::min(below, log->writing.load());
  return below;
}

// One round: all that was written before it began. True: there was something.
bool WatchHub::Pass() {
  std::vector<ThreadLog*> logs;
  const uint64_t below = WrittenBelow(&logs);
  std::vector<Subscription> subscriptions;
  {
    const MutexLock lock(mutex_);
    subscriptions = subscriptions_;
  }
  bool any = false;
  while (true) {
    ThreadLog* oldest = nullptr;
    std::string_view record;
    uint64_t gid = below;
    for (ThreadLog* const log : logs) {
      const std::string_view front = log->buffer.Front();
      if (front.empty()) continue;
      const uint64_t own = ReadRecordHead(front).gid;
      if (own >= gid) continue;
      oldest = log;
      record = front;
      gid = own;
    }
    if (oldest == nullptr) break;
    any = true;
    Deliver(record, subscriptions);
    oldest->buffer.Pop();
  }
  for (const Subscription& one : subscriptions) {
    one.watcher->OfferSkipped();
    if (one.watcher->HasLines()) one.watcher->Host().LinesReady();
  }
  return any;
}

void WatchHub::Deliver(std::string_view record, const std::vector<Subscription>& subscriptions) {
  const EventRecord head = ReadRecordHead(record);
  line_.clear();
  for (const Subscription& one : subscriptions) {
    if ((one.watcher->Classes() & ClassOf(head.type)) == 0 || head.gid < one.since) continue;
    if (line_.empty()) AppendEventLine(record, &line_);
    const bool sent = one.watcher->Offer(line_);
    (sent ? sent_ : skipped_).fetch_add(1, std::memory_order_relaxed);
    if (one.watcher->HasManyLines()) one.watcher->Host().LinesReady();
  }
}

WatchHub& UnusedWatchHub() {
  static WatchHub hub(LogBuffer::kBytesLeast);
  return hub;
}

}  // namespace terraced::server
