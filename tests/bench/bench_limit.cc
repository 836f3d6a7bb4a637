// bench_limit PORT VALUE_BYTES: answers the load of bench_load from a constant: an epoll loop, one read and one
// write a round, no table, no locks, no parsing beyond the first letter of a request. What it reaches is the limit
// of any server on this kernel, and shows that the load can ask for more than the servers answer.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "tests/bench/load_shape.h"

namespace terraced::bench {
namespace {

constexpr size_t kBufferBytes = 4U << 20;

struct Client {
  int fd = -1;
  std::vector<char> in = std::vector<char>(kBufferBytes);
  size_t in_bytes = 0;
};

class Limit {
 public:
  explicit Limit(size_t value_bytes) : out_(kBufferBytes) {
    line_end_ = " 0 " + std::to_string(value_bytes) + "\r\n";
    set_bytes_ = 4 + kKeyBytes + 2 + line_end_.size() + value_bytes + 2;
    value_.assign(value_bytes, 'x').append("\r\n");
  }

  void Serve(Client* client) {
    const ssize_t got =
        recv(client->fd, client->in.data() + client->in_bytes, kBufferBytes - client->in_bytes, 0);
    if (got <= 0) {
      close(client->fd);
      delete client;
      return;
    }
    client->in_bytes += static_cast<size_t>(got);
    char* to = out_.data();
    size_t at = 0;
    while (const size_t used = Answer(client->in.data() + at, client->in_bytes - at, &to)) {
      at += used;
    }
    client->in_bytes -= at;
    std::memmove(client->in.data(), client->in.data() + at, client->in_bytes);
    size_t sent = 0;
    const auto bytes = static_cast<size_t>(to - out_.data());
    while (sent < bytes) {
      const ssize_t result = send(client->fd, out_.data() + sent, bytes - sent, MSG_NOSIGNAL);
      if (result <= 0) return;
      sent += static_cast<size_t>(result);
    }
  }

 private:
  // One request at the front; how many bytes it has, 0 where it is not complete.
  size_t Answer(const char* request, size_t bytes, char** to) {
    if (bytes == 0) return 0;
    if (*request == 's') {
      if (bytes < set_bytes_) return 0;
      std::memcpy(*to, "STORED\r\n", 8);
      *to += 8;
      return set_bytes_;
    }
    const void* const end = std::memchr(request, '\n', bytes);
    if (end == nullptr) return 0;
    const auto line_bytes = static_cast<size_t>(static_cast<const char*>(end) - request) + 1;
    for (size_t key = 4; key + kKeyBytes < line_bytes; key += kKeyBytes + 1) {
      std::memcpy(*to, "VALUE ", 6);
      std::memcpy(*to + 6, request + key, kKeyBytes);
      std::memcpy(*to + 6 + kKeyBytes, line_end_.data(), line_end_.size());
      *to += 6 + kKeyBytes + line_end_.size();
      std::memcpy(*to, value_.data(), value_.size());
      *to += value_.size();
    }
    std::memcpy(*to, "END\r\n", 5);
    *to += 5;
    return line_bytes;
  }

  size_t set_bytes_ = 0;
  std::string line_end_;
  std::string value_;
  std::vector<char> out_;
};

int Run(uint16_t port, size_t value_bytes) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener, 1024) != 0) {
    std::perror("bench_limit: cannot listen");
    return 1;
  }
  const int poll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
  Limit limit(value_bytes);
  std::array<epoll_event, 64> events;
  while (true) {
    const int count = epoll_wait(poll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      auto* client = static_cast<Client*>(events[static_cast<size_t>(i)].data.ptr);
      if (client != nullptr) {
        limit.Serve(client);
        continue;
      }
      client = new Client();
      client->fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      event.data.ptr = client;
      epoll_ctl(poll, EPOLL_CTL_ADD, client->fd, &event);
    }
  }
}

}  // namespace
}  // namespace terraced::bench

int main(int count, char** words) {
  if (count != 3) {
    std::fprintf(stderr, "bench_limit: usage: bench_limit PORT VALUE_BYTES\n");
    return 2;
  }
  return terraced::bench::Run(static_cast<uint16_t>(std::atoi(words[1])),
                              static_cast<size_t>(std::atol(words[2])));
}
