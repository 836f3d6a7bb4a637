// SharedIndex: the flash index in a SharedFile, on tmpfs by default: the batch arrays and the bucket arrays. After a kill
// the next process maps them and goes on. storage/README.md, "Shared index", has its bytes and the order of the stores.
// Threads: SlotMemory's rules; Beat() by one thread; the rest at start-up and stop.
// Ownership: the file stays when the object goes, unless Remove() was called.
// Errors: Open() and CheckLeft() say in one line why there is nothing to take over. Where the filesystem is full it is
// given up: one log line, the file is worth nothing from then on, and further arrays are private.
// Sizes: 0.6 MB and the arrays, all of it taken from the filesystem before it is touched.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "storage/base/mutex.h"
#include "storage/base/shared_file.h"
#include "storage/base/status.h"
#include "storage/flash/batch_table.h"
#include "storage/flash/extent_allocator.h"
#include "storage/flash/flash_index.h"
#include "storage/flash/slot_memory.h"

namespace terraced::storage {

struct SharedIndexOptions {
  std::string directory;      // of the file
  uint64_t directory_id = 0;  // of the flash directory: gives the file its name
  uint64_t bytes_max = 0;     // address space set aside
};

class SharedIndex final : public SlotMemory {
 public:
  // Opens or makes the file, and locks it. What it holds stays as it is until Clear() or BeginRun().
  static Result<std::unique_ptr<SharedIndex>> Open(const SharedIndexOptions& options);

  // Ok: it holds the whole index that run `run_id` of this directory left in this boot, and may be taken over.
  Status CheckLeft(uint64_t run_id, const TimeStamp& now, uint32_t max_downtime_s);
  // Empty, of no run. Fails where there is no room.
  Status Clear();
  // Whose run it is, whether it is given up, its heartbeat.
  SharedFile& File() { return *file_; }
  BatchArrays& Batches();
  FlushMark& Flush() { return file_->Header().flush; }

  SlotBucket* Allocate(uint32_t buckets) override;
  void Free(SlotBucket* at, uint32_t buckets) override;
  void SetRuling(uint32_t partition, const RulingSlots& slots) override;
  RulingSlots Ruling(uint32_t partition) const override;
  bool Outlives() const override { return !file_->GivenUp(); }

 private:
  struct Header;

  explicit SharedIndex(std::unique_ptr<SharedFile> file) : file_(std::move(file)) {}
  // Takes what the partitions say is theirs.
  Status TakeRulingExtents();
  void ReturnPages(const Extent& free) TERRACED_REQUIRES(mutex_);
  SlotBucket* TakeBytes(uint64_t bytes) TERRACED_REQUIRES(mutex_);
  bool Holds(const SlotBucket* at) const;
  Header& AsHeader() const { return *reinterpret_cast<Header*>(file_->Memory()); }

  const std::unique_ptr<SharedFile> file_;
  PrivateSlotMemory private_memory_;  // once the file is given up

  Mutex mutex_;  // a leaf
  std::unique_ptr<ExtentAllocator> extents_ TERRACED_GUARDED_BY(mutex_);
  bool clears_pages_ TERRACED_GUARDED_BY(mutex_) =
      true;  // the filesystem, when they are given back
};

}  // namespace terraced::storage
