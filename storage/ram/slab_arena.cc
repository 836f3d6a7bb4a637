#include "storage/ram/slab_arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string>

#include "storage/base/kill_point.h"
#include "storage/base/log.h"
#include "storage/base/yield_point.h"

namespace terraced::storage {
namespace {

constexpr uint32_t kUnitShiftMin = 3;
constexpr uint32_t kUnitShiftMax = 8;  // positions of 256 bytes: 1 TB
// Looking for the emptiest page of a class costs a memory access a page; a mover call looks at no
// more.
constexpr uint32_t kPagesLookedAt = 1024;
// More than a core stores between two rounds of the LRU maintainer.
constexpr uint32_t kPagesAhead = 4;

// An index takes 12 to 15 bytes an item, its segments double, and items are hardly ever smaller than 64 bytes.
uint64_t IndexPagesMax(uint64_t limit_pages) {
  return limit_pages / 2 + 16;
}

uint64_t RoundUp(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// By -f alone a small item wastes a tenth of its chunk on average, and small items are most of all. So up to here each
// doubling has eight sizes, unless -f asks for something else or -m has no page for each class.
constexpr uint64_t kFineSizesEnd = 1024;
constexpr uint64_t kFineStepsPerDoubling = 8;

Status Invalid(std::string message) {
  return Status(StatusCode::kInvalidArgument, std::move(message));
}

Status CheckSizes(const SlabOptions& options, uint32_t unit_bytes) {
  const uint32_t smallest = static_cast<uint32_t>(kItemHeaderBytes) + unit_bytes;
  if (options.slab_chunk_bytes_max > kSlabPageBytes) {
    return Invalid("slab_chunk_max is larger than a slab page of 1 MiB");
  }
  if (options.slab_chunk_bytes_max < smallest) {
    return Invalid("slab_chunk_max is too small for an item's header");
  }
  if (options.slab_sizes.empty()) {
    if (!(options.growth_factor > 1.0)) return Invalid("the growth factor must be greater than 1");
    if (kItemHeaderBytes + uint64_t{options.chunk_bytes_min} > options.slab_chunk_bytes_max) {
      return Invalid("the smallest chunk (-n) is larger than slab_chunk_max");
    }
    return Status();
  }
  if (options.slab_sizes.size() > static_cast<size_t>(kSlabClassesMax) - 2) {
    return Invalid("slab_sizes names more than 62 sizes");
  }
  uint32_t last = 0;
  for (const uint32_t size : options.slab_sizes) {
    if (size < smallest || size > options.slab_chunk_bytes_max) {
      return Invalid("slab_sizes: " + std::to_string(size) + " is not between " +
                     std::to_string(smallest) + " and slab_chunk_max");
    }
    if (size < last + unit_bytes) {
      return Invalid("slab_sizes must grow by at least " + std::to_string(unit_bytes));
    }
    last = size;
  }
  return Status();
}

// One writer at a time (the class's mutex), so that no locked instruction is needed.
void Bump(std::atomic<uint32_t>& count, int64_t delta) {
  count.store(static_cast<uint32_t>(count.load(std::memory_order_relaxed) + delta),
              std::memory_order_relaxed);
}

}  // namespace

Result<std::vector<uint32_t>> SlabClassSizes(const SlabOptions& options, uint32_t unit_bytes) {
  TERRACED_RETURN_IF_ERROR(CheckSizes(options, unit_bytes));
  std::vector<uint32_t> sizes;
  const uint32_t last = options.slab_chunk_bytes_max / unit_bytes * unit_bytes;
  if (!options.slab_sizes.empty()) {
    for (const uint32_t size : options.slab_sizes) {
      sizes.push_back(static_cast<uint32_t>(RoundUp(size, unit_bytes)));
    }
    while (!sizes.empty() && sizes.back() >= last) sizes.pop_back();
    sizes.push_back(last);
    return sizes;
  }
  // As memcached builds its table, but for the steps below kFineSizesEnd: each size is rounded up before it is
  // multiplied, the product is cut to an integer, and the first size that another factor would take past the largest
  // chunk is not kept.
  const bool fine = options.growth_factor == kGrowthFactorDefault &&
                    options.limit_bytes >= kSlabClassesMax * uint64_t{kSlabPageBytes};
  uint64_t size = kItemHeaderBytes + uint64_t{options.chunk_bytes_min};
  while (sizes.size() + 2 < static_cast<size_t>(kSlabClassesMax)) {
    if (static_cast<double>(size) >= options.slab_chunk_bytes_max / options.growth_factor) break;
    size = RoundUp(size, unit_bytes);
    if (size >= last) break;
    sizes.push_back(static_cast<uint32_t>(size));
    uint64_t grown = static_cast<uint64_t>(static_cast<double>(size) * options.growth_factor);
    if (fine && size < kFineSizesEnd) {
      const uint64_t step = std::max<uint64_t>(std::bit_floor(size) / kFineStepsPerDoubling, 1);
      grown = std::min(grown, (size / step + 1) * step);
    }
    size = std::max(grown, size + 1);
  }
  sizes.push_back(last);
  return sizes;
}

uint64_t SlabArena::FileBytesMax(const SlabOptions& options) {
  const uint64_t limit_pages = options.limit_bytes / kSlabPageBytes;
  // Half of it is for what a run with a larger -m has left.
  return 2 * (kArenaHeaderPages + limit_pages + kSlabClassesMax + IndexPagesMax(limit_pages)) *
         kSlabPageBytes;
}

// The largest table has 63 classes; with them every position has to fit 32 bits.
Result<SlabArena::Geometry> SlabArena::GeometryOf(const SlabOptions& options, bool in_file) {
  const uint64_t limit_pages = options.limit_bytes / kSlabPageBytes;
  if (limit_pages == 0) return Invalid("the memory limit (-m) is less than a slab page of 1 MiB");
  Geometry geometry;
  geometry.first_page = in_file ? kArenaHeaderPages : 1;
  geometry.index_pages = in_file ? IndexPagesMax(limit_pages) : 0;
  const uint64_t bytes_max =
      (geometry.first_page + limit_pages + kSlabClassesMax + geometry.index_pages) * kSlabPageBytes;
  geometry.unit_shift = kUnitShiftMin;
  while ((bytes_max >> geometry.unit_shift) > (1ULL << 32)) ++geometry.unit_shift;
  if (geometry.unit_shift > kUnitShiftMax) return Invalid("the memory limit (-m) is over 1 TB");
  TERRACED_ASSIGN_OR_RETURN(geometry.sizes, SlabClassSizes(options, 1U << geometry.unit_shift));
  return geometry;
}

Status SlabArena::CheckFile(const SlabOptions& options, ArenaFile& file) {
  TERRACED_ASSIGN_OR_RETURN(const Geometry geometry, GeometryOf(options, true));
  if (file.HasGeometry(geometry.unit_shift, geometry.sizes)) return Status();
  return Status(StatusCode::kCorruption,
                "its items lie in chunks of other sizes (-m, -f, -n or slab_chunk_max)");
}

Result<std::unique_ptr<SlabArena>> SlabArena::Create(const SlabOptions& options,
                                                     std::unique_ptr<ArenaFile> file) {
  TERRACED_ASSIGN_OR_RETURN(const Geometry geometry, GeometryOf(options, file != nullptr));
  const uint64_t limit_pages = options.limit_bytes / kSlabPageBytes;
  const uint64_t index_pages = geometry.index_pages;
  const std::vector<uint32_t>& sizes = geometry.sizes;
  std::unique_ptr<SlabArena> arena(new SlabArena);
  arena->file_ = std::move(file);
  arena->first_page_ = geometry.first_page;
  arena->unit_shift_ = geometry.unit_shift;
  arena->classes_ = std::make_unique<Class[]>(sizes.size() + 1);
  for (size_t i = 0; i < sizes.size(); ++i) {
    Class& of = arena->classes_[i + 1];
    of.chunk_bytes = sizes[i];
    of.chunks_per_page = kSlabPageBytes / sizes[i];
  }
  arena->largest_class_ = static_cast<SlabClass>(sizes.size());

  uint64_t pages = arena->first_page_ + limit_pages + sizes.size() + index_pages;
  if (arena->file_ != nullptr) {
    if (!arena->file_->HasGeometry(arena->unit_shift_, sizes)) {
      TERRACED_RETURN_IF_ERROR(arena->file_->Clear(arena->file_->Key()));
      arena->file_->SetGeometry(arena->unit_shift_, sizes);
    }
    // Pages of a run with a larger -m stay where they are.
    pages = std::min<uint64_t>(arena->file_->MappedBytes(), (1ULL << 32) << arena->unit_shift_) /
            kSlabPageBytes;
  }
  TERRACED_RETURN_IF_ERROR(arena->Map(options, &pages));
  arena->pages_ = std::make_unique<Page[]>(pages);
  arena->limit_bytes_max_ = arena->file_ != nullptr || options.preallocate
                                ? options.limit_bytes
                                : (pages - arena->first_page_ - sizes.size()) * kSlabPageBytes;
  arena->lock_memory_ = options.lock_memory;
  arena->limit_bytes_.store(options.limit_bytes, std::memory_order_relaxed);
  {
    MutexLock lock(arena->mutex_);
    arena->page_end_ = static_cast<uint32_t>(pages);
    arena->next_fresh_page_ = arena->first_page_;
    arena->index_pages_max_ = static_cast<uint32_t>(index_pages);
  }
  arena->populated_end_.store(arena->first_page_, std::memory_order_relaxed);
  if (arena->file_ != nullptr && arena->file_->IsLeft()) arena->TakeOverPages();
  return arena;
}

Status SlabArena::Map(const SlabOptions& options, uint64_t* pages) {
  const uint64_t used_bytes = *pages * kSlabPageBytes;
  if (file_ != nullptr) {
    UseFile();
  } else {
    base_ = Reserve(pages);
    if (base_ == nullptr) {
      return Status::FromErrno(
          "mapping " + std::to_string(used_bytes >> 20) + " MiB of item memory", errno);
    }
  }
  mapped_bytes_ = *pages * kSlabPageBytes;
  // Neither is worth refusing to start for: without them the cache is only slower. Items are reached in random order,
  // so each would cost a walk of the page tables too: large pages are asked for in any case, -L wants to know.
  if (madvise(base_, mapped_bytes_, MADV_HUGEPAGE) != 0 && options.preallocate) {
    Log::Write(LogLevel::kNotice, "huge pages for item memory: %s", std::strerror(errno));
  }
  if (options.lock_memory) Lock(0, used_bytes);
  return Status();
}

SlabArena::~SlabArena() {
  if (base_ != nullptr && file_ == nullptr) munmap(base_, mapped_bytes_);
}

SlabClass SlabArena::ClassFor(size_t bytes) const {
  SlabClass low = 1;
  SlabClass high = largest_class_;
  if (bytes > classes_[high].chunk_bytes) return kNoSlabClass;
  while (low < high) {
    const SlabClass middle = static_cast<SlabClass>((low + high) / 2);
    if (classes_[middle].chunk_bytes >= bytes) {
      high = middle;
    } else {
      low = static_cast<SlabClass>(middle + 1);
    }
  }
  return low;
}

SlabClass SlabArena::LargestClass() const {
  return largest_class_;
}

uint32_t SlabArena::ChunkBytes(SlabClass slab_class) const {
  TERRACED_DCHECK(slab_class != kNoSlabClass && slab_class <= largest_class_);
  return classes_[slab_class].chunk_bytes;
}

Position SlabArena::ChunkOfPage(uint32_t page, uint32_t number, uint32_t chunk_bytes) const {
  const uint64_t offset = uint64_t{page} * kSlabPageBytes + uint64_t{number} * chunk_bytes;
  return static_cast<Position>(offset >> unit_shift_);
}

// --- Chunks ------------------------------------------------------------------------------------

// The free list is linked both ways, so that a leaving page can take its chunks out one by one. The
// head's `prev` is not kept: popping would have to touch the next chunk, a cache miss for nothing.
Position SlabArena::PopFree(Class& of) {
  const Position position = of.free_head;
  if (position != kNoPosition) of.free_head = ItemAt(position)->next;
  return position;
}

void SlabArena::PushFree(Class& of, Position position) {
  ItemAt(position)->next = of.free_head;
  if (of.free_head != kNoPosition) ItemAt(of.free_head)->prev = position;
  of.free_head = position;
}

void SlabArena::RemoveFree(Class& of, Position position) {
  const Item* const chunk = ItemAt(position);
  if (of.free_head == position) {
    of.free_head = chunk->next;
    return;
  }
  ItemAt(chunk->prev)->next = chunk->next;
  if (chunk->next != kNoPosition) ItemAt(chunk->next)->prev = chunk->prev;
}

// Chunks are cut as they are needed: a page that nobody has written to costs no memory.
Position SlabArena::Carve(Class& of) {
  if (of.uncarved.empty()) return kNoPosition;
  const uint32_t number = of.uncarved.back();
  Page& page = pages_[number];
  TERRACED_DCHECK(page.carved < of.chunks_per_page);
  const Position position = ChunkOfPage(number, page.carved, of.chunk_bytes);
  if (++page.carved == of.chunks_per_page) of.uncarved.pop_back();
  return position;
}

void SlabArena::AddPage(Class& of, SlabClass number, uint32_t page) {
  pages_[page].carved = 0;
  pages_[page].used = 0;
  pages_[page].slab_class.store(number, std::memory_order_release);
  SetPageUse(page, number);
  of.pages.push_back(page);
  of.uncarved.push_back(page);
  Bump(of.page_count, 1);
  Bump(of.free_chunks, of.chunks_per_page);
}

uint32_t SlabArena::TakePage(bool first_of_class) {
  uint32_t page = 0;
  bool reserved = file_ == nullptr;
  {
    MutexLock lock(mutex_);
    const uint32_t taken = taken_pages_.load(std::memory_order_relaxed);
    const uint64_t limit_pages = limit_bytes_.load(std::memory_order_relaxed) / kSlabPageBytes;
    if (taken >= limit_pages && !first_of_class) return 0;
    if (!returned_pages_.empty()) {
      page = returned_pages_.back();
      returned_pages_.pop_back();
    } else {
      // There is one spare page for each class, but for those of a run with a larger -m.
      if (next_fresh_page_ >= page_end_ && file_ != nullptr) return 0;
      TERRACED_CHECK(next_fresh_page_ < page_end_);
      page = next_fresh_page_++;
      reserved = reserved || page < populated_end_.load(std::memory_order_acquire);
    }
    taken_pages_.store(taken + 1, std::memory_order_relaxed);
  }
  if (reserved || ReservePage(page)) return page;
  MutexLock lock(mutex_);
  returned_pages_.push_back(page);
  taken_pages_.store(taken_pages_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  return 0;
}

// Content is left alone (MADV_POPULATE_WRITE), so a page that somebody takes meanwhile is none the worse.
void SlabArena::PopulateAhead() {
  uint32_t end = 0;
  {
    MutexLock lock(mutex_);
    const uint64_t limit_pages = limit_bytes_.load(std::memory_order_relaxed) / kSlabPageBytes;
    end = static_cast<uint32_t>(
        std::min<uint64_t>(next_fresh_page_ + kPagesAhead, limit_pages + first_page_));
  }
  const uint32_t begin = populated_end_.load(std::memory_order_relaxed);
  // One by one: meanwhile the kernel holds a lock that every mmap and munmap of the process waits for.
  for (uint32_t page = begin; page < end; ++page) {
    YieldPoint::Pass();
    if (file_ != nullptr && !ReservePage(page)) return;
    // Where the kernel cannot or will not, pages are had when they are touched, as ever.
    (void)madvise(PageStart(page), kSlabPageBytes, MADV_POPULATE_WRITE);
    populated_end_.store(page + 1, std::memory_order_release);
  }
}

Position SlabArena::Allocate(SlabClass slab_class) {
  TERRACED_DCHECK(slab_class != kNoSlabClass && slab_class <= largest_class_);
  Class& of = classes_[slab_class];
  MutexLock lock(of.mutex);
  Position position = PopFree(of);
  if (position == kNoPosition) position = Carve(of);
  if (position == kNoPosition) {
    const uint32_t page = TakePage(of.pages.empty());
    if (page == 0) return kNoPosition;
    AddPage(of, slab_class, page);
    position = Carve(of);
  }
  ++pages_[PageOf(position)].used;
  Bump(of.free_chunks, -1);
  Bump(of.used_chunks, 1);
  Bump(of.handed_out, 1);
  Item* const chunk = ItemAt(position);
  TERRACED_DCHECK(chunk->Bits() == 0);
  chunk->pins.store(generation_, std::memory_order_relaxed);
  chunk->state.store(kItemAllocated, std::memory_order_release);
  return position;
}

void SlabArena::Free(Position position) {
  const uint32_t page = PageOf(position);
  // An allocated chunk keeps its page in its class: this cannot change before the mutex is taken.
  Class& of = classes_[ClassOf(position)];
  TERRACED_DCHECK(of.chunk_bytes != 0);
  MutexLock lock(of.mutex);
  Item* const chunk = ItemAt(position);
  TERRACED_DCHECK(chunk->Has(kItemAllocated));
  chunk->state.store(0, std::memory_order_release);
  if (pages_[page].unproven) return;  // ProvePage counts it
  TERRACED_DCHECK(pages_[page].used > 0);
  --pages_[page].used;
  Bump(of.used_chunks, -1);
  if (page == leaving_page_.load(std::memory_order_relaxed)) return;
  PushFree(of, position);
  Bump(of.free_chunks, 1);
}

void SlabArena::Recycle(Position position) {
  TERRACED_DCHECK(ItemAt(position)->Has(kItemAllocated) && !ItemAt(position)->Has(kItemLinked));
  ItemAt(position)->pins.store(generation_, std::memory_order_relaxed);
  ItemAt(position)->state.store(kItemAllocated, std::memory_order_release);
  // Counted without the mutex: what threads count at once may be lost. It is an estimate.
  Bump(classes_[ClassOf(position)].handed_out, 1);
}

// --- Page mover --------------------------------------------------------------------------------

// The page with the fewest used chunks among the next kPagesLookedAt; those never carved to the end
// count as what they use. After a cancelled move simply the next page: what held the last one (a stalled upload)
// may hold it for long, and it may well be the emptiest.
uint32_t SlabArena::ChooseLeavingPage(Class& from) {
  const uint32_t count = static_cast<uint32_t>(from.pages.size());
  const auto stuck = std::find(from.pages.begin(), from.pages.end(), from.stuck_page);
  if (stuck != from.pages.end()) {
    return from.pages[static_cast<size_t>(stuck + 1 - from.pages.begin()) % count];
  }
  const uint32_t looked_at = std::min(count, kPagesLookedAt);
  uint32_t best = 0;
  for (uint32_t i = 0; i < looked_at; ++i) {
    const uint32_t page = from.pages[(from.scan_from + i) % count];
    if (best == 0 || pages_[page].used < pages_[best].used) best = page;
  }
  from.scan_from = (from.scan_from + looked_at) % count;
  return best;
}

void SlabArena::WithdrawFreeChunks(Class& from, uint32_t page) {
  for (uint32_t i = 0; i < pages_[page].carved; ++i) {
    const Position position = ChunkOfPage(page, i, from.chunk_bytes);
    if (ItemAt(position)->Bits() == 0) RemoveFree(from, position);
  }
  const auto uncarved = std::find(from.uncarved.begin(), from.uncarved.end(), page);
  if (uncarved != from.uncarved.end()) from.uncarved.erase(uncarved);
  Bump(from.free_chunks, -static_cast<int64_t>(from.chunks_per_page - pages_[page].used));
}

Status SlabArena::BeginPageMove(SlabClass from_class) {
  TERRACED_DCHECK(from_class != kNoSlabClass && from_class <= largest_class_);
  if (leaving_page_.load(std::memory_order_relaxed) != 0) {
    return Status(StatusCode::kBusy, "a slab page is already being moved");
  }
  if (Adopting()) return Status(StatusCode::kBusy, "the memory file is still being looked through");
  Class& from = classes_[from_class];
  MutexLock lock(from.mutex);
  if (from.pages.size() < 2) {
    return Status(StatusCode::kNotFound, "the slab class has no page to spare");
  }
  const uint32_t page = ChooseLeavingPage(from);
  WithdrawFreeChunks(from, page);
  leaving_page_.store(page, std::memory_order_relaxed);
  return Status();
}

std::vector<Position> SlabArena::LeavingChunks() const {
  std::vector<Position> chunks;
  const uint32_t page = leaving_page_.load(std::memory_order_relaxed);
  if (page == 0) return chunks;
  Class& from = classes_[pages_[page].slab_class.load(std::memory_order_acquire)];
  uint32_t carved = 0;
  {
    MutexLock lock(from.mutex);
    carved = pages_[page].carved;
  }
  // Without the mutex: nothing is allocated from this page, so a chunk seen free stays free.
  for (uint32_t i = 0; i < carved; ++i) {
    const Position position = ChunkOfPage(page, i, from.chunk_bytes);
    const uint32_t bits = ItemAt(position)->state.load(std::memory_order_acquire);
    if ((bits & kItemAllocated) != 0) chunks.push_back(position);
  }
  return chunks;
}

bool SlabArena::FinishPageMove(SlabClass to_class) {
  TERRACED_DCHECK(to_class <= largest_class_);
  const uint32_t page = leaving_page_.load(std::memory_order_relaxed);
  TERRACED_CHECK(page != 0);
  Class& from = classes_[pages_[page].slab_class.load(std::memory_order_acquire)];
  {
    MutexLock lock(from.mutex);
    if (pages_[page].used != 0) return false;
    from.pages.erase(std::find(from.pages.begin(), from.pages.end(), page));
    from.stuck_page = 0;
    Bump(from.page_count, -1);
    pages_[page].slab_class.store(kNoSlabClass, std::memory_order_release);
    SetPageUse(page, 0);
    leaving_page_.store(0, std::memory_order_relaxed);
  }
  KillPoints::Pass(KillPoint::kPageNobodys);
  if (to_class == kNoSlabClass) {
    // Outside every mutex: the page is nobody's now. It comes back zeroed, and costs no memory
    // until then; locked memory (-k) refuses that and is zeroed by hand.
    DiscardPage(page);
    MutexLock lock(mutex_);
    returned_pages_.push_back(page);
    taken_pages_.store(taken_pages_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    return true;
  }
  Class& to = classes_[to_class];
  // Every state word of the new grid says "free" before the page gets its new class.
  for (uint32_t i = 0; i < to.chunks_per_page; ++i) {
    ItemAt(ChunkOfPage(page, i, to.chunk_bytes))->state.store(0, std::memory_order_relaxed);
  }
  MutexLock lock(to.mutex);
  AddPage(to, to_class, page);
  return true;
}

void SlabArena::CancelPageMove() {
  const uint32_t page = leaving_page_.load(std::memory_order_relaxed);
  TERRACED_CHECK(page != 0);
  Class& from = classes_[pages_[page].slab_class.load(std::memory_order_acquire)];
  MutexLock lock(from.mutex);
  for (uint32_t i = 0; i < pages_[page].carved; ++i) {
    const Position position = ChunkOfPage(page, i, from.chunk_bytes);
    if (ItemAt(position)->Bits() == 0) PushFree(from, position);
  }
  if (pages_[page].carved < from.chunks_per_page) from.uncarved.push_back(page);
  Bump(from.free_chunks, from.chunks_per_page - pages_[page].used);
  from.stuck_page = page;
  leaving_page_.store(0, std::memory_order_relaxed);
}

// --- Sizes and statistics ----------------------------------------------------------------------

uint64_t SlabArena::FreeChunks(SlabClass slab_class) const {
  const Class& of = classes_[slab_class];
  uint64_t pages = FreePages();
  if (pages == 0 && of.page_count.load(std::memory_order_relaxed) == 0) pages = 1;
  return of.free_chunks.load(std::memory_order_relaxed) + pages * of.chunks_per_page;
}

uint64_t SlabArena::TotalChunks(SlabClass slab_class) const {
  const Class& of = classes_[slab_class];
  return uint64_t{of.page_count.load(std::memory_order_relaxed)} * of.chunks_per_page;
}

std::array<SlabClassStats, kSlabClassesMax> SlabArena::Stats() const {
  std::array<SlabClassStats, kSlabClassesMax> stats{};
  for (SlabClass i = 1; i <= largest_class_; ++i) {
    const Class& of = classes_[i];
    stats[i].chunk_bytes = of.chunk_bytes;
    stats[i].chunks_per_page = of.chunks_per_page;
    stats[i].total_pages = of.page_count.load(std::memory_order_relaxed);
    stats[i].total_chunks = stats[i].total_pages * of.chunks_per_page;
    stats[i].used_chunks = of.used_chunks.load(std::memory_order_relaxed);
    stats[i].free_chunks = of.free_chunks.load(std::memory_order_relaxed);
  }
  return stats;
}

uint64_t SlabArena::MallocedBytes() const {
  return uint64_t{taken_pages_.load(std::memory_order_relaxed)} * kSlabPageBytes;
}

uint64_t SlabArena::FreePages() const {
  const uint64_t limit_pages = LimitBytes() / kSlabPageBytes;
  const uint64_t taken = taken_pages_.load(std::memory_order_relaxed);
  return limit_pages > taken ? limit_pages - taken : 0;
}

uint64_t SlabArena::LimitBytes() const {
  return limit_bytes_.load(std::memory_order_relaxed);
}

}  // namespace terraced::storage
