#include "tiering/slab_mover.h"

#include <algorithm>

#include "storage/base/kill_point.h"
#include "storage/base/yield_point.h"
#include "tiering/demoter.h"

namespace terraced::tiering {

using storage::Item;
using storage::Position;
using storage::SlabClass;

namespace {

constexpr std::chrono::milliseconds kRest{1'000};
constexpr std::chrono::milliseconds kRestAfterMove{20};
// memcached's: a class gives a page away without being asked where it could do without two and a
// half.
constexpr double kSparePages = 2.5;
// A class keeps its last page.
constexpr uint32_t kPagesToSpare = 2;
// So many rounds without a chunk becoming free, and the page stays where it is.
constexpr int kIdleRoundsMax = 50;
constexpr std::chrono::milliseconds kRoundRest{1};
constexpr std::chrono::milliseconds kDemoterRest{5};

}  // namespace

Status SlabMover::Start() {
  if (!tiers_.options.slab_reassign) return {};
  return thread_.Start("slab_mover", [this] { return Round() ? kRestAfterMove : kRest; });
}

std::array<SlabMover::Need, storage::kSlabClassesMax> SlabMover::Look() {
  std::array<Need, storage::kSlabClassesMax> needs{};
  const std::array<storage::SlabClassStats, storage::kSlabClassesMax> slabs = tiers_.arena->Stats();
  std::array<uint64_t, storage::kSlabClassesMax> lost{};
  const uint32_t now_s = tiers_.clock.NowS();
  for (const auto& shard : tiers_.shards) {
    YieldPoint::Pass();
    MutexLock lock(shard->mutex);
    for (SlabClass i = 1; i <= tiers_.arena->LargestClass(); ++i) {
      const ClassCounters& counters = shard->classes[i];
      lost[i] +=
          counters.evicted + counters.demoted + counters.direct_reclaims + counters.out_of_memory;
      const Position tail = shard->ram.List(i, storage::LruSegment::kCold).tail;
      if (tail == storage::kNoPosition) continue;
      const uint32_t last_s = tiers_.arena->ItemAt(tail)->last_access_s;
      needs[i].age_s = std::max<uint64_t>(needs[i].age_s, now_s - std::min(now_s, last_s));
    }
  }
  for (SlabClass i = 1; i <= tiers_.arena->LargestClass(); ++i) {
    needs[i].lost = lost[i] - std::min(lost[i], lost_before_[i]);
    needs[i].pages = slabs[i].total_pages;
    needs[i].free_chunks = slabs[i].free_chunks;
    needs[i].chunks_per_page = std::max<uint64_t>(slabs[i].chunks_per_page, 1);
  }
  lost_before_ = lost;
  return needs;
}

ReassignResult SlabMover::Reassign(int from, int to) {
  MutexLock lock(mutex_);
  if (order_.has_value() || tiers_.counters.slab_move_running.load(std::memory_order_relaxed)) {
    return ReassignResult::kBusy;
  }
  if (from == to) return ReassignResult::kSame;
  if (from == kAnySlabClass) from = AnyWithSpare(to);
  const int largest = tiers_.arena->LargestClass();
  if (from < kPagePool || from > largest || to < kPagePool || to > largest) {
    return ReassignResult::kBadClass;
  }
  const uint64_t pages = from == kPagePool
                             ? tiers_.arena->PooledPages()
                             : tiers_.arena->Stats()[static_cast<size_t>(from)].total_pages;
  if (pages < kPagesToSpare) return ReassignResult::kNoSpare;
  order_ = Order{from, to};
  thread_.Wake();
  return ReassignResult::kOk;
}

int SlabMover::AnyWithSpare(int but) const {
  const auto slabs = tiers_.arena->Stats();
  int most = kAnySlabClass;
  for (int i = 1; i <= tiers_.arena->LargestClass(); ++i) {
    const uint32_t pages = slabs[static_cast<size_t>(i)].total_pages;
    if (i == but || pages < kPagesToSpare) continue;
    if (most == kAnySlabClass || pages > slabs[static_cast<size_t>(most)].total_pages) most = i;
  }
  return most;
}

std::optional<SlabMover::Order> SlabMover::TakeOrder() {
  MutexLock lock(mutex_);
  std::optional<Order> order;
  order.swap(order_);
  return order;
}

bool SlabMover::Round() {
  if (const std::optional<Order> order = TakeOrder()) {
    const auto to = static_cast<SlabClass>(order->to);
    if (order->from != kPagePool) return MovePage(static_cast<SlabClass>(order->from), to);
    return tiers_.arena->GivePooledPage(to);
  }
  if (tiers_.arena->MallocedBytes() > tiers_.arena->LimitBytes()) return Shrink();
  return tiers_.admin.slab_automove.Get() != 0 && Balance();
}

// Free chunks first; else the oldest tail.
bool SlabMover::Shrink() {
  const auto needs = Look();
  SlabClass best = storage::kNoSlabClass;
  const auto free_pages = [&](SlabClass i) {
    return needs[i].free_chunks / needs[i].chunks_per_page;
  };
  for (SlabClass i = 1; i <= tiers_.arena->LargestClass(); ++i) {
    if (needs[i].pages < kPagesToSpare) continue;
    const bool better = best == storage::kNoSlabClass || free_pages(i) > free_pages(best) ||
                        (free_pages(i) == free_pages(best) && needs[i].age_s > needs[best].age_s);
    if (better) best = i;
  }
  return best != storage::kNoSlabClass && MovePage(best, storage::kNoSlabClass);
}

bool SlabMover::Balance() {
  const auto needs = Look();
  SlabClass shortest = storage::kNoSlabClass;  // loses most for the pages it has
  SlabClass spare = storage::kNoSlabClass;
  SlabClass oldest = storage::kNoSlabClass;
  const auto loss = [&](SlabClass i) {
    return static_cast<double>(needs[i].lost) /
           static_cast<double>(std::max<uint64_t>(needs[i].pages, 1) * needs[i].chunks_per_page);
  };
  for (SlabClass i = 1; i <= tiers_.arena->LargestClass(); ++i) {
    if (needs[i].lost > 0 && (shortest == storage::kNoSlabClass || loss(i) > loss(shortest))) {
      shortest = i;
    }
    if (needs[i].pages < 2) continue;
    const double free_pages =
        static_cast<double>(needs[i].free_chunks) / static_cast<double>(needs[i].chunks_per_page);
    if (needs[i].lost == 0 && free_pages >= kSparePages) spare = i;
    if (oldest == storage::kNoSlabClass || needs[i].age_s > needs[oldest].age_s ||
        (needs[i].age_s == needs[oldest].age_s && loss(i) < loss(oldest))) {
      oldest = i;
    }
  }
  if (shortest == storage::kNoSlabClass || tiers_.arena->FreePages() > 0) return false;
  if (spare != storage::kNoSlabClass && spare != shortest) return MovePage(spare, shortest);
  if (oldest == storage::kNoSlabClass || oldest == shortest) return false;
  const double ratio = tiers_.admin.slab_automove_ratio.Get();
  const bool older =
      static_cast<double>(needs[shortest].age_s) < static_cast<double>(needs[oldest].age_s) * ratio;
  // Ages are whole seconds: a class that loses its whole content many times over is short whatever
  // they say.
  const bool thrashing = loss(shortest) > 0.5 && loss(oldest) * 4 < loss(shortest);
  return (older || thrashing) && MovePage(oldest, shortest);
}

bool SlabMover::MovePage(SlabClass from, SlabClass to) {
  if (!tiers_.arena->BeginPageMove(from).ok()) return false;
  tiers_.counters.slab_move_running.store(true, std::memory_order_relaxed);
  KillPoints::Pass(KillPoint::kPageLeaving);
  bool moved = tiers_.arena->FinishPageMove(to);
  size_t least_left = SIZE_MAX;
  for (int idle = 0; idle < kIdleRoundsMax && !moved && !thread_.Stopping(); ++idle) {
    const std::vector<Position> left = tiers_.arena->LeavingChunks();
    if (left.size() < least_left) {
      least_left = left.size();
      idle = 0;
    }
    awaits_demoter_ = false;
    // A stalled upload keeps its page: then nothing else of the page has to suffer.
    if (!HoldsDraft(left)) {
      for (const Position position : left) Evacuate(position);
    }
    moved = tiers_.arena->FinishPageMove(to);
    if (awaits_demoter_) demoter_.Wake();
    if (!moved) std::this_thread::sleep_for(awaits_demoter_ ? kDemoterRest : kRoundRest);
  }
  if (moved) {
    tiers_.counters.slabs_moved.fetch_add(1, std::memory_order_relaxed);
    if (tiers_.events.Wants(kSysEvents)) {
      tiers_.events.Note({.type = EventType::kSlabMove, .text = {}, .numbers = {from, to}});
    }
  } else {
    tiers_.arena->CancelPageMove();
  }
  tiers_.counters.slab_move_running.store(false, std::memory_order_relaxed);
  return moved;
}

bool SlabMover::HoldsDraft(const std::vector<Position>& chunks) const {
  return std::any_of(chunks.begin(), chunks.end(), [&](Position position) {
    const uint32_t bits = tiers_.arena->ItemAt(position)->state.load(std::memory_order_acquire);
    return (bits & storage::kItemAllocated) != 0 && (bits & storage::kItemLinked) == 0;
  });
}

void SlabMover::Evacuate(Position position) {
  YieldPoint::Pass();
  // The state word is atomic and says which shard to ask; everything is looked at again under its
  // mutex.
  const uint32_t seen = tiers_.arena->ItemAt(position)->state.load(std::memory_order_acquire);
  if ((seen & storage::kItemLinked) == 0)
    return;  // free by now, or a draft: its connection will be done soon
  Shard& shard = *tiers_.shards[(seen >> storage::kItemShardShift) & 0xffU];
  MutexLock lock(shard.mutex);
  const uint32_t bits = tiers_.arena->ItemAt(position)->state.load(std::memory_order_acquire);
  const bool same_shard = ((bits ^ seen) >> storage::kItemShardShift & 0xffU) == 0;
  if ((bits & storage::kItemLinked) == 0 || !same_shard) return;
  if ((bits & storage::kItemValueChunk) != 0) {
    EvacuateChunk(shard, position);
  } else {
    EvacuateItem(shard, position);
  }
}

void SlabMover::EvacuateItem(Shard& shard, Position position) {
  Item* const item = tiers_.arena->ItemAt(position);
  if (item->IsPinned()) {
    tiers_.counters.slab_busy_items.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const Moment moment{tiers_.clock.NowS(), tiers_.flush.Current()};
  const uint64_t hash = tiers_.HashOf(item->Key());
  const Position to = shard.IsLive(*item, moment)
                          ? tiers_.arena->Allocate(tiers_.arena->ClassOf(position))
                          : storage::kNoPosition;
  if (to == storage::kNoPosition) {
    Drop(shard, item, hash, moment);
    return;
  }
  // An item that moves is no longer where its batch looks for it.
  if (item->Has(storage::kItemInBatch)) Shard::MakeDirty(item);
  shard.ram.Relocate(item, to, hash);
  tiers_.counters.slab_rescues.fetch_add(1, std::memory_order_relaxed);
}

void SlabMover::EvacuateChunk(Shard& shard, Position position) {
  Item* const item = tiers_.arena->ItemAt(tiers_.arena->ChunkAt(position)->head);
  if (item->IsPinned()) {
    tiers_.counters.slab_busy_items.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const Position to = tiers_.arena->Allocate(tiers_.arena->ClassOf(position));
  if (to == storage::kNoPosition) {
    const Moment moment{tiers_.clock.NowS(), tiers_.flush.Current()};
    Drop(shard, item, tiers_.HashOf(item->Key()), moment);
    return;
  }
  shard.ram.RelocateValueChunk(item, position, to);
  tiers_.counters.slab_rescues.fetch_add(1, std::memory_order_relaxed);
}

void SlabMover::Drop(Shard& shard, Item* item, uint64_t hash, const Moment& moment) {
  if (!shard.IsLive(*item, moment)) {
    shard.CountReclaimed(*item);
    shard.Unlink(item, hash, moment);
    return;
  }
  if (!shard.StandsOnFlash(*item, hash, moment) &&
      demoter_.BatchMayCome(tiers_.allocator.ListClass(*item))) {
    awaits_demoter_ = true;  // it demotes this item, or others whose chunks this one can have
    return;
  }
  shard.Evict(item, hash, moment);
}

}  // namespace terraced::tiering
