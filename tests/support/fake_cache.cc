#include "tests/support/fake_cache.h"

#include <charconv>
#include <cstring>
#include <functional>
#include <utility>

namespace terraced::support {

using tiering::AllocateResult;
using tiering::Outcome;

FakeCache::FakeCache(const tiering::CacheOptions& options, const Clock& clock)
    : options_(options),
      live_(options),
      clock_(clock),
      store_(storage::MakeNullBatchStore()),
      reader_(std::make_unique<tiering::FlashReader>(*store_, 1U << 20)) {
  TERRACED_CHECK(reader_->Resize(1).ok());
  Result<std::unique_ptr<storage::SlabArena>> arena = storage::SlabArena::Create(options_.slabs);
  TERRACED_CHECK(arena.ok());
  arena_ = std::move(arena).value();
  allocator_ = std::make_unique<storage::ItemAllocator>(*arena_, options_.slabs.item_bytes_max);
}

FakeCache::~FakeCache() = default;

Status FakeCache::ChangeSettings(const tiering::CacheOptions& options) {
  live_.Take(options);
  return {};
}

void FakeCache::PutOnFlash(std::string_view key) {
  const MutexLock lock(mutex_);
  on_flash_.emplace(key);
}

void FakeCache::PutAllOnFlash() {
  const MutexLock lock(mutex_);
  for (const auto& [key, entry] : entries_) on_flash_.insert(key);
}

void FakeCache::LetAllocateWait(int times) {
  const MutexLock lock(mutex_);
  waits_ = times;
}

std::vector<std::string> FakeCache::Calls() const {
  const MutexLock lock(mutex_);
  return calls_;
}

uint64_t FakeCache::FlushedAt() const {
  const MutexLock lock(mutex_);
  return flushed_at_;
}

int FakeCache::Dropped() const {
  const MutexLock lock(mutex_);
  return dropped_;
}

void FakeCache::HoldDemotions() {
  const MutexLock lock(mutex_);
  hold_demotions_ = true;
}

void FakeCache::AwaitHeldDemotion() {
  const MutexLock lock(mutex_);
  while (demotions_.empty()) demotion_held_.Wait(mutex_);
}

void FakeCache::AnswerDemotions() {
  std::vector<std::pair<Executor*, Completion*>> demotions;
  {
    const MutexLock lock(mutex_);
    demotions.swap(demotions_);
  }
  for (const auto& [executor, done] : demotions) executor->Post(done);
}

void FakeCache::Forget() {
  const MutexLock lock(mutex_);
  TERRACED_CHECK(demotions_.empty());
  entries_.clear();
  on_flash_.clear();
  calls_.clear();
  hold_demotions_ = false;
  cas_unique_ = 0;
  flushed_at_ = kNeverFlushed;
  waits_ = 0;
  dropped_ = 0;
}

uint64_t FakeCache::HashOf(std::string_view key) const {
  return std::hash<std::string_view>()(key);
}

FakeCache::Place FakeCache::Look(const tiering::Key& key, tiering::Evidence* evidence,
                                 Entry** entry) {
  if (on_flash_.contains(key.bytes)) {
    if (evidence->timed_out) return Place::kFailed;
    if (evidence->fill == nullptr) {
      evidence->need.count = 1;
      evidence->need.slots[0].serial = 1;
      return Place::kAsk;
    }
    if (evidence->fill->Failed()) return Place::kFailed;
  }
  const auto found = entries_.find(key.bytes);
  if (found == entries_.end()) return Place::kNowhere;
  if (IsExpired(found->second.exptime_s, clock_.NowS())) {
    entries_.erase(found);
    return Place::kNowhere;
  }
  *entry = &found->second;
  return Place::kHere;
}

void FakeCache::Called(std::string_view command, std::string_view key) {
  calls_.push_back(std::string(command) + " " + std::string(key));
}

tiering::ItemMeta FakeCache::MetaOf(const Entry& entry) {
  return {.cas_unique = entry.cas_unique,
          .client_flags = entry.client_flags,
          .exptime_s = entry.exptime_s,
          .last_access_s = clock_.NowS(),
          .value_bytes = static_cast<uint32_t>(entry.value.size()),
          .fetched = entry.fetched,
          .stale = entry.stale,
          .token_sent = entry.token_sent,
          .binary_key = entry.binary_key};
}

void FakeCache::Deliver(const Entry& entry, const tiering::ItemMeta& meta,
                        tiering::ValueSink& sink) {
  if (entry.value.size() <= tiering::kCopyBytesMax) {
    std::memcpy(sink.Begin(meta), entry.value.data(), entry.value.size());
    return;
  }
  storage::SlabClass short_of = 0;
  const storage::Position position =
      allocator_->New("pinned", 0, static_cast<uint32_t>(entry.value.size()), &short_of);
  TERRACED_CHECK(position != storage::kNoPosition);
  std::vector<std::span<char>> pieces;
  allocator_->ValuePieces(*arena_->ItemAt(position), &pieces);
  size_t copied = 0;
  for (const std::span<char> piece : pieces) {
    std::memcpy(piece.data(), entry.value.data() + copied, piece.size());
    copied += piece.size();
  }
  // As if it had been linked, pinned and overwritten: the pin frees it.
  arena_->ItemAt(position)->Set(storage::kItemLinked);
  storage::ItemRef ref(*allocator_, position);
  arena_->ItemAt(position)->Clear(storage::kItemLinked);
  allocator_->Retire(position);
  sink.Pinned(meta, std::move(ref));
}

Outcome FakeCache::Get(const tiering::Key& key, tiering::Evidence* evidence,
                       tiering::ValueSink& sink) {
  const MutexLock lock(mutex_);
  return ReadLocked("get", key, {}, evidence, sink);
}

Outcome FakeCache::Read(const tiering::Key& key, const tiering::ReadPlan& plan,
                        tiering::Evidence* evidence, tiering::ValueSink& sink) {
  const MutexLock lock(mutex_);
  return ReadLocked(plan.wants_value ? "get" : "touch", key, plan, evidence, sink);
}

Outcome FakeCache::ReadLocked(std::string_view name, const tiering::Key& key,
                              const tiering::ReadPlan& plan, tiering::Evidence* evidence,
                              tiering::ValueSink& sink) {
  Entry* entry = nullptr;
  const Place place = Look(key, evidence, &entry);
  if (place == Place::kAsk) return Outcome::kNeedsFlash;
  if (place == Place::kFailed) return Outcome::kFlashFailed;
  Called(name, key.bytes);
  const bool created = place == Place::kNowhere && plan.vivifies;
  if (place == Place::kNowhere && !created) return Outcome::kMiss;
  if (created) {
    entry = &entries_[std::string(key.bytes)];
    entry->cas_unique = ++cas_unique_;
    entry->binary_key = plan.binary_key;
  }
  tiering::ItemMeta meta = MetaOf(*entry);
  meta.created = created;
  const uint32_t exptime_s = plan.recache_sees_touch ? plan.exptime_s : entry->exptime_s;
  const bool ends_soon =
      !created && exptime_s != kExptimeNever && exptime_s < plan.recache_before_s;
  meta.won = plan.may_win && !entry->token_sent && (created || entry->stale || ends_soon);
  if (created) entry->exptime_s = plan.vivify_exptime_s;
  if (plan.touches && !created) entry->exptime_s = plan.exptime_s;
  if (plan.bumps && !created) entry->fetched = true;
  if (meta.won) entry->token_sent = true;
  if (plan.wants_value) {
    Deliver(*entry, meta, sink);
  } else {
    sink.Begin(meta);
  }
  return Outcome::kHit;
}

Outcome FakeCache::Delete(const tiering::Key& key, const tiering::DeletePlan& plan,
                          tiering::Evidence* evidence, tiering::ItemMeta*) {
  const MutexLock lock(mutex_);
  Entry* entry = nullptr;
  const Place place = Look(key, evidence, &entry);
  if (place == Place::kAsk) return Outcome::kNeedsFlash;
  if (place == Place::kFailed) return Outcome::kFlashFailed;
  Called("delete", key.bytes);
  if (place == Place::kNowhere) return Outcome::kNotFound;
  if (plan.compares && plan.compare_cas != entry->cas_unique) return Outcome::kExists;
  if (!plan.Keeps()) {
    entries_.erase(entries_.find(key.bytes));
    return Outcome::kDeleted;
  }
  if (plan.drops_value) *entry = Entry();
  entry->cas_unique = plan.new_cas != 0 ? plan.new_cas : ++cas_unique_;
  entry->stale = entry->stale || plan.invalidates;
  entry->token_sent = false;
  if (plan.touches) entry->exptime_s = plan.exptime_s;
  return Outcome::kDeleted;
}

Outcome FakeCache::Count(const tiering::Key& key, const tiering::CountPlan& plan,
                         tiering::Evidence* evidence, tiering::ItemMeta* item, uint64_t* value) {
  const MutexLock lock(mutex_);
  Entry* entry = nullptr;
  const Place place = Look(key, evidence, &entry);
  if (place == Place::kAsk) return Outcome::kNeedsFlash;
  if (place == Place::kFailed) return Outcome::kFlashFailed;
  Called("count", key.bytes);
  if (place == Place::kNowhere) {
    if (!plan.vivifies) return Outcome::kNotFound;
    Entry made;
    made.value = std::to_string(plan.initial);
    made.exptime_s = plan.vivify_exptime_s;
    made.cas_unique = plan.new_cas != 0 ? plan.new_cas : ++cas_unique_;
    made.binary_key = plan.binary_key;
    *item = MetaOf(made);
    item->created = true;
    item->exptime_s = kExptimeNever;
    *value = plan.initial;
    entries_.insert_or_assign(std::string(key.bytes), made);
    return Outcome::kStored;
  }
  if (plan.compare_cas != 0 && plan.compare_cas != entry->cas_unique) return Outcome::kExists;
  uint64_t number = 0;
  const std::string& text = entry->value;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc()) {
    return Outcome::kNonNumeric;
  }
  if (plan.direction == tiering::Arithmetic::kIncrement) {
    number += plan.delta;
  } else {
    number = number < plan.delta ? 0 : number - plan.delta;
  }
  std::string result = std::to_string(number);
  if (result.size() < text.size()) result.resize(text.size(), ' ');
  entry->value = result;
  entry->cas_unique = plan.new_cas != 0 ? plan.new_cas : ++cas_unique_;
  *item = MetaOf(*entry);
  *value = number;
  if (plan.touches) entry->exptime_s = plan.exptime_s;
  return Outcome::kStored;
}

