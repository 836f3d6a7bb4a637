// What the RAM tier's memory can be told, and the classes of chunks that follow from it.
#pragma once

#include <cstdint>
#include <vector>

#include "storage/base/status.h"

namespace terraced::storage {

constexpr uint32_t kSlabPageBytes = 1U << 20;
constexpr int kSlabClassesMax = 64;  // numbers 1..63 are in use, as in memcached
using SlabClass = uint8_t;
constexpr SlabClass kNoSlabClass = 0;
constexpr double kGrowthFactorDefault = 1.25;

struct SlabOptions {
  uint64_t limit_bytes = 64ULL << 20;           // -m: item memory
  double growth_factor = kGrowthFactorDefault;  // -f; at its default, see SlabClassSizes
  uint32_t chunk_bytes_min = 48;                // -n: room for key and value in the smallest chunk
  uint32_t item_bytes_max = 1U << 20;           // -I: header, key and value together
  uint32_t slab_chunk_bytes_max = 512U << 10;   // -o slab_chunk_max
  std::vector<uint32_t> slab_sizes;  // -o slab_sizes: explicit chunk sizes; empty = by factor
  bool lock_memory = false;          // -k: mlock what is touched; a refusal is a warning
  bool preallocate = false;          // -L: say so where the kernel has no huge pages
};

struct SlabClassStats {
  uint32_t chunk_bytes = 0;
  uint32_t chunks_per_page = 0;
  uint32_t total_pages = 0;
  uint32_t total_chunks = 0;
  uint32_t used_chunks = 0;
  uint32_t free_chunks = 0;
};

// The chunk sizes of classes 1, 2, ... for these options, each a multiple of `unit_bytes`: memcached's table, but that
// sizes below 1 KiB are closer with the default factor and 64 MB or more.
// Errors: options that cannot work.
Result<std::vector<uint32_t>> SlabClassSizes(const SlabOptions& options, uint32_t unit_bytes);

}  // namespace terraced::storage
