// FlushMark: where a flush_all is written down before it is answered, in memory that outlives the process. Zeroes are
// no flush at all. Threads: any.
#pragma once

#include <atomic>
#include <cstdint>

namespace terraced::storage {

struct FlushMark {
  std::atomic<uint64_t> epoch;
  std::atomic<uint32_t> due_s;  // of a delayed one, Unix seconds; 0 = none
};

}  // namespace terraced::storage
