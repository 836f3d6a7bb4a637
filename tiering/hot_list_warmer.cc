#include "tiering/hot_list_warmer.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "storage/base/log.h"
#include "storage/base/yield_point.h"
#include "tiering/shard.h"

namespace terraced::tiering {
namespace {

constexpr size_t kWindowKeys = 256;
constexpr uint64_t kWindowBytes = 1U << 20;
// A read from another file than the one before it costs the disk a block, however small the record is.
constexpr uint64_t kBlockBytes = 4096;
constexpr uint64_t kSecondUs = 1'000'000;
constexpr std::chrono::milliseconds kRestForClients{5};
// Reads that never stop queueing slow it down, they do not stop it.
constexpr uint32_t kStoodBackMax = 8;
constexpr std::chrono::milliseconds kRestOff{1'000};
constexpr std::chrono::milliseconds kRestForGood{std::chrono::hours(1)};
// A list is written in so many rounds over all lists of a segment, a slice of each at a time, so that what comes first
// is the hottest of all classes.
constexpr uint64_t kRounds = 64;

}  // namespace

std::string_view HotListStateText(HotListState state) {
  switch (state) {
    case HotListState::kNone:
      return "none";
    case HotListState::kOff:
      return "off";
    case HotListState::kWarming:
      return "warming";
    case HotListState::kDone:
      return "done";
    case HotListState::kRamFull:
      return "RAM is full";
    case HotListState::kFailed:
      return "failed";
  }
  return "";
}

bool WarmPace::Note(uint64_t keys, uint64_t away_us) {
  behind_us_ += away_us;
  behind_us_ -= std::min(behind_us_, keys * kUsPerKey);
  // What was lost long ago need not be made good.
  behind_us_ = std::min(behind_us_, 2 * kLateUs);
  late_ = behind_us_ >= kLateUs || (late_ && behind_us_ > 0);
  return late_;
}

HotListWarmer::HotListWarmer(const Tiers& tiers, FlashReader& reader, WarmOne warm_one)
    : tiers_(tiers), reader_(reader), warm_one_(std::move(warm_one)) {}

void HotListWarmer::Begin(std::unique_ptr<storage::HotListReader> list) {
  list_ = std::move(list);
  keys_.store(list_->Keys(), std::memory_order_relaxed);
  state_.store(HotListState::kWarming, std::memory_order_relaxed);
}

Status HotListWarmer::Start() {
  if (list_ == nullptr) return {};
  return thread_.Start(
      "warmer",
      [this, begun = false]() mutable {
        if (!begun) priority_.Begin(YieldingThread::WhereStuck::kBack);
        begun = true;
        return Round();
      },
      /*stands_back=*/false);
}

std::chrono::milliseconds HotListWarmer::Round() {
  while (!thread_.Stopping()) {
    const uint64_t rate = tiers_.live.flash_warm_rate_bytes.Get();
    if (rate == 0) return kRestOff;
    const std::chrono::milliseconds rest = RestDue(rate);
    if (rest.count() > 0) return rest;
    if (window_.empty()) FillWindow();
    if (!window_.empty() && ClientsWait()) return kRestForClients;
    if (!Step()) return kRestForGood;
    KeepPace();
  }
  return {};
}

void HotListWarmer::KeepPace() {
  const uint64_t keys = seen_.load(std::memory_order_relaxed);
  const uint64_t away_us = YieldPoint::AwayUs();
  const bool late = pace_.Note(keys - std::exchange(paced_keys_, keys),
                               away_us - std::exchange(paced_away_us_, away_us));
  if (late) {
    priority_.Hurry();
  } else {
    priority_.CalmDown();
  }
}

std::chrono::milliseconds HotListWarmer::RestDue(uint64_t rate) {
  const uint64_t now_us = MonotonicUs();
  const uint64_t passed_us = std::min(now_us - paid_at_us_, kSecondUs);
  paid_at_us_ = now_us;
  owed_bytes_ -= std::min(owed_bytes_, passed_us * rate / kSecondUs);
  return std::min(std::chrono::milliseconds(owed_bytes_ * 1'000 / rate), kRestOff);
}

bool HotListWarmer::ClientsWait() {
  if (stood_back_ < kStoodBackMax && reader_.Stats().queued > 0) {
    ++stood_back_;
    return true;
  }
  stood_back_ = 0;
  return false;
}

bool HotListWarmer::Step() {
  if (state_.load(std::memory_order_relaxed) != HotListState::kWarming) return false;
  if (window_.empty()) FillWindow();
  ReadSome();
  WarmSome();
  const bool full = without_room_ >= kWindowKeys;
  if (full && list_ != nullptr) End(HotListState::kRamFull);
  return state_.load(std::memory_order_relaxed) == HotListState::kWarming;
}

void HotListWarmer::FillWindow() {
  if (list_ == nullptr) return;
  storage::HotKey next;
  for (size_t looks = 0; looks < kWindowKeys; ++looks) {
    if (!NextKey(&next)) {
      if (window_.empty() && list_ != nullptr) End(HotListState::kDone);
      return;
    }
    Candidate candidate{.segment = static_cast<storage::LruSegment>(next.segment),
                        .bytes = std::string(next.key),
                        .hash = tiers_.HashOf(next.key),
                        .evidence = {},
                        .fill = nullptr};
    const Answer answer = warm_one_(candidate.AsKey(), candidate.segment, &candidate.evidence);
    if (answer == Answer::kNeedsFlash) {
      ++candidate.evidence.attempts;
      candidate.fill =
          std::make_shared<Fill>(nullptr, nullptr, candidate.AsKey(), candidate.evidence.need);
      window_.push_back(std::move(candidate));
    } else {
      Note(answer);
    }
    YieldPoint::Pass();
  }
}

bool HotListWarmer::NextKey(storage::HotKey* key) {
  Result<bool> next = list_->Next(key);
  if (next.ok() && !next.value()) return false;
  if (next.ok() && key->segment < storage::kLruSegments) return true;
  const std::string why =
      next.ok() ? "it names a segment that there is not" : std::string(next.status().message());
  Log::Write(LogLevel::kNotice, "hot list: %s; the rest of it is left", why.c_str());
  End(HotListState::kFailed);
  return false;
}

void HotListWarmer::ReadSome() {
  std::vector<Candidate*> order;
  for (Candidate& candidate : window_) order.push_back(&candidate);
  std::sort(order.begin(), order.end(), [](const Candidate* a, const Candidate* b) {
    return std::tuple(a->fill->NewestSerial(), std::string_view(a->bytes)) <
           std::tuple(b->fill->NewestSerial(), std::string_view(b->bytes));
  });
  uint64_t bytes = 0;
  uint64_t serial_before = storage::kNoSerial;
  for (Candidate* const candidate : order) {
    if (bytes >= kWindowBytes) break;
    YieldPoint::Pass();
    reader_.ReadNow(candidate->fill.get());
    candidate->evidence.fill = candidate->fill;
    candidate->read = true;
    const uint64_t read = candidate->bytes.size() + candidate->fill->ValueBytes();
    const uint64_t serial = candidate->fill->NewestSerial();
    bytes += serial == serial_before ? read : std::max(read, kBlockBytes);
    serial_before = serial;
  }
  owed_bytes_ += bytes;
}

void HotListWarmer::WarmSome() {
  for (Candidate& candidate : window_) {
    if (!candidate.read) continue;
    const Answer answer = warm_one_(candidate.AsKey(), candidate.segment, &candidate.evidence);
    if (answer == Answer::kReadFailed) {
      Log::Write(LogLevel::kNotice, "hot list: a read failed; the rest of it is left");
      return End(HotListState::kFailed);
    }
    Note(answer);
    YieldPoint::Pass();
  }
  std::erase_if(window_, [](const Candidate& candidate) { return candidate.read; });
}

void HotListWarmer::Note(Answer answer) {
  seen_.fetch_add(1, std::memory_order_relaxed);
  if (answer == Answer::kNoRoom) ++without_room_;
  if (answer != Answer::kWarmed) return;
  without_room_ = 0;
  warmed_.fetch_add(1, std::memory_order_relaxed);
}

void HotListWarmer::End(HotListState state) {
  state_.store(state, std::memory_order_relaxed);
  const HotListStats stats = Stats();
  Log::Write(LogLevel::kVerbose, "hot list: %s, %llu of %llu keys moved back to RAM",
             std::string(HotListStateText(state)).c_str(),
             static_cast<unsigned long long>(stats.warmed),
             static_cast<unsigned long long>(stats.keys));
  window_.clear();
  list_.reset();
}

Status HotListWarmer::AppendRest(uint64_t keys_max, const std::function<bool()>& stop,
                                 storage::HotListWriter* to) {
  while (!stop() && state_.load(std::memory_order_relaxed) == HotListState::kWarming) {
    if (window_.empty()) FillWindow();
    for (const Candidate& candidate : window_) {
      if (stop() || to->Keys() >= keys_max) return {};
      TERRACED_RETURN_IF_ERROR(
          to->Add({.segment = static_cast<uint8_t>(candidate.segment), .key = candidate.bytes}));
    }
    window_.clear();
  }
  return {};
}

HotListStats HotListWarmer::Stats() const {
  HotListState state = state_.load(std::memory_order_relaxed);
  if (state == HotListState::kWarming && tiers_.live.flash_warm_rate_bytes.Get() == 0)
    state = HotListState::kOff;
  return {.state = state,
          .keys = keys_.load(std::memory_order_relaxed),
          .seen = seen_.load(std::memory_order_relaxed),
          .warmed = warmed_.load(std::memory_order_relaxed)};
}

namespace {

// One list of the LRU, and how far the rounds have come in it.
struct ListWalk {
  Shard* shard;
  storage::SlabClass slab_class;
  storage::LruSegment segment;
  uint64_t slice;
  storage::Position at = storage::kNoPosition;
  bool done = false;
};

std::vector<ListWalk> ListsOf(const Tiers& tiers, storage::LruSegment segment) {
  std::vector<ListWalk> walks;
  for (const auto& shard : tiers.shards) {
    MutexLock lock(shard->mutex);
    for (storage::SlabClass slab_class = 1; slab_class <= tiers.arena->LargestClass();
         ++slab_class) {
      const uint64_t count = shard->ram.List(slab_class, segment).count;
      if (count == 0) continue;
      walks.push_back({shard.get(), slab_class, segment, (count + kRounds - 1) / kRounds});
    }
  }
  return walks;
}

// The next slice of the list.
Status WriteSlice(const Tiers& tiers, ListWalk* walk, storage::HotListWriter* list) {
  MutexLock lock(walk->shard->mutex);
  for (uint64_t i = 0; i < walk->slice; ++i) {
    walk->at = walk->shard->ram.Behind(walk->slab_class, walk->segment, walk->at);
    walk->done = walk->at == storage::kNoPosition;
    if (walk->done) break;
    TERRACED_RETURN_IF_ERROR(list->Add({.segment = static_cast<uint8_t>(walk->segment),
                                        .key = tiers.arena->ItemAt(walk->at)->Key()}));
  }
  return {};
}

}  // namespace

Status WriteHotList(const Tiers& tiers, const std::function<bool()>& stop,
                    storage::HotListWriter* list) {
  for (const storage::LruSegment segment : storage::kHottestFirst) {
    std::vector<ListWalk> walks = ListsOf(tiers, segment);
    while (!walks.empty()) {
      for (ListWalk& walk : walks) {
        if (stop()) return {};
        Status written = WriteSlice(tiers, &walk, list);
        if (!written.ok()) return written;
      }
      std::erase_if(walks, [](const ListWalk& walk) { return walk.done; });
    }
  }
  return {};
}

}  // namespace terraced::tiering
