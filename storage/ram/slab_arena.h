// SlabArena: the memory of the RAM tier: 1 MiB pages cut into chunks of size classes, as memcached
// does it (slab classes are numbered from 1, sizes grow by -f, the last class holds
// slab_chunk_max; see `stats slabs`). Everything inside is named by Position, never by address.
// Threads: any; Allocate and Free take the class's own mutex, pages move under the arena mutex.
// The order is shard mutex -> class mutex -> arena mutex; none is held across anything that
// blocks. The counts are lock-free and slightly old.
// Ownership: the arena maps all its memory at Create (reserved, taken as touched) and unmaps it at
// the end. With an ArenaFile (-e) it lies there: what an earlier process left is in place at once, but its chunks are
// unproven: they are in no free list and not counted until their page has been adopted (tiering::ArenaAdopter).
// Errors: Create says which option cannot work; Allocate answers kNoPosition when the class has no
// free chunk and no page is left (the caller evicts, then asks again).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "storage/base/mutex.h"
#include "storage/base/status.h"
#include "storage/ram/arena_file.h"
#include "storage/ram/huge_page_memory.h"
#include "storage/ram/index_memory.h"
#include "storage/ram/item.h"
#include "storage/ram/slab_options.h"

namespace terraced::storage {

class SlabArena {
 public:
  // `file` (null: private memory) has been cleared, or CheckLeft() has found it good; where its geometry is another
  // one, it is cleared here.
  static Result<std::unique_ptr<SlabArena>> Create(const SlabOptions& options,
                                                   std::unique_ptr<ArenaFile> file = nullptr);
  // Address space that such an arena needs in a file.
  static uint64_t FileBytesMax(const SlabOptions& options);
  // Whether items that were left in the file lie where this arena would have them.
  static Status CheckFile(const SlabOptions& options, ArenaFile& file);
  ~SlabArena();

  // The smallest class whose chunks hold that many bytes; kNoSlabClass when even the largest does
  // not.
  SlabClass ClassFor(size_t bytes) const;
  SlabClass LargestClass() const;  // class numbers are 1..LargestClass()
  uint32_t ChunkBytes(SlabClass slab_class) const;

  // A chunk with state kItemAllocated, nothing else. kNoPosition: see above.
  // Each class may take its first page even where -m is used up (memcached does), so that a small
  // -m cannot lock a size out for ever.
  Position Allocate(SlabClass slab_class);
  // Has the kernel give the memory of the pages that will be taken next, so that no command waits for it to be cleared
  // (2 MiB at a time where it uses huge pages). One thread at a time, called every few milliseconds.
  void PopulateAhead();
  void Free(Position position);  // back to its class's free list (or to a page that is leaving)
  // An allocated chunk begins anew, as if it had been freed and allocated again, but without the class's mutex. The
  // caller owns it, as a draft.
  void Recycle(Position position);
  bool IsLeaving(Position position) const {
    return PageOf(position) == leaving_page_.load(std::memory_order_relaxed);
  }

  // The class that the chunk was cut for (ItemAllocator::ListClass says in whose LRU lists an item is).
  SlabClass ClassOf(Position position) const {
    return pages_[PageOf(position)].slab_class.load(std::memory_order_acquire);
  }

  // Free chunks of the class plus those of pages nobody has taken yet: what demotion looks at.
  uint64_t FreeChunks(SlabClass slab_class) const;
  uint64_t TotalChunks(SlabClass slab_class) const;  // of the pages it has
  // How often a chunk of the class was handed out, modulo 2^32: two readings tell how much was stored between them.
  uint32_t HandedOut(SlabClass slab_class) const {
    return classes_[slab_class].handed_out.load(std::memory_order_relaxed);
  }

  void* At(Position position) const {
    return base_ + (static_cast<uint64_t>(position) << unit_shift_);
  }
  Item* ItemAt(Position position) const { return static_cast<Item*>(At(position)); }
  ValueChunk* ChunkAt(Position position) const { return static_cast<ValueChunk*>(At(position)); }
  Position PositionOf(const void* at) const {
    return static_cast<Position>((static_cast<const char*>(at) - base_) >> unit_shift_);
  }

  // --- Page mover: one page at a time, driven by tiering::SlabMover ---

