// Fill: the read of a key's flash records by commands that found no answer in RAM. It carries what
// was tried (serials) and what was found; whether that still counts is decided under the shard
// mutex by the command that runs on it (I3, rule 3). Records are immutable, so one fill may serve
// any number of commands.
// FillQueue: the fills of one worker: gathers the wants of an event-loop round, joins those of one
// key, hands them to the readers in one go and tells the waiters when they are back or too late.
// Threads: a FillQueue belongs to its worker's thread; a Fill is written by one reader, then
// read-only.
// Ownership: shared_ptr, because reader and waiters both may be the last to need it (a deadline may
// pass while the read is still under way). Waiters are borrowed and must Cancel before they die.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "storage/base/executor.h"
#include "storage/flash/flash_index.h"
#include "storage/flash/record.h"
#include "tiering/read_queue.h"

namespace terraced::tiering {

class FlashReader;
class FillQueue;
class FillWaiter;

// A key and its hash, computed once (Cache::HashOf).
struct Key {
  std::string_view bytes;
  uint64_t hash = 0;
};

class Fill final : public Completion {
 public:
  struct Try {
    uint64_t serial = 0;
    bool found = false;
    bool corrupt = false;           // a record that fails its check: its slot goes
    storage::DecodedRecord record;  // where found
  };

  Fill(FillQueue* queue, Executor* executor, Key key, const storage::SlotList& slots);
  ~Fill();
  void Run() override;  // on the worker: tells the queue
  const ReadTurn& Turn() const { return turn_; }
  uint64_t NewestSerial() const { return tries_.empty() ? storage::kNoSerial : tries_[0].serial; }
  uint64_t ValueBytes() const { return charged_bytes_; }  // of all records that were found

  std::string_view KeyBytes() const { return key_; }
  uint64_t Hash() const { return hash_; }
  bool Failed() const { return failed_; }  // a read error: nothing is known
  // Rule 3: every one of these slots was tried by this fill.
  bool CoversAll(const storage::SlotList& slots) const;
  // The record of the newest of these slots that has one; nullptr: none of them has (not found).
  const Try* Newest(const storage::SlotList& slots) const;
  // One of these slots whose record failed its check; nullptr: none.
  const Try* Corrupt(const storage::SlotList& slots) const;

 private:
  friend class FlashReader;
  friend class FillQueue;
  FillQueue* const queue_;
  Executor* const executor_;
  const std::string key_;
  const uint64_t hash_;
  ReadTurn turn_;  // among all that wait for a reader
  std::vector<Try> tries_;
  bool failed_ = false;
  std::vector<FillWaiter*> waiters_;    // the worker's, never the reader's
  size_t waiting_ = 0;                  // of them, those that have not left: the worker's too
  std::atomic<bool> abandoned_{false};  // nobody waits any more: it is not read
  uint64_t charged_bytes_ = 0;  // of the readers' byte budget, given back when the fill dies
  FlashReader* charged_ = nullptr;
  std::shared_ptr<Fill> self_;  // holds it alive while it is in the mailbox
};

// What a command knows of flash, and what it needs to know. Belongs to the waiting command; begins
// empty.
struct Evidence {
  std::shared_ptr<const Fill> fill;
  bool timed_out = false;
  uint8_t attempts = 0;
  storage::SlotList need;  // set by the command that answered kNeedsFlash
};
constexpr uint8_t kFillAttemptsMax = 8;  // I3: then SERVER_ERROR (or a miss for plain gets)

class FillWaiter {
 public:
  // `fill` is nullptr when the deadline passed.
  virtual void FillDone(std::shared_ptr<const Fill> fill) = 0;

 protected:
  ~FillWaiter() = default;
};

class FillQueue {
 public:
  FillQueue(FlashReader& reader, Executor& executor);
  ~FillQueue();  // no fill may be under way: the readers are idle and the mailbox was drained

  // Reads the slots that `need` names, for `waiter`; joins a fill of the same key that covers them. A fill that all its
  // waiters have left, by Cancel() or their deadlines, is not read if no reader has begun with it. `asker` is charged
  // for a read and gets its turn by that; one that is not known yet begins with each read.
  void Want(Key key, const storage::SlotList& need, FillWaiter* waiter, uint64_t deadline_us,
            ReadAsker* asker = nullptr);
  void Cancel(FillWaiter* waiter);
  // End of an event-loop round: everything wanted since the last call goes to the readers in one
  // batch.
  void Submit();
  // Tells waiters whose deadline has passed. Returns the next deadline, 0 if nobody waits.
  uint64_t ExpireUntil(uint64_t now_us);
  size_t Waiting() const { return waiters_.size(); }
  // Nothing is with the readers or in the mailbox: the queue may be destroyed.
  bool Idle() const { return outstanding_ == 0; }

 private:
  friend class Fill;
  struct Pending {
    std::shared_ptr<Fill> fill;
    uint64_t deadline_us = 0;
  };
  void Finished(const std::shared_ptr<Fill>& fill);
  void Forget(const Fill& fill);
  void Leave(Fill* fill);
  void Tell(const std::vector<FillWaiter*>& waiters, const std::shared_ptr<const Fill>& fill);

  FlashReader& reader_;
  Executor& executor_;
  std::unordered_map<FillWaiter*, Pending> waiters_;
  std::unordered_multimap<uint64_t, std::shared_ptr<Fill>> under_way_;  // by key hash: to be joined
  std::vector<std::shared_ptr<Fill>> wanted_;
  size_t outstanding_ = 0;  // wanted, or with the readers or in the mailbox
};

}  // namespace terraced::tiering
