// IndexMemory: zeroed memory for the buckets of the RAM indexes, which only ever grow.
// Threads: any. Ownership: what is taken goes with the memory, and is never given back by itself.
// Errors: no memory stops the process, as any other allocation that fails.
#pragma once

#include <cstdint>

namespace terraced::storage {

class IndexMemory {
 public:
  IndexMemory() = default;
  IndexMemory(const IndexMemory&) = delete;
  IndexMemory& operator=(const IndexMemory&) = delete;
  virtual ~IndexMemory() = default;

  // `bytes` is a multiple of 64, and so is the address.
  virtual void* Take(uint64_t bytes) = 0;
  // Where the next process finds it (ArenaFile); 0: nowhere.
  virtual uint64_t OffsetOf(const void*) const { return 0; }
};

}  // namespace terraced::storage
