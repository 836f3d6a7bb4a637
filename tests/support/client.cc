#include "tests/support/client.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace terraced::support {
namespace {

using Moment = std::chrono::steady_clock::time_point;

constexpr size_t kReadBytes = 256U << 10;
constexpr std::string_view kLineEnd = "\r\n";

std::string_view FirstLine(std::string_view bytes) {
  const size_t end = bytes.find('\n');
  std::string_view line = end == std::string_view::npos ? bytes : bytes.substr(0, end);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

// The n-th word of a line of words with single blanks between them.
std::string_view Word(std::string_view line, int n) {
  for (; n > 0; --n) {
    const size_t blank = line.find(' ');
    if (blank == std::string_view::npos) return {};
    line.remove_prefix(blank + 1);
  }
  return line.substr(0, line.find(' '));
}

// Bytes of the data block behind a VALUE line, its line end included.
size_t DataBlockBytes(std::string_view value_line) {
  const std::string_view length = Word(value_line, 3);
  size_t bytes = 0;
  std::from_chars(length.data(), length.data() + length.size(), bytes);
  return bytes + kLineEnd.size();
}

std::string Bracketed(std::string_view text) {
  return "<" + std::string(text) + ">";
}

}  // namespace

ReplyShape ShapeOf(std::string_view request) {
  const std::string_view line = FirstLine(request);
  const std::string_view verb = Word(line, 0);
  if (verb == "get" || verb == "gets" || verb == "gat" || verb == "gats")
    return ReplyShape::kValues;
  if (verb == "stats") return ReplyShape::kStats;
  if (verb == "debug") {
    return Word(line, 1) == "sync_points" ? ReplyShape::kStats : ReplyShape::kLine;
  }
  if (verb == "quit") return ReplyShape::kNone;
  if (verb != "version" && line.ends_with(" noreply")) return ReplyShape::kNone;
  return ReplyShape::kLine;
}

std::vector<ValueBlock> ParseValues(std::string_view reply) {
  std::vector<ValueBlock> blocks;
  while (!reply.empty()) {
    const size_t end = reply.find(kLineEnd);
    if (end == std::string_view::npos) break;
    const std::string_view line = reply.substr(0, end);
    reply.remove_prefix(end + kLineEnd.size());
    if (Word(line, 0) != "VALUE") continue;
    const size_t block_bytes = DataBlockBytes(line);
    if (reply.size() < block_bytes) break;
    blocks.push_back({.key = std::string(Word(line, 1)),
                      .flags = std::string(Word(line, 2)),
                      .data = std::string(reply.substr(0, block_bytes - kLineEnd.size())),
                      .cas_unique = std::string(Word(line, 4))});
    reply.remove_prefix(block_bytes);
  }
  return blocks;
}

Result<std::unique_ptr<Client>> Client::Connect(int port, std::chrono::milliseconds patience) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return Status::FromErrno("socket", errno);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    close(descriptor);
    return Status::FromErrno("connect to port " + std::to_string(port), error);
  }
  return Adopt(descriptor, patience);
}

std::unique_ptr<Client> Client::Adopt(int descriptor, std::chrono::milliseconds patience) {
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  return std::unique_ptr<Client>(new Client(descriptor, patience));
}

Client::~Client() {
  CloseNow(false);
}

void Client::CloseNow(bool with_reset) {
  if (descriptor_ < 0) return;
  if (with_reset) {
    const linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  }
  close(descriptor_);
  descriptor_ = -1;
}

Status Client::WaitReady(short events, Moment deadline, short* ready) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd socket = {.fd = descriptor_, .events = events, .revents = 0};
    const int count = poll(&socket, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Status::FromErrno("poll", errno);
    if (count == 0) return Status(StatusCode::kUnavailable, "no answer in time");
    *ready = socket.revents;
    return Status();
  }
}

Status Client::ReadAvailable() {
  if (taken_ == input_.size()) {
    input_.clear();
    taken_ = 0;
  }
  for (;;) {
    const size_t before = input_.size();
    input_.resize(before + kReadBytes);
    const ssize_t count = recv(descriptor_, input_.data() + before, kReadBytes, 0);
    input_.resize(before + (count > 0 ? static_cast<size_t>(count) : 0));
    if (count == 0) return Status(StatusCode::kIoError, "the server closed the connection");
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Status();
    if (count < 0) return Status::FromErrno("recv", errno);
    if (static_cast<size_t>(count) < kReadBytes) return Status();
  }
}

Status Client::Fill(Moment deadline) {
  short ready = 0;
  TERRACED_RETURN_IF_ERROR(WaitReady(POLLIN, deadline, &ready));
  return ReadAvailable();
}

Status Client::Send(std::string_view bytes) {
  if (descriptor_ < 0) return Status(StatusCode::kUnavailable, "not connected");
  const Moment deadline = std::chrono::steady_clock::now() + patience_;
  while (!bytes.empty()) {
    const ssize_t count = send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count > 0) {
      bytes.remove_prefix(static_cast<size_t>(count));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return Status::FromErrno("send", errno);
    short ready = 0;
    TERRACED_RETURN_IF_ERROR(WaitReady(POLLIN | POLLOUT, deadline, &ready));
    if ((ready & POLLIN) != 0) TERRACED_RETURN_IF_ERROR(ReadAvailable());
  }
  return Status();
}

