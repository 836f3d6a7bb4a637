#include "src/net/udp_frame.h"

namespace terraced::server {
namespace {

uint16_t ReadNumber(std::string_view datagram, size_t at) {
  return static_cast<uint16_t>(static_cast<unsigned char>(datagram[at]) << 8U |
                               static_cast<unsigned char>(datagram[at + 1]));
}

void WriteNumber(UdpHeader* header, size_t at, size_t number) {
  (*header)[at] = static_cast<unsigned char>(number >> 8U);
  (*header)[at + 1] = static_cast<unsigned char>(number);
}

}  // namespace

std::optional<UdpRequest> DecodeUdpRequest(std::string_view datagram) {
  constexpr size_t kCountAt = 4;
  if (datagram.size() <= kUdpHeaderBytes || ReadNumber(datagram, kCountAt) != 1)
    return std::nullopt;
  return UdpRequest{ReadNumber(datagram, 0), datagram.substr(kUdpHeaderBytes)};
}

UdpHeader EncodeUdpHeader(uint16_t id, size_t number, size_t count) {
  UdpHeader header{};
  WriteNumber(&header, 0, id);
  WriteNumber(&header, 2, number);
  WriteNumber(&header, 4, count);
  return header;
}

}  // namespace terraced::server
