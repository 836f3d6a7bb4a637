#include "storage/ram/size_histogram.h"

namespace terraced::storage {

void SizeHistogram::Enable(uint64_t cas_least) {
  MutexLock lock(mutex_);
  if (steps_ == nullptr) steps_ = std::make_unique<Steps>();
  for (std::atomic<int64_t>& count : *steps_) count.store(0, std::memory_order_relaxed);
  large_.clear();
  cas_least_.store(cas_least, std::memory_order_relaxed);
  counts_.store(steps_.get(), std::memory_order_release);
}

void SizeHistogram::Disable() {
  MutexLock lock(mutex_);
  counts_.store(nullptr, std::memory_order_release);
}

void SizeHistogram::Note(uint64_t bytes, uint64_t cas_unique, int64_t change) {
  Steps* const steps = counts_.load(std::memory_order_acquire);
  if (steps == nullptr || cas_unique < cas_least_.load(std::memory_order_relaxed)) return;
  const uint64_t step = (bytes + kStepBytes - 1) / kStepBytes;
  if (step < kSteps) {
    (*steps)[step].fetch_add(change, std::memory_order_relaxed);
    return;
  }
  MutexLock lock(mutex_);
  large_[step] += change;
}

std::map<uint64_t, uint64_t> SizeHistogram::Counts() const {
  std::map<uint64_t, uint64_t> counts;
  MutexLock lock(mutex_);
  if (!IsOn()) return counts;
  const auto add = [&](uint64_t step, int64_t count) {
    if (count > 0) counts.emplace(step * kStepBytes, static_cast<uint64_t>(count));
  };
  for (uint64_t step = 0; step < kSteps; ++step) {
    add(step, (*steps_)[step].load(std::memory_order_relaxed));
  }
  for (const auto& [step, count] : large_) add(step, count);
  return counts;
}

}  // namespace terraced::storage
