// Suspending: commands that wait for flash, and what becomes of them.
#include "src/net/connection.h"

#include <algorithm>
#include <utility>

namespace terraced::server {

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
  suspended->request.line = {};
  if (request.draft != nullptr) {
    suspended->draft = std::move(*request.draft);
    suspended->request.draft = &suspended->draft;
  }
  suspended->evidence.need = std::exchange(host_.Scratch().evidence, tiering::Evidence()).need;
  const tiering::CacheOptions& options = context_.cache.Options();
  const uint64_t wait_ms = writes ? options.flash_wait_deadline_ms : options.flash_read_deadline_ms;
  suspended->deadline_us = MonotonicUs() + wait_ms * 1'000;
  suspended->slot = replies_.OpenSlot();
  suspended->index = suspended_.size();
  if (writes) ++writes_suspended_;
  host_.Counters().flash_waits.Add(1);
  suspended_.push_back(std::move(suspended));
  host_.Want(*suspended_.back());
}

void Connection::FinishSuspended(Suspended& suspended) {
  suspended.evidence.timed_out = suspended.fill == nullptr;
  suspended.evidence.fill = std::move(suspended.fill);
  ++suspended.evidence.attempts;
  replies_.WriteTo(suspended.slot);
  host_.Replies().Bind(&replies_, fd_);
  const uint64_t unsent_before = replies_.UnsentBytes();
  const Step step = suspended.request.command->handler(context_, suspended.request,
                                                       &suspended.evidence, host_.Replies());
  replies_.WriteTo(nullptr);
  flash_reply_bytes_ =
      std::max(flash_reply_bytes_ - flash_reply_bytes_ / 8, replies_.UnsentBytes() - unsent_before);
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
    host_.Replies().Answer(request, Reply::kFlashFailed);
  } else {
    host_.Replies().End(request);
  }
}

}  // namespace terraced::server
