#include "storage/ram/huge_page_memory.h"

#include <sys/mman.h>

#include "storage/base/check.h"
#include "storage/base/memory_reserve.h"

namespace terraced::storage {
namespace {

constexpr uint64_t kHugePageBytes = 2U << 20;
constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kAlignment = 64;

}  // namespace

HugePageMemory::~HugePageMemory() {
  const MutexLock lock(mutex_);
  for (const Mapping& mapping : mappings_) munmap(mapping.at, mapping.bytes);
}

void* HugePageMemory::Take(uint64_t bytes) {
  TERRACED_DCHECK(bytes % kAlignment == 0);
  const MutexLock lock(mutex_);
  if (bytes >= kHugePageBytes) return Map((bytes + kPageBytes - 1) / kPageBytes * kPageBytes);
  if (bytes > left_bytes_) {
    next_ = Map(kHugePageBytes);
    left_bytes_ = kHugePageBytes;
  }
  char* const taken = next_;
  next_ += bytes;
  left_bytes_ -= bytes;
  return taken;
}

uint64_t HugePageMemory::MappedBytes() const {
  const MutexLock lock(mutex_);
  uint64_t bytes = 0;
  for (const Mapping& mapping : mappings_) bytes += mapping.bytes;
  return bytes;
}

// Begins at a large page. Where the kernel has none to give, small ones do.
char* HugePageMemory::Map(uint64_t bytes) {
  const uint64_t mapped_bytes = bytes + kHugePageBytes;
  const auto map = [mapped_bytes] {
    return mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  };
  void* at = map();
  for (; at == MAP_FAILED; at = map()) MemoryReserve::Spend();
  const uint64_t before =
      (kHugePageBytes - reinterpret_cast<uintptr_t>(at) % kHugePageBytes) % kHugePageBytes;
  char* const aligned = static_cast<char*>(at) + before;
  if (before > 0) munmap(at, before);
  munmap(aligned + bytes, kHugePageBytes - before);
  mappings_.push_back({aligned, bytes});
  (void)madvise(aligned, bytes, MADV_HUGEPAGE);
  return aligned;
}

}  // namespace terraced::storage
