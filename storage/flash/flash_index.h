// FlashIndex: the only truth about what is on flash. It maps the index identity of a key (bucket
// pair and fingerprint of its hash) to the batches that hold a record of it. A record that no slot
// points to does not exist; removing a slot is how a flash item is overwritten or deleted. The nine
// rules of storage/README.md, "Flash index", say how it is kept airtight; the model in tests/model
// explores them.
//
// Layout: 256 partitions, one per shard; a partition is an array of 64-byte buckets of 16 four-byte
// slots: 18 bits fingerprint, 1 hit bit, 13 bits batch number; 0 is an empty slot. A key has two
// buckets: b1 from its hash, b2 = (H(fingerprint) - b1) mod buckets, so that (fingerprint, {b1,
// b2}) is an equivalence: the identity. An addition takes the emptier bucket. Partitions grow by a
// quarter, from hash lists.
//
// Threads: partition p is guarded by the mutex of shard p: every method that takes a partition
// needs it, but for Prefetch and MemoryBytes. A slot "stands" if its batch's serial lives and its
// batch's epoch is the current one. Errors: AddResult and bool for a table that is full;
// kCorruption where saved bytes fail their check. Sizes: 4 bytes a slot, 0.74 to 0.92 of the slots
// in use once it has grown: 4.4 to 5.4 bytes an item.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/status.h"
#include "storage/flash/batch_table.h"
#include "storage/flash/slot_memory.h"

namespace terraced::storage {

constexpr int kPartitionBits = 8;
constexpr uint32_t kPartitions = 1U << kPartitionBits;
using Partition = uint32_t;
// The shard and the partition of a key: the top bits of its hash.
inline Partition PartitionOf(uint64_t hash) {
  return static_cast<Partition>(hash >> (64 - kPartitionBits));
}

struct Slot {
  uint64_t serial = kNoSerial;
  BatchNumber number = kNoBatch;
  bool hit = false;
};

// More slots of one identity than this do not come to stand: Add() answers kFull.
constexpr uint32_t kIdentitySlotsMax = 8;
struct SlotList {
  std::array<Slot, kIdentitySlotsMax> slots;
  uint32_t count = 0;

  const Slot* begin() const { return slots.data(); }        // NOLINT(readability-identifier-naming)
  const Slot* end() const { return slots.data() + count; }  // NOLINT(readability-identifier-naming)
  bool Has(uint64_t serial) const {
    for (const Slot& slot : *this) {
      if (slot.serial == serial) return true;
    }
    return false;
  }
};

class SlotTable;  // storage/flash/slot_table.h
struct SlotPlace;

class FlashIndex {
 public:
  // `buckets_per_partition` at first; 0 is the index of a cache without flash: it is always empty.
  // With `memory` (which outlives it; null: its own) it begins with what an earlier process left
  // there: the batches are taken over before, and the slots are added to their live counts here.
  FlashIndex(BatchTable& batches, uint32_t buckets_per_partition, SlotMemory* memory = nullptr);
  ~FlashIndex();  // memory that outlives the process keeps the slots
  FlashIndex(const FlashIndex&) = delete;
  FlashIndex& operator=(const FlashIndex&) = delete;

  // A hint that needs no mutex.
  void Prefetch(Partition partition, uint64_t hash) const;
  // The standing slots of the key's identity. `epoch` is the current flush epoch.
  SlotList Find(Partition partition, uint64_t hash, uint64_t epoch) const;
  // Rule 1: removes every slot of the identity, standing or not, and from a growing table whatever
  // came from them; the removed ones that stood are returned. Live counts of their batches go down.
  SlotList Remove(Partition partition, uint64_t hash, uint64_t epoch);
  // Removes the one slot of that serial (expired record, failed check, finished rewrite). `keys_meant`: so many of
  // those that share it are not lost with it, or are known to be.
  bool RemoveSerial(Partition partition, uint64_t hash, uint64_t serial, uint32_t keys_meant = 1);
  bool MarkHit(Partition partition, uint64_t hash, uint64_t serial);

  // Equal for two hashes exactly if they share every slot. Holds until the mutex is released.
  uint64_t Identity(Partition partition, uint64_t hash) const;

  enum class AddResult { kAdded, kAlreadyThere, kFull };
  // One slot for the identity of `hash` in that (living) batch, in the table that rules. kFull:
  // no room in either bucket, or the identity has too many slots; nothing was added. It stands for
  // so many keys of the batch.
  AddResult Add(Partition partition, uint64_t hash, BatchNumber number, bool hit,
                uint32_t keys = 1);

