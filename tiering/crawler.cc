#include "tiering/crawler.h"

#include <vector>

namespace terraced::tiering {
namespace {

constexpr uint32_t kBucketsPerHold = 32;
constexpr std::chrono::milliseconds kRest{1'000};
constexpr uint64_t kWalkEveryUs = 60'000'000;

}  // namespace

void Crawler::Start() {
  if (!tiers_.options.lru_crawler) return;
  last_walk_us_ = MonotonicUs();
  thread_.Start("crawler", [this] { return Round(); });
}

std::chrono::milliseconds Crawler::Round() {
  if (tiers_.flush.NeedsSweep() || MonotonicUs() - last_walk_us_ >= kWalkEveryUs) Walk(true);
  return kRest;
}

void Crawler::Walk(bool pace) {
  MutexLock one_at_a_time(walking_);
  const uint64_t epoch = tiers_.flush.Current();
  tiers_.counters.crawler_running.store(true, std::memory_order_relaxed);
  tiers_.counters.crawler_starts.fetch_add(1, std::memory_order_relaxed);
  bool complete = true;
  for (const auto& shard : tiers_.shards) {
    uint64_t cursor = 0;
    while (WalkStep(*shard, &cursor)) {
      if (!pace) continue;
      if (thread_.Stopping()) {
        complete = false;
        break;
      }
      const uint32_t sleep_us = tiers_.options.lru_crawler_sleep_us;
      if (sleep_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(sleep_us));
    }
  }
  if (complete) tiers_.flush.Swept(epoch);
  if (pace) last_walk_us_ = MonotonicUs();
  tiers_.counters.crawler_running.store(false, std::memory_order_relaxed);
}

bool Crawler::WalkStep(Shard& shard, uint64_t* cursor) {
  std::vector<storage::Item*> dead;
  MutexLock lock(shard.mutex);
  const Moment moment{tiers_.clock.NowS(), tiers_.flush.Current()};
  const bool more =
      shard.ram.Index().Walk(cursor, kBucketsPerHold, [&](storage::Position position) {
        storage::Item* const item = tiers_.arena->ItemAt(position);
        if (!shard.IsLive(*item, moment)) dead.push_back(item);
      });
  for (storage::Item* const item : dead) {
    ClassCounters& counters = shard.classes[item->slab_class];
    ++counters.crawler_reclaimed;
    if (!item->Has(storage::kItemFetched)) ++counters.expired_unfetched;
    shard.Unlink(item, tiers_.HashOf(item->Key()), moment);
  }
  return more;
}

}  // namespace terraced::tiering
