// The memory limit while the daemon runs: address space for a higher one, and pages that no class has.
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "storage/base/log.h"
#include "storage/ram/slab_arena.h"

namespace terraced::storage {
namespace {

// How much of -m there is address space for: `cache_memlimit` may raise it so far.
constexpr uint64_t kGrowthMax = 16;

}  // namespace

// Address space for more than is asked for costs nothing. Where the system counts it all the same, there is none.
char* SlabArena::Reserve(uint64_t* pages) const {
  const uint64_t reach = ((1ULL << 32) << unit_shift_) / kSlabPageBytes;
  for (const uint64_t wanted : {std::min(*pages * kGrowthMax, reach), *pages}) {
    void* const at = mmap(nullptr, wanted * kSlabPageBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) continue;
    *pages = wanted;
    return static_cast<char*>(at);
  }
  return nullptr;
}

void SlabArena::Lock(uint64_t begin, uint64_t end) const {
  if (mlock2(base_ + begin, end - begin, MLOCK_ONFAULT) == 0) return;
  Log::Write(LogLevel::kNotice, "locking item memory (-k): %s", std::strerror(errno));
}

Status SlabArena::SetLimitBytes(uint64_t limit_bytes) {
  if (limit_bytes < kSlabPageBytes)
    return Status(StatusCode::kInvalidArgument, "the memory limit is less than a slab page");
  if (limit_bytes > limit_bytes_max_) {
    return Status(StatusCode::kInvalidArgument, "the memory limit cannot be raised above " +
                                                    std::to_string(limit_bytes_max_ >> 20) +
                                                    " MiB");
  }
  const uint64_t before = limit_bytes_.load(std::memory_order_relaxed);
  // Locked from the old limit's last page on: pages that classes have beyond it are their first.
  if (lock_memory_ && limit_bytes > before) {
    Lock(before, limit_bytes + (first_page_ + uint64_t{largest_class_}) * kSlabPageBytes);
  }
  limit_bytes_.store(limit_bytes, std::memory_order_relaxed);
  return Status();
}

uint64_t SlabArena::PooledPages() const {
  MutexLock lock(mutex_);
  return returned_pages_.size();
}

bool SlabArena::GivePooledPage(SlabClass to_class) {
  Class& to = classes_[to_class];
  MutexLock lock(to.mutex);
  if (PooledPages() == 0) return false;
  const uint32_t page = TakePage(false);
  if (page == 0) return false;
  AddPage(to, to_class, page);
  return true;
}

}  // namespace terraced::storage
