// BatchBuilder: one batch on its way to flash. It takes COLD items out of shards (marking them, so
// that a mutation cancels them), encodes their records, has the file built and ingested, and then
// gives slots to what is still valid: rules 2 and 6 of storage/README.md, "Flash index", are kept
// here.
// Threads: the demoter's only; takes one shard mutex at a time, a bounded number of items per hold.
// Ownership: items stay in RAM, readable, until their slot stands; nothing is pinned while the file
// is built.
// Errors: Write's Status; the caller then abandons the batch, whose items stay what they are.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "storage/flash/batch_store.h"
#include "storage/flash/record.h"
#include "tiering/admission_policy.h"
#include "tiering/shard.h"

namespace terraced::tiering {

struct CollectRules {
  bool everything = false;  // not only what is cold: `debug demote`, and the drain of a clean stop
  uint64_t item_bytes_max = 0;
  bool flash_full = false;  // for admission
  // With `everything`: what was in one of so many batches before this one and is still here found no slot, or was
  // cancelled; once is enough.
  uint32_t serials_tried = 0;
  bool spares_clean =
      false;  // the drain of an arena that outlives the process: clean items stay too
};

// What stays in RAM as a clean copy when its slot stands.
enum class InRam : uint8_t {
  kNone,
  kHit,  // what was read again while its file was being built
  kAll,
};

// A batch is full beyond either.
struct BatchLimits {
  uint64_t ram_bytes = 0;
  uint64_t records = std::numeric_limits<uint64_t>::max();
};

class BatchBuilder {
 public:
  BatchBuilder(Tiers& tiers, AdmissionPolicy& admission, uint64_t serial, uint64_t epoch,
               const BatchLimits& limits);

  // Takes items from the tail of one list; returns how many it took. Sets Flushed() when the epoch
  // is gone.
  uint32_t Collect(Shard& shard, storage::SlabClass slab_class, storage::LruSegment segment,
                   uint32_t items_max, const CollectRules& rules);
  // Second chance: a record of `source` comes along, if its slot still stands when this batch gets
  // its own.
  void AddRewrite(uint64_t hash, uint64_t source, std::string_view key,
                  const storage::DecodedRecord& record);

  bool Empty() const { return entries_.empty(); }
  bool Full() const {
    return ram_bytes_ >= limits_.ram_bytes || entries_.size() >= limits_.records;
  }
  bool Flushed() const { return flushed_; }
  uint64_t Serial() const { return serial_; }
  uint64_t Epoch() const { return epoch_; }
  uint64_t RawBytes() const { return raw_bytes_; }
  uint64_t RecordCount() const { return entries_.size(); }
  // Chunk bytes of RAM that its items hold until they have their slots.
  uint64_t RamBytes() const { return ram_bytes_; }

  Result<storage::BatchFile> Write();
  // How many of its entries fall into each partition: growth has to come before Slot().
  std::array<uint32_t, storage::kPartitions> EntriesPerPartition() const;
  void Slot(storage::BatchNumber number, InRam keep);
  void Abandon();  // takes the marks off

 private:
  struct Entry {
    uint64_t hash = 0;
    uint64_t identity = 0;
    uint64_t cas_unique = 0;
    uint64_t source = storage::kNoSerial;               // of a rewrite; kNoSerial: a RAM item
    storage::Position position = storage::kNoPosition;  // of a rewrite: which of rewrite_keys_
    uint32_t key_bytes = 0;
    uint64_t key_at = 0;  // offsets into bytes_
    uint64_t record_at = 0;
    uint64_t record_bytes = 0;
  };
  struct Staged {
    Entry entry;
    storage::RecordMeta meta;
    uint64_t key_at = 0;  // offsets into stage_
    uint64_t value_at = 0;
    uint64_t value_bytes = 0;
    storage::ItemRef pinned;  // large values are encoded from where they lie
  };

  void PrefetchItem(storage::Position position) const;
  void PrefetchEntry(Shard& shard, const Entry& entry) const TERRACED_REQUIRES(shard.mutex);
  // True: the item was taken.
  bool Examine(Shard& shard, storage::Item* item, const Moment& moment, const CollectRules& rules)
      TERRACED_REQUIRES(shard.mutex);
  void Stage(Shard& shard, storage::Item* item, uint64_t hash) TERRACED_REQUIRES(shard.mutex);
  void EncodeStaged();
  void Encode(Entry entry, std::string_view key, const storage::RecordMeta& meta,
              std::string_view value);
  // The item of an entry, if it is still the one that was taken, unchanged and marked.
  storage::Item* ValidItem(Shard& shard, const Entry& entry) const TERRACED_REQUIRES(shard.mutex);
  bool IsValid(Shard& shard, const Entry& entry, const Moment& moment) const
      TERRACED_REQUIRES(shard.mutex);
  // One hold of the shard's mutex; returns where the next one begins.
  size_t SlotSome(Shard& shard, size_t begin, size_t end, storage::BatchNumber number, InRam keep);
  void SlotIdentity(Shard& shard, std::span<const Entry> entries, storage::BatchNumber number,
                    const Moment& moment, InRam keep) TERRACED_REQUIRES(shard.mutex);
  bool AddSlot(Shard& shard, std::span<const Entry> entries, storage::BatchNumber number,
               const Moment& moment) TERRACED_REQUIRES(shard.mutex);
  // A rewritten record that was promoted since it was read: its item is clean under the new serial
  // (I1).
  void MoveCleanMark(Shard& shard, const Entry& entry, storage::BatchNumber from,
                     storage::BatchNumber to) TERRACED_REQUIRES(shard.mutex);
  void ReleaseItem(Shard& shard, storage::Item* item, const Entry& entry,
                   storage::BatchNumber number, const Moment& moment, InRam keep)
      TERRACED_REQUIRES(shard.mutex);

  Tiers& tiers_;
  AdmissionPolicy& admission_;
  const uint64_t serial_;
  const uint64_t epoch_;
  const BatchLimits limits_;
  uint64_t ram_bytes_ = 0;
  uint64_t raw_bytes_ = 0;
  bool flushed_ = false;
  std::string bytes_;  // keys and encoded records
  std::vector<Entry> entries_;
  std::vector<std::string> rewrite_keys_;  // kept until the slots stand, bytes_ is not
  std::string stage_;
  std::vector<Staged> staged_;
};

}  // namespace terraced::tiering
