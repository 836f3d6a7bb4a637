#include "tests/support/rude_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "storage/base/check.h"

namespace terraced::support {
namespace {

constexpr size_t kReadBytes = 64U << 10;

sockaddr_in Loopback(uint8_t host, int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl((INADDR_LOOPBACK & ~0xffU) | host);
  return address;
}

void SetOption(int descriptor, int level, int name, int value) {
  TERRACED_CHECK(setsockopt(descriptor, level, name, &value, sizeof(value)) == 0);
}

}  // namespace

RudeClient::RudeClient(int port, const RudeShape& shape)
    : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  TERRACED_CHECK(descriptor_ >= 0);
  SetOption(descriptor_, IPPROTO_TCP, TCP_NODELAY, 1);
  if (shape.receive_buffer_bytes > 0) {
    SetOption(descriptor_, SOL_SOCKET, SO_RCVBUF, shape.receive_buffer_bytes);
  }
  if (shape.source != 1) {
    // The port is chosen when the other end is known, so that each of them may use all.
    SetOption(descriptor_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    const sockaddr_in from = Loopback(shape.source, 0);
    TERRACED_CHECK(bind(descriptor_, reinterpret_cast<const sockaddr*>(&from), sizeof(from)) == 0);
  }
  const sockaddr_in to = Loopback(1, port);
  TERRACED_CHECK(connect(descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0);
}

RudeClient::~RudeClient() {
  Leave(false);
}

RudeClient::RudeClient(RudeClient&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

RudeClient& RudeClient::operator=(RudeClient&& other) noexcept {
  if (this != &other) {
    Leave(false);
    descriptor_ = std::exchange(other.descriptor_, -1);
  }
  return *this;
}

size_t RudeClient::Push(std::string_view bytes) {
  const ssize_t count = send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return count > 0 ? static_cast<size_t>(count) : 0;
}

size_t RudeClient::Sip(size_t bytes) {
  std::array<char, kReadBytes> dropped;
  const ssize_t count =
      recv(descriptor_, dropped.data(), std::min(bytes, dropped.size()), MSG_DONTWAIT);
  return count > 0 ? static_cast<size_t>(count) : 0;
}

bool RudeClient::IsClosed() {
  while (Sip(kReadBytes) > 0) {
  }
  char byte = 0;
  const ssize_t count = recv(descriptor_, &byte, sizeof(byte), MSG_DONTWAIT | MSG_PEEK);
  return count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

void RudeClient::Leave(bool with_reset) {
  if (descriptor_ < 0) return;
  if (with_reset) {
    const linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  }
  close(std::exchange(descriptor_, -1));
}

}  // namespace terraced::support
