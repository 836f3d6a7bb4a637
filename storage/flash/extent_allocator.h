// ExtentAllocator: which parts of a long range are taken. First fit, free neighbours are joined; it knows nothing of
// what lies there.
// Threads: externally synchronised. Errors: a part given back that was not taken stops the process.
// Units: whatever the caller counts in.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace terraced::storage {

struct Extent {
  uint64_t begin = 0;
  uint64_t length = 0;

  uint64_t End() const { return begin + length; }
  friend bool operator==(const Extent&, const Extent&) = default;
};

class ExtentAllocator {
 public:
  // All of it is free.
  explicit ExtentAllocator(const Extent& range) { Insert(range); }

  // The lowest free part of that length that begins at a multiple of `alignment`.
  std::optional<Extent> Take(uint64_t length, uint64_t alignment);
  // That very part; false: some of it is taken, or outside.
  bool TakeAt(const Extent& extent);
  // The whole free part that it has become one with.
  Extent Give(const Extent& extent);
  std::vector<Extent> Free() const;  // lowest first

 private:
  void Insert(const Extent& extent);
  // `taken` out of a free part.
  void Cut(std::map<uint64_t, uint64_t>::iterator free, const Extent& taken);

  std::map<uint64_t, uint64_t> free_;  // begin to length, never adjacent
};

}  // namespace terraced::storage
