#include "tests/bench/trace_connection.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "tests/bench/trace_text.h"
#include "tests/bench/trace_value.h"

namespace terraced::bench {
namespace {

constexpr size_t kReadBytes = 64U << 10;
constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kEnd = "END\r\n";

bool IsError(std::string_view line) {
  return line.starts_with("ERROR") || line.starts_with("CLIENT_ERROR ") ||
         line.starts_with("SERVER_ERROR ");
}

Status Strange(std::string_view line) {
  return Status(StatusCode::kCorruption, "no reply: '" + std::string(line) + "'");
}

void AppendNumber(uint64_t number, std::string* text) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  text->append(digits.data(), end);
}

}  // namespace

Result<std::unique_ptr<TraceConnection>> TraceConnection::Connect(int port) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return Status::FromErrno("socket", errno);
  std::unique_ptr<TraceConnection> connection(new TraceConnection(descriptor));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Status::FromErrno("connect to port " + std::to_string(port), errno);
  }
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  return connection;
}

TraceConnection::TraceConnection(int descriptor) : descriptor_(descriptor), input_(kReadBytes) {}

TraceConnection::~TraceConnection() {
  close(descriptor_);
}

void TraceConnection::AppendSet(std::string_view key, const Asked& asked, ReplayCounts* counts) {
  output_.append("set ").append(key).append(" 0 ");
  AppendNumber(asked.ttl_s, &output_);
  output_.append(" ");
  AppendNumber(asked.value_bytes, &output_);
  output_.append(kLineEnd);
  AppendTraceValue(asked.key_hash, asked.value_bytes, &output_);
  output_.append(kLineEnd);
  counts->set_bytes += key.size() + asked.value_bytes;
}

void TraceConnection::Add(const TraceOperation& operation, uint64_t key_hash,
                          ReplayCounts* counts) {
  const Asked asked = {.verb = operation.verb,
                       .key_length = static_cast<uint16_t>(operation.key.size()),
                       .value_bytes = operation.value_bytes,
                       .ttl_s = operation.ttl_s,
                       .key_hash = key_hash,
                       .key_at = keys_.size()};
  keys_.append(operation.key);
  asked_.push_back(asked);
  ++counts->operations;
  switch (operation.verb) {
    case TraceVerb::kGet:
      ++counts->gets;
      output_.append("get ").append(operation.key).append(kLineEnd);
      break;
    case TraceVerb::kSet:
      ++counts->sets;
      AppendSet(operation.key, asked, counts);
      break;
    case TraceVerb::kDelete:
      ++counts->deletes;
      output_.append("delete ").append(operation.key).append(kLineEnd);
      break;
  }
}

bool TraceConnection::IsAskedAgain(size_t index) const {
  return std::any_of(asked_.begin() + static_cast<ptrdiff_t>(index) + 1, asked_.end(),
                     [&](const Asked& later) { return later.key_hash == asked_[index].key_hash; });
}

bool TraceConnection::StartRound(ReplayCounts* counts) {
  output_.clear();
  sent_ = answered_ = 0;
  std::vector<Asked> fills;
  std::string keys;
  for (size_t i = 0; i < asked_.size(); ++i) {
    // What came after a get decides: another get of the key fills by itself, a delete must be the last word.
    if (!asked_[i].missed || IsAskedAgain(i)) continue;
    Asked fill = asked_[i];
    fill.verb = TraceVerb::kSet;
    fill.missed = false;
    fill.key_at = keys.size();
    keys.append(KeyOf(asked_[i]));
    AppendSet(KeyOf(asked_[i]), fill, counts);
    fills.push_back(fill);
  }
  counts->fills += fills.size();
  asked_.swap(fills);
  keys_.swap(keys);
  return !asked_.empty();
}

short TraceConnection::Awaits() const {
  const bool to_send = sent_ < output_.size();
  return static_cast<short>((to_send ? POLLOUT : 0) | (answered_ < asked_.size() ? POLLIN : 0));
}

Status TraceConnection::Progress(ReplayCounts* counts) {
  if (sent_ < output_.size()) TERRACED_RETURN_IF_ERROR(SendSome());
  if (answered_ == asked_.size()) return Status();
  TERRACED_RETURN_IF_ERROR(ReadSome());
  return JudgeReplies(counts);
}

