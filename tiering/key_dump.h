// KeyDump: the list of all keys of both tiers, for `lru_crawler metadump`. First the items of which RAM has the only
// value, shard by shard in an order that growth of the index does not change; then the records on flash, batch by batch,
// each looked up in the flash index under its shard mutex. While RAM is walked batches go on being written: with each
// part of a shard is kept which batch was the newest in it. What of those hashes has its slot in that batch or an older
// one was on flash then, and is listed as a record; what is in a newer one was listed as an item. So no key is listed
// twice, and nothing is that was deleted, replaced, flushed or has expired by then.
// Threads: its own, one piece at a time; Begin, Next and End by the thread of whoever dumps. A shard mutex is held for a
// few buckets or one record; RocksDB's iterator lives within one piece, so a client that does not read holds nothing.
// Ownership: borrows piece and completion until the completion is posted. Sizes: a piece has some 64 KiB of keys at
// most.
#pragma once

#include <array>
#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/mutex.h"
#include "storage/flash/record.h"
#include "tiering/administration.h"
#include "tiering/background_thread.h"
#include "tiering/shard.h"

namespace terraced::tiering {

class KeyDump {
 public:
  explicit KeyDump(Tiers& tiers) : tiers_(tiers) {}
  Status Start();
  void Join() { thread_.Join(); }

  bool Begin(const DumpScope& scope);
  void Next(DumpPiece* piece, Executor& executor, Completion* done);
  void End();

  // The piece that was asked for, on the caller's thread; false: none was. Also for tests.
  bool Work();

 private:
  struct Order {
    DumpPiece* piece;
    Executor* executor;
    Completion* done;
  };
  // Up to that cursor, the batch that was the newest when those hashes were walked.
  struct Walked {
    uint64_t cursor_end;
    uint64_t newest_serial;
  };
  void Fill(DumpPiece* piece);
  // False: records of the shard are being given their slots; soon they all have.
  bool AddFromRam(DumpPiece* piece);
  void AddRamItem(Shard& shard, storage::Position position, const Moment& moment, DumpPiece* piece)
      TERRACED_REQUIRES(shard.mutex);
  void ListBatches();
  void AddFromFlash(DumpPiece* piece);
  // False: the piece is full, and this record is for the next one.
  bool AddRecord(uint64_t serial, std::string_view key, std::string_view record, DumpPiece* piece);
  // Whether the record was on flash already when RAM was walked.
  bool WasOnFlash(uint64_t hash, uint64_t serial) const;

  Tiers& tiers_;
  std::atomic<bool> active_{false};
  Mutex mutex_;
  std::optional<Order> order_ TERRACED_GUARDED_BY(mutex_);

  // Of the dump under way: written by Begin, then by the thread that works on a piece only.
  DumpScope scope_;
  size_t shard_ = 0;
  uint64_t cursor_ = 0;
  std::array<std::vector<Walked>, storage::kPartitions> walked_;
  bool batches_listed_ = false;
  std::vector<uint64_t> serials_;  // ascending: oldest first, they are dropped first
  size_t batch_ = 0;
  std::string next_key_;       // of that batch
  uint32_t records_left_ = 0;  // in this piece
  BackgroundThread thread_;
};

}  // namespace terraced::tiering
