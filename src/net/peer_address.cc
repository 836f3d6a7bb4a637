#include "src/net/peer_address.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace terraced::server {
namespace {

// The same bytes as an IPv4 address.
sockaddr_in AsIpv4(const sockaddr_in6& address) {
  sockaddr_in ipv4;
  static_assert(sizeof(ipv4) <= sizeof(address));
  std::memcpy(&ipv4, &address, sizeof(ipv4));
  return ipv4;
}

}  // namespace

PeerAddress PeerAddress::Of(int fd) {
  PeerAddress peer;
  sockaddr_storage found{};
  socklen_t bytes = sizeof(found);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&found), &bytes) == 0) {
    std::memcpy(&peer.address_, &found, sizeof(peer.address_));
  }
  return peer;
}

std::string PeerAddress::Ip() const {
  if (address_.sin6_family == AF_UNIX) return "unix";
  std::array<char, INET6_ADDRSTRLEN> text;
  const sockaddr_in ipv4 = AsIpv4(address_);
  const void* const from = address_.sin6_family == AF_INET
                               ? static_cast<const void*>(&ipv4.sin_addr)
                               : static_cast<const void*>(&address_.sin6_addr);
  const char* const shown = inet_ntop(address_.sin6_family, from, text.data(), text.size());
  return shown == nullptr ? "-" : shown;
}

uint16_t PeerAddress::Port() const {
  if (address_.sin6_family == AF_INET) return ntohs(AsIpv4(address_).sin_port);
  return address_.sin6_family == AF_INET6 ? ntohs(address_.sin6_port) : uint16_t{0};
}

PeerTransport PeerAddress::Via() const {
  return address_.sin6_family == AF_UNIX ? PeerTransport::kLocal : PeerTransport::kTcp;
}

}  // namespace terraced::server
