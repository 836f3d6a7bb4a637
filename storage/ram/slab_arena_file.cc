// SlabArena over a file that outlives the process: pages that an earlier process left, and memory for the indexes.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "storage/base/log.h"
#include "storage/ram/slab_arena.h"

namespace terraced::storage {

namespace {

constexpr uint64_t kIndexAlignment = 64;  // of a bucket

}  // namespace

// --- Memory for the indexes ----------------------------------------------------------------------

class SlabArena::FileIndexMemory final : public IndexMemory {
 public:
  explicit FileIndexMemory(SlabArena& arena) : arena_(arena) {}

  void* Take(uint64_t bytes) override {
    MutexLock lock(mutex_);
    if (bytes > left_bytes_ && !arena_.file_->File().GivenUp()) {
      const auto pages = static_cast<uint32_t>((bytes + kSlabPageBytes - 1) / kSlabPageBytes);
      const uint32_t first = arena_.TakeIndexPages(pages);
      if (first != 0) {
        next_ = arena_.PageStart(first);
        left_bytes_ = uint64_t{pages} * kSlabPageBytes;
      }
    }
    if (bytes > left_bytes_) {
      arena_.file_->File().GiveUp("no room for the index", "a restart will find no items in RAM");
      return private_memory_.Take(bytes);
    }
    char* const taken = next_;
    next_ += bytes;
    left_bytes_ -= bytes;
    return taken;
  }
  uint64_t OffsetOf(const void* at) const override {
    const auto address = reinterpret_cast<uintptr_t>(at);
    const auto base = reinterpret_cast<uintptr_t>(arena_.base_);
    return address >= base && address - base < arena_.mapped_bytes_ ? address - base : 0;
  }