AllocateResult FakeCache::Allocate(const tiering::Key& key, const tiering::AllocatePlan& plan,
                                   tiering::Draft* draft) {
  if (!allocator_->Fits(key.bytes.size(), plan.client_flags, plan.value_bytes))
    return AllocateResult::kTooLarge;
  {
    const MutexLock lock(mutex_);
    if (plan.may_wait && waits_ > 0) {
      --waits_;
      return AllocateResult::kWait;
    }
  }
  storage::SlabClass short_of = 0;
  const storage::Position position = allocator_->New(
      key.bytes, plan.client_flags, static_cast<uint32_t>(plan.value_bytes), &short_of);
  if (position == storage::kNoPosition) return AllocateResult::kNoMemory;
  arena_->ItemAt(position)->exptime_s = plan.exptime_s;
  *draft = tiering::Draft(*allocator_, position);
  return AllocateResult::kOk;
}

Outcome FakeCache::JudgeStore(const tiering::StorePlan& plan, const Entry* old, Entry* made) {
  using tiering::StoreMode;
  switch (plan.mode) {
    case StoreMode::kSet:
      return Outcome::kStored;
    case StoreMode::kAdd:
      return old != nullptr ? Outcome::kNotStored : Outcome::kStored;
    case StoreMode::kReplace:
      return old != nullptr ? Outcome::kStored : Outcome::kNotStored;
    case StoreMode::kCas:
      if (old == nullptr) return Outcome::kNotFound;
      if (old->cas_unique == plan.compare_cas) return Outcome::kStored;
      if (!plan.stale_if_older || plan.compare_cas > old->cas_unique) return Outcome::kExists;
      made->stale = true;
      made->token_sent = old->token_sent;
      made->exptime_s = old->exptime_s;
      return Outcome::kStored;
    case StoreMode::kAppend:
    case StoreMode::kPrepend:
      break;
  }
  if (old == nullptr) return plan.vivifies ? Outcome::kStored : Outcome::kNotStored;
  if (plan.compare_cas != 0 && plan.compare_cas != old->cas_unique) return Outcome::kExists;
  const bool append = plan.mode == StoreMode::kAppend;
  made->value = append ? old->value + made->value : made->value + old->value;
  made->client_flags = old->client_flags;
  made->exptime_s = old->exptime_s;
  return Outcome::kStored;
}

