#include "tiering/fill.h"

#include <algorithm>

#include "storage/base/sync_point.h"
#include "tiering/flash_reader.h"

namespace terraced::tiering {

Fill::Fill(FillQueue* queue, Executor* executor, Key key, const storage::SlotList& slots)
    : queue_(queue), executor_(executor), key_(key.bytes), hash_(key.hash), tries_(slots.count) {
  for (uint32_t i = 0; i < slots.count; ++i) tries_[i].serial = slots.slots[i].serial;
  // Newest first: the record that counts is then usually the first one looked at.
  std::sort(tries_.begin(), tries_.end(),
            [](const Try& a, const Try& b) { return a.serial > b.serial; });
}

Fill::~Fill() {
  if (charged_ != nullptr) charged_->GiveBack(charged_bytes_);
}

void Fill::Run() {
  const std::shared_ptr<Fill> self = std::move(self_);
  queue_->Finished(self);
}

bool Fill::CoversAll(const storage::SlotList& slots) const {
  if (MutantIs(Mutant::kSerialNotCompared)) return true;
  for (const storage::Slot& slot : slots) {
    const bool tried = std::any_of(tries_.begin(), tries_.end(),
                                   [&](const Try& one) { return one.serial == slot.serial; });
    if (!tried) return false;
  }
  return true;
}

const Fill::Try* Fill::Newest(const storage::SlotList& slots) const {
  for (const Try& one : tries_) {
    if (!one.found) continue;
    if (slots.Has(one.serial) || MutantIs(Mutant::kSerialNotCompared) ||
        MutantIs(Mutant::kFillNotValidated)) {
      return &one;
    }
  }
  return nullptr;
}

const Fill::Try* Fill::Corrupt(const storage::SlotList& slots) const {
  for (const Try& one : tries_) {
    if (one.corrupt && slots.Has(one.serial)) return &one;
  }
  return nullptr;
}

FillQueue::FillQueue(FlashReader& reader, Executor& executor)
    : reader_(reader), executor_(executor) {}

FillQueue::~FillQueue() = default;

void FillQueue::Want(Key key, const storage::SlotList& need, FillWaiter* waiter,
                     uint64_t deadline_us, ReadAsker* asker) {
  TERRACED_DCHECK(waiters_.count(waiter) == 0);
  ReadAsker unknown;
  if (asker == nullptr) asker = &unknown;
  const ReadTurn turn = asker->Next(reader_.Now());
  const auto [first, last] = under_way_.equal_range(key.hash);
  for (auto it = first; it != last; ++it) {
    // Nobody waits longer for a read because others want it too.
    const bool in_time = it->second->turn_.end <= turn.end;
    if (in_time && it->second->key_ == key.bytes && it->second->CoversAll(need)) {
      reader_.CountCoalesced();
      it->second->waiters_.push_back(waiter);
      ++it->second->waiting_;
      waiters_[waiter] = Pending{it->second, deadline_us};
      return;
    }
  }
  auto fill = std::make_shared<Fill>(this, &executor_, key, need);
  fill->waiters_.push_back(waiter);
  fill->waiting_ = 1;
  fill->turn_ = turn;
  asker->Took(turn);
  ++outstanding_;
  under_way_.emplace(key.hash, fill);
  wanted_.push_back(fill);
  waiters_[waiter] = Pending{std::move(fill), deadline_us};
}

void FillQueue::Cancel(FillWaiter* waiter) {
  const auto it = waiters_.find(waiter);
  if (it == waiters_.end()) return;
  Leave(it->second.fill.get());
  waiters_.erase(it);
}

// Clients that ask for much and go, or reads that come too late as it is, would take the disk from those who wait.
void FillQueue::Leave(Fill* fill) {
  if (--fill->waiting_ > 0) return;
  fill->abandoned_.store(true, std::memory_order_relaxed);
  Forget(*fill);  // a reader may have passed it over already
}

void FillQueue::Submit() {
  outstanding_ -= std::erase_if(wanted_, [](const std::shared_ptr<Fill>& fill) {
    return fill->abandoned_.load(std::memory_order_relaxed);
  });
  if (wanted_.empty()) return;
  reader_.Submit(&wanted_);
  wanted_.clear();
}

uint64_t FillQueue::ExpireUntil(uint64_t now_us) {
  std::vector<FillWaiter*> late;
  uint64_t next_us = 0;
  for (const auto& [waiter, pending] : waiters_) {
    if (pending.deadline_us <= now_us) {
      late.push_back(waiter);
    } else if (next_us == 0 || pending.deadline_us < next_us) {
      next_us = pending.deadline_us;
    }
  }
  Tell(late, nullptr);
  return next_us;
}

void FillQueue::Finished(const std::shared_ptr<Fill>& fill) {
  --outstanding_;
  Forget(*fill);
  std::vector<FillWaiter*> done;
  for (FillWaiter* waiter : fill->waiters_) {
    const auto it =
        waiters_.find(waiter);  // cancelled, late, or waiting for something else by now?
    if (it != waiters_.end() && it->second.fill == fill) done.push_back(waiter);
  }
  Tell(done, fill);
}

void FillQueue::Forget(const Fill& fill) {
  const auto [first, last] = under_way_.equal_range(fill.hash_);
  const auto found =
      std::find_if(first, last, [&](const auto& entry) { return entry.second.get() == &fill; });
  if (found != last) under_way_.erase(found);
}

// A waiter's answer may cancel others (a connection that closes), so each is looked up again.
void FillQueue::Tell(const std::vector<FillWaiter*>& waiters,
                     const std::shared_ptr<const Fill>& fill) {
  for (FillWaiter* waiter : waiters) {
    const auto it = waiters_.find(waiter);
    if (it == waiters_.end()) continue;
    Leave(it->second.fill.get());
    waiters_.erase(it);
    waiter->FillDone(fill);
  }
}

}  // namespace terraced::tiering