 private:
  SlabArena& arena_;
  HugePageMemory private_memory_;
  Mutex mutex_;
  char* next_ TERRACED_GUARDED_BY(mutex_) = nullptr;  // what is left of the last page
  uint64_t left_bytes_ TERRACED_GUARDED_BY(mutex_) = 0;
};

SlabArena::SlabArena() : index_memory_(std::make_unique<HugePageMemory>()) {}

void SlabArena::UseFile() {
  base_ = file_->Memory();
  index_memory_ = std::make_unique<FileIndexMemory>(*this);
}

uint32_t SlabArena::TakeIndexPages(uint32_t count) {
  uint32_t first = 0;
  {
    MutexLock lock(mutex_);
    if (index_pages_ + count > index_pages_max_ || next_fresh_page_ + count > page_end_) return 0;
    first = next_fresh_page_;
    next_fresh_page_ += count;
    index_pages_ += count;
  }
  bool reserved = true;
  for (uint32_t page = first; page < first + count; ++page) {
    reserved = reserved && ReservePage(page);
    // Of no use to anybody else, even where there is no room: they are so many numbers.
    SetPageUse(page, kPageOfIndexes);
  }
  return reserved ? first : 0;
}

bool SlabArena::HoldsIndexes(uint64_t offset, uint64_t bytes) const {
  if (file_ == nullptr || offset % kIndexAlignment != 0 || bytes == 0) return false;
  const uint64_t first = offset / kSlabPageBytes;
  const uint64_t last = (offset + bytes - 1) / kSlabPageBytes;
  if (first < first_page_ || last < first || last >= mapped_bytes_ / kSlabPageBytes) return false;
  for (uint64_t page = first; page <= last; ++page) {
    if (file_->PageUse(static_cast<uint32_t>(page)).load() != kPageOfIndexes) return false;
  }
  return true;
}

// --- Pages -----------------------------------------------------------------------------------------

bool SlabArena::ReservePage(uint32_t page) {
  const Status status = file_->File().Reserve(uint64_t{page} * kSlabPageBytes, kSlabPageBytes);
  if (status.ok()) return true;
  if (!room_refused_.exchange(true)) {
    Log::Write(LogLevel::kNotice, "-e: %s; item memory stays as small as it is",
               std::string(status.message()).c_str());
  }
  return false;
}

void SlabArena::DiscardPage(uint32_t page) {
  const bool discarded = file_ != nullptr
                             ? file_->File().Return(uint64_t{page} * kSlabPageBytes, kSlabPageBytes)
                             : madvise(PageStart(page), kSlabPageBytes, MADV_DONTNEED) == 0;
  // Locked memory (-k) refuses it.
  if (!discarded) std::memset(PageStart(page), 0, kSlabPageBytes);
}

void SlabArena::TakeOverPage(uint32_t page, SlabClass slab_class) {
  unproven_pages_.push_back({page, slab_class});
  pages_[page].unproven = true;
  pages_[page].slab_class.store(slab_class, std::memory_order_relaxed);
  taken_pages_.fetch_add(1, std::memory_order_relaxed);
  Class& of = classes_[slab_class];
  MutexLock lock(of.mutex);
  of.pages.push_back(page);
  of.page_count.fetch_add(1, std::memory_order_relaxed);
}

void SlabArena::TakeOverPages() {
  // Class mutexes come before the arena's, and nothing else runs yet.
  uint32_t page_end = 0;
  {
    MutexLock lock(mutex_);
    page_end = page_end_;
  }
  uint32_t highest = first_page_ - 1;
  uint32_t index_pages = 0;
  for (uint32_t page = first_page_; page < page_end; ++page) {
    const uint8_t use = file_->PageUse(page).load(std::memory_order_relaxed);
    if (use != 0) highest = page;
    if (use == kPageOfIndexes) ++index_pages;
    // Reserved as it was, but for a hole in the file, which would be none of ours.
    if (use == 0 || !file_->File().Reserve(uint64_t{page} * kSlabPageBytes, kSlabPageBytes).ok())
      continue;
    if (use <= largest_class_) TakeOverPage(page, use);
  }
  MutexLock lock(mutex_);
  index_pages_ = index_pages;
  next_fresh_page_ = highest + 1;
  for (uint32_t page = first_page_; page <= highest; ++page) {
    if (file_->PageUse(page).load(std::memory_order_relaxed) != 0) continue;
    DiscardPage(page);
    returned_pages_.push_back(page);
  }
  const uint64_t taken_bytes =
      uint64_t{taken_pages_.load(std::memory_order_relaxed)} * kSlabPageBytes;
  if (taken_bytes > limit_bytes_.load(std::memory_order_relaxed)) {
    Log::Write(LogLevel::kNotice, "-e: items that were left take %llu MB, more than -m",
               static_cast<unsigned long long>(taken_bytes >> 20));
  }
  populated_end_.store(next_fresh_page_, std::memory_order_relaxed);
  const uint64_t behind = uint64_t{next_fresh_page_} * kSlabPageBytes;
  const bool returned = file_->File().Return(behind, mapped_bytes_ - behind);
  static_cast<void>(returned);  // as far as it was touched it is zero in any case
  generation_ = file_->Generation() ? kPinsGeneration : 0;
  if (!file_->AllAdopted()) MarkAllAs(generation_);
  generation_ ^= kPinsGeneration;
  adopting_.store(true, std::memory_order_release);
}

void SlabArena::MarkAllAs(uint8_t generation) {
  for (const UnprovenPage& unproven : unproven_pages_) {
    for (const Position position : ChunksOf(unproven.page)) {
      Item* const item = ItemAt(position);
      if (!item->Has(kItemAllocated) || item->Has(kItemValueChunk)) continue;
      item->pins.store(generation, std::memory_order_relaxed);
    }
  }
}

bool SlabArena::BeginGeneration() {
  if (file_ == nullptr) return false;
  const bool all_seen = file_->IsLeft() && file_->AllAdopted();
  file_->BeginGeneration(generation_ != 0);
  if (!Adopting()) file_->SetAllAdopted();
  return all_seen;
}

std::vector<Position> SlabArena::ChunksOf(uint32_t page) const {
  const Class& of = classes_[pages_[page].slab_class.load(std::memory_order_acquire)];
  std::vector<Position> chunks;
  for (uint32_t i = 0; i < of.chunks_per_page; ++i) {
    chunks.push_back(ChunkOfPage(page, i, of.chunk_bytes));
  }
  return chunks;
}

bool SlabArena::IsChunk(Position position) const {
  const uint64_t offset = uint64_t{position} << unit_shift_;
  const uint64_t page = offset / kSlabPageBytes;
  if (page < first_page_ || page >= mapped_bytes_ / kSlabPageBytes) return false;
  const SlabClass slab_class = pages_[page].slab_class.load(std::memory_order_acquire);
  if (slab_class == kNoSlabClass) return false;
  const Class& of = classes_[slab_class];
  const uint64_t in_page = offset % kSlabPageBytes;
  return in_page % of.chunk_bytes == 0 && in_page / of.chunk_bytes < of.chunks_per_page;
}

void SlabArena::ProvePage(uint32_t page, const std::vector<bool>& keeps) {
  Class& of = classes_[ClassOf(ChunkOfPage(page, 0, kSlabPageBytes))];
  MutexLock lock(of.mutex);
  TERRACED_CHECK(pages_[page].unproven && keeps.size() == of.chunks_per_page);
  uint32_t used = 0;
  for (uint32_t i = 0; i < of.chunks_per_page; ++i) {
    const Position position = ChunkOfPage(page, i, of.chunk_bytes);
    Item* const chunk = ItemAt(position);
    const uint32_t bits = chunk->state.load(std::memory_order_acquire);
    const bool ours = (bits & kItemValueChunk) == 0 && IsAdopted(*chunk);
    if ((bits & kItemAllocated) != 0 && (keeps[i] || ours)) {
      ++used;
      continue;
    }
    chunk->state.store(0, std::memory_order_release);
    PushFree(of, position);
  }
  pages_[page].carved = of.chunks_per_page;
  pages_[page].used = used;
  pages_[page].unproven = false;
  of.used_chunks.fetch_add(used, std::memory_order_relaxed);
  of.free_chunks.fetch_add(of.chunks_per_page - used, std::memory_order_relaxed);
}

void SlabArena::FinishAdoption() {
  adopting_.store(false, std::memory_order_release);
  if (file_ != nullptr) file_->SetAllAdopted();
}

}  // namespace terraced::storage