Outcome FakeCache::Store(const tiering::Key& key, const tiering::StorePlan& plan,
                         tiering::Draft* draft, tiering::Evidence* evidence,
                         tiering::ItemMeta* item) {
  const MutexLock lock(mutex_);
  Entry* old = nullptr;
  const Place place =
      plan.mode == tiering::StoreMode::kSet ? Place::kNowhere : Look(key, evidence, &old);
  if (place == Place::kAsk) return Outcome::kNeedsFlash;
  tiering::Draft own = std::move(*draft);
  if (place == Place::kFailed) return Outcome::kFlashFailed;
  Called("store", key.bytes);
  const storage::Item& stored = own.Peek();
  Entry made;
  made.value.resize(stored.ValueBytes());
  allocator_->CopyValue(stored, made.value.data());
  made.client_flags = stored.ClientFlags();
  made.exptime_s = stored.exptime_s;
  made.binary_key = plan.binary_key;
  const Outcome judged = JudgeStore(plan, old, &made);
  if (judged != Outcome::kStored) return judged;
  made.cas_unique = plan.new_cas != 0 ? plan.new_cas : ++cas_unique_;
  *item = MetaOf(made);
  entries_.insert_or_assign(std::string(key.bytes), made);
  if (const auto slot = on_flash_.find(key.bytes); slot != on_flash_.end()) on_flash_.erase(slot);
  return Outcome::kStored;
}

