#include "tiering/two_tier_cache.h"

#include <algorithm>
#include <bit>

#include "storage/base/log.h"

namespace terraced::tiering {

using storage::FlashDirectory;
using storage::FlashState;
using storage::kCasCounterBits;
using storage::kSerialCounterBits;

namespace {

// The least the quota must hold for batches to come and go.
constexpr uint64_t kBatchesLeast = 8;

Status CheckQuota(const CacheOptions& options) {
  const uint64_t least = kBatchesLeast * Demoter::BatchBytes(options);
  if (options.flash_size_bytes < least) {
    return Status(StatusCode::kInvalidArgument,
                  "flash_size is " + std::to_string(options.flash_size_bytes >> 20) +
                      " MB: with this -m it has to be at least " +
                      std::to_string((least + (1U << 20) - 1) >> 20) + " MB");
  }
  return {};
}

// Opens directory and store; a tier that cannot be trusted is emptied, with the reason in the
// summary.
Result<FlashStart> OpenFlash(const CacheOptions& options) {
  FlashStart start;
  TERRACED_ASSIGN_OR_RETURN(start.directory, FlashDirectory::Open(options.flash_path));
  TERRACED_RETURN_IF_ERROR(CheckQuota(options));
  start.state = start.directory->State();
  std::string why_not;
  start.warm = start.directory->WasClean(&why_not);
  TERRACED_ASSIGN_OR_RETURN(const bool moved_aside, start.directory->MarkOpening());
  if (moved_aside) {
    start.warm = false;
    why_not = "two starts in a row did not survive opening it; it was moved to 'aside'";
  }
  if (!start.warm) {
    TERRACED_RETURN_IF_ERROR(start.directory->EmptyTier());
    start.summary = why_not;
  }
  storage::BatchStoreOptions store;
  store.directory = options.flash_path;
  store.block_cache_bytes = options.flash_block_cache_bytes;
  store.open_files_max = options.flash_open_files_max;
  store.direct_reads = options.flash_direct_reads;
  Result<std::unique_ptr<storage::BatchStore>> opened = storage::OpenBatchStore(store);
  if (!opened.ok() && start.warm) {
    start.warm = false;
    start.summary = std::string(opened.status().message());
    TERRACED_RETURN_IF_ERROR(start.directory->EmptyTier());
    opened = storage::OpenBatchStore(store);
  }
  if (!opened.ok()) return opened.status();
  start.store = std::move(opened).value();
  return start;
}

}  // namespace

Result<std::unique_ptr<Cache>> Cache::Create(const CacheOptions& options, const Clock& clock) {
  FlashStart start;
  if (options.flash_path.empty()) {
    start.store = storage::MakeNullBatchStore();
    start.state.hash_key = HashKey::Random();
  } else {
    TERRACED_ASSIGN_OR_RETURN(start, OpenFlash(options));
  }
  TERRACED_ASSIGN_OR_RETURN(std::unique_ptr<TwoTierCache> cache,
                            TwoTierCache::Make(options, clock, std::move(start)));
  cache->StartThreads();
  return std::unique_ptr<Cache>(std::move(cache));
}

Result<std::unique_ptr<TwoTierCache>> TwoTierCache::Make(const CacheOptions& options,
                                                         const Clock& clock, FlashStart flash) {
  TERRACED_ASSIGN_OR_RETURN(std::unique_ptr<storage::SlabArena> arena,
                            storage::SlabArena::Create(options.slabs));
  std::unique_ptr<TwoTierCache> cache(
      new TwoTierCache(options, clock, std::move(arena), std::move(flash)));
  TERRACED_RETURN_IF_ERROR(cache->LoadFlash());
  return cache;
}

TwoTierCache::TwoTierCache(const CacheOptions& options, const Clock& clock,
                           std::unique_ptr<storage::SlabArena> arena, FlashStart flash)
    : tiers_(std::make_unique<Tiers>(options, clock, std::move(arena), std::move(flash.store),
                                     flash.state.hash_key)),
      directory_(std::move(flash.directory)),
      start_state_(flash.state),
      start_summary_(flash.summary),
      warm_(flash.warm),
      start_count_(flash.state.start_count) {
  const uint64_t count = start_state_.start_count;
  tiers_->cas_next.store(std::max<uint64_t>((count << kCasCounterBits) + 1, start_state_.cas_next));
  tiers_->flush.Restore(std::max<uint64_t>(start_state_.epoch, 1));
  tiers_->flush.SetDue(start_state_.flush_due_s);
  reader_ = std::make_unique<FlashReader>(*tiers_->store,
                                          tiers_->HasFlash() ? options.flash_read_threads : 0,
                                          options.flash_read_bytes_max);
  promotion_ = std::make_unique<PromotionPolicy>(tiers_->live);
  demoter_ = std::make_unique<Demoter>(*tiers_, (count << kSerialCounterBits) + 1);
  reclaimer_ = std::make_unique<Reclaimer>(*tiers_, *demoter_);
  maintainer_ = std::make_unique<LruMaintainer>(*tiers_);
  crawler_ = std::make_unique<Crawler>(*tiers_);
  mover_ = std::make_unique<SlabMover>(*tiers_, *demoter_);
}

TwoTierCache::~TwoTierCache() {
  StopThreads();
}

Status TwoTierCache::LoadFlash() {
  if (!tiers_->HasFlash()) return {};
  tiers_->flash_online.store(true, std::memory_order_relaxed);
  if (directory_ == nullptr) return {};
  std::string cold_because = start_summary_;
  if (warm_) {
    const Status loaded = directory_->LoadIndex(&tiers_->batches, &tiers_->index);
    if (!loaded.ok()) {
      // Rule 9: an index that fails its check empties the tier; the files alone do not know what
      // was deleted.
      cold_because = std::string(loaded.message());
      for (uint32_t i = 0; i < storage::kPartitions; ++i) {
        MutexLock lock(tiers_->shards[i]->mutex);
        tiers_->index.Clear(i);
      }
      for (const storage::BatchNumber number : tiers_->batches.Living()) {
        tiers_->batches.Kill(number);
        tiers_->batches.Free(number);
      }
      const Status emptied = tiers_->store->Retain([](uint64_t) { return false; });
      if (!emptied.ok()) {
        // The index is empty, so no record of theirs is ever met. The demoter tries again.
        Log::Write(LogLevel::kNotice, "flash tier: %s", std::string(emptied.message()).c_str());
        demoter_->NoteFilesLeft();
      }
    }
  }
  TERRACED_RETURN_IF_ERROR(directory_->RemoveCleanMark());
  if (!warm_ && directory_->IsNew()) {
    Log::Write(LogLevel::kNotice, "flash tier %s is new", directory_->Path().c_str());
    cold_because.clear();
  } else if (!cold_because.empty()) {
    Log::Write(LogLevel::kNotice, "flash tier %s emptied: %s", directory_->Path().c_str(),
               cold_because.c_str());
  } else if (warm_) {
    Log::Write(LogLevel::kVerbose, "flash tier %s is warm: %zu batches", directory_->Path().c_str(),
               tiers_->batches.Living().size());
  }
  flash_start_text_ = cold_because.empty() ? (warm_ ? "warm" : "new") : "emptied: " + cold_because;
  if (tiers_->flush.TakeDue(tiers_->clock.NowS())) static_cast<void>(tiers_->flush.Raise());
  return {};
}

void TwoTierCache::StartThreads() {
  started_us_ = MonotonicUs();
  demoter_->Start();
  maintainer_->Start();
  crawler_->Start();
  mover_->Start();
}

void TwoTierCache::StopThreads() {
  mover_->Join();
  crawler_->Join();
  maintainer_->Join();
  demoter_->Join();
}

void TwoTierCache::Tick() {
  if (tiers_->flush.TakeDue(tiers_->clock.NowS())) RaiseEpoch();
  RaiseStartCount();
  if (directory_ == nullptr) return;
  constexpr uint64_t kCleanMinuteUs = 60'000'000;
  if (!opening_cleared_ && MonotonicUs() - started_us_ >= kCleanMinuteUs) {
    directory_->ClearOpening();
    opening_cleared_ = true;
  }
}

void TwoTierCache::RaiseStartCount() {
  const uint64_t covering =
      std::max(storage::StartCountCovering(tiers_->cas_next.load(std::memory_order_relaxed),
                                           kCasCounterBits),
               storage::StartCountCovering(demoter_->NextSerial(), kSerialCounterBits));
  if (covering <= start_count_) return;
  if (directory_ != nullptr) {
    FlashState state = directory_->State();
    state.start_count = covering;
    const Status status = directory_->WriteState(state);
    if (!status.ok()) {
      Log::Write(LogLevel::kNotice, "%s", std::string(status.message()).c_str());
      return;
    }
  }
  start_count_ = covering;
  demoter_->AllowSerialsBelow((covering + 1) << kSerialCounterBits);
}

Status TwoTierCache::ChangeSettings(const CacheOptions& options) {
  if (tiers_->HasFlash()) TERRACED_RETURN_IF_ERROR(reader_->Resize(options.flash_read_threads));
  tiers_->live.Take(options);
  demoter_->NoteSettings();
  return {};
}

void TwoTierCache::DemoteAll(Executor& executor, Completion* done) {
  demoter_->DemoteAll(executor, done);
}

Status TwoTierCache::Stop(const std::function<bool()>& hurry) {
  StopThreads();
  if (!tiers_->HasFlash()) return {};
  const uint64_t deadline_us = MonotonicUs() + uint64_t{tiers_->options.stop_timeout_s} * 1'000'000;
  const uint64_t left = demoter_->Drain(deadline_us, hurry);
  if (left > 0) {
    Log::Write(LogLevel::kNotice, "clean stop: %llu items in RAM did not reach flash",
               static_cast<unsigned long long>(left));
  }
  if (hurry()) return Status(StatusCode::kUnavailable, "stopped at once: flash will start empty");
  const bool whole = tiers_->FlashOnline();
  TERRACED_RETURN_IF_ERROR(tiers_->store->Close());
  if (!whole) return Status(StatusCode::kIoError, "the flash tier is offline: it will start empty");
  if (directory_ == nullptr) return {};
  FlashState state = directory_->State();
  state.epoch = tiers_->flush.Current();
  state.flush_due_s = tiers_->flush.Due();
  state.cas_next = tiers_->cas_next.load(std::memory_order_relaxed);
  return directory_->SaveClean(state, tiers_->batches, tiers_->index);
}

}  // namespace terraced::tiering
