// Demoter: the thread that writes flash, and the only one that does: batches of COLD items ahead of
// need, drops, growth of the index, recovery from a failing disk (I6).
// Threads: Step() and Drain() on one thread at a time (its own; the main thread after Join()); the
// rest from any.
// Ownership: owned by the cache; borrows Tiers.
// Errors: a failed batch leaves its items where they are; three in a row, or a disk that refuses a small file as well,
// turn the tier off for a while: RAM goes on alone, flash is read, mutations still remove slots (rule 8), and it is
// tried again after a second, later every ten. An outage is said when it begins and when the disk takes files again.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "storage/base/executor.h"
#include "storage/base/log.h"
#include "storage/base/mutex.h"
#include "tiering/admission_policy.h"
#include "tiering/batch_builder.h"
#include "tiering/demotion_outlook.h"
#include "tiering/flash_keeper.h"
#include "tiering/index_grower.h"
#include "tiering/retry_pause.h"
#include "tiering/thread_priority.h"
#include "tiering/tiers.h"

namespace terraced::tiering {

class Demoter {
 public:
  Demoter(Tiers& tiers, uint64_t first_serial);
  ~Demoter();

  Status Start();
  void Join();  // stops the thread; waiting DemoteAll requests are answered

  void Wake();
  void WakeUrgently() {  // somebody waits
    priority_.Hurry();
    Wake();
  }
  // After an allocation: wakes the thread where the class is short of its reserve; true where it is behind so far that
  // who stores should slow down, and a batch may come; urgently where that has not been enough.
  bool NoteAllocation(storage::SlabClass slab_class);
  // More is free than what makes the demoter, or soon would: who takes a chunk sets nothing in motion. Any thread.
  bool HasRoomToSpare(storage::SlabClass slab_class) const;
  // False: it has come forward, for it is far behind or awaited. Any thread.
  bool StandsBack() const { return priority_.StandsBack(); }
  // Whether who is short of such a chunk may hope for a batch: not where what is there may not be
  // demoted, where the write budget is spent, and while flash is off.
  bool BatchMayCome(storage::SlabClass slab_class) const {
    return tiers_.FlashOnline() && outlook_.MayCome(slab_class);
  }
  void DemoteAll(Executor& executor, Completion* done);
  // The live settings have changed: what was of no use for flash may be now. Any thread.
  void NoteSettings();

  // One round of everything there is to do; the thread's loop body, and a test's crank.
  void Step();
  // Before the drain of a stop: there is no later try, so a tier that is off is tried whatever the pause.
  void TryAtOnce();
  // Clean stop: every dirty RAM item, hottest first, until done, the deadline, or `hurry`. Returns
  // how many items stayed behind.
  uint64_t Drain(uint64_t deadline_us, const std::function<bool()>& hurry);

  // The serial of the next batch; one that was never written does not use it up. Any thread.
  uint64_t NextSerial() const { return next_serial_.load(std::memory_order_relaxed); }
  // STATE covers the serials below `end` from now on. Until more are covered, batches fail at it. Any thread.
  void AllowSerialsBelow(uint64_t end) { serial_end_.store(end, std::memory_order_relaxed); }

  // Before Start(): files of an earlier run could not be removed; nothing is written before they are.
  void NoteFilesLeft() { keeper_.NoteFilesLeft(); }

  // Chosen from -m and flash_size (8 to 64 MB, at most a sixteenth of -m; larger where the quota
  // has more batches than numbers).
  static uint64_t BatchBytes(const CacheOptions& options);
  std::string StateText() const;

 private:
  // A list of an LRU segment (by place in the order of CollectAll), shard and class.
  struct ListCursor {
    size_t segment = 0;
    size_t shard = 0;
    storage::SlabClass slab_class = 1;
    bool operator==(const ListCursor&) const = default;
  };
  struct Request {
    Executor* executor;
    Completion* done;
  };
  // kFullBatch: there may be more where it came from.
  enum class Wrote : uint8_t { kBatch, kFullBatch, kNothing, kFailed };
  static bool IsWritten(Wrote wrote) {
    return wrote == Wrote::kBatch || wrote == Wrote::kFullBatch;
  }

