// ArenaFile: the file of -e, in which slab pages and the RAM index lie, so that they outlive a killed process. This is
// the header: what the pages are used for, where each shard's index has its buckets, and what items refer to by number
// (runs of CAS uniques) or depend on (hash key, sizes of chunks). storage/README.md, "Arena file", has its bytes.
// Threads: each word as its owner says (page uses: the mutexes of SlabArena; roots: the shard's); the rest at start-up.
// Ownership: owns the SharedFile.
// Errors: Open() fails where the file cannot be used at all; CheckLeft() says why there is nothing to go on with.
// Sizes: the header takes the first kArenaHeaderPages pages of 1 MiB.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "storage/base/hash.h"
#include "storage/base/shared_file.h"

namespace terraced::storage {

constexpr uint32_t kArenaHeaderPages = 2;
constexpr uint32_t kArenaPagesMax = 1U << 20;  // 1 TiB of pages of 1 MiB
constexpr uint32_t kArenaShards = 256;
constexpr uint32_t kCasRuns = 256;

// Uses of a page: 0 is free, 1 to 63 is the slab class that its chunks are cut for, and:
constexpr uint8_t kPageOfIndexes = 255;

// Where the buckets of one shard's index lie: offsets in the file, 0 is none.
struct ArenaIndexRoot {
  static constexpr size_t kSegments = 30;
  std::array<std::atomic<uint64_t>, kSegments> buckets;
  std::array<std::atomic<uint64_t>, kSegments> overflow;
  std::atomic<uint64_t> bucket_count;
  std::atomic<uint64_t> overflow_count;
};

// Which run of the daemon each number stands for (CasRuns), and whether items had it since the file was taken over.
struct CasRunTable {
  std::array<std::atomic<uint32_t>, kCasRuns> runs;
  std::array<std::atomic<uint8_t>, kCasRuns> in_use;
};

class ArenaFile {
 public:
  static Result<std::unique_ptr<ArenaFile>> Open(const std::string& path, uint64_t owner_id,
                                                 uint64_t bytes_max);

  SharedFile& File() { return *file_; }
  char* Memory() const { return file_->Memory(); }
  uint64_t MappedBytes() const { return file_->MappedBytes(); }

  // Ok: run `run_id` (0: whichever was the last) left it in this boot, under this hash key (null: any), and it may be
  // taken over.
  Status CheckLeft(uint64_t run_id, const HashKey* hash_key, const TimeStamp& now,
                   uint32_t max_downtime_s);
  bool IsLeft() const { return left_; }
  // Whether positions and chunks are what they were. If not, nothing is left.
  bool HasGeometry(uint32_t unit_shift, std::span<const uint32_t> chunk_bytes);
  // Empty, for items of this kind. Fails where there is no room.
  Status Clear(const HashKey& hash_key);
  void SetGeometry(uint32_t unit_shift, std::span<const uint32_t> chunk_bytes);

  HashKey Key() const;
  // Of a cache without a flash directory: raised by every start, for its block of CAS uniques.
  uint64_t StartCount() const;
  void SetStartCount(uint64_t count);

  // The generation that items are marked with by this process, and whether all have it (ItemBits, kPinsGeneration).
  bool Generation() const;
  bool AllAdopted() const;
  void BeginGeneration(bool generation);
  void SetAllAdopted();

  std::atomic<uint8_t>& PageUse(uint32_t page) const;
  ArenaIndexRoot& IndexRoot(uint32_t shard) const;
  CasRunTable& CasTable() const;

 private:
  struct Header;

  explicit ArenaFile(std::unique_ptr<SharedFile> file) : file_(std::move(file)) {}
  Header& AsHeader() const { return *reinterpret_cast<Header*>(file_->Memory()); }

  const std::unique_ptr<SharedFile> file_;
  bool left_ = false;
};

}  // namespace terraced::storage
