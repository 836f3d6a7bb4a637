// Watching: a connection that is sent what happens, and what watchers are told of connections.
#include "src/net/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "src/watch/event_line.h"
#include "src/watch/watch_hub.h"

namespace terraced::server {
namespace {

// What a watcher may be sent in its turn.
constexpr uint64_t kTurnLineBytes = 256U << 10;
// Unsent lines beyond the watcher's buffer: less than what a connection may have that is not paused.
constexpr uint64_t kUnsentLineBytes = BufferPool::kBlockBytes - kEventLineBytesMax;

}  // namespace

void Connection::BeginWatching(const Request& request) {
  if (socket_.IsExchange()) {
    host_.Replies().For(request).Answer(request, Reply::kWatcherFailed);
    return;
  }
  if (!replies_.Empty()) {
    host_.Replies().For(request).Answer(request, Reply::kWatchPipelined);
    return;
  }
  const std::optional<uint32_t> classes = ParseWatchLine(request.line);
  TERRACED_DCHECK(classes.has_value());
  auto watcher = std::make_shared<Watcher>(*classes, context_.options.watcher_logbuf_bytes,
                                           host_.Watches(*this));
  switch (context_.watch.Add(watcher)) {
    case WatchHub::Added::kTooMany:
      host_.Replies().For(request).Answer(request, Reply::kWatchersTooMany);
      return;
    case WatchHub::Added::kNoThread:
      host_.Replies().For(request).Answer(request, Reply::kWatcherFailed);
      return;
    case WatchHub::Added::kYes:
      break;
  }
  watcher_ = std::move(watcher);
  state_ = State::kWatching;
  DropBuffered();
  host_.Replies().For(request).Answer(request, Reply::kOk);
}

// What a watcher says is not listened to.
void Connection::ReadWatching() {
  std::array<char, 64U << 10>& scratch = host_.Scratch().swallowed;
  const iovec piece = {scratch.data(), scratch.size()};
  if (ReadResult(socket_.Read({&piece, 1}))) more_to_read_ = socket_.HasBuffered();
}

void Connection::SendLines() {
  if (!IsClosed() && state_ == State::kWatching) Advance();
}

// As many lines as may be unsent. False: there are no more.
bool Connection::TakeLines() {
  LogBuffer& lines = watcher_->Lines();
  while (replies_.UnsentBytes() < kUnsentLineBytes) {
    const std::string_view line = lines.Front();
    if (line.empty()) return false;
    std::memcpy(replies_.Reserve(line.size()), line.data(), line.size());
    replies_.Commit(line.size());
    lines.Pop();
  }
  return true;
}

void Connection::AdvanceWatching() {
  buffer_.Reset();
  begin_ = end_ = 0;
  uint64_t left = kTurnLineBytes;
  bool more = true;
  while (more && left > 0) {
    more = TakeLines();
    if (!Flush(&left)) {
      CloseFor(CloseReason::kError);
      return;
    }
    if (replies_.CanSend()) break;  // the rest when the socket takes it
  }
  if (more && !replies_.CanSend()) {
    yielded_ = true;
    host_.RunSoon(*this);
  }
  Settle();
}

void Connection::EndWatching() {
  if (watcher_ == nullptr) return;
  context_.watch.Remove(watcher_.get());
  watcher_.reset();
}

// --- Connections are events themselves ------------------------------------------------------------

void Connection::ReportOpened() const {
  if (!context_.watch.Wants(tiering::kConnEvents) || socket_.IsExchange()) return;
  context_.watch.Note({.type = tiering::EventType::kConnNew,
                       .text = peer_.Ip(),
                       .numbers = {peer_.Port(), static_cast<int64_t>(peer_.Via()), Fd()}});
}

void Connection::ReportClosed() const {
  if (!context_.watch.Wants(tiering::kConnEvents) || socket_.IsExchange()) return;
  context_.watch.Note({.type = tiering::EventType::kConnClose,
                       .text = peer_.Ip(),
                       .numbers = {peer_.Port(), static_cast<int64_t>(peer_.Via()),
                                   static_cast<int64_t>(close_reason_), Fd()}});
}

void Connection::CloseFor(CloseReason reason) {
  close_reason_ = reason;
  Close();
}

}  // namespace terraced::server
