#include "tiering/arena_adopter.h"

#include "storage/base/log.h"
#include "storage/base/yield_point.h"
#include "tiering/shard.h"

namespace terraced::tiering {

using storage::Item;
using storage::Position;
using storage::SlabClass;

namespace {

constexpr uint32_t kBucketsPerHold = 32;

}  // namespace

ArenaAdopter::ArenaAdopter(Tiers& tiers) : tiers_(tiers) {
  MutexLock lock(mutex_);
  for (const auto& [page, slab_class] : tiers_.arena->UnprovenPages()) {
    pages_[slab_class].push_back(page);
  }
}

Status ArenaAdopter::Start() {
  if (!tiers_.arena->Adopting()) return {};
  return thread_.Start("arena_adopter", [this] {
    while (!thread_.Stopping() && AdoptNextPage()) {
    }
    // For ever: nothing is left to do.
    return std::chrono::hours(1);
  });
}

bool ArenaAdopter::TakePage(SlabClass slab_class, uint32_t* page) {
  MutexLock lock(mutex_);
  std::vector<uint32_t>& pages = pages_[slab_class];
  if (pages.empty()) return false;
  *page = pages.back();
  pages.pop_back();
  ++under_way_;
  return true;
}

bool ArenaAdopter::AdoptPageOf(SlabClass slab_class) {
  uint32_t page = 0;
  if (!TakePage(slab_class, &page)) return false;
  AdoptPage(page);
  MutexLock lock(mutex_);
  --under_way_;
  changed_.NotifyAll();
  return true;
}

bool ArenaAdopter::AdoptNextPage() {
  for (SlabClass slab_class = 1; slab_class < storage::kSlabClassesMax; ++slab_class) {
    if (AdoptPageOf(slab_class)) return true;
  }
  // Every page was looked at; now the indexes, one shard after the other.
  uint32_t shard = 0;
  {
    MutexLock lock(mutex_);
    while (under_way_ > 0) changed_.Wait(mutex_);
    if (next_shard_ == tiers_.shards.size()) return false;
    shard = next_shard_++;
    ++under_way_;
  }
  EraseStrays(*tiers_.shards[shard]);
  const bool last = shard + 1 == tiers_.shards.size();
  if (last) Done();
  MutexLock lock(mutex_);
  --under_way_;
  changed_.NotifyAll();
  return !last;
}

void ArenaAdopter::Finish() {
  while (tiers_.arena->Adopting() && AdoptNextPage()) {
  }
  while (tiers_.arena->Adopting()) std::this_thread::yield();  // another thread is at the last step
}

void ArenaAdopter::AdoptPage(uint32_t page) {
  storage::SlabArena& arena = *tiers_.arena;
  const std::vector<Position> chunks = arena.ChunksOf(page);
  std::vector<bool> keeps(chunks.size(), false);
  for (size_t i = 0; i < chunks.size(); ++i) {
    YieldPoint::Pass();
    Item* const item = arena.ItemAt(chunks[i]);
    const uint32_t bits = item->state.load(std::memory_order_acquire);
    if ((bits & storage::kItemAllocated) == 0) continue;
    if ((bits & storage::kItemValueChunk) != 0) {
      keeps[i] = IsKept(chunks[i]);
    } else if (arena.IsAdopted(*item)) {
      continue;
    } else if ((bits & storage::kItemLinked) == 0 || !AdoptItem(item)) {
      keeps[i] = true;
      MutexLock lock(mutex_);
      suspects_.push_back(chunks[i]);
    }
  }
  arena.ProvePage(page, keeps);
}

bool ArenaAdopter::AdoptItem(Item* item) {
  Shard& shard = *tiers_.shards[item->Shard()];
  MutexLock lock(shard.mutex);
  // Somebody may have found it meanwhile, and even removed it again.
  if (tiers_.arena->IsAdopted(*item)) return true;
  if (!shard.ram.LooksWhole(*item)) return false;
  const uint64_t hash = tiers_.HashOf(item->Key());
  if (storage::PartitionOf(hash) != shard.Number()) return false;
  return shard.ram.IsLinked(hash, tiers_.arena->PositionOf(item)) && shard.ram.Adopt(item, hash);
}

bool ArenaAdopter::IsKept(Position chunk) {
  storage::SlabArena& arena = *tiers_.arena;
  const Position head = arena.ChunkAt(chunk)->head;
  if (!arena.IsChunk(head)) return false;
  Item* const item = arena.ItemAt(head);
  constexpr uint32_t kKind =
      storage::kItemLinked | storage::kItemChunked | storage::kItemValueChunk;
  constexpr uint32_t kWanted = storage::kItemLinked | storage::kItemChunked;
  if ((item->state.load(std::memory_order_acquire) & kKind) != kWanted) return false;
  if (!arena.IsAdopted(*item)) static_cast<void>(AdoptItem(item));
  Shard& shard = *tiers_.shards[item->Shard()];
  MutexLock lock(shard.mutex);
  return (item->Bits() & kKind) == kWanted && arena.IsAdopted(*item) &&
         shard.ram.HasInChain(*item, chunk);
}

void ArenaAdopter::EraseStrays(Shard& shard) {
  uint64_t cursor = 0;
  for (bool more = true; more;) {
    YieldPoint::Pass();
    MutexLock lock(shard.mutex);
    more = shard.ram.EraseStrays(&cursor, kBucketsPerHold,
                                 [this](std::string_view key) { return tiers_.HashOf(key); });
  }
}

void ArenaAdopter::Done() {
  std::vector<Position> suspects;
  {
    MutexLock lock(mutex_);
    suspects.swap(suspects_);
  }
  for (const Position position : suspects) tiers_.arena->Free(position);
  tiers_.arena->FinishAdoption();
  uint64_t items = 0;
  for (const auto& shard : tiers_.shards) {
    MutexLock lock(shard->mutex);
    items += shard->ram.ItemCount();
  }
  Log::Write(LogLevel::kVerbose, "memory file: every page was looked at, %llu items are in RAM",
             static_cast<unsigned long long>(items));
}

}  // namespace terraced::tiering
