// FlashReader: the pool of threads that read the flash tier. Work comes in batches (a worker's
// round) and goes back in batches (one wake-up of a mailbox for all its fills).
// Threads: Submit by any worker; its own threads touch no connection, no item, no reply. Leaf lock.
// Ownership: a fill in the queue or under way is held by shared_ptr; the store outlives the reader.
// Errors: a failed read marks the fill failed; a record that fails its check counts as absent and
// is counted.
// Sizes: the values that are decoded and not yet consumed share one byte budget, booked fill by fill; readers pause at
// its end, so it is passed by no more than one fill for each thread.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "storage/base/mutex.h"
#include "storage/flash/batch_store.h"
#include "tiering/fill.h"

namespace terraced::tiering {

struct FlashReaderStats {
  uint64_t reads = 0;
  uint64_t coalesced = 0;
  uint64_t errors = 0;
  uint64_t corrupt = 0;
  uint64_t queued = 0;
};

class FlashReader {
 public:
  FlashReader(storage::BatchStore& store, uint32_t threads, uint64_t bytes_max);
  ~FlashReader();  // stops when everything queued was read and answered

  void Submit(std::vector<std::shared_ptr<Fill>>* fills);
  void CountCoalesced() { coalesced_.fetch_add(1, std::memory_order_relaxed); }
  void GiveBack(uint64_t bytes);
  FlashReaderStats Stats() const;
  void ResetStats();

 private:
  void Work();
  // Takes a fair share of the queue; empty means stop.
  std::vector<std::shared_ptr<Fill>> Take();
  // Reads the first of them, and more while the budget lasts; how many.
  size_t Read(const std::vector<std::shared_ptr<Fill>>& fills);
  void ReadOne(Fill* fill);
  // What is behind the first `count` goes back to the head of the queue.
  void PutBack(std::vector<std::shared_ptr<Fill>>* fills, size_t count);
  void Decode(const storage::BatchRead& read, Fill* fill, Fill::Try* one);
  static void Post(std::vector<std::shared_ptr<Fill>> fills);

  // Constant after construction.
  storage::BatchStore& store_;
  const uint64_t bytes_max_;
  // Self-synchronised.
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> reads_{0};
  std::atomic<uint64_t> coalesced_{0};
  std::atomic<uint64_t> errors_{0};
  std::atomic<uint64_t> corrupt_{0};
  // Guarded.
  mutable Mutex mutex_;
  CondVar wake_;
  std::deque<std::shared_ptr<Fill>> queue_ TERRACED_GUARDED_BY(mutex_);
  bool stopping_ TERRACED_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace terraced::tiering
