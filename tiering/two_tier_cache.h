// TwoTierCache: Cache over the slab tier and RocksDB. Wires the parts, runs the commands
// (cache_*.cc) and answers for start, stop and statistics (two_tier_cache.cc). Threads,
// ownership, errors: as cache.h.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tiering/arena_adopter.h"
#include "tiering/cache.h"
#include "tiering/cache_administration.h"
#include "tiering/crawler.h"
#include "tiering/demoter.h"
#include "tiering/flash_reader.h"
#include "tiering/flash_start.h"
#include "tiering/hot_list_warmer.h"
#include "tiering/lru_maintainer.h"
#include "tiering/promotion_policy.h"
#include "tiering/reclaimer.h"
#include "tiering/shard.h"
#include "tiering/slab_mover.h"
#include "tiering/tiers.h"

namespace terraced::tiering {

class TwoTierCache final : public Cache {
 public:
  // Also the door for tests, which bring their own store and crank the threads' work by hand:
  // nothing runs in the background until StartThreads(). `flash.directory` may be null (nothing is
  // saved).
  static Result<std::unique_ptr<TwoTierCache>> Make(const CacheOptions& options, const Clock& clock,
                                                    FlashStart flash,
                                                    EventSink& events = NoEvents());
  ~TwoTierCache() override;

  uint64_t HashOf(std::string_view key) const override { return tiers_->HashOf(key); }
  void Prefetch(std::span<const Key> keys) const override;
  void PrefetchChange(const Key& key) const override;
  Outcome Get(const Key& key, Evidence* evidence, ValueSink& sink) override;
  Outcome Read(const Key& key, const ReadPlan& plan, Evidence* evidence, ValueSink& sink) override;
  Outcome Delete(const Key& key, const DeletePlan& plan, Evidence* evidence,
                 ItemMeta* item) override;
  Outcome Count(const Key& key, const CountPlan& plan, Evidence* evidence, ItemMeta* item,
                uint64_t* value) override;
  AllocateResult Allocate(const Key& key, const AllocatePlan& plan, Draft* draft) override;
  Outcome Store(const Key& key, const StorePlan& plan, Draft* draft, Evidence* evidence,
                ItemMeta* item) override;
  void DropRefused(const Key& key) override;
  void FlushAll(uint32_t at_s) override;
  void Tick() override;
  CacheStats Stats() const override;
  void ResetStats() override;
  const CacheOptions& Options() const override { return tiers_->options; }
  const LiveSettings& Live() const override { return tiers_->live; }
  Status ChangeSettings(const CacheOptions& options) override;
  FlashReader& Reader() override { return *reader_; }
  bool HasFlash() const override { return tiers_->HasFlash(); }
  Administration& Admin() override { return *administration_; }
  void DemoteAll(Executor& executor, Completion* done) override;
  Status Stop(const std::function<bool()>& hurry) override;

  Status StartThreads();
  Tiers& TiersForTest() { return *tiers_; }
  Demoter& DemoterForTest() { return *demoter_; }
  Crawler& CrawlerForTest() { return *crawler_; }
  LruMaintainer& MaintainerForTest() { return *maintainer_; }
  HotListWarmer& WarmerForTest() { return *warmer_; }
  SlabMover& MoverForTest() { return *mover_; }

 private:
  TwoTierCache(const CacheOptions& options, const Clock& clock,
               std::unique_ptr<storage::SlabArena> arena, FlashStart flash, EventSink& events);
  Status LoadFlash();
  // The files that outlive the process, as far as there are any that count.
  std::vector<storage::SharedFile*> OutlivingFiles() const;
  // What INDEX holds; else why there is nothing of it.
  std::string LoadIndex();
  // Batches that were not finished when the run before was killed; their files go with the orphans.
  void ForgetUnslotted();
  Status BeginChanges();
  void RestoreFlush();
  void ApplyDueFlush();
  void StopThreads();
  // Of the last clean stop, for the warmer. Before BeginChanges().
  void OpenHotList();
  // Null: there is none, for nobody wants it, flash is offline, or an error, which is said.
  std::unique_ptr<storage::HotListWriter> WriteHotList(uint64_t deadline_us,
                                                       const std::function<bool()>& hurry);
  // Closes the store and marks flash as whole. Its batches and the index are, also where a disk in trouble has kept the
  // drain from adding to them; whether it takes the mark it says itself.
  Status SaveFlash(storage::HotListWriter* hot_list);
  void RaiseEpoch();
  // Takes another block of CAS uniques and serials in STATE, long before one of them needs it.
  void RaiseStartCount();