  // --- Growth (rule 7)
  // By the thread that adds, a slice per hold of the mutex. Between Begin and Finish every key hash
  // of every living batch is carried over, batch after batch, each batch's list whole and in one go
  // (of a batch that got slots meanwhile: after its last Add). Two keys of a batch may share an
  // identity in the new table that they did not share before: unless both stand, neither may have a
  // slot there, or a deleted record would come back behind its living neighbour. So the hashes that
  // stand no longer matter as much as those that do.
  bool WantsGrowth(Partition partition) const;  // load over the limit, or an Add failed lately
  // An empty second table, at least a quarter larger and large enough for `slots` to leave room for growth;
  // abandons one there was.
  void BeginGrowth(Partition partition, uint64_t slots = 0);
  // If (identity, serial) stands in the old table, it is put into the new one, hit bit included.
  // False: the new table is full; abandon and begin again larger.
  bool CarryOver(Partition partition, uint64_t hash, uint64_t serial);
  // One critical section: the new table rules, the old one is freed. False: a batch got slots since
  // BeginGrowth and was not carried over afterwards; nothing has changed, carry it over or abandon.
  bool FinishGrowth(Partition partition);
  void AbandonGrowth(Partition partition);
  // Collisions that no command saw: keys lost to a neighbour of a new table, and those that shared a slot with
  // a neighbour of their own batch when it was removed. Too many where the neighbour had expired or was in RAM as well;
  // too few where a slot goes while its partition grows, and after a restart until it does.
  uint64_t UnseenCollisions() const { return unseen_collisions_.load(std::memory_order_relaxed); }
  void ResetCounters() { unseen_collisions_.store(0, std::memory_order_relaxed); }

  // --- Sweep
  // Purges slots of dead batches, `buckets` buckets a call; true when the partition is done.
  // *cursor is 0 at first. What died before the first call is gone after the last, growth or not.
  bool Sweep(Partition partition, uint64_t* cursor, uint32_t buckets);
  void Clear(Partition partition);  // every slot, a growing table included

  uint64_t SlotsUsed(Partition partition) const;
  uint64_t SlotsTotal(Partition partition) const;
  uint64_t MemoryBytes() const;  // any thread

  // --- The index file (clean stop)
  // Appends the partition as bytes with a CRC; a growing table and dead slots are left out.
  void SavePartition(Partition partition, std::string* to) const;
  // Takes exactly the bytes of one SavePartition. The batches are restored before, with live = 0:
  // the slots are added to their live counts here. kCorruption leaves the partition as it was.
  Status LoadPartition(Partition partition, std::string_view bytes);

 private:
  struct Growth;
  struct State;
  // A slot of more than one key.
  struct SharedSlot {
    uint64_t serial;
    uint64_t hash;  // of one of them
    uint32_t keys;
    BatchNumber number;
  };

  void Install(Partition partition, SlotTable table);
  bool StandsUnder(BatchNumber number, uint64_t epoch) const;
  // `ruling`: whether the table's slots count as live.
  void Erase(SlotTable& table, uint32_t bucket, uint32_t slot, bool ruling);
  void PurgeBucket(SlotTable& table, uint32_t bucket, bool ruling);
  void PurgeRange(SlotTable& table, uint64_t first, uint64_t last, bool ruling);
  AddResult Put(SlotTable& table, const SlotPlace& place, uint32_t word, bool ruling);
  bool MoveOneAway(SlotTable& table, uint32_t bucket);
  void RemoveFromGrowing(State& state, const SlotPlace& place, BatchNumber number);
  void EraseGrown(Growth& growth, uint32_t bucket, uint32_t fingerprint, BatchNumber number);
  void BarFromGrowing(Growth& growth, uint64_t hash);
  void NoteShared(const SlotTable& table, const SharedSlot& slot,
                  std::vector<SharedSlot>* shared) const;
  void CountShared(Partition partition, uint64_t identity, uint64_t serial, uint32_t keys_meant);
  void RecountLive(const SlotTable& from, const SlotTable& to);
  void AddToLive(std::span<const int64_t> live);  // by number

  // Self-synchronised.
  std::atomic<uint64_t> unseen_collisions_{0};

  // Constant after construction; what the states hold is guarded by the mutexes of their shards.
  BatchTable& batches_;
  PrivateSlotMemory private_memory_;
  SlotMemory* const memory_;
  const std::unique_ptr<State[]> states_;  // none without flash
  // Slots of several keys, a list for each partition, nearly always empty; guarded as its state.
  std::array<std::vector<SharedSlot>, kPartitions> shared_;
};

}  // namespace terraced::storage
