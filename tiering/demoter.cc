#include "tiering/demoter.h"

#include <algorithm>
#include <bitset>

#include "storage/base/clock.h"
#include "storage/base/kill_point.h"
#include "storage/base/log.h"
#include "storage/base/start_thread.h"
#include "storage/flash/flash_directory.h"

namespace terraced::tiering {

using storage::LruSegment;
using storage::SlabClass;

namespace {

constexpr uint64_t kRecordsAtOnceMin = 16U << 10;
constexpr uint32_t kItemsPerHold = 32;
// With less than the first share of its reserve left, who stores is slowed down, which leaves more of the core to the
// demoter. With less than the second, or after so long a time, that was not enough, and it comes forward.
constexpr uint64_t kBehindShare = 4;
constexpr uint64_t kFarBehindShare = 8;
constexpr uint64_t kBehindForUs = 100'000;
constexpr uint32_t kFailuresUntilOffline = 3;
constexpr char kFilesLeft[] = "dropped batches cannot be removed";
constexpr std::chrono::milliseconds kIdleWait{50};

}  // namespace

Demoter::Demoter(Tiers& tiers, uint64_t first_serial)
    : tiers_(tiers),
      batch_bytes_(BatchBytes(tiers.options)),
      admission_(tiers.live),
      keeper_(tiers, batch_bytes_),
      item_bytes_allowed_(tiers.HasFlash() ? keeper_.ItemBytesMax() : 0),
      grower_(tiers, keeper_),
      next_serial_(first_serial),
      serial_end_(((first_serial >> storage::kSerialCounterBits) + 1)
                  << storage::kSerialCounterBits) {
  for (const auto& shard : tiers.shards) {
    MutexLock lock(shard->mutex);
    shard->slotted_serial = first_serial - 1;
  }
}

uint64_t Demoter::ItemBytesMax() const {
  const uint64_t wanted = tiers_.live.flash_item_max_bytes.Get();
  return std::min(wanted != 0 ? wanted : batch_bytes_ / 2, item_bytes_allowed_);
}

void Demoter::NoteSettings() {
  settings_changed_.store(true, std::memory_order_release);
  Wake();
}

void Demoter::TakeSettings() {
  if (!settings_changed_.exchange(false, std::memory_order_acquire)) return;
  outlook_.LookAgain();
  if (tiers_.live.flash_item_max_bytes.Get() <= item_bytes_allowed_) return;
  Log::Write(LogLevel::kNotice,
             "flash_size has room for items of up to %llu bytes: larger ones stay in RAM",
             static_cast<unsigned long long>(item_bytes_allowed_));
}

Demoter::~Demoter() {
  Join();
}

Status Demoter::Start() {
  if (!tiers_.HasFlash()) return {};
  TERRACED_ASSIGN_OR_RETURN(thread_, StartThread("demoter", [this] { Run(); }));
  return {};
}

void Demoter::Join() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    if (thread_.joinable()) priority_.Hurry();
    wake_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
  AnswerRequests();
}

void Demoter::Wake() {
  if (wanted_.load(std::memory_order_relaxed)) return;
  MutexLock lock(mutex_);
  wanted_.store(true, std::memory_order_relaxed);
  wake_.NotifyOne();
}

void Demoter::DemoteAll(Executor& executor, Completion* done) {
  if (!tiers_.HasFlash()) {
    executor.Post(done);
    return;
  }
  {
    MutexLock lock(mutex_);
    requests_.push_back({&executor, done});
  }
  WakeUrgently();
}

uint64_t Demoter::ReserveChunks(SlabClass slab_class) const {
  const uint64_t total = tiers_.arena->TotalChunks(slab_class);
  if (total == 0) return 0;
  const uint64_t wanted = batch_bytes_ / tiers_.arena->ChunkBytes(slab_class);
  return std::clamp<uint64_t>(wanted, 1, std::max<uint64_t>(total / 8, 1));
}