  // Takes a page of `from` out of service: its free chunks leave the free list at once, chunks freed later do not return
  // to it. kBusy: a page is already leaving; kNotFound: `from` has none to spare (a class keeps its last page).
  // One mover at a time calls these four.
  Status BeginPageMove(SlabClass from);
  // Positions of the leaving page whose chunks are still allocated, in order.
  std::vector<Position> LeavingChunks() const;
  // Gives the emptied page to `to` (kNoSlabClass: to the pool of free pages). False: chunks remain.
  bool FinishPageMove(SlabClass to);
  // The page's free chunks go back to its class, whose next move takes another page.
  void CancelPageMove();

  // Memory for the indexes over this arena; it lives as long as the arena.
  IndexMemory& MemoryForIndexes() const { return *index_memory_; }
  // Whether the indexes' part of the file covers that.
  bool HoldsIndexes(uint64_t offset, uint64_t bytes) const;

  // --- The file of -e ---

  ArenaFile* File() const { return file_.get(); }  // null: private memory
  // There are unproven pages: items have to be adopted when they are found (RamTier).
  bool Adopting() const { return adopting_.load(std::memory_order_acquire); }
  bool IsAdopted(const Item& item) const { return item.Generation() == generation_; }
  uint8_t Generation() const { return generation_; }
  // Before the first item is made or found, once the file is this run's. Whether the process before had looked at every
  // item that it was left.
  bool BeginGeneration();
  // Pages that an earlier process left, with the class that their chunks have.
  struct UnprovenPage {
    uint32_t page;
    SlabClass slab_class;
  };
  const std::vector<UnprovenPage>& UnprovenPages() const { return unproven_pages_; }
  std::vector<Position> ChunksOf(uint32_t page) const;
  // Whether a chunk begins there, in a page that is cut into chunks.
  bool IsChunk(Position position) const;
  // Every linked item of the page that is good has been adopted. What else is kept: those chunks (by number) and what
  // this process has allocated; all others become free.
  void ProvePage(uint32_t page, const std::vector<bool>& keeps);
  void FinishAdoption();

  // --- Sizes and statistics ---

  std::array<SlabClassStats, kSlabClassesMax> Stats() const;
  uint64_t MallocedBytes() const;  // pages handed to classes, `total_malloced` of `stats slabs`
  uint64_t FreePages() const;      // slab_global_page_pool plus what -m still allows
  uint64_t LimitBytes() const;
  // For cache_memlimit at run time. Above a lowered limit no page is taken; what classes have is the mover's to give back.
  // kInvalidArgument below one page and beyond the address space: sixteen times the limit at Create where the system
  // grants that, not more than it in a file or with preallocated memory.
  Status SetLimitBytes(uint64_t limit_bytes);
  uint64_t PooledPages() const;       // that were taken from classes and given to none
  bool GivePooledPage(SlabClass to);  // false: there is none, or the limit is used up

 private:
  struct Page {
    std::atomic<SlabClass> slab_class{kNoSlabClass};
    uint32_t carved = 0;    // chunks handed out at least once; those behind it were never touched
    uint32_t used = 0;      // allocated chunks; both guarded by the mutex of the page's class
    bool unproven = false;  // so is this
  };
  struct alignas(64) Class {
    // Constant after Create.
    uint32_t chunk_bytes = 0;
    uint32_t chunks_per_page = 0;
    // Written under `mutex`, read by anyone.
    std::atomic<uint32_t> page_count{0};
    std::atomic<uint32_t> used_chunks{0};
    std::atomic<uint32_t> handed_out{0};
    std::atomic<uint32_t> free_chunks{
        0};  // free list and uncarved, without those of the leaving page

    Mutex mutex;
    Position free_head TERRACED_GUARDED_BY(mutex) = kNoPosition;  // linked both ways, see PopFree
    std::vector<uint32_t> pages TERRACED_GUARDED_BY(mutex);
    std::vector<uint32_t> uncarved
        TERRACED_GUARDED_BY(mutex);                      // pages with chunks never handed out
    uint32_t scan_from TERRACED_GUARDED_BY(mutex) = 0;   // where BeginPageMove looks next
    uint32_t stuck_page TERRACED_GUARDED_BY(mutex) = 0;  // its move was cancelled; 0: none since
  };

  // The indexes' part of the file: pages of 1 MiB, from the same numbers as the slab pages. Private memory where there
  // is no room: then the file is given up.
  class FileIndexMemory;
  struct Geometry {
    uint32_t first_page = 1;
    uint64_t index_pages = 0;
    uint32_t unit_shift = 0;
    std::vector<uint32_t> sizes;  // of chunks, by class
  };
  static Result<Geometry> GeometryOf(const SlabOptions& options, bool in_file);

