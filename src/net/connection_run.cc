// Running: what is buffered becomes requests, which are answered, suspended or told to wait.
#include "src/net/connection.h"

#include <algorithm>
#include <cstring>
#include <span>
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
      if (value_next_ < value_.size() || line_end_bytes_ < LineEndBytes()) return false;
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
    const Gathering gathering = Gather(left);
    if (!RunBatch(left)) return true;
    if (state_ == State::kWatching) return false;
    if (gathering == Gathering::kClose) {
      close_reason_ = CloseReason::kError;
      state_ = State::kDraining;
      DropBuffered();
    }
    if (gathering == Gathering::kNeedMore) {
      // A client that ended in the middle of a line will not finish it.
      if (state_ == State::kDraining) DropBuffered();
      return false;
    }
  }
  return false;
}

// Decodes the requests that stand at the front, up to a batch, and starts the memory accesses that they will need.
Connection::Gathering Connection::Gather(uint32_t* left) {
  WorkerScratch& scratch = host_.Scratch();
  scratch.batch.resize(kBatchRequestsMax);
  scratch.batch_size = 0;
  scratch.keys.clear();
  scratch.decoded_keys.Clear();
  const size_t keys_max = BatchKeys();
  Gathering gathering = Gathering::kGoesOn;
  bool goes_on = true;
  while (goes_on && *left > 0 && scratch.batch_size < kBatchRequestsMax &&
         scratch.keys.size() < keys_max) {
    Gathered& gathered = scratch.batch[scratch.batch_size];
    gathered.begin = begin_;
    gathered.codec = codec_;
    gathered.has_block = false;
    Request& request = gathered.request;
    size_t consumed = 0;
    const Codec::Result result =
        codec_.Decode(Unread(), keys_max - scratch.keys.size(), &scratch.keys, &request, &consumed);
    begin_ += consumed;
    if (result != Codec::Result::kRequest) {
      gathering = result == Codec::Result::kClose ? Gathering::kClose : Gathering::kNeedMore;
      break;
    }
    ++scratch.batch_size;
    --*left;
    if (request.command->Has(kStores | kSwallows | kLogsIn)) goes_on = TakeBlock(&gathered);
    if (!request.command->Has(kManyKeys) && !request.key.bytes.empty()) {
      request.key_begin = static_cast<uint32_t>(scratch.keys.size());
      request.key_count = 1;
      scratch.keys.push_back(request.key);
    }
  }
  for (tiering::Key& key : scratch.keys) key.hash = context_.cache.HashOf(key.bytes);
  if (scratch.keys.size() > 1) {
    context_.cache.Prefetch(scratch.keys);
    for (size_t i = 0; i < scratch.batch_size; ++i) {
      const Request& request = scratch.batch[i].request;
      // A store mostly finds room in the chunk of the old value, and then changes nothing beside it.
      const bool changes =
          request.command->Has(kWrites) && !request.command->Has(kStores) && request.key_count == 1;
      if (changes) context_.cache.PrefetchChange(scratch.keys[request.key_begin]);
    }
  }
  return gathering;
}

// The data block behind a store command, where all of it has arrived. False: the rest is still to be read, or the
// command has none and has to be run before what follows can be decoded.
bool Connection::TakeBlock(Gathered* gathered) {
  const Request& request = gathered->request;
  if (request.command->Has(kLogsIn)) return false;
  const uint64_t bytes = request.value_bytes + request.command->BlockEnd().size();
  if (bytes > end_ - begin_) return false;
  gathered->block = Unread().substr(0, bytes);
  gathered->has_block = true;
  begin_ += bytes;
  return true;
}

// Runs what was gathered, in order. False: something has to be waited for; what was not run is buffered again, and
// counted in *left again.
bool Connection::RunBatch(uint32_t* left) {
  const std::span<Gathered> batch(host_.Scratch().batch.data(), host_.Scratch().batch_size);
  // Of one store after the other, so that each may take over a chunk that the last left.
  tiering::Draft draft;
  for (size_t i = 0; i < batch.size(); ++i) {
    Gathered& gathered = batch[i];
    const bool writes = gathered.request.command->Has(kWrites);
    if (writes && !suspended_.empty()) {
      write_waits_ = true;
    } else {
      RunGathered(&gathered, &draft);
      if (IsClosed() || state_ == State::kDraining || state_ == State::kWatching) return true;
      // Gets were chosen so that their replies fit; whatever else ran may have to be waited for.
      const bool was_get = gathered.request.command->Has(kAnswersValue) && !writes;
      if (was_get || !MustPause()) continue;
      if (!waits_for_room_ && i + 1 == batch.size()) return true;
      if (!waits_for_room_) ++i;
    }
    begin_ = batch[i].begin;
    codec_ = batch[i].codec;
    *left += static_cast<uint32_t>(batch.size() - i);
    return false;
  }
  return true;
}