bool Demoter::NoteAllocation(SlabClass slab_class) {
  const uint64_t free = tiers_.arena->FreeChunks(slab_class);
  const uint64_t reserve = ReserveChunks(slab_class);
  if (free >= reserve) return false;
  const bool behind = IsBehind(slab_class);
  if (behind && (kFarBehindShare * free < reserve || IsBehindForLong())) priority_.Hurry();
  Wake();
  return behind;
}

bool Demoter::IsBehindForLong() {
  const uint64_t now_us = MonotonicUs();
  uint64_t since_us = 0;
  if (behind_since_us_.compare_exchange_strong(since_us, now_us, std::memory_order_relaxed)) {
    return false;
  }
  return now_us - std::min(now_us, since_us) > kBehindForUs;
}

bool Demoter::IsBehind(SlabClass slab_class) const {
  return kBehindShare * tiers_.arena->FreeChunks(slab_class) < ReserveChunks(slab_class) &&
         BatchMayCome(slab_class);
}

bool Demoter::IsPressed(SlabClass slab_class) const {
  return tiers_.arena->FreeChunks(slab_class) < ReserveChunks(slab_class) &&
         outlook_.WorthALook(slab_class);
}

bool Demoter::HasRoomToSpare(SlabClass slab_class) const {
  return 2 * tiers_.arena->FreeChunks(slab_class) >= 3 * ReserveChunks(slab_class);
}

bool Demoter::IsSoonPressed(SlabClass slab_class) const {
  return !HasRoomToSpare(slab_class) && outlook_.WorthALook(slab_class);
}

bool Demoter::Any(bool (Demoter::*is)(SlabClass) const) const {
  for (SlabClass slab_class = 1; slab_class <= tiers_.arena->LargestClass(); ++slab_class) {
    if ((this->*is)(slab_class)) return true;
  }
  return false;
}

void Demoter::Run() {
  priority_.Begin(YieldingThread::WhereStuck::kForward);
  while (WaitForWork()) Step();
}

bool Demoter::IsAwaited() const {
  MutexLock lock(mutex_);
  return stopping_ || !requests_.empty();
}

void Demoter::StandBackUnlessNeeded() {
  if (!Any(&Demoter::IsBehind)) {
    behind_since_us_.store(0, std::memory_order_relaxed);
    // Without the mutex, for who calms down may lose the core at once.
    if (!IsAwaited()) priority_.CalmDown();
  }
  // Who stores hurries it again while there is reason to; these do so once.
  if (IsAwaited()) priority_.Hurry();
}

bool Demoter::WaitForWork() {
  StandBackUnlessNeeded();
  MutexLock lock(mutex_);
  if (!stopping_ && !wanted_.load(std::memory_order_relaxed)) wake_.WaitFor(mutex_, kIdleWait);
  wanted_.store(false, std::memory_order_relaxed);
  return !stopping_;
}

void Demoter::Step() {
  TakeSettings();
  TryAgain();
  if (tiers_.FlashOnline()) RemoveOrphans();
  keeper_.DropFlushed();
  if (tiers_.FlashOnline()) {
    keeper_.DropOverQuota();  // what cannot be replaced for now is read as long as it lasts
    CollectRules rules;
    rules.item_bytes_max = ItemBytesMax();
    rules.flash_full = keeper_.Full();
    const bool may_write = admission_.MayWrite(batch_bytes_, MonotonicUs());
    outlook_.NoteBudget(may_write);
    if (may_write && Any(&Demoter::IsPressed) && IsWritten(WriteBatch(rules, InRam::kHit))) Wake();
    StandBackUnlessNeeded();  // what follows has time
  }
  AnswerRequests();
  if (grower_.GrowOne()) Wake();
  keeper_.SweepIfNeeded(tiers_.batches.UsedNumbers() + 256 >= storage::kBatchesMax);
  if (keeper_.VerifyRemovals()) Wake();
}

void Demoter::AnswerRequests() {
  std::vector<Request> requests;
  {
    MutexLock lock(mutex_);
    requests.swap(requests_);
  }
  if (requests.empty()) return;
  // Once more for what was cancelled (touched while its file was built) or moved to a list that was through.
  if (DemoteOnce() != Wrote::kFailed) DemoteOnce();
  for (const Request& request : requests) request.executor->Post(request.done);
}

