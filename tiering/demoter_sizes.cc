// How large a batch is. A file of its own, because the check of the options asks for it without the rest of the cache.
#include <algorithm>

#include "tiering/demoter.h"

namespace terraced::tiering {
namespace {

constexpr uint64_t kBatchBytesMin = 8ULL << 20;
constexpr uint64_t kBatchBytesMax = 64ULL << 20;
constexpr uint64_t kBatchBytesLeast = 64ULL << 10;

}  // namespace

uint64_t Demoter::BatchBytes(const CacheOptions& options) {
  if (options.flash_batch_bytes != 0) return options.flash_batch_bytes;
  const uint64_t ram = options.slabs.limit_bytes;
  uint64_t bytes = std::clamp(options.flash_size_bytes / 256, kBatchBytesMin, kBatchBytesMax);
  bytes = std::min(bytes, ram / 16);
  // Half of the batch numbers have to be enough for the quota; a batch may then hold up to an
  // eighth of RAM.
  const uint64_t least = options.flash_size_bytes / (storage::kBatchesMax / 2);
  bytes = std::max(bytes, std::min(least, ram / 8));
  return std::max(bytes, kBatchBytesLeast);
}

}  // namespace terraced::tiering
