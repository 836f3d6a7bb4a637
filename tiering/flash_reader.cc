#include "tiering/flash_reader.h"

#include <algorithm>
#include <string>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/log.h"
#include "storage/base/sync_point.h"
#include "storage/flash/record.h"

namespace terraced::tiering {
namespace {

// More per take saves locks, fewer keep the pool's threads evenly busy.
constexpr size_t kTakeMax = 16;
// Nor more than that, by what they are charged: whoever comes next waits for all that has been taken.
constexpr uint64_t kTakeBytes = 128U << 10;

}  // namespace

FlashReader::FlashReader(storage::BatchStore& store, uint64_t bytes_max)
    : store_(store), bytes_max_(bytes_max) {}

FlashReader::~FlashReader() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  const MutexLock resizing(resize_mutex_);
  for (const Seat& seat : seats_) {
    if (seat.to_join) pthread_join(seat.thread, nullptr);
  }
}

Status FlashReader::Resize(uint32_t threads) {
  TERRACED_CHECK(threads <= kThreadsMax);
  const MutexLock resizing(resize_mutex_);
  const uint32_t before = Want(threads);
  for (uint32_t place = 0; place < threads; ++place) {
    if (StartThread(place)) continue;
    Want(before);
    return Status(StatusCode::kUnavailable, "thread 'flash_reader' " + std::to_string(place + 1) +
                                                " of " + std::to_string(threads) +
                                                " cannot be started");
  }
  return {};
}

uint32_t FlashReader::Want(uint32_t threads) {
  const MutexLock lock(mutex_);
  // All of them: one that was just woken for a fill may be one that leaves.
  wake_.NotifyAll();
  return std::exchange(wanted_, threads);
}

bool FlashReader::StartThread(uint32_t place) {
  {
    const MutexLock lock(mutex_);
    if (std::exchange(running_[place], true))
      return true;  // or it was to leave and has not noticed
  }
  Seat& seat = seats_[place];
  // Who sat here before has nothing left to do but to return.
  if (std::exchange(seat.to_join, false)) pthread_join(seat.thread, nullptr);
  seat.reader = this;
  seat.place = place;
  const auto run = [](void* given) -> void* {
    const auto* const own = static_cast<const Seat*>(given);
    own->reader->Work(own->place);
    return nullptr;
  };
  // std::thread could only throw where there are too many threads.
  if (pthread_create(&seat.thread, nullptr, run, &seat) != 0) {
    const MutexLock lock(mutex_);
    running_[place] = false;
    return false;
  }
  seat.to_join = true;
  pthread_setname_np(seat.thread, "flash_reader");
  return true;
}

uint32_t FlashReader::Threads() const {
  const MutexLock lock(mutex_);
  return static_cast<uint32_t>(std::count(running_.begin(), running_.end(), true));
}

void FlashReader::Submit(std::vector<std::shared_ptr<Fill>>* fills) {
  MutexLock lock(mutex_);
  for (std::shared_ptr<Fill>& fill : *fills) {
    const ReadTurn turn = fill->Turn();
    queue_.Push(std::move(fill), turn);
  }
  if (queue_.Size() > kTakeMax) {
    wake_.NotifyAll();
  } else {
    wake_.NotifyOne();
  }
}

void FlashReader::GiveBack(uint64_t bytes) {
  if (bytes_.fetch_sub(bytes, std::memory_order_relaxed) < bytes_max_) return;
  MutexLock lock(mutex_);
  wake_.NotifyAll();
}

void FlashReader::Work(uint32_t place) {
  while (true) {
    std::vector<std::shared_ptr<Fill>> fills = Take(place);
    if (fills.empty()) return;
    PutBack(&fills, Read(fills));
    SyncPoints::Pass(SyncPoint::kFillRead);
    Post(std::move(fills));
  }
}

std::vector<std::shared_ptr<Fill>> FlashReader::Take(uint32_t place) {
  MutexLock lock(mutex_);
  while (!stopping_ && place < wanted_ &&
         (queue_.Empty() || bytes_.load(std::memory_order_relaxed) >= bytes_max_)) {
    wake_.Wait(mutex_);
  }
  std::vector<std::shared_ptr<Fill>> fills;
  if (!stopping_ && place >= wanted_) {
    running_[place] = false;
    return fills;
  }
  const size_t share = queue_.Size() / std::max<size_t>(wanted_, 1) + 1;
  const size_t wanted = std::min({share, kTakeMax, queue_.Size()});
  uint64_t charged = 0;
  while (fills.size() < wanted && charged < kTakeBytes) {
    fills.push_back(queue_.Pop());
    charged += fills.back()->Turn().charge;
  }
  now_.store(queue_.Now(), std::memory_order_relaxed);
  return fills;
}

