#include "tiering/cache_administration.h"

#include "tiering/crawler.h"
#include "tiering/shard.h"
#include "tiering/slab_mover.h"

namespace terraced::tiering {
namespace {

// Of one shard, under its mutex.
constexpr uint32_t kColdItemsPerHold = 4096;

}  // namespace

CacheAdministration::CacheAdministration(Tiers& tiers, Crawler& crawler, SlabMover& mover)
    : tiers_(tiers), crawler_(crawler), mover_(mover), dump_(tiers) {
  if (tiers.options.track_sizes) TrackSizes(true);
}

bool CacheAdministration::StartCrawl() {
  return crawler_.AskForWalk();
}

ReassignResult CacheAdministration::ReassignPage(int from, int to) {
  return mover_.Reassign(from, to);
}

Status CacheAdministration::SetMemoryLimit(uint64_t limit_bytes) {
  if (tiers_.options.slabs.preallocate || tiers_.arena->File() != nullptr) {
    return Status(StatusCode::kInvalidArgument, "the memory limit is fixed by -e or -L");
  }
  TERRACED_RETURN_IF_ERROR(tiers_.arena->SetLimitBytes(limit_bytes));
  mover_.Wake();
  return Status();
}

void CacheAdministration::TrackSizes(bool on) {
  if (on) {
    tiers_.allocator.Sizes().Enable(tiers_.NextCas());
  } else {
    tiers_.allocator.Sizes().Disable();
  }
}

void CacheAdministration::ListCold(storage::SlabClass slab_class, const VisitCold& visit) {
  if (slab_class == storage::kNoSlabClass || slab_class > tiers_.arena->LargestClass()) return;
  for (const auto& shard : tiers_.shards) {
    MutexLock lock(shard->mutex);
    const Moment moment{tiers_.clock.NowS(), tiers_.flush.Current()};
    storage::Position at = storage::kNoPosition;
    for (uint32_t looks = 0; looks < kColdItemsPerHold; ++looks) {
      at = shard->ram.Behind(slab_class, storage::LruSegment::kCold, at);
      if (at == storage::kNoPosition) break;
      const storage::Item& item = *tiers_.arena->ItemAt(at);
      if (!shard->IsLive(item, moment)) continue;
      if (!visit(item.Key(), item.ValueBytes(), item.exptime_s)) return;
    }
  }
}

}  // namespace terraced::tiering