Status TraceConnection::SendSome() {
  const ssize_t count =
      send(descriptor_, output_.data() + sent_, output_.size() - sent_, MSG_NOSIGNAL);
  if (count >= 0) {
    sent_ += static_cast<size_t>(count);
    return Status();
  }
  return errno == EAGAIN || errno == EINTR ? Status() : Status::FromErrno("send", errno);
}

void TraceConnection::MakeRoom() {
  if (taken_ == filled_) taken_ = filled_ = 0;
  if (input_.size() - filled_ >= kReadBytes / 2) return;
  std::memmove(input_.data(), input_.data() + taken_, filled_ - taken_);
  filled_ -= taken_;
  taken_ = 0;
  // A reply larger than the buffer.
  if (input_.size() - filled_ < kReadBytes / 2) input_.resize(input_.size() * 2);
}

Status TraceConnection::ReadSome() {
  MakeRoom();
  const ssize_t count = recv(descriptor_, input_.data() + filled_, input_.size() - filled_, 0);
  if (count > 0) {
    filled_ += static_cast<size_t>(count);
    return Status();
  }
  if (count == 0) return Status(StatusCode::kIoError, "the server closed the connection");
  return errno == EAGAIN || errno == EINTR ? Status() : Status::FromErrno("recv", errno);
}

Status TraceConnection::JudgeReplies(ReplayCounts* counts) {
  while (answered_ < asked_.size()) {
    const std::string_view pending(input_.data() + taken_, filled_ - taken_);
    TERRACED_ASSIGN_OR_RETURN(const size_t bytes, JudgeReply(pending, &asked_[answered_], counts));
    if (bytes == 0) break;
    taken_ += bytes;
    ++answered_;
  }
  return Status();
}

Result<size_t> TraceConnection::JudgeReply(std::string_view pending, Asked* asked,
                                           ReplayCounts* counts) {
  const size_t end = pending.find(kLineEnd);
  if (end == std::string_view::npos) return size_t{0};
  const std::string_view line = pending.substr(0, end);
  const size_t line_bytes = end + kLineEnd.size();
  const bool is_error = IsError(line);
  if (asked->verb == TraceVerb::kGet) {
    if (line.starts_with("VALUE ")) return JudgeValue(pending, line_bytes, *asked, counts);
    if (!is_error && line != "END") return Strange(line);
    counts->errors += is_error ? 1 : 0;
    asked->missed = true;
  } else if (asked->verb == TraceVerb::kSet) {
    if (!is_error && line != "STORED") return Strange(line);
    counts->refused += is_error ? 1 : 0;
  } else {
    if (!is_error && line != "DELETED" && line != "NOT_FOUND") return Strange(line);
    counts->errors += is_error ? 1 : 0;
  }
  return line_bytes;
}

Result<size_t> TraceConnection::JudgeValue(std::string_view pending, size_t line_bytes,
                                           const Asked& asked, ReplayCounts* counts) {
  // VALUE <key> <flags> <bytes>
  const std::string_view line = pending.substr(0, line_bytes - kLineEnd.size());
  const size_t bytes_at = line.rfind(' ') + 1;
  size_t value_bytes = 0;
  const auto [end, error] =
      std::from_chars(line.data() + bytes_at, line.data() + line.size(), value_bytes);
  if (error != std::errc() || end != line.data() + line.size() ||
      value_bytes > kTraceValueBytesMax) {
    return Strange(line);
  }
  const size_t reply_bytes = line_bytes + value_bytes + kLineEnd.size() + kEnd.size();
  if (pending.size() < reply_bytes) return size_t{0};
  if (pending.substr(line_bytes + value_bytes + kLineEnd.size(), kEnd.size()) != kEnd) {
    return Strange(line);
  }
  const std::string_view key = KeyOf(asked);
  const bool is_key = line.substr(std::string_view("VALUE ").size()).starts_with(key);
  const bool is_value = IsTraceValue(asked.key_hash, pending.substr(line_bytes, value_bytes));
  ++counts->hits;
  counts->wrong += is_key && is_value ? 0 : 1;
  counts->hit_bytes += key.size() + value_bytes;
  return reply_bytes;
}

}  // namespace terraced::bench
