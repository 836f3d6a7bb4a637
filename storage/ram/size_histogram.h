// SizeHistogram: how many items of each size there are in RAM, in steps of 32 bytes (`stats sizes`). Off, it costs an
// item that comes or goes one load. As in memcached only items that were stored after it was turned on are counted,
// which their CAS unique tells.
// Threads: any; Enable and Disable may come at any time. Ownership: by the ItemAllocator.
// Sizes: nothing until it is turned on for the first time, then 256 KiB, and some bytes for each size beyond 1 MiB.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>

#include "storage/base/mutex.h"

namespace terraced::storage {

class SizeHistogram {
 public:
  static constexpr uint64_t kStepBytes = 32;

  bool IsOn() const { return counts_.load(std::memory_order_acquire) != nullptr; }
  // Begins anew with the items whose CAS unique is at least that.
  void Enable(uint64_t cas_least) TERRACED_EXCLUDES(mutex_);
  void Disable() TERRACED_EXCLUDES(mutex_);
  // An item came (+1) or went (-1); only where IsOn() said yes.
  void Note(uint64_t bytes, uint64_t cas_unique, int64_t change) TERRACED_EXCLUDES(mutex_);
  // By size, rounded up to the step; sizes that there are none of are left out.
  std::map<uint64_t, uint64_t> Counts() const TERRACED_EXCLUDES(mutex_);

 private:
  static constexpr uint64_t kSteps = (1U << 20) / kStepBytes + 1;
  using Steps = std::array<std::atomic<int64_t>, kSteps>;

  // Self-synchronised.
  std::atomic<Steps*> counts_{nullptr};  // null: off
  std::atomic<uint64_t> cas_least_{std::numeric_limits<uint64_t>::max()};
  // Guarded.
  mutable Mutex mutex_;
  std::unique_ptr<Steps> steps_
      TERRACED_GUARDED_BY(mutex_);  // kept while off: somebody may still count in it
  std::map<uint64_t, int64_t> large_ TERRACED_GUARDED_BY(mutex_);
};

}  // namespace terraced::storage
