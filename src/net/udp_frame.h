// UdpFrame: the eight bytes in front of every datagram of memcached's UDP: request id, number of the datagram, how many
// there are, two bytes of nothing; big-endian.
// Threads: pure functions. Errors: what is no request is none; nobody is told.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace terraced::server {

constexpr size_t kUdpHeaderBytes = 8;
constexpr size_t kUdpDatagramBytesMax = 1'400;  // of a reply, the header included
constexpr size_t kUdpPayloadBytesMax = kUdpDatagramBytesMax - kUdpHeaderBytes;
constexpr size_t kUdpDatagramsMax = 65'535;  // what the header can say
constexpr size_t kUdpReplyBytesMax = kUdpDatagramsMax * kUdpPayloadBytesMax;

struct UdpRequest {
  uint16_t id = 0;
  std::string_view payload;  // of the datagram
};
// Nothing: too short, or one of several, which memcached does not put together either.
std::optional<UdpRequest> DecodeUdpRequest(std::string_view datagram);

using UdpHeader = std::array<unsigned char, kUdpHeaderBytes>;
UdpHeader EncodeUdpHeader(uint16_t id, size_t number, size_t count);

// How many datagrams so much of a reply takes.
constexpr size_t UdpDatagramsOf(size_t bytes) {
  return (bytes + kUdpPayloadBytesMax - 1) / kUdpPayloadBytesMax;
}

}  // namespace terraced::server
