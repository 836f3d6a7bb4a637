#include "storage/base/memory_reserve.h"

#include <sys/mman.h>
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
std::atomic_flag g_opening = ATOMIC_FLAG_INIT;

// Of the system, not of malloc, which would keep it for itself when it is given back. It is not touched: what is refused
// is address space or what was promised of memory, and pages that nobody touched count for both.
void* TakeReserve() {
  void* const at = ::mmap(nullptr, MemoryReserve::kBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

// Whether there was one. Whoever comes meanwhile waits, and finds it counted. Nothing is allocated here.
bool OpenReserve() {
  while (g_opening.test_and_set(std::memory_order_acquire)) {
  }
  void* const reserve = g_reserve.exchange(nullptr, std::memory_order_acq_rel);
  if (reserve != nullptr) {
    ::munmap(reserve, MemoryReserve::kBytes);
    g_shortages.fetch_add(1, std::memory_order_relaxed);
  }
  g_opening.clear(std::memory_order_release);
  return reserve != nullptr;
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
  const bool opened = OpenReserve();
  const uint64_t shortages = Shortages();
  if (opened) {
    seen = shortages;
    static LogLimit limit;
    uint64_t unsaid = 0;
    if (limit.Allows(&unsaid)) {
      Log::Write(LogLevel::kNotice, "memory is short: the reserve of %zu MB was opened",
                 kBytes >> 20);
    }
    return;
  }
  if (shortages != seen) {
    seen = shortages;
    return;
  }
  Log::Write(LogLevel::kNotice, "out of memory: ending at once, the next start is as after a kill");
  ::_exit(kExitStatus);
}

void* MemoryReserve::Allocate(size_t bytes) {
  while (true) {
    if (void* at = std::malloc(std::max<size_t>(bytes, 1))) return at;
    Spend();
  }
}

void* MemoryReserve::Reallocate(void* old, size_t bytes) {
  while (true) {
    if (void* at = std::realloc(old, std::max<size_t>(bytes, 1))) return at;
    Spend();
  }
}

uint64_t MemoryReserve::Shortages() {
  return g_shortages.load(std::memory_order_relaxed);
}

}  // namespace terraced
