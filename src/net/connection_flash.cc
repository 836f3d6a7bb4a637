// Suspending: commands that wait for flash, and what becomes of them.
#include "src/net/connection.h"

#include <algorithm>
#include <utility>

#include "src/watch/running_connection.h"

namespace terraced::server {
namespace {

// Sent to make room for a value that has come.
constexpr uint64_t kFlushBytes = 256U << 10;

}  // namespace

void Suspended::FillDone(std::shared_ptr<const tiering::Fill> result) {
  fill = std::move(result);
  connection.FillArrived(*this);
}

void Connection::FillArrived(Suspended& suspended) {
  host_.Completed(suspended);
}

void Connection::Suspend(const Request& request) {
  const bool writes = request.command->Has(kWrites);
  auto suspended = std::make_unique<Suspended>(*this);
  suspended->request = request;
  suspended->key = std::string(request.key.bytes);
  suspended->request.key.bytes = suspended->key;
  suspended->flags = std::string(request.flags);
  suspended->request.flags = {suspended->flags.data(), suspended->flags.size()};
  suspended->request.line = {};
  if (request.draft != nullptr) {
    suspended->draft = std::move(*request.draft);
    suspended->request.draft = &suspended->draft;
  }
  suspended->evidence.need = std::exchange(host_.Scratch().evidence, tiering::Evidence()).need;
  suspended->deadline_us = FlashDeadlineUs(request);
  suspended->slot = replies_.OpenSlot();
  suspended->index = suspended_.size();
  if (writes) ++writes_suspended_;
  host_.Counters().flash_waits.Add(1);
  account_.Take(Suspended::kBytes);
  suspended_.push_back(std::move(suspended));
  host_.Want(*suspended_.back());
}

uint64_t Connection::FlashDeadlineUs(const Request& request) const {
  const tiering::LiveSettings& live = context_.cache.Live();
  const bool writes = request.command->Has(kWrites);
  const uint64_t wait_ms =
      writes ? live.flash_wait_deadline_ms.Get() : live.flash_read_deadline_ms.Get();
  return MonotonicUs() + wait_ms * 1'000;
}

// A value that came back when the replies were full is dropped and read again when there is room: how large it is
// was not known when it was asked for, and kept as a fill it would take from the readers' memory. What is next to
// be sent never waits, so the connection goes on whatever its client does.
bool Connection::Postpone(Suspended& suspended) {
  if (suspended.fill == nullptr || !suspended.request.command->Has(kAnswersValue)) {
    return false;
  }
  // What the kernel takes makes room; a client that is gone is noticed after the round.
  uint64_t left = kFlushBytes;
  if (RepliesFull()) static_cast<void>(Flush(&left));
  if (!RepliesFull() || replies_.IsNext(suspended.slot)) return false;
  suspended.fill.reset();
  suspended.postponed = true;
  ++postponed_count_;
  host_.Counters().reply_pauses.Add(1);
  return true;
}

void Connection::ResumePostponed() {
  if (postponed_count_ == 0) return;
  for (const std::unique_ptr<Suspended>& suspended : suspended_) {
    if (suspended->postponed && replies_.IsNext(suspended->slot)) Resume(*suspended);
  }
  if (RepliesFull()) return;
  const size_t allowed = ReadsAllowed();
  for (const std::unique_ptr<Suspended>& suspended : suspended_) {
    if (suspended_.size() - postponed_count_ >= allowed) return;
    if (suspended->postponed) Resume(*suspended);
  }
}

void Connection::Resume(Suspended& suspended) {
  suspended.postponed = false;
  --postponed_count_;
  // The client took its time, not flash.
  suspended.deadline_us = FlashDeadlineUs(suspended.request);
  host_.Want(suspended);
}

void Connection::FinishSuspended(Suspended& suspended) {
  if (Postpone(suspended)) return;
  suspended.evidence.timed_out = suspended.fill == nullptr;
  suspended.evidence.fill = std::move(suspended.fill);
  ++suspended.evidence.attempts;
  RunningConnection::Set(Fd());
  replies_.WriteTo(suspended.slot);
  host_.Replies().Bind(&replies_, Fd());
  const uint64_t unsent_before = replies_.UnsentBytes();
  const Step step = suspended.request.command->handler(
      context_, suspended.request, &suspended.evidence, host_.Replies().For(suspended.request));
  replies_.WriteTo(nullptr);
  asker_.expected_bytes = std::max(asker_.expected_bytes - asker_.expected_bytes / 8,
                                   replies_.UnsentBytes() - unsent_before);
  // The bytes of the fill belong to the readers' budget: not kept a moment longer than needed.
  suspended.evidence.fill.reset();
  if (step == Step::kNeedsFlash) {
    host_.Want(suspended);
    return;
  }
  if (step == Step::kFlashFailed) touch_keys_failed_ = true;
  replies_.CloseSlot(suspended.slot);
  if (suspended.request.command->Has(kWrites)) --writes_suspended_;
  Forget(suspended);
  if (touch_keys_open_ && writes_suspended_ == 0) FinishTouchKeys(store_);
}

void Connection::Forget(Suspended& suspended) {
  const size_t index = suspended.index;
  std::swap(suspended_[index], suspended_.back());
  suspended_[index]->index = index;
  suspended_.pop_back();
  account_.GiveBack(Suspended::kBytes);
  if (suspended_.empty()) write_waits_ = false;
}

// gat changes what it reads, so nothing overtakes it: its END is written when all its keys are answered, and
// says if one of them could not be.
void Connection::FinishTouchKeys(const Request& request) {
  touch_keys_open_ = writes_suspended_ > 0;
  if (touch_keys_open_) {
    store_ = request;
    return;
  }
  if (std::exchange(touch_keys_failed_, false)) {
    host_.Replies().For(request).Answer(request, Reply::kFlashFailed);
  } else {
    host_.Replies().For(request).End(request);
  }
}

}  // namespace terraced::server
