#include "tiering/crawler.h"

#include <vector>

#include "storage/base/sync_point.h"

namespace terraced::tiering {
namespace {

constexpr uint32_t kBucketsPerHold = 32;
constexpr std::chrono::milliseconds kRest{1'000};
constexpr uint64_t kWalkEveryUs = 60'000'000;
// With so many flushes to prove, a walk no longer rests: somebody will have to wait for it soon.
constexpr uint64_t kUnsweptMax = 64;

}  // namespace

Status Crawler::Start() {
  last_walk_us_ = MonotonicUs();
  // A flush_all may wait for a walk (SweepNow), so this one does not stand back.
  return thread_.Start(
      "crawler", [this] { return Round(); }, false);
}

bool Crawler::AskForWalk() {
  if (tiers_.counters.crawler_running.load(std::memory_order_relaxed)) return false;
  asked_.store(true, std::memory_order_relaxed);
  thread_.Wake();
  return true;
}

std::chrono::milliseconds Crawler::Round() {
  if (!tiers_.admin.lru_crawler.Get()) return kRest;
  const bool asked = asked_.exchange(false, std::memory_order_relaxed);
  if (!asked && !tiers_.flush.NeedsSweep() && MonotonicUs() - last_walk_us_ < kWalkEveryUs)
    return kRest;
  {
    MutexLock lock(mutex_);
    while (walking_) changed_.Wait(mutex_);
    walking_ = true;
  }
  Walk();
  last_walk_us_ = MonotonicUs();
  return kRest;
}

void Crawler::SweepNow() {
  {
    MutexLock lock(mutex_);
    ++waiting_;
    changed_.NotifyAll();
    const bool under_way = walking_;
    while (walking_) changed_.Wait(mutex_);
    if (under_way) {
      --waiting_;
      return;
    }
    walking_ = true;
  }
  Walk();
  MutexLock lock(mutex_);
  --waiting_;
}

void Crawler::Walk() {
  // Items that an earlier process left are in no list yet.
  if (tiers_.arena->Adopting()) return NoteWalked();
  const uint64_t epoch = tiers_.flush.Current();
  tiers_.counters.crawler_running.store(true, std::memory_order_relaxed);
  tiers_.counters.crawler_starts.fetch_add(1, std::memory_order_relaxed);
  bool complete = true;
  Walked walked;
  const uint64_t began_us = MonotonicUs();
  for (size_t i = 0; i < tiers_.shards.size() && complete; ++i) {
    uint64_t cursor = 0;
    uint64_t before = 0;
    for (bool more = true; more && complete; complete = Pause(walked.examined > before)) {
      before = walked.examined;
      more = WalkStep(*tiers_.shards[i], &cursor, &walked);
    }
  }
  if (complete) tiers_.flush.Swept(epoch);
  if (complete && tiers_.events.Wants(kSysEvents)) {
    tiers_.events.Note({.type = EventType::kLruCrawler,
                        .text = {},
                        .numbers = {static_cast<int64_t>((MonotonicUs() - began_us) / 1'000'000),
                                    static_cast<int64_t>(walked.examined),
                                    static_cast<int64_t>(walked.reclaimed)}});
  }
  tiers_.counters.crawler_running.store(false, std::memory_order_relaxed);
  NoteWalked();
}

void Crawler::NoteWalked() {
  MutexLock lock(mutex_);
  walking_ = false;
  changed_.NotifyAll();
}

bool Crawler::Pause(bool rests) {
  SyncPoints::Pass(SyncPoint::kCrawlStep);
  const std::chrono::microseconds rest(tiers_.admin.lru_crawler_sleep_us.Get());
  const bool far_behind = tiers_.flush.Unswept() > kUnsweptMax;
  MutexLock lock(mutex_);
  if (waiting_ > 0) return true;
  if (!tiers_.admin.lru_crawler.Get()) return false;
  if (thread_.Stopping()) return false;
  if (rests && rest.count() > 0 && !far_behind) changed_.WaitFor(mutex_, rest);
  return true;
}

bool Crawler::WalkStep(Shard& shard, uint64_t* cursor, Walked* walked) {
  std::vector<storage::Item*> dead;
  MutexLock lock(shard.mutex);
  ClassCounters* const classes = shard.classes.data();
  const Moment moment{tiers_.clock.NowS(), tiers_.flush.Current()};
  const bool more =
      shard.ram.Index().Walk(cursor, kBucketsPerHold, [&](storage::Position position) {
        storage::Item* const item = tiers_.arena->ItemAt(position);
        ++classes[tiers_.allocator.ListClass(*item)].crawler_items_checked;
        ++walked->examined;
        if (!shard.IsLive(*item, moment)) dead.push_back(item);
      });
  walked->reclaimed += dead.size();
  for (storage::Item* const item : dead) {
    ClassCounters& counters = shard.CountersOf(*item);
    ++counters.crawler_reclaimed;
    if (!item->Has(storage::kItemFetched)) ++counters.expired_unfetched;
    shard.Unlink(item, tiers_.HashOf(item->Key()), moment);
  }
  return more;
}

}  // namespace terraced::tiering
