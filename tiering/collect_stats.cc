// TwoTierCache::Stats: sums over shards and parts. Each shard is locked for itself, so the sum is
// no snapshot of one instant, but every counter in it was true.
#include <algorithm>
#include <bit>

#include "tiering/two_tier_cache.h"

namespace terraced::tiering {
namespace {

// Both are plain structs of uint64_t counters (and of arrays of them): adding them word by word
// keeps this list from being written twice.
template <typename Counters>
void Add(const Counters& from, Counters* to) {
  static_assert(sizeof(Counters) % sizeof(uint64_t) == 0);
  constexpr size_t kWords = sizeof(Counters) / sizeof(uint64_t);
  using Words = std::array<uint64_t, kWords>;
  Words sum = std::bit_cast<Words>(*to);
  const Words more = std::bit_cast<Words>(from);
  for (size_t i = 0; i < kWords; ++i) sum[i] += more[i];
  *to = std::bit_cast<Counters>(sum);
}

void AddGauges(Shard& shard, const Tiers& tiers, CacheStats* stats) TERRACED_REQUIRES(shard.mutex) {
  const uint32_t now_s = tiers.clock.NowS();
  for (storage::SlabClass i = 1; i <= tiers.arena->LargestClass(); ++i) {
    ClassGauges& gauges = stats->gauges[i];
    for (size_t segment = 0; segment < storage::kLruSegments; ++segment) {
      const storage::LruList& list = shard.ram.List(i, static_cast<storage::LruSegment>(segment));
      gauges.items[segment] += list.count;
      gauges.mem_requested += list.bytes;
      if (list.tail == storage::kNoPosition) continue;
      const uint32_t last_s = tiers.arena->ItemAt(list.tail)->last_access_s;
      gauges.age_s[segment] =
          std::max<uint64_t>(gauges.age_s[segment], now_s - std::min(now_s, last_s));
    }
  }
}

void AddShards(const Tiers& tiers, CacheStats* stats) {
  const uint64_t epoch = tiers.flush.Current();
  uint64_t slots = 0;
  std::array<uint64_t, storage::kSlabClassesMax> evicted_time{};
  for (const auto& shard : tiers.shards) {
    MutexLock lock(shard->mutex);
    Add(shard->commands, &stats->commands);
    for (size_t i = 0; i < shard->classes.size(); ++i) {
      Add(shard->classes[i], &stats->classes[i]);
      evicted_time[i] = std::max(evicted_time[i], shard->classes[i].evicted_time);
    }
    AddGauges(*shard, tiers, stats);
    stats->ram_items += shard->LiveItems(epoch);
    stats->bytes += shard->ram.ItemBytes();
    stats->hash_bytes += shard->ram.Index().MemoryBytes();
    stats->hash_is_expanding |= shard->ram.Index().IsExpanding();
    slots += tiers.index.SlotsTotal(shard->Number());
  }
  for (size_t i = 0; i < evicted_time.size(); ++i) stats->classes[i].evicted_time = evicted_time[i];
  stats->flash.index_slots = slots;
  stats->hash_power_level =
      static_cast<uint64_t>(std::bit_width(std::max<uint64_t>(stats->hash_bytes / 8, 1)) - 1);
}

uint64_t Load(const std::atomic<uint64_t>& counter) {
  return counter.load(std::memory_order_relaxed);
}

void AddCounters(const TierCounters& from, CacheStats* stats) {
  stats->evictions = Load(from.evictions);
  stats->store_too_large = Load(from.store_too_large);
  stats->store_no_memory = Load(from.store_no_memory);
  stats->cmd_flush = Load(from.cmd_flush);
  stats->slabs_moved = Load(from.slabs_moved);
  stats->slab_reassign_rescues = Load(from.slab_rescues);
  stats->slab_reassign_busy_items = Load(from.slab_busy_items);
  stats->slab_reassign_running = from.slab_move_running.load(std::memory_order_relaxed);
  stats->lru_maintainer_juggles = Load(from.lru_juggles);
  stats->lru_crawler_starts = Load(from.crawler_starts);
  stats->lru_crawler_running = from.crawler_running.load(std::memory_order_relaxed);
  stats->commands.flash_index_collisions += Load(from.collisions_verified);
  FlashStats& flash = stats->flash;
  flash.demoted_items = Load(from.demoted_items);
  flash.demoted_bytes = Load(from.demoted_bytes);
  flash.clean_drops = Load(from.clean_drops);
  flash.batches_written = Load(from.batches_written);
  flash.batches_failed = Load(from.batches_failed);
  flash.batches_dropped = Load(from.batches_dropped);
  flash.batches_damaged = Load(from.batches_damaged);
  flash.outages = Load(from.outages);
  flash.second_chances = Load(from.second_chances);
  flash.records_evicted = Load(from.records_evicted);
  flash.record_bytes_evicted = Load(from.record_bytes_evicted);
  flash.bytes_written = Load(from.bytes_written);
  flash.demotion_waits = Load(from.demotion_waits);
  flash.items_too_large = Load(from.items_too_large);
  flash.items_not_admitted = Load(from.items_not_admitted);
  flash.reads_timed_out = Load(from.reads_timed_out);
  flash.index_growths = Load(from.index_growths);
  flash.index_full = Load(from.index_full);
}

// Slots that stand under the current epoch, and what RAM holds of the same keys.
void AddBatches(const Tiers& tiers, CacheStats* stats) {
  const uint64_t epoch = tiers.flush.Current();
  int64_t live = 0;
  int64_t clean = 0;
  for (uint32_t number = 1; number < storage::kBatchNumbers; ++number) {
    const auto batch = static_cast<storage::BatchNumber>(number);
    if (tiers.batches.SerialOf(batch) == storage::kNoSerial) continue;
    ++stats->flash.batches;
    if (tiers.batches.EpochOf(batch) != epoch) continue;
    live += tiers.batches.Live(batch);
    clean += tiers.batches.Clean(batch);
  }
  stats->flash.items = static_cast<uint64_t>(std::max<int64_t>(live, 0));
  const auto both =
      static_cast<uint64_t>(std::clamp<int64_t>(clean, 0, std::max<int64_t>(live, 0)));
  stats->curr_items = stats->ram_items + stats->flash.items - both;
}

// After AddBatches(). What is dead is known by number only: all records count as equally large.
void AddRoom(const Tiers& tiers, uint64_t batch_bytes, FlashStats* flash) {
  flash->bytes_used = tiers.batches.LivingBytes();
  flash->batches_free = (flash->limit_bytes - std::min(flash->limit_bytes, flash->bytes_used)) /
                        std::max<uint64_t>(batch_bytes, 1);
  const auto records = static_cast<double>(std::max<uint64_t>(tiers.batches.LivingRecords(), 1));
  const double standing = std::min(1.0, static_cast<double>(flash->items) / records);
  flash->bytes_dead =
      static_cast<uint64_t>((1 - standing) * static_cast<double>(flash->bytes_used));
}

}  // namespace

CacheStats TwoTierCache::Stats() const {
  CacheStats stats;
  AddCounters(tiers_->counters, &stats);
  const uint64_t verified = stats.commands.flash_index_collisions;
  stats.commands = {};
  AddShards(*tiers_, &stats);
  stats.commands.flash_index_collisions += verified + tiers_->index.UnseenCollisions();
  AddBatches(*tiers_, &stats);
  stats.slabs = tiers_->arena->Stats();
  stats.limit_maxbytes = tiers_->arena->LimitBytes();
  stats.slab_global_page_pool = tiers_->arena->FreePages();
  stats.total_malloced = tiers_->arena->MallocedBytes();
  FlashStats& flash = stats.flash;
  flash.enabled = tiers_->HasFlash();
  flash.online = tiers_->FlashOnline();
  flash.state = demoter_->StateText();
  flash.start = flash_start_text_;
  flash.limit_bytes = tiers_->options.flash_size_bytes;
  flash.index_bytes = tiers_->index.MemoryBytes();
  flash.removals_unverified = tiers_->removals.Pending();
  flash.removals_not_verified = tiers_->removals.Lost();
  if (!tiers_->HasFlash()) return stats;
  const FlashReaderStats reader = reader_->Stats();
  flash.reads = reader.reads;
  flash.reads_coalesced = reader.coalesced;
  flash.read_errors = reader.errors;
  flash.records_corrupt = reader.corrupt;
  flash.read_queue = reader.queued;
  const HotListStats hot_list = warmer_->Stats();
  flash.hot_list = HotListStateText(hot_list.state);
  flash.hot_list_keys = hot_list.keys;
  flash.hot_list_seen = hot_list.seen;
  flash.hot_list_warmed = hot_list.warmed;
  flash.store = tiers_->store->Stats();
  AddRoom(*tiers_, Demoter::BatchBytes(tiers_->options), &flash);
  return stats;
}

void TwoTierCache::ResetStats() {
  tiers_->counters.Reset();
  tiers_->index.ResetCounters();
  reader_->ResetStats();
  for (const auto& shard : tiers_->shards) {
    MutexLock lock(shard->mutex);
    shard->ResetCounters();
  }
}

}  // namespace terraced::tiering
