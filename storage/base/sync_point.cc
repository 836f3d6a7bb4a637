#include "storage/base/sync_point.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "storage/base/mutex.h"

namespace terraced {
namespace {

constexpr size_t kPoints = static_cast<size_t>(SyncPoint::kCount);

struct Attachments {
  Mutex mutex;
  std::array<std::function<void()>, kPoints> callbacks TERRACED_GUARDED_BY(mutex);
};

Attachments& TheAttachments() {
  static Attachments* const attachments = new Attachments;  // outlives every thread
  return *attachments;
}

}  // namespace

std::array<SyncPoints::State, kPoints> SyncPoints::states_;

std::optional<SyncPoint> SyncPointByName(std::string_view name) {
  for (size_t i = 0; i < kSyncPointNames.size(); ++i) {
    if (kSyncPointNames[i] == name) return static_cast<SyncPoint>(i);
  }
  return std::nullopt;
}

void SyncPoints::Attach(SyncPoint point, std::function<void()> callback) {
  Attachments& attachments = TheAttachments();
  MutexLock lock(attachments.mutex);
  const size_t i = static_cast<size_t>(point);
  const bool kills = states_[i].passes_left.load(std::memory_order_relaxed) != 0;
  states_[i].armed.store(callback || kills, std::memory_order_release);
  attachments.callbacks[i] = std::move(callback);
}

void SyncPoints::AttachDelay(SyncPoint point, uint32_t delay_ms) {
  if (delay_ms == 0) {
    Attach(point, nullptr);
    return;
  }
  Attach(point, [delay_ms] { std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms)); });
}

void SyncPoints::AttachKill(SyncPoint point, uint64_t nth) {
  State& state = states_[static_cast<size_t>(point)];
  MutexLock lock(TheAttachments().mutex);
  state.passes_left.store(nth, std::memory_order_relaxed);
  state.armed.store(true, std::memory_order_release);
}

void SyncPoints::RunAttached(SyncPoint point) {
  std::function<void()> callback;
  {
    Attachments& attachments = TheAttachments();
    MutexLock lock(attachments.mutex);
    callback = attachments.callbacks[static_cast<size_t>(point)];
  }
  if (callback) callback();
  std::atomic<uint64_t>& left = states_[static_cast<size_t>(point)].passes_left;
  if (left.load(std::memory_order_relaxed) != 0 && left.fetch_sub(1) == 1) {
    ::kill(::getpid(), SIGKILL);
  }
}

}  // namespace terraced
