#include "src/net/connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "storage/base/log.h"

namespace terraced::server {
namespace {

// Requests gathered before the first is run, so that the buckets of all their keys are on their way.
constexpr size_t kBatchRequestsMax = 64;
constexpr size_t kBatchKeysMax = 128;
// A connection that yields to others sends its replies already if they are that many.
constexpr uint64_t kYieldSendBytes = 64U << 10;
// Flash reads that a new connection may have under way.
constexpr uint64_t kFirstReads = 16;

}  // namespace

void Suspended::FillDone(std::shared_ptr<const tiering::Fill> result) {
  fill = std::move(result);
  connection.FillArrived(*this);
}

Connection::Connection(ConnectionHost& host, int fd)
    : host_(host),
      context_(host.Context()),
      fd_(fd),
      codec_(context_.options.test_commands),
      last_heard_s_(context_.clock.NowS()),
      flash_reply_bytes_(context_.options.reply_bytes_max / kFirstReads),
      replies_(host.Buffers()) {}

Connection::~Connection() {
  TERRACED_DCHECK(IsClosed());
}

bool Connection::IsIdle() const {
  return (state_ == State::kCommands || state_ == State::kValue) && suspended_.empty() &&
         !demoting_ && !waits_for_room_ && replies_.Empty();
}

std::string_view Connection::Unread() const {
  return begin_ == end_ ? std::string_view()
                        : std::string_view(buffer_.Data() + begin_, end_ - begin_);
}

// --- Events ---------------------------------------------------------------------------------------

void Connection::OnReadable() {
  if (IsClosed()) return;
  last_heard_s_ = context_.clock.NowS();
  // After a yield what is buffered comes first; a paused connection is not read at all.
  if (!yielded_ && wants_read_) {
    switch (state_) {
      case State::kCommands:
        ReadCommands();
        break;
      case State::kValue:
        ReadValue();
        break;
      case State::kSwallow:
        ReadSwallow();
        break;
      case State::kDraining:
        break;
    }
  }
  Advance();
}

void Connection::OnWritable() {
  Advance();
}

void Connection::Run() {
  yielded_ = false;
  Advance();
}

void Connection::RetryRoom() {
  waits_for_room_ = false;
  Advance();
}

void Connection::FillArrived(Suspended& suspended) {
  host_.Completed(suspended);
}

void Connection::FlushReplies() {
  Advance();
}

void Connection::DemoteDone() {
  if (IsClosed()) return;
  demoting_ = false;
  replies_.WriteTo(demote_slot_);
  host_.Replies().Bind(&replies_, fd_);
  host_.Replies().Answer(Request(), Reply::kOk);
  replies_.CloseSlot(std::exchange(demote_slot_, nullptr));
  Advance();
}

void Connection::Close() {
  if (IsClosed()) return;
  for (const std::unique_ptr<Suspended>& suspended : suspended_) host_.Cancel(*suspended);
  suspended_.clear();
  draft_.Reset();
  if (Log::On(LogLevel::kDebug)) Log::Write(LogLevel::kDebug, "<%d connection closed.", fd_);
  // The host forgets its event before the number of the descriptor can mean another client.
  const int fd = fd_;
  host_.SetInterest(*this, false, false);
  fd_ = -1;
  ::close(fd);
  buffer_.Reset();
  host_.Closed(*this);
}

// --- Reading --------------------------------------------------------------------------------------

bool Connection::ReadResult(ssize_t result) {
  if (result > 0) {
    host_.Counters().bytes_read.Add(static_cast<uint64_t>(result));
    return true;
  }
  if (result == 0) {
    // The client has said all it wants; what it asked is still answered unless it broke off in a value.
    if (state_ == State::kCommands) {
      state_ = State::kDraining;
    } else {
      Close();
    }
    return false;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return false;
  if (Log::On(LogLevel::kVerbose)) {
    Log::Write(LogLevel::kVerbose, "<%d read failed: %s", fd_, std::strerror(errno));
  }
  Close();
  return false;
}

// Room behind the unread bytes. A line that does not fit gets a larger buffer, up to kLineBytesMax: the codec
// takes longer ones piece by piece.
bool Connection::MakeRoom() {
  if (!buffer_) {
    buffer_ = host_.Buffers().Take(BufferPool::kBlockBytes);
    begin_ = end_ = 0;
    return true;
  }
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ < buffer_.Capacity()) return true;
  const size_t bytes = end_ - begin_;
  if (begin_ > 0) {
    std::memmove(buffer_.Data(), buffer_.Data() + begin_, bytes);
  } else {
    if (buffer_.Capacity() >= kLineBytesMax) return false;
    Block larger = host_.Buffers().Take(std::min(buffer_.Capacity() * 2, kLineBytesMax));
    std::memcpy(larger.Data(), buffer_.Data(), bytes);
    buffer_ = std::move(larger);
  }
  begin_ = 0;
  end_ = bytes;
  return true;
}

void Connection::ReadCommands() {
  if (!MakeRoom()) return;
  const ssize_t result = recv(fd_, buffer_.Data() + end_, buffer_.Capacity() - end_, 0);
  if (ReadResult(result)) end_ += static_cast<size_t>(result);
}

// Straight into the item, then the two bytes after it, then what follows into the buffer: one system call.
void Connection::ReadValue() {
  constexpr size_t kPiecesMax = 16;
  std::array<iovec, kPiecesMax + 2> pieces;
  size_t count = 0;
  for (size_t i = value_next_; i < value_.size() && count < kPiecesMax; ++i) {
    pieces[count++] = {value_[i].data(), value_[i].size()};
  }
  if (value_.size() - value_next_ <= kPiecesMax) {
    pieces[count++] = {line_end_.data() + line_end_bytes_, line_end_.size() - line_end_bytes_};
    TERRACED_DCHECK(begin_ == end_);
    if (MakeRoom()) pieces[count++] = {buffer_.Data() + end_, buffer_.Capacity() - end_};
  }
  const ssize_t result = readv(fd_, pieces.data(), static_cast<int>(count));
  if (!ReadResult(result)) return;
  auto left = static_cast<size_t>(result);
  while (left > 0 && value_next_ < value_.size()) {
    std::span<char>& piece = value_[value_next_];
    const size_t taken = std::min(left, piece.size());
    piece = piece.subspan(taken);
    left -= taken;
    if (piece.empty()) ++value_next_;
  }
  const size_t taken = std::min(left, line_end_.size() - line_end_bytes_);
  line_end_bytes_ += taken;
  end_ += left - taken;
}

void Connection::ReadSwallow() {
  std::array<char, 64U << 10>& scratch = host_.Scratch().swallowed;
  const ssize_t result =
      recv(fd_, scratch.data(), std::min<uint64_t>(scratch.size(), swallow_bytes_), 0);
  if (ReadResult(result)) swallow_bytes_ -= static_cast<uint64_t>(result);
}

void Connection::SwallowBuffered() {
  const auto taken = static_cast<size_t>(std::min<uint64_t>(swallow_bytes_, end_ - begin_));
  begin_ += taken;
  swallow_bytes_ -= taken;
  if (swallow_bytes_ == 0) state_ = State::kCommands;
}

// --- Running --------------------------------------------------------------------------------------

// Runs what is buffered, sends what is answered, and says which events matter now.
void Connection::Advance() {
  if (IsClosed()) return;
  while (true) {
    host_.Replies().Bind(&replies_, fd_);
    RunCommands();
    if (IsClosed()) return;
    if (yielded_ && replies_.UnsentBytes() < kYieldSendBytes) break;
    const bool was_full = replies_.UnsentBytes() > context_.options.reply_bytes_max;
    if (!Flush()) {
      Close();
      return;
    }
    // Replies that were too many are gone already: go on with the requests that had to wait for it.
    if (!was_full || replies_.UnsentBytes() > context_.options.reply_bytes_max || yielded_) break;
  }
  Settle();
}

bool Connection::Flush() {
  uint64_t sent = 0;
  const ReplyQueue::SendResult result = replies_.Send(fd_, &sent);
  if (sent > 0) host_.Counters().bytes_written.Add(sent);
  return result != ReplyQueue::SendResult::kFailed;
}

void Connection::Settle() {
  if (state_ == State::kDraining && begin_ == end_ && replies_.Empty()) {
    Close();
    return;
  }
  if (begin_ == end_ && state_ == State::kCommands) {
    buffer_.Reset();
    begin_ = end_ = 0;
  }
  const bool read = state_ != State::kDraining && !MustPause();
  const bool write = replies_.CanSend() && !yielded_;
  if (read == wants_read_ && write == wants_write_) return;
  wants_read_ = read;
  wants_write_ = write;
  host_.SetInterest(*this, read, write);
}

// No further request may be started now; whatever ends the reason calls Advance().
bool Connection::MustPause() {
  return waits_for_room_ || demoting_ || writes_suspended_ > 0 ||
         suspended_.size() >= ReadsAllowed() ||
         replies_.UnsentBytes() > context_.options.reply_bytes_max;
}

// How many flash reads may be under way: their replies have to fit into reply_bytes_max, and nobody
// knows how large they will be. So a connection begins with few and is allowed more as its values
// turn out small.
size_t Connection::ReadsAllowed() const {
  const uint64_t fit = context_.options.reply_bytes_max / std::max<uint64_t>(flash_reply_bytes_, 1);
  return std::clamp<uint64_t>(fit, 1, std::max<uint32_t>(context_.options.pipelined_reads_max, 1));
}

void Connection::RunCommands() {
  uint32_t left = context_.options.requests_per_event;
  while (!IsClosed()) {
    if (state_ == State::kSwallow) SwallowBuffered();
    if (state_ == State::kValue) {
      if (value_next_ < value_.size() || line_end_bytes_ < line_end_.size()) return;
      FinishValue();
      continue;
    }
    if (state_ == State::kSwallow || begin_ == end_) return;
    if (MustPause()) {
      if (replies_.UnsentBytes() > context_.options.reply_bytes_max)
        host_.Counters().reply_pauses.Add(1);
      return;
    }
    if (left == 0) {
      yielded_ = true;
      host_.Counters().conn_yields.Add(1);
      host_.RunSoon(*this);
      return;
    }
    Request other;
    size_t other_bytes = 0;
    TextCodec before = codec_;
    const bool more = GatherReads(&left, &other, &other_bytes, &before);
    RunReads();
    if (other.command != nullptr) {
      if (other.command->Has(kWrites) && !suspended_.empty()) {
        // It is decoded again when the reads before it are answered.
        codec_ = before;
        return;
      }
      --left;
      RunOther(other, other_bytes);
    } else if (!more) {
      return;
    }
  }
}

// Decodes the requests for many keys that stand at the front, up to a batch; *other is the first of another
// kind (not consumed yet) and *before the codec as it was in front of it. False: there is nothing more to decode.
bool Connection::GatherReads(uint32_t* left, Request* other, size_t* other_bytes,
                             TextCodec* before) {
  WorkerScratch& scratch = host_.Scratch();
  scratch.requests.clear();
  scratch.keys.clear();
  const size_t keys_max = std::min<size_t>(
      kBatchKeysMax, ReadsAllowed() - std::min(suspended_.size(), ReadsAllowed() - 1));
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

Step Connection::Execute(const Request& request) {
  tiering::Evidence& evidence = host_.Scratch().evidence;
  const Step step = request.command->handler(context_, request, &evidence, host_.Replies());
  if (step == Step::kNeedsFlash) Suspend(request);
  return step;
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
  const uint64_t wait_us = context_.cache.Options().demotion_wait_ms * uint64_t{1'000};
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
