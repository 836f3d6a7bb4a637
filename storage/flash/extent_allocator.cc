#include "storage/flash/extent_allocator.h"

#include <iterator>

#include "storage/base/check.h"

namespace terraced::storage {

void ExtentAllocator::Insert(const Extent& extent) {
  if (extent.length > 0) free_.emplace(extent.begin, extent.length);
}

void ExtentAllocator::Cut(std::map<uint64_t, uint64_t>::iterator free, const Extent& taken) {
  const Extent whole{free->first, free->second};
  free_.erase(free);
  Insert({whole.begin, taken.begin - whole.begin});
  Insert({taken.End(), whole.End() - taken.End()});
}

std::optional<Extent> ExtentAllocator::Take(uint64_t length, uint64_t alignment) {
  for (auto free = free_.begin(); free != free_.end(); ++free) {
    const Extent taken{(free->first + alignment - 1) / alignment * alignment, length};
    if (taken.End() > free->first + free->second) continue;
    Cut(free, taken);
    return taken;
  }
  return std::nullopt;
}

std::vector<Extent> ExtentAllocator::Free() const {
  std::vector<Extent> free;
  for (const auto& [begin, length] : free_) free.push_back({begin, length});
  return free;
}

bool ExtentAllocator::TakeAt(const Extent& extent) {
  auto free = free_.upper_bound(extent.begin);
  if (free == free_.begin()) return false;
  --free;
  if (extent.length == 0 || extent.End() > free->first + free->second) return false;
  Cut(free, extent);
  return true;
}

Extent ExtentAllocator::Give(const Extent& extent) {
  TERRACED_CHECK(extent.length > 0);
  Extent joined = extent;
  auto after = free_.lower_bound(extent.begin);
  TERRACED_CHECK(after == free_.end() || after->first >= extent.End());
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    TERRACED_CHECK(before->first + before->second <= extent.begin);
    if (before->first + before->second == extent.begin) {
      joined = {before->first, before->second + extent.length};
      free_.erase(before);
    }
  }
  if (after != free_.end() && after->first == joined.End()) {
    joined.length += after->second;
    free_.erase(after);
  }
  Insert(joined);
  return joined;
}

}  // namespace terraced::storage