Demoter::Wrote Demoter::DemoteOnce() {
  CollectRules rules;
  rules.everything = true;
  rules.item_bytes_max = ItemBytesMax();
  // No list held more when it had its turn; one that does is filled again as fast as it is emptied.
  const uint64_t of_a_list_max = tiers_.arena->LimitBytes() / batch_bytes_ + 2;
  const uint64_t first_serial = NextSerial();
  uint64_t of_this_list = 0;
  Wrote wrote = Wrote::kFullBatch;
  for (collect_from_ = {}; wrote == Wrote::kFullBatch;) {
    if (of_this_list == of_a_list_max) ++collect_from_.slab_class;
    const ListCursor begun_at = collect_from_;
    rules.serials_tried = static_cast<uint32_t>(NextSerial() - first_serial);
    wrote = tiers_.FlashOnline() ? WriteBatch(rules, InRam::kNone) : Wrote::kFailed;
    of_this_list = collect_from_ == begun_at ? of_this_list + 1 : 0;
  }
  return wrote;
}

Demoter::Wrote Demoter::WriteBatch(const CollectRules& rules, InRam keep, uint64_t spare_from) {
  if (keeper_.FilesLeft() && !RemoveOrphans()) return Wrote::kFailed;
  const uint64_t serial = NextSerial();
  if (serial >= serial_end_.load(std::memory_order_relaxed)) {
    // The next start may hand these out: a disk that has refused STATE for so long is a failing one.
    NoteFailure(Status(StatusCode::kUnavailable, "no serials left, STATE could not be written"));
    return Wrote::kFailed;
  }
  BatchLimits limits{.ram_bytes = batch_bytes_};
  if (!rules.everything) limits.records = RecordsAtOnce();
  BatchBuilder builder(tiers_, admission_, serial, tiers_.flush.Current(), limits);
  if (rules.everything) {
    CollectAll(&builder, rules);
  } else {
    CollectPressed(&builder, rules);
  }
  if (builder.Empty()) return Wrote::kNothing;  // nothing carries the serial
  next_serial_.store(serial + 1, std::memory_order_relaxed);
  if (builder.Flushed()) {
    builder.Abandon();
    return Wrote::kFullBatch;  // not all was seen: go on under the new epoch
  }
  const uint64_t bytes = FlashKeeper::FileBytesMax(builder);
  FlashKeeper::Victims victims = keeper_.ChooseVictims(bytes, spare_from);
  if (!victims.enough) {
    builder.Abandon();
    return Wrote::kNothing;
  }
  keeper_.MakeHeadroom(bytes, &victims);
  keeper_.GatherRewrites(victims, &builder);
  return Finish(&builder, victims, keep);
}

uint64_t Demoter::RecordsAtOnce() const {
  int64_t slots = 0;
  for (const storage::BatchNumber number : tiers_.batches.Living()) {
    slots += tiers_.batches.Live(number);
  }
  return std::max(kRecordsAtOnceMin, static_cast<uint64_t>(std::max<int64_t>(slots, 0)) / 3);
}

