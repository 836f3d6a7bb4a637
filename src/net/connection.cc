#include "src/net/connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "src/auth/sasl.h"
#include "src/watch/running_connection.h"
#include "storage/base/log.h"

namespace terraced::server {
namespace {

// A connection that yields to others sends its replies already if they are that many.
constexpr uint64_t kYieldSendBytes = 64U << 10;
// What a connection may send in its turn: the kernel takes megabytes of a client that never reads, and many such would
// keep the others waiting.
constexpr uint64_t kTurnSendBytes = 256U << 10;
// Reads of one connection in a row while its buffer is filled by each.
constexpr uint32_t kReadsPerEvent = 4;
// Flash reads that a new connection may have under way.
constexpr uint64_t kFirstReads = 16;
// Keys looked up together, so that their buckets are all on their way before the first is needed.
constexpr size_t kBatchKeysMax = 128;
// What has come is probably one request, not a batch.
constexpr size_t kSingleRequestBytes = 512;
// The largest reply that is copied: a value, its line and its line end.
constexpr uint64_t kCopiedReplyBytes = tiering::kCopyBytesMax + 512;

}  // namespace

Connection::Connection(ConnectionHost& host, int fd, std::unique_ptr<Transport> transport)
    : host_(host),
      context_(host.Context()),
      account_(host.Account()),
      peer_(PeerAddress::Of(fd)),
      socket_(fd, std::move(transport)),
      codec_(context_.options.test_commands, &host.Scratch().decoded_keys),
      last_heard_s_(context_.clock.NowS()),
      asker_{.expected_bytes = context_.options.reply_bytes_max / kFirstReads},
      replies_(host.Buffers(), account_) {
  if (context_.options.sasl) codec_.LockBinary();
  if (!context_.options.auth_file.empty()) codec_.LockText();
  ReportOpened();
}

Connection::~Connection() {
  TERRACED_DCHECK(IsClosed());
}

bool Connection::IsIdle() const {
  return (state_ == State::kCommands || state_ == State::kValue) && suspended_.empty() &&
         !waits_for_host_ && !waits_for_room_ && replies_.Empty();
}

std::string_view Connection::Unread() const {
  return begin_ == end_ ? std::string_view()
                        : std::string_view(buffer_.Data() + begin_, end_ - begin_);
}

// --- Events ---------------------------------------------------------------------------------------

void Connection::OnReadable() {
  Receive();
  RunReceived();
}

void Connection::RunReceived() {
  Advance();
}

std::string_view Connection::NextKey() const {
  const std::string_view unread = Unread();
  if (state_ != State::kCommands || unread.size() > kSingleRequestBytes) return {};
  return codec_.GlanceAtKey(unread);
}

void Connection::Receive() {
  if (IsClosed()) return;
  last_heard_s_ = context_.clock.NowS();
  heard_ = true;
  // After a yield what is buffered comes first; a paused connection is not read at all.
  if (!yielded_ && wants_read_) ReadSome();
}

void Connection::ReadSome() {
  reads_left_ = kReadsPerEvent - 1;
  Read();
}

void Connection::OnWritable() {
  if (socket_.ReadWantsWrite()) ReadSome();
  Advance();
}

void Connection::Run() {
  yielded_ = false;
  if (socket_.HasBuffered() && state_ == State::kWatching) {
    ReadSome();  // a watcher runs nothing that would read on
  } else if (socket_.HasBuffered()) {
    more_to_read_ = true;
    reads_left_ = kReadsPerEvent;
  }
  Advance();
}

void Connection::RetryRoom() {
  waits_for_room_ = false;
  Advance();
}

void Connection::FlushReplies() {
  Advance();
}

void Connection::DemoteDone() {
  if (IsClosed()) return;
  waits_for_host_ = false;
  replies_.WriteTo(host_slot_);
  host_.Replies().Bind(&replies_, Fd());
  Request request;
  request.command = FindCommand("debug");
  host_.Replies().For(request).Answer(request, Reply::kOk);
  replies_.CloseSlot(std::exchange(host_slot_, nullptr));
  Advance();
}

void Connection::Close() {
  if (IsClosed()) return;
  EndWatching();
  ReportClosed();
  for (const std::unique_ptr<Suspended>& suspended : suspended_) host_.Cancel(*suspended);
  account_.GiveBack(suspended_.size() * Suspended::kBytes);
  suspended_.clear();
  draft_.Reset();
  sasl_.reset();
  if (Log::On(LogLevel::kDebug)) Log::Write(LogLevel::kDebug, "<%d connection closed.", Fd());
  // The host forgets its event before the number of the descriptor can mean another client.
  ClientSocket socket = std::move(socket_);
  host_.SetInterest(*this, false, false);
  socket.Close();
  buffer_.Reset();
  host_.Closed(*this);
}

// --- Between events ------------------------------------------------------------------------------

// Runs what is buffered, sends what is answered, and says which events matter now.
void Connection::Advance() {
  // One that gave way goes on when its turn has come and not before, whatever wakes it.
  if (IsClosed() || yielded_) return;
  if (state_ == State::kWatching) return AdvanceWatching();
  RunningConnection::Set(Fd());
  uint32_t left = context_.options.requests_per_event;
  uint64_t left_bytes = kTurnSendBytes;
  while (true) {
    host_.Replies().Bind(&replies_, Fd());
    const bool paused = RunCommands(&left);
    if (IsClosed()) return;
    // A pipeline longer than the buffer: read on first, so that its replies go out together.
    if (more_to_read_ && reads_left_ > 0 && !paused && !yielded_ && !MustPause()) {
      --reads_left_;
      Read();
      if (IsClosed()) return;
      continue;
    }
    if (yielded_ && replies_.UnsentBytes() < kYieldSendBytes) break;
    if (!Flush(&left_bytes)) {
      CloseFor(CloseReason::kError);
      return;
    }
    // The rest when the others have had their turn: until then the socket stays writable.
    if (left_bytes == 0 && replies_.CanSend()) break;
    // Replies that were too many are gone already: go on with the requests that had to wait for it.
    if (!paused || yielded_ || MustPause()) break;
  }
  ResumePostponed();
  ContinueDump();
  Settle();
}

bool Connection::Flush(uint64_t* left) {
  uint64_t sent = 0;
  const ReplyQueue::SendResult result = replies_.Send(socket_, &sent, *left);
  *left -= sent;
  if (sent > 0) host_.Counters().bytes_written.Add(sent);
  return result != ReplyQueue::SendResult::kFailed;
}

void Connection::Settle() {
  if (state_ == State::kDraining && begin_ == end_ && replies_.Empty()) {
    socket_.Finish();
    Close();
    return;
  }
  if (begin_ == end_ && (state_ == State::kCommands || state_ == State::kDraining)) {
    buffer_.Reset();
    begin_ = end_ = 0;
  }
  bool read = state_ != State::kDraining && !MustPause();
  account_.Publish();
  // No event will say again what a transport has read already, or that it takes more.
  const bool goes_on =
      (read && socket_.HasBuffered()) || (socket_.TakesMore() && replies_.CanSend());
  if (goes_on && !yielded_) {
    yielded_ = true;
    host_.RunSoon(*this);
  }
  bool write = replies_.CanSend() && !yielded_;
  if (read && socket_.ReadWantsWrite()) {
    read = false;
    write = true;
  }
  if (read == wants_read_ && write == wants_write_) return;
  wants_read_ = read;
  wants_write_ = write;
  host_.SetInterest(*this, read, write);
}

// No further request may be started now; whatever ends the reason calls Advance().
bool Connection::MustPause() {
  return waits_for_room_ || write_waits_ || waits_for_host_ || dump_slot_ != nullptr ||
         writes_suspended_ > 0 || (!suspended_.empty() && suspended_.size() >= ReadsAllowed()) ||
         RepliesFull();
}

// A block is what the first byte costs already, and enough for everybody to go on with.
uint64_t Connection::ReplyLimit() {
  return std::clamp<uint64_t>(account_.LeftBytes(), BufferPool::kBlockBytes,
                              context_.options.reply_bytes_max);
}

bool Connection::RepliesFull() {
  const uint64_t unsent = replies_.UnsentBytes();
  return unsent > BufferPool::kBlockBytes && unsent > ReplyLimit();
}

// How many flash reads may be under way: their replies have to fit, and nobody knows how large they will be.
// So a connection begins with few and is allowed more as its values turn out small.
size_t Connection::ReadsAllowed() {
  const uint64_t limit = ReplyLimit();
  const uint64_t room = limit - std::min(limit, replies_.UnsentBytes());
  const uint64_t fit = room / std::max(asker_.expected_bytes, Suspended::kBytes);
  return std::clamp<uint64_t>(fit, 1, std::max<uint32_t>(context_.options.pipelined_reads_max, 1));
}

// How many keys may be looked up together: so many as fit even if each is as large as a copied value may be.
size_t Connection::BatchKeys() {
  const uint64_t limit = ReplyLimit();
  const uint64_t room = limit - std::min(limit, replies_.UnsentBytes());
  const size_t reads = ReadsAllowed();
  const size_t reads_left = reads - std::min(suspended_.size(), reads - 1);
  return std::min(reads_left, std::clamp<size_t>(room / kCopiedReplyBytes, 1, kBatchKeysMax));
}

}  // namespace terraced::server