size_t FlashReader::Read(const std::vector<std::shared_ptr<Fill>>& fills) {
  size_t count = 0;
  do {
    ReadOne(fills[count++].get());
  } while (count < fills.size() && bytes_.load(std::memory_order_relaxed) < bytes_max_);
  return count;
}

// One record at a time: the encoded one is gone before the next is read.
void FlashReader::ReadOne(Fill* fill) {
  if (fill->abandoned_.load(std::memory_order_relaxed)) {
    fill->failed_ = true;  // nothing is known, and nobody asks
    return;
  }
  for (Fill::Try& one : fill->tries_) {
    storage::BatchRead read{.serial = one.serial, .key = fill->key_, .status = {}, .record = {}};
    store_.ReadMany({&read, 1});
    Decode(read, fill, &one);
  }
  reads_.fetch_add(fill->tries_.size(), std::memory_order_relaxed);
  if (fill->charged_bytes_ == 0) return;
  fill->charged_ = this;
  bytes_.fetch_add(fill->charged_bytes_, std::memory_order_relaxed);
}

void FlashReader::PutBack(std::vector<std::shared_ptr<Fill>>* fills, size_t count) {
  if (count == fills->size()) return;
  MutexLock lock(mutex_);
  while (fills->size() > count) {
    const ReadTurn turn = fills->back()->Turn();
    queue_.PutBack(std::move(fills->back()), turn);
    fills->pop_back();
  }
}

void FlashReader::Decode(const storage::BatchRead& read, Fill* fill, Fill::Try* one) {
  if (read.status.code() == StatusCode::kNotFound) return;
  if (read.status.code() == StatusCode::kCorruption) {
    one->corrupt = true;
  } else if (!read.status.ok()) {
    fill->failed_ = true;
    errors_.fetch_add(1, std::memory_order_relaxed);
    SayFailed(read.status);
    return;
  } else {
    Result<storage::DecodedRecord> decoded =
        storage::DecodeRecord(read.serial, read.key, read.record);
    if (decoded.ok()) {
      one->found = true;
      one->record = std::move(decoded).value();
      fill->charged_bytes_ += one->record.value.size();
      return;
    }
    one->corrupt = true;
  }
  corrupt_.fetch_add(1, std::memory_order_relaxed);
  SayCorrupt(read.serial);
}

void FlashReader::SayFailed(const Status& status) {
  uint64_t unsaid = 0;
  if (!errors_said_.Allows(&unsaid)) return;
  Log::Write(LogLevel::kNotice, "flash read failed: %s (%llu before it that were not logged)",
             std::string(status.message()).c_str(), static_cast<unsigned long long>(unsaid));
}

void FlashReader::SayCorrupt(uint64_t serial) {
  uint64_t unsaid = 0;
  if (!corrupt_said_.Allows(&unsaid)) return;
  Log::Write(LogLevel::kNotice,
             "flash record in batch %016llx fails its check (%llu before it that were not logged)",
             static_cast<unsigned long long>(serial), static_cast<unsigned long long>(unsaid));
}

void FlashReader::Post(std::vector<std::shared_ptr<Fill>> fills) {
  std::sort(fills.begin(), fills.end(),
            [](const auto& a, const auto& b) { return a->executor_ < b->executor_; });
  for (size_t i = 0; i < fills.size();) {
    Executor* const executor = fills[i]->executor_;
    Completion* first = nullptr;
    for (; i < fills.size() && fills[i]->executor_ == executor; ++i) {
      Fill* const fill = fills[i].get();
      fill->next = first;
      first = fill;
      fill->self_ = std::move(fills[i]);
    }
    executor->Post(first);
  }
}

FlashReaderStats FlashReader::Stats() const {
  FlashReaderStats stats;
  stats.reads = reads_.load(std::memory_order_relaxed);
  stats.coalesced = coalesced_.load(std::memory_order_relaxed);
  stats.errors = errors_.load(std::memory_order_relaxed);
  stats.corrupt = corrupt_.load(std::memory_order_relaxed);
  MutexLock lock(mutex_);
  stats.queued = queue_.Size();
  return stats;
}

void FlashReader::ResetStats() {
  for (auto* counter : {&reads_, &coalesced_, &errors_, &corrupt_}) {
    counter->store(0, std::memory_order_relaxed);
  }
}

}  // namespace terraced::tiering
