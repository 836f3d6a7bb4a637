#include "tests/bench/load_connection.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace terraced::bench {
namespace {

constexpr std::string_view kStored = "STORED\r\n";
constexpr std::string_view kEnd = "END\r\n";
constexpr size_t kReadBytes = 1U << 20;

[[noreturn]] void Fail(const char* what) {
  std::fprintf(stderr, "bench_load: %s\n", what);
  std::exit(1);
}

}  // namespace

Result<std::unique_ptr<LoadConnection>> LoadConnection::Connect(const LoadShape& shape) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Status::FromErrno("socket", errno);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(shape.port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    close(fd);
    return Status::FromErrno("connect to 127.0.0.1:" + std::to_string(shape.port), error);
  }
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return std::unique_ptr<LoadConnection>(new LoadConnection(shape, fd));
}

LoadConnection::LoadConnection(const LoadShape& shape, int fd) : shape_(shape), fd_(fd) {
  header_bytes_ = 6 + kKeyBytes + 3 + std::to_string(shape.value_bytes).size() + 2;
  in_.resize(kReadBytes);
}

LoadConnection::~LoadConnection() {
  close(fd_);
}

char* LoadConnection::Grow(size_t bytes) {
  if (out_bytes_ + bytes > out_.size()) out_.resize(2 * (out_bytes_ + bytes));
  return out_.data() + out_bytes_;
}

void LoadConnection::AddGet(KeyPicker& keys, uint64_t key_count, uint64_t begun_ns) {
  char* to = Grow(3 + key_count * (1 + kKeyBytes) + 2);
  asked_.push_back({begun_ns, keys_.size(), static_cast<uint32_t>(key_count)});
  std::memcpy(to, "get", 3);
  to += 3;
  for (uint64_t i = 0; i < key_count; ++i) {
    const uint64_t number = keys.Next();
    keys_.push_back(number);
    *to++ = ' ';
    WriteKey(number, to);
    to += kKeyBytes;
  }
  std::memcpy(to, "\r\n", 2);
  out_bytes_ = static_cast<size_t>(to + 2 - out_.data());
}

void LoadConnection::AddSet(uint64_t number, uint64_t begun_ns) {
  char* to = Grow(4 + kKeyBytes + 32 + shape_.value_bytes + 2);
  asked_.push_back({begun_ns, number, 0});
  std::memcpy(to, "set ", 4);
  WriteKey(number, to + 4);
  to += 4 + kKeyBytes;
  to += std::snprintf(to, 32, " 0 0 %llu\r\n", static_cast<unsigned long long>(shape_.value_bytes));
  WriteValue(number, shape_, to);
  to += shape_.value_bytes;
  std::memcpy(to, "\r\n", 2);
  out_bytes_ = static_cast<size_t>(to + 2 - out_.data());
}

void LoadConnection::Send() {
  size_t sent = 0;
  while (sent < out_bytes_) {
    const ssize_t result = send(fd_, out_.data() + sent, out_bytes_ - sent, MSG_NOSIGNAL);
    if (result < 0 && errno == EINTR) continue;
    if (result <= 0) Fail("the server closed a connection");
    sent += static_cast<size_t>(result);
  }
  out_bytes_ = 0;
}

void LoadConnection::Fill() {
  if (in_end_ == in_.size()) in_.resize(2 * in_.size());
  const ssize_t result = recv(fd_, in_.data() + in_end_, in_.size() - in_end_, MSG_DONTWAIT);
  if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (result <= 0) Fail("the server closed a connection");
  in_end_ += static_cast<size_t>(result);
}

void LoadConnection::Compact() {
  if (IsIdle()) {
    if (in_begin_ != in_end_) Fail("the server said more than it was asked");
    in_begin_ = in_end_ = 0;
    next_ = 0;
    asked_.clear();
    keys_.clear();
  } else if (in_begin_ > in_.size() / 2) {
    std::memmove(in_.data(), in_.data() + in_begin_, in_end_ - in_begin_);
    in_end_ -= in_begin_;
    in_begin_ = 0;
  }
}

bool LoadConnection::Answered(LoadCounts* counts, uint64_t* begun_ns) {
  if (next_ == asked_.size()) return false;
  const Asked& asked = asked_[next_];
  if (asked.key_count > 0) {
    if (!AnsweredGet(asked, counts)) return false;
    counts->operations += asked.key_count;
  } else {
    const std::string_view text(in_.data() + in_begin_, in_end_ - in_begin_);
    const size_t line = text.find('\n');
    if (line == std::string_view::npos) return false;
    ++(text.starts_with(kStored) ? counts->stored : counts->refused);
    in_begin_ += line + 1;
    ++counts->operations;
  }
  *begun_ns = asked.begun_ns;
  ++next_;
  return true;
}

bool LoadConnection::AnsweredGet(const Asked& asked, LoadCounts* counts) {
  const size_t value_end = header_bytes_ + shape_.value_bytes + 2;
  while (true) {
    const char* const at = in_.data() + in_begin_;
    const size_t left = in_end_ - in_begin_;
    if (left < kEnd.size()) return false;
    if (*at == 'V') {
      if (left < value_end) return false;
      // Keys that were not found are passed over: what comes stands in the order of the request.
      uint64_t number = 0;
      do {
        if (keys_seen_ == asked.key_count) Fail("a value came that nobody asked for");
        number = keys_[asked.first + keys_seen_++];
        char key[kKeyBytes];
        WriteKey(number, key);
        if (std::memcmp(key, at + 6, kKeyBytes) == 0) break;
      } while (true);
      CheckValue(at, number, counts);
      ++hits_seen_;
      in_begin_ += value_end;
      continue;
    }
    if (std::memcmp(at, kEnd.data(), kEnd.size()) != 0) Fail("a get was answered by an error");
    in_begin_ += kEnd.size();
    counts->hits += hits_seen_;
    counts->misses += asked.key_count - hits_seen_;
    keys_seen_ = hits_seen_ = 0;
    return true;
  }
}

void LoadConnection::CheckValue(const char* header, uint64_t number, LoadCounts* counts) const {
  uint64_t begin = 0;
  const size_t noise_bytes = shape_.compressible ? shape_.value_bytes / 2 : shape_.value_bytes;
  const size_t bytes = std::min(sizeof(begin), noise_bytes);
  const uint64_t expected = ValueBegin(number);
  if (header[header_bytes_ - 1] != '\n' ||
      std::memcmp(header + header_bytes_, &expected, bytes) != 0) {
    ++counts->wrong;
  }
}

}  // namespace terraced::bench
