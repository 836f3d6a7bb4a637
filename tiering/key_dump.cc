#include "tiering/key_dump.h"

#include <algorithm>

#include "storage/base/log.h"
#include "storage/base/yield_point.h"

namespace terraced::tiering {
namespace {

constexpr uint32_t kBucketsPerHold = 16;
constexpr size_t kPieceItems = 512;
// Records that are looked at for one piece, dead ones too.
constexpr uint32_t kPieceRecords = 4096;
constexpr std::chrono::milliseconds kSlottingRest{1};
// Until somebody wants a piece, which wakes it.
constexpr std::chrono::milliseconds kRest{std::chrono::hours(1)};

bool IsFull(const DumpPiece& piece) {
  return piece.items.size() >= kPieceItems;
}

void Add(std::string_view key, DumpedItem item, DumpPiece* piece) {
  item.key_at = static_cast<uint32_t>(piece->keys.size());
  item.key_bytes = static_cast<uint8_t>(key.size());
  piece->keys.append(key);
  piece->items.push_back(item);
}

}  // namespace

Status KeyDump::Start() {
  return thread_.Start("key_dump", [this] {
    while (Work()) {
    }
    return kRest;
  });
}

bool KeyDump::Begin(const DumpScope& scope) {
  if (active_.exchange(true, std::memory_order_acquire)) return false;
  scope_ = scope;
  shard_ = 0;
  cursor_ = 0;
  for (std::vector<Walked>& walked : walked_) walked.clear();
  batches_listed_ = false;
  serials_.clear();
  batch_ = 0;
  next_key_.clear();
  return true;
}

void KeyDump::Next(DumpPiece* piece, Executor& executor, Completion* done) {
  {
    MutexLock lock(mutex_);
    TERRACED_DCHECK(!order_.has_value());
    order_ = Order{piece, &executor, done};
  }
  thread_.Wake();
}

void KeyDump::End() {
  active_.store(false, std::memory_order_release);
}

bool KeyDump::Work() {
  std::optional<Order> order;
  {
    MutexLock lock(mutex_);
    order.swap(order_);
  }
  if (!order.has_value()) return false;
  Fill(order->piece);
  order->executor->Post(order->done);
  return true;
}

void KeyDump::Fill(DumpPiece* piece) {
  piece->keys.clear();
  piece->items.clear();
  piece->keys_only = scope_.keys_only;
  records_left_ = kPieceRecords;
  while (shard_ < tiers_.shards.size() && !IsFull(*piece)) {
    if (!AddFromRam(piece)) std::this_thread::sleep_for(kSlottingRest);
  }
  const bool ram_done = shard_ == tiers_.shards.size();
  if (ram_done && !batches_listed_) ListBatches();
  while (ram_done && batch_ < serials_.size() && !IsFull(*piece) && records_left_ > 0) {
    AddFromFlash(piece);
  }
  piece->last = ram_done && batch_ == serials_.size();
}

bool KeyDump::AddFromRam(DumpPiece* piece) {
  YieldPoint::Pass();
  Shard& shard = *tiers_.shards[shard_];
  MutexLock lock(shard.mutex);
  if (shard.slotting) return false;
  const Moment moment{tiers_.clock.NowS(), tiers_.flush.Current()};
  const auto visit = [&](storage::Position position) TERRACED_NO_THREAD_SAFETY_ANALYSIS {
    AddRamItem(shard, position, moment, piece);
  };
  const bool more = shard.ram.Index().WalkOnce(&cursor_, kBucketsPerHold, visit);
  std::vector<Walked>& walked = walked_[shard_];
  if (!walked.empty() && walked.back().newest_serial == shard.slotted_serial) {
    walked.back().cursor_end = cursor_;
  } else {
    walked.push_back({cursor_, shard.slotted_serial});
  }
  if (!more) {
    ++shard_;
    cursor_ = 0;
  }
  return true;
}

void KeyDump::AddRamItem(Shard& shard, storage::Position position, const Moment& moment,
                         DumpPiece* piece) {
  const storage::Item& item = *tiers_.arena->ItemAt(position);
  // Before it has been adopted, an item of an earlier process may be damaged; the index may even name none.
  const bool adopted = !tiers_.arena->Adopting() || tiers_.arena->IsAdopted(item);
  if (!adopted && !shard.ram.LooksWhole(item)) return;
  if (!shard.IsLive(item, moment)) return;
  const storage::SlabClass slab_class = tiers_.allocator.ListClass(item);
  if (!scope_.classes[slab_class]) return;
  if (shard.StandsOnFlash(item, tiers_.HashOf(item.Key()), moment)) return;
  Add(item.Key(),
      {.slab_class = slab_class,
       .fetched = item.Has(storage::kItemFetched),
       .binary_key = item.Has(storage::kItemBinaryKey),
       .exptime_s = item.exptime_s,
       .last_access_s = item.last_access_s,
       .cas_unique = tiers_.allocator.Uniques().Unique(item),
       .size_bytes = storage::ItemAllocator::RequestedBytes(item)},
      piece);
}

bool KeyDump::WasOnFlash(uint64_t hash, uint64_t serial) const {
  const uint64_t cursor = storage::HashIndex::CursorOf(hash);
  for (const Walked& walked : walked_[storage::PartitionOf(hash)]) {
    if (cursor < walked.cursor_end) return serial <= walked.newest_serial;
  }
  return false;
}

void KeyDump::ListBatches() {
  batches_listed_ = true;
  if (!tiers_.HasFlash()) return;
  for (uint32_t number = 1; number < storage::kBatchNumbers; ++number) {
    const uint64_t serial = tiers_.batches.SerialOf(static_cast<storage::BatchNumber>(number));
    if (serial != storage::kNoSerial) serials_.push_back(serial);
  }
  std::sort(serials_.begin(), serials_.end());
}

void KeyDump::AddFromFlash(DumpPiece* piece) {
  const uint64_t serial = serials_[batch_];
  bool more = false;
  const Status status =
      tiers_.store->Records(serial, next_key_, [&](std::string_view key, std::string_view record) {
        YieldPoint::Pass();
        if (AddRecord(serial, key, record, piece)) return true;
        next_key_.assign(key);
        more = true;
        return false;
      });
  if (!status.ok()) {
    Log::Write(LogLevel::kNotice, "key dump: %s; the rest of this batch is not listed",
               std::string(status.message()).c_str());
  } else if (more) {
    return;
  }
  ++batch_;
  next_key_.clear();
}

bool KeyDump::AddRecord(uint64_t serial, std::string_view key, std::string_view record,
                        DumpPiece* piece) {
  if (records_left_ == 0 || IsFull(*piece)) return false;
  --records_left_;
  const uint64_t hash = tiers_.HashOf(key);
  if (!WasOnFlash(hash, serial)) return true;
  Shard& shard = tiers_.ShardOf(hash);
  bool stands = false;
  bool hit = false;
  {
    MutexLock lock(shard.mutex);
    for (const storage::Slot& slot :
         tiers_.index.Find(shard.Number(), hash, tiers_.flush.Current())) {
      if (slot.serial != serial) continue;
      stands = true;
      hit = slot.hit;
    }
  }
  if (!stands) return true;
  const Result<storage::DecodedRecord> decoded = storage::DecodeRecord(serial, key, record);
  if (!decoded.ok()) return true;  // whoever reads it counts it
  const storage::RecordMeta& meta = decoded.value().meta;
  if (IsExpired(meta.exptime_s, tiers_.clock.NowS())) return true;
  const uint64_t value_bytes = decoded.value().value.size();
  const storage::SlabClass slab_class =
      tiers_.allocator.ClassFor(key.size(), meta.client_flags, value_bytes);
  if (!scope_.classes[slab_class]) return true;
  Add(key,
      {.slab_class = slab_class,
       .fetched = meta.fetched || hit,
       .binary_key = meta.binary_key,
       .exptime_s = meta.exptime_s,
       .last_access_s = meta.last_access_s,
       .cas_unique = meta.cas_unique,
       .size_bytes = tiers_.allocator.TotalBytes(key.size(), meta.client_flags, value_bytes),
       .serial = serial},
      piece);
  return true;
}

}  // namespace terraced::tiering
