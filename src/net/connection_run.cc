// Running: what is buffered becomes requests, which are answered, suspended or told to wait.
#include "src/net/connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "storage/base/log.h"

namespace terraced::server {
namespace {

constexpr size_t kBatchRequestsMax = 64;  // gathered before the first is run

}  // namespace

bool Connection::RunCommands(uint32_t* left) {
  while (!IsClosed()) {
    if (state_ == State::kSwallow) SwallowBuffered();
    if (state_ == State::kValue) {
      if (value_next_ < value_.size() || line_end_bytes_ < line_end_.size()) return false;
      FinishValue();
      continue;
    }
    if (state_ == State::kSwallow || begin_ == end_) return false;
    if (MustPause()) {
      if (RepliesFull()) host_.Counters().reply_pauses.Add(1);
      return true;
    }
    if (*left == 0) {
      yielded_ = true;
      host_.Counters().conn_yields.Add(1);
      host_.RunSoon(*this);
      return false;
    }
    Request other;
    size_t other_bytes = 0;
    TextCodec before = codec_;
    const bool more = GatherReads(left, &other, &other_bytes, &before);
    RunReads();
    if (other.command != nullptr) {
      if (other.command->Has(kWrites) && !suspended_.empty()) {
        // It is decoded again when the reads before it are answered.
        codec_ = before;
        write_waits_ = true;
        return true;
      }
      --*left;
      RunOther(other, other_bytes);
    } else if (!more) {
      return false;
    }
  }
  return false;
}

// Decodes the requests for many keys that stand at the front, up to a batch; *other is the first of another
// kind (not consumed yet) and *before the codec as it was in front of it. False: there is nothing more to decode.
bool Connection::GatherReads(uint32_t* left, Request* other, size_t* other_bytes,
                             TextCodec* before) {
  WorkerScratch& scratch = host_.Scratch();
  scratch.requests.clear();
  scratch.keys.clear();
  const size_t keys_max = BatchKeys();
  while (*left > 0 && scratch.requests.size() < kBatchRequestsMax &&
         scratch.keys.size() < keys_max) {
    Request request;
    size_t consumed = 0;
    *before = codec_;
    const TextCodec::Result result =
        codec_.Decode(Unread(), keys_max - scratch.keys.size(), &scratch.keys, &request, &consumed);
    if (result == TextCodec::Result::kClose) {
      state_ = State::kDraining;
      begin_ = end_;
      return false;
    }
    if (result == TextCodec::Result::kNeedMore) {
      begin_ += consumed;
      // A client that ended in the middle of a line will not finish it.
      if (state_ == State::kDraining) begin_ = end_;
      return false;
    }
    if (!request.command->Has(kManyKeys) || request.command->Has(kWrites)) {
      *other = request;
      *other_bytes = consumed;
      return true;
    }
    begin_ += consumed;
    --*left;
    scratch.requests.push_back(request);
  }
  return true;
}

void Connection::RunReads() {
  WorkerScratch& scratch = host_.Scratch();
  const bool several = scratch.keys.size() > 1;
  for (tiering::Key& key : scratch.keys) {
    key.hash = context_.cache.HashOf(key.bytes);
    if (several) context_.cache.Prefetch(key);
  }
  for (const Request& request : scratch.requests) RunKeys(request);
}

void Connection::RunKeys(const Request& request) {
  if (!request.line.empty()) ShowLine(request);
  const std::vector<tiering::Key>& keys = host_.Scratch().keys;
  Request one = request;
  for (uint32_t i = 0; i < request.key_count; ++i) {
    one.key = keys[request.key_begin + i];
    if (Execute(one) == Step::kFlashFailed) touch_keys_failed_ = true;
  }
  if (request.more) return;
  if (request.command->Has(kWrites)) {
    FinishTouchKeys(request);
  } else {
    host_.Replies().End(request);
  }
}

Step Connection::Execute(const Request& request) {
  tiering::Evidence& evidence = host_.Scratch().evidence;
  const Step step = request.command->handler(context_, request, &evidence, host_.Replies());
  if (step == Step::kNeedsFlash) Suspend(request);
  return step;
}

void Connection::RunOther(const Request& request, size_t consumed) {
  if (request.command->Has(kStores)) {
    RunStore(request, consumed);
    return;
  }
  begin_ += consumed;
  if (request.command->Has(kManyKeys)) {
    RunKeys(request);  // RunReads has hashed its keys with those of the gets before it
    return;
  }
  ShowLine(request);
  Request one = request;
  one.key.hash = context_.cache.HashOf(one.key.bytes);
  switch (Execute(one)) {
    case Step::kClose:
      state_ = State::kDraining;
      begin_ = end_;
      break;
    case Step::kDemote:
      demoting_ = true;
      demote_slot_ = replies_.OpenSlot();
      host_.Demote(*this);
      break;
    default:
      break;
  }
}

void Connection::RunStore(const Request& request, size_t consumed) {
  Request store = request;
  store.key.hash = context_.cache.HashOf(store.key.bytes);
  const uint64_t wait_us = context_.cache.Live().demotion_wait_ms.Get() * uint64_t{1'000};
  const bool may_wait =
      wait_us > 0 && (room_deadline_us_ == 0 || MonotonicUs() < room_deadline_us_);
  // Not again for one that comes back after a wait.
  if (room_deadline_us_ == 0) ShowLine(request);
  tiering::Draft draft;
  const tiering::AllocateResult result =
      BeginStore(context_, store, may_wait, &draft, host_.Replies());
  if (result == tiering::AllocateResult::kWait) {
    // The command line stays in the buffer and is looked at again.
    if (room_deadline_us_ == 0) {
      room_deadline_us_ = MonotonicUs() + wait_us;
      host_.Counters().room_waits.Add(1);
    }
    waits_for_room_ = true;
    host_.RetryRoomSoon(*this);
    return;
  }
  room_deadline_us_ = 0;
  begin_ += consumed;
  if (result == tiering::AllocateResult::kOk) {
    BeginValue(store, std::move(draft));
  } else {
    swallow_bytes_ = request.value_bytes + line_end_.size();
    state_ = State::kSwallow;
  }
}

// What of the value has arrived with the command line is copied; the rest is read into place.
void Connection::BeginValue(const Request& request, tiering::Draft draft) {
  draft_ = std::move(draft);
  draft_.ValuePieces(&value_);
  value_next_ = 0;
  line_end_bytes_ = 0;
  store_ = request;
  std::memcpy(store_key_.data(), request.key.bytes.data(), request.key.bytes.size());
  store_.key.bytes = {store_key_.data(), request.key.bytes.size()};
  store_.line = {};
  state_ = State::kValue;
  for (; value_next_ < value_.size(); ++value_next_) {
    std::span<char>& piece = value_[value_next_];
    const size_t taken = std::min(piece.size(), end_ - begin_);
    if (taken > 0) std::memcpy(piece.data(), buffer_.Data() + begin_, taken);
    begin_ += taken;
    piece = piece.subspan(taken);
    if (!piece.empty()) return;
  }
  while (line_end_bytes_ < line_end_.size() && begin_ < end_) {
    line_end_[line_end_bytes_++] = buffer_.Data()[begin_++];
  }
}

void Connection::FinishValue() {
  state_ = State::kCommands;
  store_.draft = &draft_;
  if (line_end_[0] != '\r' || line_end_[1] != '\n') {
    host_.Replies().Answer(store_, Reply::kBadChunk);
  } else {
    Execute(store_);
  }
  draft_.Reset();
}

void Connection::ShowLine(const Request& request) const {
  if (!Log::On(LogLevel::kDebug)) return;
  Log::Write(LogLevel::kDebug, "<%d %.*s", fd_, static_cast<int>(request.line.size()),
             request.line.data());
}

}  // namespace terraced::server