  SlabArena();
  Status Map(const SlabOptions& options, uint64_t* pages);  // *pages: needed; then had
  char* Reserve(uint64_t* pages) const;
  void Lock(uint64_t begin, uint64_t end) const;
  void UseFile();
  // Takes the pages over that the file names. Before: geometry.
  void TakeOverPages();
  void TakeOverPage(uint32_t page, SlabClass slab_class);
  // Where the process before had not adopted all: whoever has an old mark gets the newer one of the two.
  void MarkAllAs(uint8_t generation);
  void SetPageUse(uint32_t page, uint8_t use) {
    if (file_ != nullptr) file_->PageUse(page).store(use, std::memory_order_release);
  }
  // So many pages one behind the other, 0 where there is no room.
  uint32_t TakeIndexPages(uint32_t count) TERRACED_EXCLUDES(mutex_);
  // False: the file's filesystem is full.
  bool ReservePage(uint32_t page);
  void DiscardPage(uint32_t page);  // zeroes from now on; its memory is given back
  uint32_t PageOf(Position position) const {
    return static_cast<uint32_t>((static_cast<uint64_t>(position) << unit_shift_) / kSlabPageBytes);
  }
  // The number-th chunk of the page on the grid of that chunk size.
  Position ChunkOfPage(uint32_t page, uint32_t number, uint32_t chunk_bytes) const;
  char* PageStart(uint32_t page) const {
    return base_ + static_cast<uint64_t>(page) * kSlabPageBytes;
  }

  Position PopFree(Class& of) TERRACED_REQUIRES(of.mutex);
  void PushFree(Class& of, Position position) TERRACED_REQUIRES(of.mutex);
  void RemoveFree(Class& of, Position position) TERRACED_REQUIRES(of.mutex);
  Position Carve(Class& of) TERRACED_REQUIRES(of.mutex);
  void AddPage(Class& of, SlabClass number, uint32_t page) TERRACED_REQUIRES(of.mutex);
  uint32_t ChooseLeavingPage(Class& from) TERRACED_REQUIRES(from.mutex);
  void WithdrawFreeChunks(Class& from, uint32_t page) TERRACED_REQUIRES(from.mutex);
  // A page from the pool, 0 when -m is used up; a class without pages may pass it.
  uint32_t TakePage(bool first_of_class) TERRACED_EXCLUDES(mutex_);

  // Constant after Create.
  std::unique_ptr<ArenaFile> file_;
  uint8_t generation_ = 0;
  std::vector<UnprovenPage> unproven_pages_;
  uint32_t first_page_ = 1;
  char* base_ = nullptr;
  uint64_t mapped_bytes_ = 0;
  uint32_t unit_shift_ = 3;
  SlabClass largest_class_ = kNoSlabClass;
  uint64_t limit_bytes_max_ = 0;
  bool lock_memory_ = false;
  std::unique_ptr<Class[]> classes_;  // by number; 0 is not used
  std::unique_ptr<Page[]> pages_;     // by page number; page 0 holds no chunks

  // Self-synchronised.
  std::atomic<uint64_t> limit_bytes_{0};
  std::atomic<uint32_t> taken_pages_{0};    // written under mutex_
  std::atomic<uint32_t> populated_end_{1};  // pages before it were asked for by PopulateAhead
  std::atomic<uint32_t> leaving_page_{0};   // 0: none; written under the mutex of the page's class
  std::atomic<bool> adopting_{false};
  std::atomic<bool> room_refused_{false};  // by the file's filesystem, said once

  std::unique_ptr<IndexMemory> index_memory_;

  // Guarded. After a class's mutex in the lock order.
  mutable Mutex mutex_;
  std::vector<uint32_t> returned_pages_
      TERRACED_GUARDED_BY(mutex_);  // emptied, their memory given back
  uint32_t next_fresh_page_ TERRACED_GUARDED_BY(mutex_) = 1;
  uint32_t page_end_ TERRACED_GUARDED_BY(mutex_) = 0;
  uint32_t index_pages_ TERRACED_GUARDED_BY(mutex_) = 0;
  uint32_t index_pages_max_ TERRACED_GUARDED_BY(mutex_) = 0;
};

}  // namespace terraced::storage
