// Shard: one of 256 key ranges: its RAM items, its partition of the flash index and its counters,
// under one mutex. Every command is one critical section of one shard; what needs both tiers at
// once is written here.
// Threads: everything but Number() needs the mutex; two shards are never locked together. Nothing
// blocks.
// Ownership: owned by Tiers.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "storage/base/mutex.h"
#include "storage/ram/ram_tier.h"
#include "tiering/cache_stats.h"
#include "tiering/fill.h"
#include "tiering/tiers.h"

namespace terraced::tiering {

// What is true for one critical section: time and flush epoch are read once at its beginning, so
// that a value derived from an old one (incr, append, touch) cannot cross a flush_all.
struct Moment {
  uint32_t now_s;
  uint64_t epoch;
  uint32_t events = 0;  // classes that are watched; of a command only
};

enum class Reclaimed : uint8_t {
  kYes,            // a chunk (or several) of the class was given back
  kNeedsDemotion,  // what is there has to be written to flash first
  kNothing,        // nothing of that class is here, or all of it is pinned
};
// Why a linked item is not an answer any more.
enum class Death : uint8_t { kNone, kExpired, kFlushed };
enum class EvictPolicy : uint8_t {
  kSpareDirty,      // only what is dead or also on flash
  kEvict,           // the coldest item goes, and is counted as lost
  kEvictFromBatch,  // also one on its way to flash: its demotion is cancelled (rule 2)
};

class alignas(64) Shard {
 public:
  Shard(Tiers& tiers, uint8_t number);

  Mutex mutex;

  // --- Hints, made without the mutex ---

  void PrefetchBucket(uint64_t hash) const TERRACED_NO_THREAD_SAFETY_ANALYSIS {
    __builtin_prefetch(this, 1);
    ram.PrefetchBucket(hash);
  }
  void PrefetchItem(uint64_t hash) const TERRACED_NO_THREAD_SAFETY_ANALYSIS {
    ram.PrefetchItem(hash);
  }
  void PrefetchNeighbours(uint64_t hash) const TERRACED_NO_THREAD_SAFETY_ANALYSIS {
    ram.PrefetchNeighbours(hash);
  }

  // --- Finding ---

  // The key's live RAM item. One that expired or was flushed is unlinked on the way.
  storage::Item* FindLive(const Key& key, const Moment& moment, Death* death = nullptr)
      TERRACED_REQUIRES(mutex);
  bool IsLive(const storage::Item& item, const Moment& moment) const {
    return item.Epoch() == FlushEpoch::Short(moment.epoch) &&
           !IsExpired(item.exptime_s, moment.now_s);
  }

  struct FlashAnswer {
    enum class Kind : uint8_t { kAbsent, kFound, kNeedsFlash, kFailed };
    Kind kind = Kind::kAbsent;
    const Fill::Try* found = nullptr;  // kFound
    storage::Slot slot;                // kFound: where it stands
    bool expired = false;              // kAbsent because its time was up
  };
  // What flash says about a key that is not in RAM: I3 and rule 3 in one place.
  FlashAnswer AskFlash(const Key& key, const Moment& moment, Evidence* evidence)
      TERRACED_REQUIRES(mutex);
  // A command that found no live item in RAM and does not ask flash tells so who watches.
  void NoteUnasked(const Key& key, const Moment& moment) TERRACED_REQUIRES(mutex) {
    if ((moment.events & kFetchers) != 0) ReportAbsent(key);
  }

  // --- Changing (I2: slots go first) ---

  // Rule 1, before any mutation: every slot of the identity goes, and a collision is counted.
  // `item` is the key's linked RAM item if it has one; `own_serial` where its record is known to
  // stand (kNoSerial: unknown).
  void RemoveSlots(const Key& key, const Moment& moment, storage::Item* item, uint64_t own_serial)
      TERRACED_REQUIRES(mutex);
  // Cancels demotion and clean hint of an item that is about to be changed in place.
  static void MakeDirty(storage::Item* item);
  // Links a draft as the newest value of its key, in place of `old`, its linked item (nullptr if it has none), whose
  // chunk may be left in `spare` (see ItemAllocator::Retire).
  void Link(storage::Position draft, storage::Item* old, const Key& key, const Moment& moment,
            storage::LruSegment segment, storage::Position* spare = nullptr)
      TERRACED_REQUIRES(mutex);
  void Unlink(storage::Item* item, uint64_t hash, const Moment& moment) TERRACED_REQUIRES(mutex);
  // The standing slot that a clean item hints at; nullopt: the hint is void and the item dirty.
  std::optional<storage::Slot> CleanSlot(const storage::Item& item, uint64_t hash,
                                         uint64_t epoch) const TERRACED_REQUIRES(mutex);
  // Whether dropping the item from RAM loses nothing.
  bool StandsOnFlash(const storage::Item& item, uint64_t hash, const Moment& moment) const
      TERRACED_REQUIRES(mutex) {
    return item.Has(storage::kItemClean) && CleanSlot(item, hash, moment.epoch).has_value();
  }
  void NoteHit(storage::Item* item, uint32_t now_s) TERRACED_REQUIRES(mutex);
  // An item with the mark of a second access is looked at: the mark goes, and it has another turn in WARM.
  void MoveToWarm(storage::Item* item) TERRACED_REQUIRES(mutex);

