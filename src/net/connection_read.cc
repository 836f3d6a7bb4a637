// Reading: bytes of a client into its buffer, into an item, or away.
#include "src/net/connection.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "storage/base/kill_point.h"
#include "storage/base/log.h"

namespace terraced::server {

bool Connection::ReadResult(ssize_t result) {
  if (result > 0) {
    host_.Counters().bytes_read.Add(static_cast<uint64_t>(result));
    return true;
  }
  if (result == 0) {
    // The client has said all it wants; what it asked is still answered unless it broke off in a value.
    if (state_ == State::kValue) {
      Close();
    } else {
      state_ = State::kDraining;
    }
    return false;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return false;
  if (Log::On(LogLevel::kVerbose)) {
    Log::Write(LogLevel::kVerbose, "<%d read failed: %s", Fd(), std::strerror(errno));
  }
  CloseFor(CloseReason::kError);
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

void Connection::Read() {
  more_to_read_ = false;
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
    case State::kWatching:
      ReadWatching();
      break;
  }
}

void Connection::ReadCommands() {
  if (!MakeRoom()) return;
  const size_t room = buffer_.Capacity() - end_;
  const iovec piece = {buffer_.Data() + end_, room};
  const ssize_t result = socket_.Read({&piece, 1});
  if (!ReadResult(result)) return;
  end_ += static_cast<size_t>(result);
  more_to_read_ = static_cast<size_t>(result) == room || socket_.HasBuffered();
}

// Straight into the item, then its line end, then what follows into the buffer: one system call.
void Connection::ReadValue() {
  constexpr size_t kPiecesMax = 16;
  std::array<iovec, kPiecesMax + 2> pieces;
  size_t count = 0;
  for (size_t i = value_next_; i < value_.size() && count < kPiecesMax; ++i) {
    pieces[count++] = {value_[i].data(), value_[i].size()};
  }
  if (value_.size() - value_next_ <= kPiecesMax) {
    pieces[count++] = {line_end_.data() + line_end_bytes_, LineEndBytes() - line_end_bytes_};
    TERRACED_DCHECK(begin_ == end_);
    if (MakeRoom()) pieces[count++] = {buffer_.Data() + end_, buffer_.Capacity() - end_};
  }
  const ssize_t result = socket_.Read({pieces.data(), count});
  if (!ReadResult(result)) return;
  auto left = static_cast<size_t>(result);
  size_t room = 0;
  for (size_t i = 0; i < count; ++i) room += pieces[i].iov_len;
  more_to_read_ = left == room || socket_.HasBuffered();
  while (left > 0 && value_next_ < value_.size()) {
    std::span<char>& piece = value_[value_next_];
    const size_t taken = std::min(left, piece.size());
    piece = piece.subspan(taken);
    left -= taken;
    if (piece.empty()) ++value_next_;
  }
  if (value_next_ < value_.size()) HotKillPoint(KillPoint::kValueHalf);
  const size_t taken = std::min(left, LineEndBytes() - line_end_bytes_);
  line_end_bytes_ += taken;
  end_ += left - taken;
}

void Connection::ReadSwallow() {
  std::array<char, 64U << 10>& scratch = host_.Scratch().swallowed;
  const iovec piece = {scratch.data(), std::min<uint64_t>(scratch.size(), swallow_bytes_)};
  const ssize_t result = socket_.Read({&piece, 1});
  if (!ReadResult(result)) return;
  swallow_bytes_ -= static_cast<uint64_t>(result);
  more_to_read_ = socket_.HasBuffered();
}

void Connection::SwallowBuffered() {
  const auto taken = static_cast<size_t>(std::min<uint64_t>(swallow_bytes_, end_ - begin_));
  begin_ += taken;
  swallow_bytes_ -= taken;
  if (swallow_bytes_ == 0) state_ = State::kCommands;
}

}  // namespace terraced::server