Demoter::Wrote Demoter::Finish(BatchBuilder* builder, const FlashKeeper::Victims& victims,
                               InRam keep) {
  const Result<storage::BatchFile> file = builder->Write();
  if (!file.ok()) {
    builder->Abandon();
    tiers_.counters.batches_failed.fetch_add(1, std::memory_order_relaxed);
    uint64_t unsaid = 0;
    if (failures_said_.Allows(&unsaid)) {
      Log::Write(LogLevel::kNotice, "flash batch failed: %s (%llu before it that were not logged)",
                 std::string(file.status().message()).c_str(),
                 static_cast<unsigned long long>(unsaid));
    }
    NoteFailure(file.status());
    return Wrote::kFailed;
  }
  const uint64_t bytes = file.value().sst_bytes + file.value().hash_list_bytes;
  admission_.Spend(bytes);
  tiers_.counters.bytes_written.fetch_add(bytes, std::memory_order_relaxed);
  tiers_.counters.batches_written.fetch_add(1, std::memory_order_relaxed);
  storage::BatchInfo info;
  info.serial = builder->Serial();
  info.epoch = builder->Epoch();
  info.file_bytes = bytes;
  info.record_count = builder->RecordCount();
  info.raw_bytes = builder->RawBytes();
  info.created_s = tiers_.clock.NowS();
  std::optional<storage::BatchNumber> number = tiers_.batches.Open(info);
  if (!number) {  // the victims may not go yet: their rewrites have no slots (rule 6)
    keeper_.SweepIfNeeded(true);
    number = tiers_.batches.Open(info);
  }
  if (!number) {  // every number lives: give this batch up, its items stay
    builder->Abandon();
    keeper_.DropFile(info.serial);
    return Wrote::kFailed;
  }
  KillPoints::Pass(KillPoint::kBatchOpen);
  grower_.Prepare(builder->EntriesPerPartition());
  if (tiers_.batches.SerialOf(*number) == storage::kNoSerial) {  // its own list cannot be read back
    builder->Abandon();
    return Wrote::kFailed;
  }
  builder->Slot(*number, keep);
  if (tiers_.events.Wants(kSysEvents)) {
    tiers_.events.Note({.type = EventType::kFlashBatchWritten,
                        .text = {},
                        .numbers = {*number, static_cast<int64_t>(info.record_count),
                                    static_cast<int64_t>(bytes)}});
  }
  keeper_.Drop(victims.numbers);
  if (tiers_.batches.Live(*number) == 0) keeper_.Drop({*number});
  NoteSuccess();
  return builder->Full() ? Wrote::kFullBatch : Wrote::kBatch;
}

void Demoter::CollectPressed(BatchBuilder* builder, const CollectRules& rules) {
  const SlabClass largest = tiers_.arena->LargestClass();
  std::bitset<storage::kSlabClassesMax> had_turn;  // one a batch: what was taken is not free yet
  for (const bool soon : {false, true}) {
    if (soon && builder->Empty()) return;
    for (SlabClass slab_class = 1; slab_class <= largest; ++slab_class) {
      if (builder->Full() || builder->Flushed()) return;  // the rest is no worse for it
      if (had_turn[slab_class]) continue;
      if (!(soon ? IsSoonPressed(slab_class) : IsPressed(slab_class))) continue;
      had_turn[slab_class] = true;
      CollectTurn(builder, slab_class, rules);
    }
  }
}

void Demoter::CollectTurn(BatchBuilder* builder, SlabClass slab_class, const CollectRules& rules) {
  const SlabClass largest = tiers_.arena->LargestClass();
  const uint64_t reserve = ReserveChunks(slab_class);
  const uint64_t free = tiers_.arena->FreeChunks(slab_class);
  // A whole batch's worth beyond the reserve.
  Turn turn = CollectClass(builder, slab_class, 2 * reserve - std::min(2 * reserve, free), rules);
  const bool short_of = free < reserve;
  if (short_of && turn.items == 0 && slab_class != largest && HoldsParts(slab_class)) {
    turn.items = CollectClass(builder, largest, ReserveChunks(largest), rules).items;
  }
  if (builder->Flushed()) return;
  const bool still_short = tiers_.arena->FreeChunks(slab_class) < reserve;
  if (turn.items > 0 || (turn.whole && (still_short || turn.chunks == 0))) {
    outlook_.NoteTurn(slab_class, turn.items > 0, turn.looks);
  }
}

bool Demoter::HoldsParts(SlabClass slab_class) {
  uint64_t listed = 0;
  for (const auto& shard : tiers_.shards) {
    MutexLock lock(shard->mutex);
    for (size_t i = 0; i < storage::kLruSegments; ++i) {
      listed += shard->ram.List(slab_class, static_cast<LruSegment>(i)).count;
    }
  }
  return listed < tiers_.arena->TotalChunks(slab_class) / 2;
}

