// SharedIndex: the flash index in a file on tmpfs, whose pages outlive a killed process. It holds the batch arrays, the
// bucket arrays, the flush mark, and what tells whether they may be taken over: by the same directory, after the run
// that STATE names, in the same boot, after a downtime and by a clock that can be trusted. storage/README.md, "Shared
// index", has its bytes and the order of the stores that keeps every prefix safe.
// Threads: SlotMemory's rules; Beat() by one thread; the rest at start-up and stop.
// Ownership: the file is locked as long as the object lives, and stays when it goes, unless Remove() was called.
// Errors: Open() and CheckLeft() say in one line why there is nothing to take over. Where the filesystem is full, GiveUp():
// one log line, the file is worth nothing from then on, and further arrays are private.
// Sizes: 0.6 MB and the arrays, all of it taken from the filesystem before it is touched.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "storage/base/mutex.h"
#include "storage/base/status.h"
#include "storage/flash/batch_table.h"
#include "storage/flash/extent_allocator.h"
#include "storage/flash/file_io.h"
#include "storage/flash/flash_index.h"
#include "storage/flash/flush_mark.h"
#include "storage/flash/slot_memory.h"

namespace terraced::storage {

struct SharedIndexOptions {
  std::string directory;      // of the file
  uint64_t directory_id = 0;  // of the flash directory: gives the file its name
  uint64_t bytes_max = 0;     // address space set aside
};

// Both clocks of one moment, in seconds.
struct TimeStamp {
  uint32_t wall_s = 0;
  uint32_t boot_s = 0;  // CLOCK_BOOTTIME

  static TimeStamp Now();
};

// Whether a tier that was left at `last_wall_s` and down for `down_s` seconds may be gone on with now. Not if the wall
// clock has gone back since (what had expired would be there again), nor after more than `max_downtime_s` (0: for ever).
Status CheckDowntime(uint32_t last_wall_s, uint32_t down_s, uint32_t now_wall_s,
                     uint32_t max_downtime_s);

class SharedIndex final : public SlotMemory {
 public:
  // Opens or makes the file, and locks it. What it holds stays as it is until Clear() or BeginRun().
  static Result<std::unique_ptr<SharedIndex>> Open(const SharedIndexOptions& options);
  ~SharedIndex() override;

  const std::string& Path() const { return path_; }
  // Ok: it holds the whole index that run `run_id` of this directory left in this boot, and may be taken over.
  Status CheckLeft(uint64_t run_id, const TimeStamp& now, uint32_t max_downtime_s);
  // Empty, of no run. Fails where there is no room.
  Status Clear();

  // The directory's STATE names a run between these two, so that either name is the file's.
  void BeginRun(uint64_t run_id);
  void ConfirmRun();
  // That this process is alive, each second.
  void Beat(const TimeStamp& now);
  // The file is worth nothing from now on, and says so.
  void GiveUp(const std::string& why);
  bool GivenUp() const { return given_up_.load(std::memory_order_relaxed); }
  // After a clean stop.
  void Remove();

  BatchArrays& Batches();
  FlushMark& Flush();

  SlotBucket* Allocate(uint32_t buckets) override;
  void Free(SlotBucket* at, uint32_t buckets) override;
  void SetRuling(uint32_t partition, const RulingSlots& slots) override;
  RulingSlots Ruling(uint32_t partition) const override;
  bool Outlives() const override { return !GivenUp(); }

 private:
  struct Header;

  SharedIndex(std::string path, uint64_t directory_id)
      : path_(std::move(path)), directory_id_(directory_id) {}
  Status Map(uint64_t bytes_max);
  Status CheckHeader(uint64_t run_id);
  // Takes what the partitions say is theirs.
  Status TakeRulingExtents();
  // From the filesystem, so that touching it cannot fail.
  Status Reserve(const Extent& extent);
  void ReturnPages(const Extent& free) TERRACED_REQUIRES(mutex_);
  SlotBucket* TakeBytes(uint64_t bytes) TERRACED_REQUIRES(mutex_);
  bool Holds(const SlotBucket* at) const;
  Header& AsHeader() const { return *reinterpret_cast<Header*>(memory_); }

  const std::string path_;
  const uint64_t directory_id_;
  FileDescriptor file_;
  char* memory_ = nullptr;
  uint64_t mapped_bytes_ = 0;
  std::atomic<bool> given_up_{false};
  PrivateSlotMemory private_memory_;  // after GiveUp()

  Mutex mutex_;  // a leaf
  std::unique_ptr<ExtentAllocator> extents_ TERRACED_GUARDED_BY(mutex_);
  bool clears_pages_ TERRACED_GUARDED_BY(mutex_) =
      true;  // the filesystem, when they are given back
};

}  // namespace terraced::storage
