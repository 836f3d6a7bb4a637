#include "storage/flash/slot_table.h"

#include <sys/mman.h>
#include <unistd.h>

#include "storage/base/check.h"

namespace terraced::storage {

SlotTable::SlotTable(uint32_t buckets, std::atomic<uint64_t>* memory_bytes)
    : memory_bytes_(memory_bytes), count_(buckets) {
  TERRACED_CHECK(buckets > 0 && buckets <= kSlotBucketsMax);
  void* mapped = mmap(nullptr, MappedBytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                      /*fd=*/-1, /*offset=*/0);
  TERRACED_CHECK(mapped != MAP_FAILED);
  buckets_ = static_cast<SlotBucket*>(mapped);  // zeroes: every slot is empty
  memory_bytes_->fetch_add(MappedBytes(), std::memory_order_relaxed);
}

SlotTable& SlotTable::operator=(SlotTable&& other) noexcept {
  std::swap(buckets_, other.buckets_);
  std::swap(memory_bytes_, other.memory_bytes_);
  std::swap(used_, other.used_);
  std::swap(count_, other.count_);
  return *this;
}

SlotTable::~SlotTable() {
  if (buckets_ == nullptr) return;
  munmap(buckets_, MappedBytes());
  memory_bytes_->fetch_sub(MappedBytes(), std::memory_order_relaxed);
}

size_t SlotTable::MappedBytes() const {
  static const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (size_t{count_} * sizeof(SlotBucket) + page - 1) / page * page;
}

}  // namespace terraced::storage
