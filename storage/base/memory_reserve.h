// MemoryReserve: what an allocation does that the system refuses. The first such opens the reserve, is said and counted,
// and tries again: nobody notices. Where that is not enough the process ends, with one line and without a core, as if it
// had been killed: what lies in files that outlive it is whole at any moment, so the next start is a warm one. Going on
// without the memory would need every change of two tiers to be undone half way.
// Threads: any; Install() before there are others, Refill() by one.
// Ownership: one for the process. Errors: none that returns.
#pragma once

#include <cstddef>
#include <cstdint>

namespace terraced {

class MemoryReserve {
 public:
  static constexpr size_t kBytes = 4U << 20;
  static constexpr int kExitStatus = 71;  // the system refuses (sysexits.h)

  // Operator new comes here from now on.
  static void Install();
  // Puts away what was spent, once the system has it again.
  static void Refill();
  // After malloc() or mmap() have failed: returns where it is worth another try, or not at all.
  static void Spend();
  // malloc and realloc that never fail, for libraries that cannot bear it.
  static void* Allocate(size_t bytes);
  static void* Reallocate(void* old, size_t bytes);
  // Times the reserve was opened.
  static uint64_t Shortages();
};

}  // namespace terraced