void FakeCache::DropRefused(const tiering::Key& key) {
  const MutexLock lock(mutex_);
  ++dropped_;
  if (const auto found = entries_.find(key.bytes); found != entries_.end()) entries_.erase(found);
}

void FakeCache::FlushAll(uint32_t at_s) {
  const MutexLock lock(mutex_);
  flushed_at_ = at_s;
  if (at_s == 0) entries_.clear();
}

tiering::CacheStats FakeCache::Stats() const {
  const MutexLock lock(mutex_);
  tiering::CacheStats stats;
  stats.curr_items = entries_.size();
  stats.commands.total_items = cas_unique_;
  stats.limit_maxbytes = options_.slabs.limit_bytes;
  stats.slabs = arena_->Stats();
  stats.gauges[1].items[0] = entries_.size();
  stats.flash.enabled = !options_.flash_path.empty();
  stats.flash.state = stats.flash.enabled ? "online" : "off";
  return stats;
}

void FakeCache::ResetStats() {}

void FakeCache::DemoteAll(Executor& executor, Completion* done) {
  {
    const MutexLock lock(mutex_);
    if (hold_demotions_) {
      demotions_.emplace_back(&executor, done);
      demotion_held_.NotifyAll();
      return;
    }
  }
  executor.Post(done);
}

Status FakeCache::Stop(const std::function<bool()>&) {
  return Status();
}

}  // namespace terraced::support