Demoter::Turn Demoter::CollectClass(BatchBuilder* builder, SlabClass slab_class, uint64_t chunks,
                                    const CollectRules& rules) {
  const storage::SlabArena& arena = *tiers_.arena;
  // Never more than an eighth of the class: sets that come before the batch has its slots must find
  // something to evict.
  const uint64_t most = std::max<uint64_t>(arena.TotalChunks(slab_class) / 8, 1);
  const uint64_t wanted = std::min(chunks, most);
  // A chunked item is listed in the largest class and takes many of its chunks: one at a time.
  const uint32_t hold = slab_class == arena.LargestClass() ? 1 : kItemsPerHold;
  Turn turn;
  turn.looks = uint64_t{hold} * storage::kPartitions;
  uint32_t idle = 0;
  uint32_t& at = next_shard_[slab_class];
  while (idle < storage::kPartitions && turn.chunks < wanted && !builder->Full()) {
    Shard& shard = *tiers_.shards[at++ % storage::kPartitions];
    const uint64_t bytes_before = builder->RamBytes();
    const uint64_t free_before = arena.FreeChunks(slab_class);
    const auto items_max = static_cast<uint32_t>(std::min<uint64_t>(wanted - turn.chunks, hold));
    const uint32_t got = builder->Collect(shard, slab_class, LruSegment::kCold, items_max, rules);
    if (builder->Flushed()) return turn;
    const uint64_t freed = arena.FreeChunks(slab_class);
    turn.chunks += std::max<uint64_t>(
        got, (builder->RamBytes() - bytes_before) / arena.ChunkBytes(slab_class));
    turn.chunks += freed - std::min(freed, free_before);
    turn.items += got;
    idle = got == 0 ? idle + 1 : 0;
  }
  turn.whole = idle == storage::kPartitions;
  return turn;
}

void Demoter::CollectAll(BatchBuilder* builder, const CollectRules& rules) {
  ListCursor from = collect_from_;
  for (; from.segment < storage::kHottestFirst.size(); ++from.segment, from.shard = 0) {
    for (; from.shard < tiers_.shards.size(); ++from.shard, from.slab_class = 1) {
      for (; from.slab_class <= tiers_.arena->LargestClass(); ++from.slab_class) {
        collect_from_ = from;
        builder->Collect(*tiers_.shards[from.shard], from.slab_class,
                         storage::kHottestFirst[from.segment], UINT32_MAX, rules);
        if (builder->Full() || builder->Flushed()) return;
      }
    }
  }
}

uint64_t Demoter::Drain(uint64_t deadline_us, const std::function<bool()>& hurry) {
  CollectRules rules;
  rules.everything = true;
  // In an arena that outlives the process everything stays where it is; what is written now is for the day when the
  // machine is started again.
  const bool stays = tiers_.arena->File() != nullptr;
  rules.spares_clean = stays;
  collect_from_ = {};
  int failures = 0;
  // What this drain has written does not go again for what it writes next.
  const uint64_t spare_from = NextSerial();
  uint64_t first_serial = spare_from;
  while (tiers_.FlashOnline() && !hurry() && MonotonicUs() < deadline_us && failures < 3) {
    if (!stays) collect_from_ = {};  // those that stay are not looked at anew for each batch
    rules.serials_tried = static_cast<uint32_t>(NextSerial() - first_serial);
    rules.item_bytes_max = keeper_.ItemBytesMax(spare_from);  // whatever flash_item_max says
    const Wrote wrote = WriteBatch(rules, stays ? InRam::kAll : InRam::kNone, spare_from);
    if (wrote == Wrote::kNothing) break;
    if (wrote == Wrote::kFailed) {
      ++failures;
      collect_from_ = {};
      first_serial = NextSerial();
    }
    while (grower_.GrowOne() && MonotonicUs() < deadline_us) {
    }
  }
  keeper_.DropFlushed();
  while (keeper_.VerifyRemovals()) {
  }
  keeper_.SweepIfNeeded(true);
  return DirtyItems();
}

