#include "storage/flash/slot_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "storage/base/memory_reserve.h"
#include "storage/flash/slot_table.h"

namespace terraced::storage {
namespace {

// Below, whole pages for each of 256 tables would be a large share of a small tier's index.
constexpr uint64_t kWholePagesFrom = uint64_t{16} << 10;

}  // namespace

void SlotMemory::SetRuling(uint32_t, const RulingSlots&) {}

RulingSlots SlotMemory::Ruling(uint32_t) const {
  return {};
}

bool SlotMemory::InWholePages(uint64_t bytes) {
  return bytes >= kWholePagesFrom;
}

uint64_t SlotMemory::BytesOf(uint32_t buckets) {
  static const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t bytes = uint64_t{buckets} * sizeof(SlotBucket);
  return InWholePages(bytes) ? (bytes + page - 1) / page * page : bytes;
}

SlotBucket* PrivateSlotMemory::Allocate(uint32_t buckets) {
  const uint64_t bytes = BytesOf(buckets);
  void* at = nullptr;
  if (InWholePages(bytes)) {
    const auto map = [bytes] {
      return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, /*fd=*/-1,
                  /*offset=*/0);
    };
    for (at = map(); at == MAP_FAILED; at = map()) MemoryReserve::Spend();
  } else {
    const auto take = [bytes] { return std::aligned_alloc(alignof(SlotBucket), bytes); };
    for (at = take(); at == nullptr; at = take()) MemoryReserve::Spend();
    std::memset(at, 0, bytes);
  }
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return static_cast<SlotBucket*>(at);
}

void PrivateSlotMemory::Free(SlotBucket* at, uint32_t buckets) {
  const uint64_t bytes = BytesOf(buckets);
  if (InWholePages(bytes)) {
    munmap(at, bytes);
  } else {
    std::free(at);
  }
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
}

}  // namespace terraced::storage
