#include "storage/flash/shared_index.h"

#include <array>
#include <cstdio>
#include <cstring>

#include "storage/base/check.h"
#include "storage/base/sync_point.h"
#include "storage/flash/slot_table.h"

namespace terraced::storage {
namespace {

constexpr uint64_t kMagic = 0x5458444943524554;  // "TERCIDXT"
constexpr uint32_t kVersion = 1;
constexpr uint64_t kPage = 4096;

// A partition's array in one word: its place in units of a bucket, and its buckets.
constexpr int kCountBits = 27;
static_assert(kSlotBucketsMax < (1U << kCountBits));
uint64_t PackRuling(uint64_t offset, uint32_t count) {
  return (offset / sizeof(SlotBucket)) << kCountBits | count;
}
uint64_t OffsetOf(uint64_t word) {
  return (word >> kCountBits) * sizeof(SlotBucket);
}
uint32_t CountOf(uint64_t word) {
  return static_cast<uint32_t>(word & ((1U << kCountBits) - 1));
}

std::string FileName(uint64_t directory_id) {
  std::array<char, 48> name;
  std::snprintf(name.data(), name.size(), "terraced-%016lx.index", directory_id);
  return name.data();
}

}  // namespace

struct SharedIndex::Header {
  SharedFileHeader file;
  std::array<std::atomic<uint64_t>, kPartitions> ruling;
  BatchArrays batches;
};

Result<std::unique_ptr<SharedIndex>> SharedIndex::Open(const SharedIndexOptions& options) {
  const SharedFileFormat format{"shared index", kMagic, kVersion, sizeof(Header)};
  TERRACED_ASSIGN_OR_RETURN(
      std::unique_ptr<SharedFile> file,
      SharedFile::Open(options.directory + "/" + FileName(options.directory_id), format,
                       options.directory_id, options.bytes_max));
  return std::unique_ptr<SharedIndex>(new SharedIndex(std::move(file)));
}

// --- Taking over

Status SharedIndex::CheckLeft(uint64_t run_id, const TimeStamp& now, uint32_t max_downtime_s) {
  if (run_id == 0) return Status(StatusCode::kCorruption, "no run is known to have left it");
  TERRACED_RETURN_IF_ERROR(file_->CheckLeft(run_id, now, max_downtime_s));
  TERRACED_RETURN_IF_ERROR(BatchTable::Check(AsHeader().batches));
  return TakeRulingExtents();
}

Status SharedIndex::TakeRulingExtents() {
  TERRACED_ASSIGN_OR_RETURN(const uint64_t file_bytes, file_->Bytes());
  MutexLock lock(mutex_);
  extents_ = std::make_unique<ExtentAllocator>(Extent{0, file_->MappedBytes()});
  TERRACED_CHECK(extents_->TakeAt({0, sizeof(Header)}));
  uint64_t bytes = 0;
  for (const std::atomic<uint64_t>& ruling : AsHeader().ruling) {
    const uint64_t word = ruling.load(std::memory_order_relaxed);
    const Extent extent{OffsetOf(word), BytesOf(CountOf(word))};
    if (CountOf(word) == 0 || CountOf(word) > kSlotBucketsMax || extent.End() > file_bytes ||
        !extents_->TakeAt(extent)) {
      return Status(StatusCode::kCorruption, "the shared index contradicts itself");
    }
    TERRACED_RETURN_IF_ERROR(file_->Reserve(extent.begin, extent.length));  // a hole in the file
    bytes += extent.length;
  }
  // What a growth left behind that was under way.
  for (const Extent& free : extents_->Free()) ReturnPages(free);
  bytes_.store(bytes, std::memory_order_relaxed);
  return Status();
}

Status SharedIndex::Clear() {
  TERRACED_RETURN_IF_ERROR(file_->Clear());
  MutexLock lock(mutex_);
  extents_ = std::make_unique<ExtentAllocator>(Extent{0, file_->MappedBytes()});
  TERRACED_CHECK(extents_->TakeAt({0, sizeof(Header)}));
  bytes_.store(0, std::memory_order_relaxed);
  return Status();
}

BatchArrays& SharedIndex::Batches() {
  return AsHeader().batches;
}

// --- Memory

void SharedIndex::ReturnPages(const Extent& free) {
  if (!file_->Return(free.begin, free.length)) clears_pages_ = false;
}

SlotBucket* SharedIndex::TakeBytes(uint64_t bytes) {
  TERRACED_CHECK(extents_ != nullptr);
  const bool in_whole_pages = InWholePages(bytes);
  const std::optional<Extent> extent =
      extents_->Take(bytes, in_whole_pages ? kPage : sizeof(SlotBucket));
  if (!extent) return nullptr;
  if (!file_->Reserve(extent->begin, extent->length).ok()) {
    extents_->Give(*extent);
    return nullptr;
  }
  char* const at = file_->Memory() + extent->begin;
  // A page that was somebody else's, or is in part.
  if (!in_whole_pages || !clears_pages_) std::memset(at, 0, bytes);
  return reinterpret_cast<SlotBucket*>(at);
}

SlotBucket* SharedIndex::Allocate(uint32_t buckets) {
  const uint64_t bytes = BytesOf(buckets);
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (!file_->GivenUp()) {
    MutexLock lock(mutex_);
    if (SlotBucket* const at = TakeBytes(bytes)) return at;
  }
  file_->GiveUp("no room for another " + std::to_string(bytes) + " bytes",
                "after a crash flash will start empty");
  return private_memory_.Allocate(buckets);
}

bool SharedIndex::Holds(const SlotBucket* at) const {
  const auto address = reinterpret_cast<uintptr_t>(at);
  const auto begin = reinterpret_cast<uintptr_t>(file_->Memory());
  return address >= begin && address - begin < file_->MappedBytes();
}

void SharedIndex::Free(SlotBucket* at, uint32_t buckets) {
  const uint64_t bytes = BytesOf(buckets);
  bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  if (!Holds(at)) return private_memory_.Free(at, buckets);
  MutexLock lock(mutex_);
  const Extent freed{static_cast<uint64_t>(reinterpret_cast<char*>(at) - file_->Memory()), bytes};
  ReturnPages(extents_->Give(freed));
}

void SharedIndex::SetRuling(uint32_t partition, const RulingSlots& slots) {
  if (!Holds(slots.buckets)) return;  // given up: nobody will look
  const auto offset =
      static_cast<uint64_t>(reinterpret_cast<char*>(slots.buckets) - file_->Memory());
  AsHeader().ruling[partition].store(PackRuling(offset, slots.count), std::memory_order_release);
}

RulingSlots SharedIndex::Ruling(uint32_t partition) const {
  const uint64_t word = AsHeader().ruling[partition].load(std::memory_order_relaxed);
  if (CountOf(word) == 0) return {};
  return {reinterpret_cast<SlotBucket*>(file_->Memory() + OffsetOf(word)), CountOf(word)};
}

}  // namespace terraced::storage
