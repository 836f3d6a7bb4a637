// HugePageMemory: zeroed memory for tables that only grow, cut from mappings for which large pages are asked. Hundreds
// of tables that grow side by side (an index a shard) would else lie scattered over small pages, and a lookup in a
// random one would walk the kernel's page tables before it finds its bucket.
// Threads: any. Ownership: given back as a whole, by the destructor; nothing that lies in it may be used after that.
// Errors: memory that cannot be mapped ends the process, as any other allocation that fails.
// Sizes: mapped 2 MiB at a time, what is larger on its own. What was never touched costs nothing but, once the kernel
// has given a large page, the rest of that page.
#pragma once

#include <cstdint>
#include <vector>

#include "storage/base/mutex.h"
#include "storage/ram/index_memory.h"

namespace terraced::storage {

class HugePageMemory final : public IndexMemory {
 public:
  HugePageMemory() = default;
  ~HugePageMemory() override;

  void* Take(uint64_t bytes) override TERRACED_EXCLUDES(mutex_);
  uint64_t MappedBytes() const TERRACED_EXCLUDES(mutex_);

 private:
  struct Mapping {
    void* at;
    uint64_t bytes;
  };
  char* Map(uint64_t bytes) TERRACED_REQUIRES(mutex_);

  mutable Mutex mutex_;  // a leaf
  std::vector<Mapping> mappings_ TERRACED_GUARDED_BY(mutex_);
  // What is left of the mapping that small ones are cut from.
  char* next_ TERRACED_GUARDED_BY(mutex_) = nullptr;
  uint64_t left_bytes_ TERRACED_GUARDED_BY(mutex_) = 0;
};

}  // namespace terraced::storage
