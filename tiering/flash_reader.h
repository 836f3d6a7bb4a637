// FlashReader: the pool of threads that read the flash tier. Work comes in batches (a worker's
// round) and goes back in batches (one wake-up of a mailbox for all its fills).
// Threads: any; its own threads touch no connection, no item, no reply. Leaf locks: that of a resize is taken before
// the other. Readers that are one too many leave between two rounds of reads, so nobody waits for the disk to have
// them gone.
// Ownership: a fill in the queue or under way is held by shared_ptr; the store outlives the reader.
// Errors: a failed read marks the fill failed; a record that fails its check counts as absent and
// is counted. A resize for which no thread can be started changes nothing.
// Sizes: the values that are decoded and not yet consumed share one byte budget, booked fill by fill; readers pause at
// its end, so it is passed by no more than one fill for each thread.
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "storage/base/log.h"
#include "storage/base/mutex.h"
#include "storage/base/status.h"
#include "storage/flash/batch_store.h"
#include "tiering/fill.h"
#include "tiering/read_queue.h"

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
  static constexpr uint32_t kThreadsMax = 64;

  // Without threads until the first Resize().
  FlashReader(storage::BatchStore& store, uint64_t bytes_max);
  ~FlashReader();  // stops when everything queued was read and answered

  // From now on so many threads read; what is queued or under way is read all the same.
  Status Resize(uint32_t threads);
  uint32_t Threads() const;  // running; after a resize those that have not left yet, too
  void Submit(std::vector<std::shared_ptr<Fill>>* fills);
  // On the caller's thread, past the queue; the budget is charged, and not waited for.
  void ReadNow(Fill* fill) { ReadOne(fill); }
  uint64_t Now() const { return now_.load(std::memory_order_relaxed); }  // of the queue's turns
  void CountCoalesced() { coalesced_.fetch_add(1, std::memory_order_relaxed); }
  void GiveBack(uint64_t bytes);
  FlashReaderStats Stats() const;
  void ResetStats();

 private:
  // Where a thread of the pool stands; those with the highest places leave first.
  struct Seat {
    FlashReader* reader = nullptr;
    uint32_t place = 0;
    pthread_t thread{};
    bool to_join = false;
  };

  // How many shall run; answers how many should before.
  uint32_t Want(uint32_t threads);
  bool StartThread(uint32_t place) TERRACED_REQUIRES(resize_mutex_);
  void Work(uint32_t place);
  // Takes a fair share of the queue, from those whose turn it is; empty means stop.
  std::vector<std::shared_ptr<Fill>> Take(uint32_t place);
  // Reads the first of them, and more while the budget lasts; how many.
  size_t Read(const std::vector<std::shared_ptr<Fill>>& fills);
  void ReadOne(Fill* fill);
  // What is behind the first `count` goes back to its place in the queue.
  void PutBack(std::vector<std::shared_ptr<Fill>>* fills, size_t count);
  void Decode(const storage::BatchRead& read, Fill* fill, Fill::Try* one);
  void SayFailed(const Status& status);
  void SayCorrupt(uint64_t serial);
  static void Post(std::vector<std::shared_ptr<Fill>> fills);

  // Constant after construction.
  storage::BatchStore& store_;
  const uint64_t bytes_max_;
  // Self-synchronised.
  std::atomic<uint64_t> now_{0};
  std::atomic<uint64_t> bytes_{0};
  std::atomic<uint64_t> reads_{0};
  std::atomic<uint64_t> coalesced_{0};
  std::atomic<uint64_t> errors_{0};
  std::atomic<uint64_t> corrupt_{0};
  LogLimit errors_said_;
  LogLimit corrupt_said_;
  // Guarded.
  Mutex resize_mutex_;
  std::array<Seat, kThreadsMax> seats_ TERRACED_GUARDED_BY(resize_mutex_);
  mutable Mutex mutex_;
  CondVar wake_;
  ReadQueue queue_ TERRACED_GUARDED_BY(mutex_);
  bool stopping_ TERRACED_GUARDED_BY(mutex_) = false;
  uint32_t wanted_ TERRACED_GUARDED_BY(mutex_) = 0;
  std::array<bool, kThreadsMax> running_ TERRACED_GUARDED_BY(mutex_){};
};

}  // namespace terraced::tiering