void Connection::RunGathered(Gathered* gathered, tiering::Draft* draft) {
  Request& request = gathered->request;
  if (request.command->Has(kManyKeys)) {
    RunKeys(request);
    return;
  }
  if (request.key_count > 0) request.key = host_.Scratch().keys[request.key_begin];
  if (request.command->Has(kStores)) {
    RunStore(gathered, draft);
    return;
  }
  ShowLine(request);
  if (request.command->Has(kSwallows) && !gathered->has_block) BeginSwallow(request);
  switch (Execute(request)) {
    case Step::kClose:
      state_ = State::kDraining;
      DropBuffered();
      break;
    case Step::kDemote:
      waits_for_host_ = true;
      host_slot_ = replies_.OpenSlot();
      host_.Demote(*this);
      break;
    case Step::kListConnections:
      waits_for_host_ = true;
      host_slot_ = replies_.OpenSlot();
      host_.ListConnections(*this);
      break;
    case Step::kDump:
      BeginDump();
      break;
    case Step::kWatch:
      BeginWatching(request);
      break;
    case Step::kLogIn:
      LogIn(request);
      break;
    default:
      break;
  }
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
    host_.Replies().For(request).End(request);
  }
}

Step Connection::Execute(const Request& request) {
  tiering::Evidence& evidence = host_.Scratch().evidence;
  const Step step =
      request.command->handler(context_, request, &evidence, host_.Replies().For(request));
  if (step == Step::kNeedsFlash) Suspend(request);
  return step;
}

// Room for the value. False: refused (the answer was given) or to be asked for again, see waits_for_room_.
bool Connection::RequestRoom(const Gathered& gathered, tiering::Draft* draft) {
  const uint64_t wait_us = context_.cache.Live().demotion_wait_ms.Get() * uint64_t{1'000};
  const bool may_wait =
      wait_us > 0 && (room_deadline_us_ == 0 || MonotonicUs() < room_deadline_us_);
  // Not again for one that comes back after a wait.
  if (room_deadline_us_ == 0) ShowLine(gathered.request);
  const tiering::AllocateResult result = BeginStore(context_, gathered.request, may_wait, draft,
                                                    host_.Replies().For(gathered.request));
  if (result == tiering::AllocateResult::kWait) {
    // The command line stays in the buffer and is looked at again.
    if (room_deadline_us_ == 0) {
      room_deadline_us_ = MonotonicUs() + wait_us;
      host_.Counters().room_waits.Add(1);
    }
    waits_for_room_ = true;
    host_.RetryRoomSoon(*this);
    return false;
  }
  room_deadline_us_ = 0;
  return result == tiering::AllocateResult::kOk;
}

void Connection::RunStore(Gathered* gathered, tiering::Draft* draft) {
  Request& request = gathered->request;
  const bool has_room = RequestRoom(*gathered, draft);
  if (waits_for_room_) return;
  if (!gathered->has_block) {
    if (has_room) {
      BeginValue(request, std::move(*draft));
    } else {
      BeginSwallow(request);
    }
  } else if (has_room) {
    draft->FillValue({gathered->block.substr(0, request.value_bytes)});
    StoreValue(&request, draft, gathered->block.substr(request.value_bytes));
  }
}

void Connection::BeginSwallow(const Request& request) {
  swallow_bytes_ = request.value_bytes + request.command->BlockEnd().size();
  state_ = State::kSwallow;
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
  store_flags_.assign(std::string_view(request.flags));
  store_.flags = {store_flags_.data(), store_flags_.size()};
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
  while (line_end_bytes_ < LineEndBytes() && begin_ < end_) {
    line_end_[line_end_bytes_++] = buffer_.Data()[begin_++];
  }
}

void Connection::FinishValue() {
  state_ = State::kCommands;
  StoreValue(&store_, &draft_, {line_end_.data(), line_end_bytes_});
  draft_.Reset();
}

void Connection::StoreValue(Request* request, tiering::Draft* draft, std::string_view line_end) {
  request->draft = draft;
  if (line_end != request->command->BlockEnd()) {
    host_.Replies().For(*request).Answer(*request, Reply::kBadChunk);
  } else {
    Execute(*request);
  }
  if (*draft) draft->Reset();
}

void Connection::ShowLine(const Request& request) const {
  if (!Log::On(LogLevel::kDebug)) return;
  // Where clients send passwords as text, a line that is no command may hold one.
  const bool may_be_secret =
      request.command->verb == Verb::kRefused && !context_.options.auth_file.empty();
  if (may_be_secret) return;
  Log::Write(LogLevel::kDebug, "<%d %.*s", Fd(), static_cast<int>(request.line.size()),
             request.line.data());
}

}  // namespace terraced::server
