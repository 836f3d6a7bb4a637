// RemovalLog: slots that a mutation removed without knowing whose they were. A set acts on the
// fingerprint alone (it must not read flash), so the removed slot was the key's own old record, or,
// once in some ten thousand times, a colliding neighbour's, which is lost to clients and has to be
// counted (flash_index_collisions). The demoter tells them apart later from the batch's list of key
// hashes.
// Threads: any; leaf lock. Sizes: 64 K entries of 16 bytes, those that were taken and not yet told apart
// included; beyond, removals are counted as not verified.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "storage/base/mutex.h"

namespace terraced::tiering {

struct Removal {
  uint64_t serial = 0;
  uint64_t hash = 0;  // of the key that was mutated
};

class RemovalLog {
 public:
  static constexpr size_t kEntriesMax = 64U << 10;

  void Add(const Removal& removal) {
    MutexLock lock(mutex_);
    if (entries_.size() + taken_ >= kEntriesMax) {
      ++lost_;
      return;
    }
    entries_.push_back(removal);
  }
  // Takes everything. Until Done() the taken ones still count as pending.
  std::vector<Removal> Take() {
    MutexLock lock(mutex_);
    std::vector<Removal> taken;
    taken.swap(entries_);
    taken_ += taken.size();
    return taken;
  }
  // `unverified` of them could not be told apart.
  void Done(size_t count, size_t unverified) {
    MutexLock lock(mutex_);
    taken_ -= count;
    lost_ += unverified;
  }
  bool Empty() const {
    MutexLock lock(mutex_);
    return entries_.empty();
  }
  uint64_t Pending() const {
    MutexLock lock(mutex_);
    return entries_.size() + taken_;
  }
  uint64_t Lost() const {
    MutexLock lock(mutex_);
    return lost_;
  }

 private:
  mutable Mutex mutex_;
  std::vector<Removal> entries_ TERRACED_GUARDED_BY(mutex_);
  size_t taken_ TERRACED_GUARDED_BY(mutex_) = 0;
  uint64_t lost_ TERRACED_GUARDED_BY(mutex_) = 0;
};

}  // namespace terraced::tiering