std::string Client::Take(size_t count) {
  std::string bytes = input_.substr(taken_, count);
  taken_ += count;
  scanned_ = 0;
  // Shifting the rest on every reply would make long pipelines quadratic.
  if (taken_ > (4U << 20)) {
    input_.erase(0, taken_);
    taken_ = 0;
  }
  return bytes;
}

Result<std::string> Client::ReadBytes(size_t count) {
  const Moment deadline = std::chrono::steady_clock::now() + patience_;
  while (Pending().size() < count) TERRACED_RETURN_IF_ERROR(Fill(deadline));
  return Take(count);
}

Result<std::string> Client::ReadLine() {
  return ReadReply(ReplyShape::kLine);
}

Result<std::string> Client::ReadThrough(std::string_view end) {
  const Moment deadline = std::chrono::steady_clock::now() + patience_;
  for (;;) {
    const size_t from = scanned_ > end.size() ? scanned_ - end.size() : 0;
    const size_t at = Pending().find(end, from);
    if (at != std::string_view::npos) return Take(at + end.size());
    scanned_ = Pending().size();
    TERRACED_RETURN_IF_ERROR(Fill(deadline));
  }
}

size_t Client::ReplyLength(ReplyShape shape) {
  if (shape == ReplyShape::kNone) return 0;
  const std::string_view pending = Pending();
  for (;;) {
    const size_t end = pending.find(kLineEnd, scanned_);
    if (end == std::string_view::npos) return 0;
    const std::string_view line = pending.substr(scanned_, end - scanned_);
    size_t next = end + kLineEnd.size();
    const bool is_value = shape == ReplyShape::kValues && line.starts_with("VALUE ");
    const bool goes_on = is_value || (shape == ReplyShape::kStats && line.starts_with("STAT "));
    if (!goes_on) return next;
    if (is_value) next += DataBlockBytes(line);
    if (next > pending.size()) return 0;  // looks at the same line again when more has come
    scanned_ = next;
  }
}

Result<std::string> Client::ReadReply(ReplyShape shape) {
  if (shape == ReplyShape::kNone) return std::string();
  const Moment deadline = std::chrono::steady_clock::now() + patience_;
  for (;;) {
    const size_t length = ReplyLength(shape);
    if (length > 0) return Take(length);
    TERRACED_RETURN_IF_ERROR(Fill(deadline));
  }
}

bool Client::ServerCloses(std::chrono::milliseconds patience) {
  const Moment deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    short ready = 0;
    if (!WaitReady(POLLIN, deadline, &ready).ok()) return false;
    if (!ReadAvailable().ok()) return true;
    input_.clear();
    taken_ = scanned_ = 0;
  }
}

std::string Client::Ask(std::string_view request) {
  Status status = Send(request);
  if (!status.ok()) return Bracketed(status.message());
  Result<std::string> reply = ReadReply(ShapeOf(request));
  return reply.ok() ? std::move(reply).value() : Bracketed(reply.status().message());
}

std::string Client::Store(std::string_view command_line, std::string_view data) {
  std::string request(command_line);
  request.append(kLineEnd).append(data).append(kLineEnd);
  return Ask(request);
}

std::string Client::Set(std::string_view key, std::string_view data, uint32_t flags,
                        int64_t exptime) {
  return Store("set " + std::string(key) + " " + std::to_string(flags) + " " +
                   std::to_string(exptime) + " " + std::to_string(data.size()),
               data);
}

std::string Client::Get(std::string_view key) {
  const std::string reply = Ask("get " + std::string(key) + "\r\n");
  std::vector<ValueBlock> blocks = ParseValues(reply);
  if (blocks.size() == 1 && blocks[0].key == key) return std::move(blocks[0].data);
  return reply == "END\r\n" ? "<miss>" : Bracketed(reply);
}

ValueBlock Client::Gets(std::string_view key) {
  std::vector<ValueBlock> blocks = ParseValues(Ask("gets " + std::string(key) + "\r\n"));
  return blocks.size() == 1 ? std::move(blocks[0]) : ValueBlock();
}

std::map<std::string, std::string> Client::StatLines(std::string_view request) {
  std::map<std::string, std::string> stats;
  const std::string reply = Ask(request);
  size_t at = 0;
  while (at < reply.size()) {
    const std::string_view line = FirstLine(std::string_view(reply).substr(at));
    at += line.size() + kLineEnd.size();
    if (!line.starts_with("STAT ")) continue;
    const std::string_view name = Word(line, 1);
    const size_t value_at = std::string_view("STAT ").size() + name.size() + 1;
    stats[std::string(name)] =
        value_at <= line.size() ? std::string(line.substr(value_at)) : std::string();
  }
  return stats;
}

std::map<std::string, std::string> Client::Stats(std::string_view group) {
  return StatLines("stats" + std::string(group.empty() ? "" : " ") + std::string(group) + "\r\n");
}

std::map<std::string, std::string> Client::SyncPoints() {
  return StatLines("debug sync_points\r\n");
}

uint64_t Client::Stat(const std::string& name) {
  const std::map<std::string, std::string> stats = Stats();
  const auto found = stats.find(name);
  return found == stats.end() ? 0 : std::strtoull(found->second.c_str(), nullptr, 10);
}

}  // namespace terraced::support
