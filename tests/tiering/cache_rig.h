// CacheRig: a TwoTierCache without threads of its own, on a fake clock and a store in memory that fails on demand;
// the test cranks the demoter, the crawler and the completions. Race: a change at a named sync point.
// Threads: as the test says; several clients may share a rig. Nothing here sleeps.
// Ownership: the rig owns the cache, clients borrow it.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "storage/base/sync_point.h"
#include "tests/support/faulty_batch_store.h"
#include "tests/tiering/cache_client.h"
#include "tiering/two_tier_cache.h"

namespace terraced::tiering {

using support::BatchCall;
using support::FaultyBatchStore;
using support::MemoryBatchStore;

// Of an item in a cache with flash: header and batch serial.
constexpr uint64_t kItemOverhead = storage::kItemHeaderBytes + 4;
constexpr uint32_t kStartS = 1'700'000'000;

// Small, with flash in memory, and with one class of each size: what tests change, they change before Make.
inline CacheOptions RigOptions() {
  CacheOptions options;
  options.slabs.limit_bytes = 8ULL << 20;
  options.flash_path = "memory";
  options.flash_size_bytes = 256ULL << 20;
  options.flash_batch_bytes = 1U << 20;
  options.flash_read_threads = 2;
  return options;
}

class CacheRig {
 public:
  explicit CacheRig(const CacheOptions& options = RigOptions(), EventSink& events = NoEvents())
      : clock(kStartS) {
    auto memory_store = std::make_unique<MemoryBatchStore>();
    memory = memory_store.get();
    auto faulty = std::make_unique<FaultyBatchStore>(std::move(memory_store));
    store = faulty.get();
    FlashStart start;
    start.store = std::move(faulty);
    start.state.hash_key = HashKey{{1, 2, 3, 4}};
    start.state.start_count = 1;
    Result<std::unique_ptr<TwoTierCache>> made =
        TwoTierCache::Make(options, clock, std::move(start), events);
    TERRACED_CHECK(made.ok());
    cache = std::move(made).value();
    client = std::make_unique<CacheClient>(*cache);
  }
  ~CacheRig() { client.reset(); }

  CacheClient& operator*() { return *client; }
  CacheClient* operator->() { return client.get(); }
  Tiers& InTiers() { return cache->TiersForTest(); }
  Demoter& InDemoter() { return cache->DemoterForTest(); }
  // Everything in RAM that may go to flash goes.
  void Demote() {
    CrankedExecutor executor;
    Flag done;
    cache->DemoteAll(executor, &done);
    if (cache->HasFlash()) InDemoter().Step();
    executor.Run();
    EXPECT_TRUE(done.raised);
  }
  // Numbered items for tests that need many, in batches of about 250; what LZ4 could do to them it does not try.
  static std::string NameOf(int i) { return "key" + std::to_string(i); }
  void Fill(int first, int last) {
    for (int i = first; i < last; ++i) {
      ASSERT_EQ(client->Set(NameOf(i), std::string(150, static_cast<char>('a' + i % 26))),
                Outcome::kStored);
      if (i % 250 == 249) Demote();
    }
    Demote();
  }
  uint64_t Missing(int first, int last) {
    uint64_t missing = 0;
    for (int i = first; i < last; ++i) missing += client->Get(NameOf(i)).Hit() ? 0 : 1;
    return missing;
  }
  CacheStats Stats() const { return cache->Stats(); }
  Moment Now() { return {clock.NowS(), InTiers().flush.Current()}; }

  storage::SlotList SlotsOf(std::string_view key) {
    const uint64_t hash = cache->HashOf(key);
    Shard& shard = InTiers().ShardOf(hash);
    const MutexLock lock(shard.mutex);
    return InTiers().index.Find(shard.Number(), hash, InTiers().flush.Current());
  }
  bool OnFlash(std::string_view key) { return SlotsOf(key).count > 0; }
  // The key's RAM item, whatever its state; single-threaded tests only.
  storage::Item* ItemOf(std::string_view key) {
    const uint64_t hash = cache->HashOf(key);
    Shard& shard = InTiers().ShardOf(hash);
    const MutexLock lock(shard.mutex);
    return shard.ram.Find(hash, key);
  }
  storage::SlabClass ClassOf(std::string_view key) {
    return InTiers().allocator.ListClass(*ItemOf(key));
  }
  bool InRam(std::string_view key) { return ItemOf(key) != nullptr; }
  void MoveTo(std::string_view key, storage::LruSegment segment) {
    Shard& shard = InTiers().ShardOf(cache->HashOf(key));
    storage::Item* const item = ItemOf(key);
    const MutexLock lock(shard.mutex);
    shard.ram.MoveTo(item, segment);
  }
  // Where demotion looks.
  void Cool(std::string_view key) { MoveTo(key, storage::LruSegment::kCold); }
  uint64_t IdentityOf(std::string_view key) {
    const uint64_t hash = cache->HashOf(key);
    Shard& shard = InTiers().ShardOf(hash);
    const MutexLock lock(shard.mutex);
    return uint64_t{shard.Number()} << 56 ^ InTiers().index.Identity(shard.Number(), hash);
  }
  // Two keys that share every slot of the flash index while their partition has its first size.
  std::pair<std::string, std::string> TwoOfOneIdentity() {
    std::unordered_map<uint64_t, std::string> seen;
    for (uint64_t i = 0;; ++i) {
      const std::string key = "twin" + std::to_string(i);
      const auto [at, fresh] = seen.emplace(IdentityOf(key), key);
      if (!fresh) return {at->second, key};
    }
  }

  Clock clock;
  MemoryBatchStore* memory = nullptr;
  FaultyBatchStore* store = nullptr;
  std::unique_ptr<TwoTierCache> cache;
  std::unique_ptr<CacheClient> client;
};

// Runs `act` the first time that the point is passed, on the passing thread, where no lock is held.
class Race {
 public:
  Race(SyncPoint point, std::function<void()> act) : point_(point) {
    SyncPoints::Attach(point, [this, act = std::move(act)] {
      if (!ran_.exchange(true)) act();
    });
  }
  ~Race() { SyncPoints::Attach(point_, nullptr); }
  Race(const Race&) = delete;
  Race& operator=(const Race&) = delete;
  bool Ran() const { return ran_.load(); }

 private:
  const SyncPoint point_;
  std::atomic<bool> ran_{false};
};

}  // namespace terraced::tiering
