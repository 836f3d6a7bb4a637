// FlashKeeper: keeps the flash tier within its quota and its index clean: chooses and drops batches,
// gathers second chances, sweeps the slots of dropped batches, tells collisions from overwrites.
// Threads: the demoter's only (it is the one writer of BatchTable and BatchStore); takes shard
// mutexes one at a time, a bounded number of slots per hold.
// Errors: a store that fails costs the step, never correctness; files that cannot be removed now are removed
// later, and FilesLeft() says so until then.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "storage/base/log.h"
#include "tiering/batch_builder.h"
#include "tiering/tiers.h"

namespace terraced::tiering {

class FlashKeeper {
 public:
  FlashKeeper(Tiers& tiers, uint64_t batch_bytes);

  // --- Space
  // --------------------------------------------------------------------------------------------
  // Batches that have to go so that one more fits: the oldest, or before it one that is mostly
  // dead; many small ones when numbers, not space, are what runs out.
  struct Victims {
    std::vector<storage::BatchNumber> numbers;
    bool rewrite_all =
        false;           // for numbers, not for space: every live record deserves its second chance
    bool enough = true;  // false: the quota has no room for so many bytes
  };
  // `spare_from`: batches of that serial and younger ones are to stay.
  Victims ChooseVictims(uint64_t bytes, uint64_t spare_from = UINT64_MAX);
  // At most so large is the file of what was collected.
  static uint64_t FileBytesMax(const BatchBuilder& builder);
  // The largest value that a batch may hold beside others, where the batches from `spare_from` on are to stay.
  uint64_t ItemBytesMax(uint64_t spare_from = UINT64_MAX) const;
  // What is too large for the headroom that the quota leaves beside it would be on disk together with its
  // victims: of those, as many as it takes go first (without second chances).
  void MakeHeadroom(uint64_t bytes, Victims* victims);
  // Their hit records come along in the new batch (up to second_chance_pct of each).
  void GatherRewrites(const Victims& victims, BatchBuilder* builder);
  // Those that are living still. While the tier is offline they are dead, and their files are left for RemoveOrphans():
  // a disk in trouble is left alone between two tries, however many batches a flush_all kills.
  void Drop(const std::vector<storage::BatchNumber>& numbers);
  void DropFlushed();    // batches of older epochs
  void DropOverQuota();  // a start with a smaller flash_size than before: the oldest go
  bool Full() const;     // the quota has been reached once: admission may be choosy

  // --- Index
  // --------------------------------------------------------------------------------------------
  void SweepIfNeeded(bool now);
  // Tells removed slots apart, for a few milliseconds; true: more are waiting.
  bool VerifyRemovals();
  // Removes the files that no living batch owns, where there may be some: after a start, a failed batch
  // (LookForOrphans) or a drop whose file could not be removed. An error is tried again: at once where files are
  // known to be left, else after a few seconds.
  Status RemoveOrphans();
  void LookForOrphans() { orphans_ = true; }
  // Files of dropped batches are still there, beyond the quota.
  bool FilesLeft() const { return files_left_; }
  void NoteFilesLeft() { files_left_ = true; }
  void DropFile(uint64_t serial);

 private:
  // What batches may take now: the index file of a clean stop has to fit beside them.
  uint64_t Quota() const;
  void DropOne(storage::BatchNumber number);
  // Those of batches that are about to go, whose hash lists go with them.
  void VerifyRemovalsOf(const std::vector<storage::BatchNumber>& numbers);
  void TakeRemovals();
  static void SortRemovals(std::vector<Removal>* removals);
  // A bounded number of removals of the last serial, off the end.
  void VerifySome(std::vector<Removal>* sorted);
  void Gather(storage::BatchNumber number, bool all, BatchBuilder* builder);

  Tiers& tiers_;
  const uint64_t batch_bytes_;
  const uint64_t quota_bytes_;  // without regard to the index
  std::vector<Removal>
      removals_;  // not yet told apart; bounded by the log's count of those pending
  bool removals_sorted_ = true;
  bool orphans_ = true;  // there may be some
  bool files_left_ = false;
  std::optional<uint32_t> orphans_tried_s_;  // in vain
  LogLimit drops_said_;
};

}  // namespace terraced::tiering