uint64_t Demoter::DirtyItems() {
  uint64_t items = 0;
  for (const auto& shard : tiers_.shards) {
    MutexLock lock(shard->mutex);
    items += shard->ram.ItemCount();
  }
  int64_t clean = 0;
  for (const storage::BatchNumber number : tiers_.batches.Living()) {
    clean += tiers_.batches.Clean(number);
  }
  return items - std::min(items, static_cast<uint64_t>(std::max<int64_t>(clean, 0)));
}

bool Demoter::RemoveOrphans() {
  const Status status = keeper_.RemoveOrphans();
  if (!keeper_.FilesLeft()) return true;
  NoteFailure(status.WithContext(kFilesLeft));
  return false;
}

void Demoter::NoteFailure(const Status& status) {
  keeper_.LookForOrphans();  // its file may exist all the same
  pause_.NoteFailure(MonotonicUs());
  Status why = status;
  if (++failures_ < kFailuresUntilOffline) {
    why = tiers_.store->Recover(batch_bytes_);
    if (why.ok()) return;
  }
  if (tiers_.FlashOnline()) TurnOff(why);
}

void Demoter::NoteSuccess() {
  failures_ = 0;
}

void Demoter::TurnOff(const Status& status) {
  tiers_.flash_online.store(false, std::memory_order_relaxed);
  tiers_.counters.outages.fetch_add(1, std::memory_order_relaxed);
  offline_since_us_ = MonotonicUs();
  pause_.Begin(offline_since_us_);
  if (tiers_.events.Wants(kSysEvents)) {
    tiers_.events.Note({.type = EventType::kFlashOffline, .text = status.message()});
  }
  Log::Write(LogLevel::kNotice,
             "flash tier turned off, serving from RAM until it can be written: %s",
             std::string(status.message()).c_str());
  MutexLock lock(mutex_);
  offline_why_ = std::string(status.message());
}

void Demoter::TurnOn() {
  failures_ = kFailuresUntilOffline - 1;  // the first batch decides whether it stays
  tiers_.flash_online.store(true, std::memory_order_relaxed);
  const uint64_t offline_s = (MonotonicUs() - offline_since_us_) / 1'000'000;
  Log::Write(LogLevel::kNotice, "flash tier is back after %llu s",
             static_cast<unsigned long long>(offline_s));
  if (tiers_.events.Wants(kSysEvents)) {
    tiers_.events.Note({.type = EventType::kFlashOnline,
                        .text = {},
                        .numbers = {static_cast<int64_t>(offline_s)}});
  }
  MutexLock lock(mutex_);
  offline_why_.clear();
}

void Demoter::TryAgain() {
  if (!tiers_.FlashOnline() && pause_.IsOver(MonotonicUs())) TryAtOnce();
}

void Demoter::TryAtOnce() {
  if (!tiers_.HasFlash() || tiers_.FlashOnline()) return;
  const Status status = Probe();
  const uint64_t now_us = MonotonicUs();
  pause_.NoteTry(now_us);
  if (status.ok()) return TurnOn();
  pause_.NoteFailure(now_us);
  Log::Write(LogLevel::kVerbose, "flash tier: %s", std::string(status.message()).c_str());
  MutexLock lock(mutex_);
  offline_why_ = std::string(status.message());
}

Status Demoter::Probe() {
  // First, for they may be what the disk is full of. Whether that worked is asked below.
  if (keeper_.FilesLeft()) static_cast<void>(keeper_.RemoveOrphans().ok());
  TERRACED_RETURN_IF_ERROR(tiers_.store->Recover(batch_bytes_));
  if (!keeper_.FilesLeft()) return {};
  return keeper_.RemoveOrphans().WithContext(kFilesLeft);
}

std::string Demoter::StateText() const {
  if (!tiers_.HasFlash()) return "off";
  if (tiers_.FlashOnline()) return "online";
  MutexLock lock(mutex_);
  return "offline: " + offline_why_;
}

}  // namespace terraced::tiering