  Moment Now() const {
    return {tiers_->clock.NowS(), tiers_->flush.Current(), tiers_->events.Wanted()};
  }
  storage::LruSegment SegmentFor(uint32_t exptime_s) const;

  // A RAM item made from the record that the fill found, before the mutex is taken; empty if there
  // is none or no room for it. `tried` says which record it copies. `new_cas`: what SetUnique will be told.
  Draft DraftFromFill(const Key& key, const Evidence* evidence, bool make_room,
                      const Fill::Try** tried, uint64_t new_cas = 0);
  // Everything of the record that must survive, onto the draft (I4).
  void Inherit(const storage::RecordMeta& meta, Draft* draft) const;
  void Promote(Shard& shard, const Key& key, const Moment& moment, const Shard::FlashAnswer& answer,
               Draft* draft) TERRACED_REQUIRES(shard.mutex);
  // Promote, and the warmer: the RAM item of a record that stays where it is.
  void LinkClean(Shard& shard, const Key& key, const Moment& moment,
                 const Shard::FlashAnswer& answer, storage::LruSegment segment, Draft* draft)
      TERRACED_REQUIRES(shard.mutex);
  HotListWarmer::Answer WarmOnce(const Key& key, storage::LruSegment segment, Evidence* evidence);
  bool WantsPromotion(const Evidence* evidence) const;
  ItemMeta MetaOf(const storage::Item& item) const;
  // `hit`: its slot's bit, what has been read since it was written.
  static ItemMeta MetaOf(const storage::DecodedRecord& record, bool hit);
  void DeliverRam(const storage::Item& item, const ItemMeta& meta, ValueSink& sink) const;
  // A fresh unique (0), or the one that is asked for, which the item was made for: PrefixFor said what it needs.
  void SetUnique(storage::Item* item, uint64_t new_cas) const;
  storage::ItemPrefix PrefixFor(uint32_t client_flags, uint64_t new_cas) const {
    return {client_flags, new_cas != 0 && !tiers_->allocator.Uniques().HasNumberFor(new_cas)};
  }

  // Room for a value that is derived from an old one under the mutex (append, incr), found without
  // it: the first run says what it lacks and pins the item that it works on, so that making room
  // cannot take that very item.
  struct DerivedRoom {
    Draft draft;
    storage::ItemRef own;
    storage::ItemPrefix prefix = 0;
    uint32_t value_bytes = 0;
    bool wanted = false;  // the last run lacked it
  };
  // It may need another size each time, where others change the old value meanwhile.
  static constexpr int kRoomAttempts = 64;
  // Runs `once` again, with room made, while it answers kNoMemory for want of it.
  template <typename Once>
  Outcome RunWithRoom(const Key& key, const Once& once);
  // Shard mutex held. Empty: `room` says what is needed.
  Draft TakeRoom(const Key& key, const storage::Item* own, storage::ItemPrefix prefix,
                 uint32_t value_bytes, DerivedRoom* room) const;
  // The item again, with room for a whole unique, but for unique and serial.
  Draft Widen(const Key& key, const storage::Item& item, DerivedRoom* room) const;

  // Read: what the key's RAM item or its record say, and what becomes of them.
  struct ReadJob {
    const Key& key;
    const ReadPlan& plan;
    Evidence* evidence;
    ValueSink& sink;
  };
  Outcome ReadOnce(const ReadJob& job, DerivedRoom* room);
  static void CountRead(const ReadPlan& plan, bool hit, Shard& shard)
      TERRACED_REQUIRES(shard.mutex);
  // Empty: the item need not come up, or cannot.
  Draft DraftForRead(const ReadJob& job, const Fill::Try** tried);
  void ReadRam(const ReadJob& job, const Moment& moment, storage::Item* item, Shard& shard)
      TERRACED_REQUIRES(shard.mutex);
  Outcome Vivify(const ReadJob& job, const Moment& moment, DerivedRoom* room, Shard& shard)
      TERRACED_REQUIRES(shard.mutex);
  void BringUp(const ReadJob& job, const Moment& moment, const Shard::FlashAnswer& answer, bool won,
               Shard& shard, Draft* draft) TERRACED_REQUIRES(shard.mutex);

