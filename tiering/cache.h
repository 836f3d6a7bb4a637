// Cache: one key space over two terraces, RAM and flash; the engine's face towards src/. Every
// command is a function that runs once under the shard mutex. If its answer lies on flash it says
// kNeedsFlash, the caller has the fill read (FillQueue) and calls the same function again with that
// evidence: validation, bounded retries and the command itself are then one critical section (I3).
// Nothing here blocks on disk.
// Threads: any, unless a method says otherwise. Lock order and thread table: tiering/README.md.
// Ownership: keys and value bytes are borrowed for the call; pinned values are lent as ItemRef.
// Errors: Outcome for clients' answers; Status for start and stop.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/clock.h"
#include "storage/base/executor.h"
#include "storage/base/status.h"
#include "storage/ram/item_allocator.h"
#include "tiering/cache_options.h"
#include "tiering/cache_stats.h"
#include "tiering/command_plan.h"
#include "tiering/event_sink.h"
#include "tiering/fill.h"
#include "tiering/live_settings.h"

namespace terraced::tiering {

class Administration;  // tiering/administration.h

enum class Outcome : uint8_t {
  kHit,
  kMiss,  // get, gat
  kStored,
  kNotStored,
  kExists,  // cas unique differs
  kNotFound,
  kDeleted,
  kNonNumeric,  // incr, decr
  kTooLarge,
  kNoMemory,
  kNeedsFlash,   // evidence->need says which slots; call again with the fill
  kFlashFailed,  // the read failed, took too long or raced too often; nothing was changed
};

// Where the value of a hit goes. For small values the shard mutex is held: only copy, never block.
class ValueSink {
 public:
  // The value will have meta.value_bytes; returns where exactly so many bytes can be copied to.
  // Nothing may move that place until the call that produced it has returned. What it returns where the plan wants no
  // value is not looked at; null: who asked has this version of it, and it is not copied.
  virtual char* Begin(const ItemMeta& meta) = 0;
  // Values over kCopyBytesMax in RAM: pinned, to be sent from where they lie (chunk by chunk).
  virtual void Pinned(const ItemMeta& meta, storage::ItemRef ref) = 0;

 protected:
  ~ValueSink() = default;
};
constexpr uint32_t kCopyBytesMax = 16U << 10;

// An item being filled by its connection: not yet visible to anyone. Gives its chunks back unless
// stored. One that was stored may keep the chunk of the item that it replaced, as a spare for the next that is
// allocated with it: a run of sets that replace takes no chunk from the arena and gives none back.
class Draft {
 public:
  Draft() = default;
  Draft(storage::ItemAllocator& allocator, storage::Position position)
      : allocator_(&allocator), position_(position) {}
  Draft(Draft&& other) noexcept;
  Draft& operator=(Draft&& other) noexcept;
  ~Draft() { Reset(); }
  void Reset();

  explicit operator bool() const { return position_ != storage::kNoPosition; }
  void ValuePieces(std::vector<std::span<char>>* pieces) const;
  // The whole value at once; the parts together have exactly its size.
  void FillValue(std::initializer_list<std::string_view> parts);
  const storage::Item& Peek() const { return *allocator_->Arena().ItemAt(position_); }

 private:
  friend class TwoTierCache;
  storage::Position Release();  // the caller owns the chunks now
  void DropSpare();
  storage::ItemAllocator* allocator_ = nullptr;
  storage::Position position_ = storage::kNoPosition;
  storage::Position spare_ = storage::kNoPosition;
};

enum class AllocateResult : uint8_t {
  kOk,
  kTooLarge,  // over -I
  kNoMemory,  // nothing may be evicted (-M), or everything is pinned
  kWait,      // room is running out: stop reading from this connection for a moment, then ask again
};

class Cache {
 public:
  // Opens (or empties) the flash tier and starts the background threads. `clock` and `events` outlive the
  // cache.
  static Result<std::unique_ptr<Cache>> Create(const CacheOptions& options, const Clock& clock,
                                               EventSink& events = NoEvents());
  virtual ~Cache() = default;

  virtual uint64_t HashOf(std::string_view key) const = 0;
  // Before a run of commands whose keys are known (and hashed): brings mutexes, buckets and items on their way, so
  // that the misses of all keys pass at once instead of one after the other.
  virtual void Prefetch(std::span<const Key> keys) const = 0;
  // After that, for a key that will be stored or deleted: what changes along with its item.
  virtual void PrefetchChange(const Key& key) const = 0;

  // get, gets.
  virtual Outcome Get(const Key& key, Evidence* evidence, ValueSink& sink) = 0;
  // Everything else that reads: kHit (also of what was made for a miss, see ReadPlan::vivifies), kMiss, kNoMemory,
  // kNeedsFlash, kFlashFailed. A hit that could be won is only a hit where RAM has no room for it.
  virtual Outcome Read(const Key& key, const ReadPlan& plan, Evidence* evidence,
                       ValueSink& sink) = 0;
  // kDeleted (also of what was kept, stale or empty), kNotFound, kExists, kNoMemory, kNeedsFlash, kFlashFailed.
  // *item is what was kept.
  virtual Outcome Delete(const Key& key, const DeletePlan& plan, Evidence* evidence,
                         ItemMeta* item) = 0;
  // kStored, kNotFound, kExists, kNonNumeric, kNoMemory, kNeedsFlash, kFlashFailed. *value is the new number;
  // *item is as it is now, but for exptime_s: what it was before, or nothing if it was created.
  virtual Outcome Count(const Key& key, const CountPlan& plan, Evidence* evidence, ItemMeta* item,
                        uint64_t* value) = 0;

  // Room for an item. `draft` is empty but for a spare.
  virtual AllocateResult Allocate(const Key& key, const AllocatePlan& plan, Draft* draft) = 0;
  // kStored, kNotStored, kExists, kNotFound, kTooLarge or kNoMemory (append, prepend), kNeedsFlash,
  // kFlashFailed. The draft is consumed unless the answer is kNeedsFlash. *item is what was stored.
  virtual Outcome Store(const Key& key, const StorePlan& plan, Draft* draft, Evidence* evidence,
                        ItemMeta* item) = 0;
  // A set that was refused for its size or for memory must not leave the old value behind (I2).
  virtual void DropRefused(const Key& key) = 0;

  // flush_all: everything stored until now is gone from both tiers by a single store. `at_s` 0 =
  // now; else the Unix second at which it falls due (replaces a pending one).
  virtual void FlushAll(uint32_t at_s) = 0;

  // Each second, by the daemon's clock thread: applies a flush that fell due.
  virtual void Tick() = 0;

  virtual CacheStats Stats() const = 0;
  virtual void ResetStats() = 0;
  virtual const CacheOptions& Options() const = 0;  // as given to Create
  virtual const LiveSettings& Live() const = 0;
  // Takes the live ones of these over, the others are not looked at. Two calls at once may mix what they say.
  // An error changes nothing.
  virtual Status ChangeSettings(const CacheOptions& options) = 0;
  virtual FlashReader& Reader() = 0;
  virtual bool HasFlash() const = 0;
  virtual Administration& Admin() = 0;

  // Tests (`debug demote`): everything in RAM that may go to flash goes; `done` is posted when all
  // is ingested and has its slots.
  virtual void DemoteAll(Executor& executor, Completion* done) = 0;

  // Clean stop: no command may be running any more. Drains RAM to flash, writes index and clean
  // mark. `hurry` may become true meanwhile (second SIGTERM): stops at once, unclean.
  virtual Status Stop(const std::function<bool()>& hurry) = 0;
};

}  // namespace terraced::tiering