  // --- Room (LRU) ---

  // Moves what is over its share of HOT and WARM towards COLD, at most `moves` items; returns how
  // many.
  uint32_t Juggle(storage::SlabClass slab_class, const Moment& moment, uint32_t moves)
      TERRACED_REQUIRES(mutex);
  Reclaimed Reclaim(storage::SlabClass slab_class, EvictPolicy policy, const Moment& moment)
      TERRACED_REQUIRES(mutex);
  // Drops one item for which there is no room: counted as an eviction unless flash has it.
  void Evict(storage::Item* item, uint64_t hash, const Moment& moment) TERRACED_REQUIRES(mutex);
  void CountReclaimed(const storage::Item& item) TERRACED_REQUIRES(mutex);

  uint64_t LiveItems(uint64_t epoch) const TERRACED_REQUIRES(mutex) {
    return epoch == counted_epoch_ ? live_items_ : 0;
  }
  uint32_t Number() const { return number_; }
  ClassCounters& CountersOf(const storage::Item& item) TERRACED_REQUIRES(mutex) {
    return classes[tiers_.allocator.ListClass(item)];
  }
  void ResetCounters() TERRACED_REQUIRES(mutex);

  // The newest batch of which records here were given slots, or are being given some, which is between two holds of the
  // mutex: a key dump looks at both.
  uint64_t slotted_serial TERRACED_GUARDED_BY(mutex) = storage::kNoSerial;
  bool slotting TERRACED_GUARDED_BY(mutex) = false;

  storage::RamTier ram TERRACED_GUARDED_BY(mutex);
  CommandCounters commands TERRACED_GUARDED_BY(mutex);
  std::array<ClassCounters, storage::kSlabClassesMax> classes TERRACED_GUARDED_BY(mutex);

 private:
  // Events of what FindLive and AskFlash found; out of the way of those who are not watched.
  [[gnu::cold]] void ReportItem(const Key& key, const storage::Item& item) TERRACED_REQUIRES(mutex);
  [[gnu::cold]] void ReportAbsent(const Key& key) TERRACED_REQUIRES(mutex);
  [[gnu::cold]] void ReportAnswer(const Key& key, const FlashAnswer& answer)
      TERRACED_REQUIRES(mutex);
  [[gnu::cold]] void ReportEviction(const storage::Item& item, const Moment& moment) const
      TERRACED_REQUIRES(mutex);
  FlashAnswer JudgeFlash(const Key& key, const Moment& moment, Evidence* evidence)
      TERRACED_REQUIRES(mutex);
  // An item that an earlier process left is in RAM again: it is counted, and its hint that it is clean looked at.
  void NoteAdopted(storage::Item* item, uint64_t hash) TERRACED_REQUIRES(mutex);
  // How much of its class a segment may take, and how much older than COLD's its tail may be.
  struct Share {
    storage::LruSegment segment;
    uint32_t pct;
    double age_factor;
  };
  bool MoveOverflow(storage::SlabClass slab_class, const Share& share, const Moment& moment)
      TERRACED_REQUIRES(mutex);
  double TailAge(const storage::LruList& list, const Moment& moment) const TERRACED_REQUIRES(mutex);
  // Whether eviction passes the item over, at the tail of COLD.
  bool IsSpared(const storage::Item& item, EvictPolicy policy) const TERRACED_REQUIRES(mutex);
  // One look at a tail. nullopt: look at the next one.
  std::optional<Reclaimed> ReclaimItem(storage::Item* item, EvictPolicy policy,
                                       const Moment& moment, bool* dirty_seen)
      TERRACED_REQUIRES(mutex);

  Tiers& tiers_;
  const uint32_t number_;
  uint64_t counted_epoch_ TERRACED_GUARDED_BY(mutex) = 0;
  uint64_t live_items_ TERRACED_GUARDED_BY(mutex) = 0;
  // How the item ended that the watched command under way met, until it is told.
  Death met_ TERRACED_GUARDED_BY(mutex) = Death::kNone;
};

}  // namespace terraced::tiering
