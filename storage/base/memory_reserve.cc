#include "storage/base/memory_reserve.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "storage/base/log.h"

namespace terraced {
namespace {

std::atomic<void*> g_reserve{nullptr};
std::atomic<uint64_t> g_shortages{0};

// Not new: that would come here. It is not touched: what malloc refuses for is address space or what was promised of
// memory, and pages that nobody touched count for both.
void* TakeReserve() {
  return std::malloc(MemoryReserve::kBytes);
}

}  // namespace

void MemoryReserve::Install() {
  Refill();
  std::set_new_handler(&Spend);
}

void MemoryReserve::Refill() {
  if (g_reserve.load(std::memory_order_relaxed) != nullptr) return;
  g_reserve.store(TakeReserve(), std::memory_order_release);
}

void MemoryReserve::Spend() {
  // What another thread has opened since this one was here last may serve this one too.
  thread_local uint64_t seen = 0;
  void* const reserve = g_reserve.exchange(nullptr, std::memory_order_acq_rel);
  if (reserve != nullptr) {
    const uint64_t shortages = g_shortages.fetch_add(1, std::memory_order_relaxed) + 1;
    seen = shortages;
    std::free(reserve);
    static LogLimit limit;
    uint64_t unsaid = 0;
    if (limit.Allows(&unsaid)) {
      Log::Write(LogLevel::kNotice, "memory is short: the reserve of %zu MB was opened",
                 kBytes >> 20);
    }
    return;
  }
  const uint64_t shortages = g_shortages.load(std::memory_order_relaxed);
  if (shortages != seen) {
    seen = shortages;
    return;
  }
  Log::Write(LogLevel::kNotice, "out of memory: ending at once, the next start is as after a kill");
  ::_exit(kExitStatus);
}

void* MemoryReserve::Allocate(size_t bytes) {
  void* at = std::malloc(std::max<size_t>(bytes, 1));
  while (at == nullptr) {
    Spend();
    at = std::malloc(std::max<size_t>(bytes, 1));
  }
  return at;
}

void* MemoryReserve::Reallocate(void* old, size_t bytes) {
  void* at = std::realloc(old, std::max<size_t>(bytes, 1));
  while (at == nullptr) {
    Spend();
    at = std::realloc(old, std::max<size_t>(bytes, 1));
  }
  return at;
}

uint64_t MemoryReserve::Shortages() {
  return g_shortages.load(std::memory_order_relaxed);
}

}  // namespace terraced