  void Run();
  bool IsAwaited() const;  // to stop, or by DemoteAll
  void StandBackUnlessNeeded();
  bool WaitForWork();  // false: stop
  // One batch. `everything`: `debug demote` and drain; else what has too little in reserve.
  // `spare_from`: batches of this serial and younger ones may not go for it.
  Wrote WriteBatch(const CollectRules& rules, InRam keep, uint64_t spare_from = UINT64_MAX);
  // The index has to be large enough for a batch before the first of its items is on flash, so a
  // batch is not much larger than what is there already.
  uint64_t RecordsAtOnce() const;
  // From classes that are short of chunks, and along with them from those that soon will be: each on
  // its own, the classes of a small RAM tier would make many small batches.
  void CollectPressed(BatchBuilder* builder, const CollectRules& rules);
  void CollectTurn(BatchBuilder* builder, storage::SlabClass slab_class, const CollectRules& rules);
  // A turn through the shards for one class.
  struct Turn {
    uint64_t items = 0;   // collected
    uint64_t chunks = 0;  // of those, and what the looks set free
    uint64_t looks = 0;   // at most
    bool whole = false;   // every shard's tail was looked at
  };
  // Up to so many chunks, and no more than an eighth of the class.
  Turn CollectClass(BatchBuilder* builder, storage::SlabClass slab_class, uint64_t chunks,
                    const CollectRules& rules);
  // Whether most of a class are heads and last parts of chunked items, which are listed in the
  // largest class: then it is those that have to go.
  bool HoldsParts(storage::SlabClass slab_class);
  bool IsBehind(storage::SlabClass slab_class) const;
  bool IsBehindForLong();  // said by those who store
  bool IsPressed(storage::SlabClass slab_class) const;
  bool IsSoonPressed(storage::SlabClass slab_class) const;
  void CollectAll(BatchBuilder* builder, const CollectRules& rules);
  bool Any(bool (Demoter::*is)(storage::SlabClass) const) const;  // of the classes
  uint64_t ReserveChunks(storage::SlabClass slab_class) const;
  Wrote Finish(BatchBuilder* builder, const FlashKeeper::Victims& victims, InRam keep);
  // False: files of dropped batches are left over, so nothing more may be written.
  bool RemoveOrphans();
  // flash_item_max, as far as the quota allows it.
  uint64_t ItemBytesMax() const;
  void TakeSettings();
  void NoteFailure(const Status& status);
  void NoteSuccess();
  void TurnOff(const Status& status);
  void TurnOn();
  void TryAgain();
  // Whether the disk takes files again, and lets go of those that are to go.
  Status Probe();
  void AnswerRequests();
  // Every list once, however many batches that takes: clients that go on storing do not keep it for ever. kFailed: some
  // batch was; else all that was there has had its turn.
  Wrote DemoteOnce();
  uint64_t DirtyItems();

  // Constant after construction.
  Tiers& tiers_;
  const uint64_t batch_bytes_;
  // The writing thread's.
  AdmissionPolicy admission_;
  FlashKeeper keeper_;
  const uint64_t item_bytes_allowed_;  // by the quota
  IndexGrower grower_;
  uint32_t failures_ = 0;
  uint64_t offline_since_us_ = 0;  // while it is
  RetryPause pause_;
  LogLimit failures_said_;
  std::array<uint32_t, storage::kSlabClassesMax> next_shard_{};
  ListCursor collect_from_;  // where the next batch of a request or a drain begins
  // Self-synchronised.
  DemotionOutlook outlook_{*tiers_.arena};
  std::atomic<bool> wanted_{false};
  std::atomic<bool> settings_changed_{true};  // at the start: none was looked at yet
  std::atomic<uint64_t> next_serial_;         // raised by the writing thread only
  std::atomic<uint64_t> serial_end_;
  std::atomic<uint64_t> behind_since_us_{0};  // 0: it is not, or nobody has stored since
  YieldingThread priority_;
  std::thread thread_;
  // Guarded.
  mutable Mutex mutex_;
  CondVar wake_;
  bool stopping_ TERRACED_GUARDED_BY(mutex_) = false;
  std::vector<Request> requests_ TERRACED_GUARDED_BY(mutex_);
  std::string offline_why_ TERRACED_GUARDED_BY(mutex_);
};

}  // namespace terraced::tiering
