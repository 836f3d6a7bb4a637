#include "tiering/two_tier_cache.h"

#include <algorithm>
#include <bit>

#include "storage/base/kill_point.h"
#include "storage/base/log.h"

namespace terraced::tiering {

using storage::FlashDirectory;
using storage::FlashState;
using storage::kCasCounterBits;
using storage::kSerialCounterBits;

namespace {

// The hot list may take so much of stop_timeout.
constexpr uint64_t kHotListShare = 4;
// In RAM, index included.
constexpr uint64_t kItemBytesLeast = 64;

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

void SayNoHotList(const Status& why) {
  Log::Write(LogLevel::kNotice, "hot list: %s; after the next start RAM begins empty",
             std::string(why.message()).c_str());
}

void SayColdAfterCrash(const Status& why) {
  Log::Write(LogLevel::kNotice, "flash_index_dir: %s; after a crash flash will start empty",
             std::string(why.message()).c_str());
}

// The file for the index that outlives this process; null: there is none, said in one line where it was wanted.
std::unique_ptr<storage::SharedIndex> OpenSharedIndex(const CacheOptions& options,
                                                      const FlashState& state) {
  if (options.flash_index_dir.empty() || options.flash_index_dir == kNoIndexDirectory)
    return nullptr;
  // Four times what an index of the smallest items takes; address space, not memory.
  const uint64_t bytes_max = options.flash_size_bytes / 4 + (uint64_t{64} << 20);
  Result<std::unique_ptr<storage::SharedIndex>> opened =
      storage::SharedIndex::Open({.directory = options.flash_index_dir,
                                  .directory_id = state.directory_id,
                                  .bytes_max = bytes_max});
  if (opened.ok()) return std::move(opened).value();
  SayColdAfterCrash(opened.status());
  return nullptr;
}

// What there is to go on with, or why there is nothing.
FlashOrigin FindOrigin(const CacheOptions& options, const FlashDirectory& directory,
                       storage::SharedIndex* shared, std::string* why_not) {
  const storage::TimeStamp now = storage::TimeStamp::Now();
  if (directory.WasClean(why_not)) {
    const uint32_t stopped_s = directory.State().stopped_s;
    const uint32_t down_s = now.wall_s - std::min(stopped_s, now.wall_s);
    const Status trusted =
        storage::CheckDowntime(stopped_s, down_s, now.wall_s, options.max_downtime_s);
    if (trusted.ok()) return FlashOrigin::kClean;
    *why_not = trusted.message();
    return FlashOrigin::kEmpty;
  }
  if (directory.LastRun() == 0) return FlashOrigin::kEmpty;
  if (shared == nullptr) {
    *why_not = "unclean stop, and there is no shared index";
    return FlashOrigin::kEmpty;
  }
  const Status left = shared->CheckLeft(directory.LastRun(), now, options.max_downtime_s);
  if (left.ok()) return FlashOrigin::kKilled;
  *why_not = "unclean stop, and " + std::string(left.message());
  return FlashOrigin::kEmpty;
}

Status OpenStore(const CacheOptions& options, FlashStart* start) {
  storage::BatchStoreOptions store;
  store.directory = options.flash_path;
  store.block_cache_bytes = options.flash_block_cache_bytes;
  store.open_files_max = options.flash_open_files_max;
  store.direct_reads = options.flash_direct_reads;
  store.check_directory = [directory = start->directory.get()] { return directory->Restore(); };
  Result<std::unique_ptr<storage::BatchStore>> opened = storage::OpenBatchStore(store);
  // What the system refuses for now says nothing about the files.
  const bool refused = !opened.ok() && opened.status().code() == StatusCode::kUnavailable;
  if (!opened.ok() && !refused && start->origin != FlashOrigin::kEmpty) {
    start->origin = FlashOrigin::kEmpty;
    start->summary = std::string(opened.status().message());
    TERRACED_RETURN_IF_ERROR(start->directory->EmptyTier());
    opened = storage::OpenBatchStore(store);
  }
  if (!opened.ok()) return opened.status();
  start->store = std::move(opened).value();
  KillPoints::Pass(KillPoint::kStartStoreOpen);
  TERRACED_RETURN_IF_ERROR(start->directory->MarkOpened());
  KillPoints::Pass(KillPoint::kStartOpened);
  return Status();
}

// Opens directory and store; a tier that cannot be trusted is emptied, with the reason in the
// summary.
Result<FlashStart> OpenFlash(const CacheOptions& options) {
  FlashStart start;
  TERRACED_ASSIGN_OR_RETURN(start.directory, FlashDirectory::Open(options.flash_path));
  KillPoints::Pass(KillPoint::kStartStateRenewed);
  TERRACED_RETURN_IF_ERROR(CheckQuota(options));
  start.state = start.directory->State();
  start.last_run = start.directory->LastRun();
  start.shared_index = OpenSharedIndex(options, start.state);
  start.origin = FindOrigin(options, *start.directory, start.shared_index.get(), &start.summary);
  TERRACED_ASSIGN_OR_RETURN(const bool moved_aside, start.directory->MarkOpening());
  KillPoints::Pass(KillPoint::kStartOpening);
  if (moved_aside) {
    start.origin = FlashOrigin::kEmpty;
    start.summary = "two starts in a row did not survive opening it; it was moved to 'aside'";
  }
  if (start.origin == FlashOrigin::kEmpty) {
    TERRACED_RETURN_IF_ERROR(start.directory->EmptyTier());
    KillPoints::Pass(KillPoint::kStartEmptied);
  }
  TERRACED_RETURN_IF_ERROR(OpenStore(options, &start));
  if (start.shared_index != nullptr && start.origin != FlashOrigin::kKilled) {
    const Status cleared = start.shared_index->Clear();
    if (!cleared.ok()) {
      SayColdAfterCrash(cleared);
      start.shared_index->File().Remove();
      start.shared_index = nullptr;
    }
    KillPoints::Pass(KillPoint::kStartIndexCleared);
  }
  return start;
}

// The file of -e, cleared unless what it holds can be gone on with. Null, and said: there is no room for it.
Status OpenArenaFile(const CacheOptions& options, FlashStart* start) {
  const bool has_flash = start->directory != nullptr;
  Result<std::unique_ptr<storage::ArenaFile>> opened =
      storage::ArenaFile::Open(options.memory_file, has_flash ? start->state.directory_id : 0,
                               storage::SlabArena::FileBytesMax(options.slabs));
  if (!opened.ok()) return opened.status().WithContext("-e " + options.memory_file);
  start->arena_file = std::move(opened).value();
  storage::ArenaFile& file = *start->arena_file;
  const storage::TimeStamp now = storage::TimeStamp::Now();
  Status left = has_flash && start->last_run == 0
                    ? Status(StatusCode::kCorruption, "the flash directory knows of no run before")
                    : file.CheckLeft(start->last_run, has_flash ? &start->state.hash_key : nullptr,
                                     now, options.max_downtime_s);
  if (left.ok()) left = storage::SlabArena::CheckFile(options.slabs, file);
  if (left.code() == StatusCode::kInvalidArgument)
    return left;  // not for want of trust in the file
  if (left.ok() && !storage::CasRuns::HasRoom(file.CasTable(), file.AllAdopted()))
    left = Status(StatusCode::kCorruption, "it has items of too many runs");
  if (left.ok() && !storage::HashIndex::RootsAgree(file))
    left = Status(StatusCode::kCorruption, "it contradicts itself");
  if (left.ok()) {
    start->state.hash_key = file.Key();
    if (!has_flash) start->state.start_count = file.StartCount() + 1;
    return {};
  }
  Log::Write(LogLevel::kNotice, "-e %s: starts empty: %s", options.memory_file.c_str(),
             std::string(left.message()).c_str());
  const Status cleared = file.Clear(start->state.hash_key);
  if (!cleared.ok()) {
    Log::Write(LogLevel::kNotice, "-e: %s; items are in private memory, a restart will find none",
               std::string(cleared.message()).c_str());
    start->arena_file = nullptr;
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Cache>> Cache::Create(const CacheOptions& options, const Clock& clock,
                                             EventSink& events) {
  FlashStart start;
  if (options.flash_path.empty()) {
    start.store = storage::MakeNullBatchStore();
    start.state.hash_key = HashKey::Random();
  } else {
    TERRACED_ASSIGN_OR_RETURN(start, OpenFlash(options));
  }
  if (!options.memory_file.empty()) TERRACED_RETURN_IF_ERROR(OpenArenaFile(options, &start));
  TERRACED_ASSIGN_OR_RETURN(std::unique_ptr<TwoTierCache> cache,
                            TwoTierCache::Make(options, clock, std::move(start), events));
  const Status started = cache->StartThreads();
  if (started.ok()) return std::unique_ptr<Cache>(std::move(cache));
  // What the last clean stop left counts no more, so this one leaves the same.
  const Status stopped = cache->Stop([] { return false; });
  if (!stopped.ok()) Log::Write(LogLevel::kNotice, "%s", std::string(stopped.message()).c_str());
  return started;
}

Result<std::unique_ptr<TwoTierCache>> TwoTierCache::Make(const CacheOptions& options,
                                                         const Clock& clock, FlashStart flash,
                                                         EventSink& events) {
  TERRACED_ASSIGN_OR_RETURN(std::unique_ptr<storage::SlabArena> arena,
                            storage::SlabArena::Create(options.slabs, std::move(flash.arena_file)));
  std::unique_ptr<TwoTierCache> cache(
      new TwoTierCache(options, clock, std::move(arena), std::move(flash), events));
  if (cache->tiers_->HasFlash()) {
    TERRACED_RETURN_IF_ERROR(cache->reader_->Resize(options.flash_read_threads));
  }
  TERRACED_RETURN_IF_ERROR(cache->LoadFlash());
  return cache;
}

TwoTierCache::TwoTierCache(const CacheOptions& options, const Clock& clock,
                           std::unique_ptr<storage::SlabArena> arena, FlashStart flash,
                           EventSink& events)
    : tiers_(std::make_unique<Tiers>(options, clock, std::move(arena), std::move(flash.store),
                                     std::move(flash.shared_index), flash.state.hash_key, events)),
      directory_(std::move(flash.directory)),
      start_state_(flash.state),
      start_summary_(flash.summary),
      origin_(flash.origin),
      start_count_(flash.state.start_count) {
  const uint64_t count = start_state_.start_count;
  tiers_->cas_next.store(std::max<uint64_t>((count << kCasCounterBits) + 1, start_state_.cas_next));
  RestoreFlush();
  reader_ = std::make_unique<FlashReader>(*tiers_->store, options.flash_read_bytes_max);
  promotion_ = std::make_unique<PromotionPolicy>(tiers_->live);
  warmer_ = std::make_unique<HotListWarmer>(
      *tiers_, *reader_, [this](const Key& key, storage::LruSegment segment, Evidence* evidence) {
        return WarmOnce(key, segment, evidence);
      });
  demoter_ = std::make_unique<Demoter>(*tiers_, (count << kSerialCounterBits) + 1);
  adopter_ = std::make_unique<ArenaAdopter>(*tiers_);
  reclaimer_ = std::make_unique<Reclaimer>(*tiers_, *demoter_, adopter_.get());
  maintainer_ = std::make_unique<LruMaintainer>(*tiers_);
  crawler_ = std::make_unique<Crawler>(*tiers_);
  mover_ = std::make_unique<SlabMover>(*tiers_, *demoter_);
  administration_ = std::make_unique<CacheAdministration>(*tiers_, *crawler_, *mover_);
}

TwoTierCache::~TwoTierCache() {
  StopThreads();
}

void TwoTierCache::RestoreFlush() {
  uint64_t epoch = std::max<uint64_t>(start_state_.epoch, 1);
  uint32_t due_s = start_state_.flush_due_s;
  std::vector<storage::FlushMark*> marks;
  storage::ArenaFile* const arena = tiers_->arena->File();
  const bool arena_left = arena != nullptr && arena->IsLeft();
  const auto take = [&](storage::FlushMark& mark, bool left) {
    marks.push_back(&mark);
    if (!left) return;
    epoch = std::max<uint64_t>(epoch, mark.epoch.load(std::memory_order_acquire));
    due_s = mark.due_s.load(std::memory_order_relaxed);
  };
  if (arena != nullptr) take(arena->File().Header().flush, arena_left);
  if (tiers_->shared_index != nullptr) {
    take(tiers_->shared_index->Flush(), origin_ == FlashOrigin::kKilled);
  }
  tiers_->flush.Restore(epoch, arena_left);
  tiers_->flush.SetDue(due_s);
  for (storage::FlushMark* const mark : marks) tiers_->flush.WriteDownIn(mark);
}

std::vector<storage::SharedFile*> TwoTierCache::OutlivingFiles() const {
  std::vector<storage::SharedFile*> files;
  if (tiers_->arena->File() != nullptr) files.push_back(&tiers_->arena->File()->File());
  if (tiers_->shared_index != nullptr) files.push_back(&tiers_->shared_index->File());
  std::erase_if(files, [](const storage::SharedFile* file) { return file->GivenUp(); });
  return files;
}

std::string TwoTierCache::LoadIndex() {
  const Status loaded = directory_->LoadIndex(&tiers_->batches, &tiers_->index);
  if (loaded.ok()) return "";
  // Rule 9: an index that fails its check empties the tier; the files alone do not know what
  // was deleted.
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
  return std::string(loaded.message());
}

void TwoTierCache::ForgetUnslotted() {
  for (const storage::BatchNumber number : tiers_->batches.Living()) {
    if (tiers_->batches.Live(number) != 0) continue;
    tiers_->batches.Kill(number);
    tiers_->batches.Free(number);
  }
}

Status TwoTierCache::BeginChanges() {
  const std::vector<storage::SharedFile*> files = OutlivingFiles();
  const uint64_t run_id = directory_ != nullptr ? start_state_.run_id : RandomU64() | 1;
  for (storage::SharedFile* const file : files) file->BeginRun(run_id);
  KillPoints::Pass(KillPoint::kStartRunBegun);
  if (directory_ != nullptr) TERRACED_RETURN_IF_ERROR(directory_->BeginChanges());
  for (storage::SharedFile* const file : files) file->ConfirmRun();
  KillPoints::Pass(KillPoint::kStartRunConfirmed);
  if (tiers_->arena->File() != nullptr) {
    tiers_->arena->File()->SetStartCount(start_count_);
    tiers_->allocator.Uniques().TakeOver(tiers_->arena->BeginGeneration(),
                                         tiers_->cas_next.load(std::memory_order_relaxed));
  }
  return {};
}

Status TwoTierCache::LoadFlash() {
  if (!tiers_->HasFlash()) {
    TERRACED_RETURN_IF_ERROR(BeginChanges());
    ApplyDueFlush();
    return {};
  }
  tiers_->flash_online.store(true, std::memory_order_relaxed);
  if (directory_ == nullptr) return {};
  std::string cold_because = start_summary_;
  if (origin_ == FlashOrigin::kClean) {
    cold_because = LoadIndex();
    KillPoints::Pass(KillPoint::kStartIndexLoaded);
  }
  if (origin_ == FlashOrigin::kKilled) {
    cold_because.clear();
    ForgetUnslotted();
  }
  if (origin_ == FlashOrigin::kClean && cold_because.empty()) OpenHotList();
  TERRACED_RETURN_IF_ERROR(BeginChanges());
  const char* const path = directory_->Path().c_str();
  if (origin_ == FlashOrigin::kEmpty && directory_->IsNew()) {
    Log::Write(LogLevel::kNotice, "flash tier %s is new", path);
    flash_start_text_ = "new";
  } else if (!cold_because.empty()) {
    Log::Write(LogLevel::kNotice, "flash tier %s emptied: %s", path, cold_because.c_str());
    flash_start_text_ = "emptied: " + cold_because;
  } else {
    const bool killed = origin_ == FlashOrigin::kKilled;
    Log::Write(killed ? LogLevel::kNotice : LogLevel::kVerbose,
               "flash tier %s is warm%s: %zu batches", path, killed ? " after an unclean stop" : "",
               tiers_->batches.Living().size());
    flash_start_text_ = killed ? "warm after an unclean stop" : "warm";
  }
  ApplyDueFlush();
  return {};
}

void TwoTierCache::OpenHotList() {
  Result<std::unique_ptr<storage::HotListReader>> list = directory_->OpenHotList();
  if (list.ok()) return warmer_->Begin(std::move(list).value());
  if (list.status().code() == StatusCode::kNotFound) return;
  Log::Write(LogLevel::kNotice, "hot list: %s; RAM begins empty",
             std::string(list.status().message()).c_str());
}

std::unique_ptr<storage::HotListWriter> TwoTierCache::WriteHotList(
    uint64_t deadline_us, const std::function<bool()>& hurry) {
  if (directory_ == nullptr || !tiers_->FlashOnline()) return nullptr;
  if (tiers_->live.flash_warm_rate_bytes.Get() == 0) return nullptr;
  Result<std::unique_ptr<storage::HotListWriter>> created = directory_->CreateHotList();
  Status status = created.status();
  std::unique_ptr<storage::HotListWriter> list;
  if (status.ok()) {
    list = std::move(created).value();
    const auto stop = [&] { return hurry() || MonotonicUs() >= deadline_us; };
    status = tiering::WriteHotList(*tiers_, stop, list.get());
    // More than RAM can hold is of no use.
    const uint64_t keys_max = tiers_->arena->LimitBytes() / kItemBytesLeast;
    if (status.ok()) status = warmer_->AppendRest(keys_max, stop, list.get());
  }
  if (status.ok()) return list;
  SayNoHotList(status);
  return nullptr;
}

void TwoTierCache::ApplyDueFlush() {
  if (!tiers_->flush.TakeDue(tiers_->clock.NowS())) return;
  KillPoints::Pass(KillPoint::kFlushDueTaken);
  RaiseEpoch();
  tiers_->flush.TookDue();
}

Status TwoTierCache::StartThreads() {
  started_us_ = MonotonicUs();
  TERRACED_RETURN_IF_ERROR(adopter_->Start());
  TERRACED_RETURN_IF_ERROR(warmer_->Start());
  TERRACED_RETURN_IF_ERROR(demoter_->Start());
  TERRACED_RETURN_IF_ERROR(maintainer_->Start());
  TERRACED_RETURN_IF_ERROR(crawler_->Start());
  TERRACED_RETURN_IF_ERROR(mover_->Start());
  return administration_->Start();
}

void TwoTierCache::StopThreads() {
  adopter_->Join();
  warmer_->Join();
  administration_->Join();
  mover_->Join();
  crawler_->Join();
  maintainer_->Join();
  demoter_->Join();
}

void TwoTierCache::Tick() {
  ApplyDueFlush();
  RaiseStartCount();
  for (storage::SharedFile* const file : OutlivingFiles()) file->Beat(storage::TimeStamp::Now());
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
  if (tiers_->arena->File() != nullptr) tiers_->arena->File()->SetStartCount(covering);
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
  // What was not looked at since the last start is in no list yet.
  while (!hurry() && MonotonicUs() < deadline_us && adopter_->Step()) {
  }
  if (!hurry()) demoter_->TryAtOnce();
  // What the drain leaves of RAM is in no order any more. A list that is cut short is the hotter part of it.
  const uint64_t list_until_us =
      MonotonicUs() + uint64_t{tiers_->options.stop_timeout_s} * 1'000'000 / kHotListShare;
  const std::unique_ptr<storage::HotListWriter> hot_list = WriteHotList(list_until_us, hurry);
  KillPoints::Pass(KillPoint::kStopHotListed);
  const uint64_t left = demoter_->Drain(deadline_us, hurry);
  KillPoints::Pass(KillPoint::kStopDrained);
  if (left > 0) {
    Log::Write(LogLevel::kNotice, "clean stop: %llu items in RAM did not reach flash",
               static_cast<unsigned long long>(left));
  }
  // Without INDEX the next start is one after a kill.
  const bool shared = tiers_->shared_index != nullptr && !tiers_->shared_index->File().GivenUp();
  const std::string next = shared ? "flash will start as after a kill" : "flash will start empty";
  if (hurry()) return Status(StatusCode::kUnavailable, "stopped at once: " + next);
  Status saved = SaveFlash(hot_list.get());
  if (saved.ok() || tiers_->FlashOnline()) return saved;
  return Status(saved.code(),
                "the flash tier is offline: " + std::string(saved.message()) + ": " + next);
}

Status TwoTierCache::SaveFlash(storage::HotListWriter* hot_list) {
  TERRACED_RETURN_IF_ERROR(tiers_->store->Close());
  KillPoints::Pass(KillPoint::kStopClosed);
  if (directory_ == nullptr) return {};
  if (hot_list != nullptr) {
    const Status finished = directory_->FinishHotList(hot_list);
    if (!finished.ok()) SayNoHotList(finished);
  }
  FlashState state = directory_->State();
  state.epoch = tiers_->flush.Current();
  state.flush_due_s = tiers_->flush.Due();
  state.cas_next = tiers_->cas_next.load(std::memory_order_relaxed);
  state.stopped_s = storage::TimeStamp::Now().wall_s;
  TERRACED_RETURN_IF_ERROR(directory_->SaveClean(state, tiers_->batches, tiers_->index));
  if (tiers_->shared_index != nullptr) tiers_->shared_index->File().Remove();
  KillPoints::Pass(KillPoint::kStopRemoved);
  return {};
}

}  // namespace terraced::tiering