  struct DeleteJob {
    const Key& key;
    const DeletePlan& plan;
    Evidence* evidence;
    ItemMeta* item;
    DerivedRoom* room;  // of what is kept
  };
  Outcome DeleteOnce(const DeleteJob& job);
  // `item`, or what was found on flash and is in `draft`, stays as the plan wants it.
  Outcome Keep(const DeleteJob& job, const Moment& moment, storage::Item* item,
               const Shard::FlashAnswer& answer, Draft draft, Shard& shard)
      TERRACED_REQUIRES(shard.mutex);

  // Store, by what was found of the key.
  struct StoreJob {
    const Key& key;
    const StorePlan& plan;
    Draft* draft;
    Evidence* evidence;
    ItemMeta* item;
  };
  Outcome StoreOnce(const StoreJob& job, DerivedRoom* room);
  void ReportStore(const Key& key, StoreMode mode, Outcome outcome,
                   const storage::Item& item) const;
  // `found` is empty where there is nothing of the key. What ms's I lets pass with an older unique is stale.
  Outcome JudgeStore(const StoreJob& job, const std::optional<ItemMeta>& found, Shard& shard,
                     storage::SlabClass slab_class, bool* stale) const
      TERRACED_REQUIRES(shard.mutex);
  // append, prepend: the draft that holds both values; empty if a chunk is missing or it would be
  // too large.
  Outcome Concatenate(const StoreJob& job, const storage::Item* item, const Fill::Try* found,
                      DerivedRoom* room, Draft* joined) const;

  struct CountJob {
    const Key& key;
    const CountPlan& plan;
    Evidence* evidence;
    ItemMeta* item;
    uint64_t* value;
  };
  Outcome CountOnce(const CountJob& job, DerivedRoom* room);
  Outcome CountMissing(const CountJob& job, const Moment& moment, DerivedRoom* room, Shard& shard)
      TERRACED_REQUIRES(shard.mutex);

  std::unique_ptr<Tiers> tiers_;
  std::unique_ptr<storage::FlashDirectory> directory_;  // null without flash
  const storage::FlashState start_state_;
  const std::string start_summary_;
  const FlashOrigin origin_;
  uint64_t start_count_;          // as in STATE; Tick()'s thread only
  std::string flash_start_text_;  // constant after LoadFlash()
  uint64_t started_us_ = 0;
  bool opening_cleared_ = false;  // Tick()'s thread only
  std::unique_ptr<FlashReader> reader_;
  std::unique_ptr<PromotionPolicy> promotion_;
  std::unique_ptr<HotListWarmer> warmer_;
  std::unique_ptr<Demoter> demoter_;
  std::unique_ptr<ArenaAdopter> adopter_;
  std::unique_ptr<Reclaimer> reclaimer_;
  std::unique_ptr<LruMaintainer> maintainer_;
  std::unique_ptr<Crawler> crawler_;
  std::unique_ptr<SlabMover> mover_;
  std::unique_ptr<CacheAdministration> administration_;
};

template <typename Once>
Outcome TwoTierCache::RunWithRoom(const Key& key, const Once& once) {
  DerivedRoom room;
  Outcome outcome = once(&room);
  for (int attempt = 0; outcome == Outcome::kNoMemory && attempt < kRoomAttempts; ++attempt) {
    if (!std::exchange(room.wanted, false)) break;
    storage::Position position = storage::kNoPosition;
    if (reclaimer_->NewItem(key.bytes, room.prefix, room.value_bytes, false, &position) !=
        Reclaimer::Room::kYes) {
      break;
    }
    room.draft = Draft(tiers_->allocator, position);
    outcome = once(&room);
  }
  return outcome;
}

}  // namespace terraced::tiering
