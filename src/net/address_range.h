// AddressRange: the addresses of one CIDR, as -o allow has them.
// Threads: plain values. Errors: ParseAddressRanges quotes what is no range.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "storage/base/status.h"

namespace terraced::server {

struct AddressRange {
  std::array<uint8_t, 16> bytes{};  // network order; the first 4 of an IPv4 address
  uint8_t bits = 0;                 // of them, how many have to be the same
  bool is_ipv6 = false;

  // An IPv4 address that stands in an IPv6 one (::ffff:1.2.3.4) counts as what it is.
  bool Contains(const sockaddr_storage& address) const;
};

// CIDR;CIDR;... An address without a number of bits is just that one.
Result<std::vector<AddressRange>> ParseAddressRanges(std::string_view text);
// Whether a client of this address may connect. Sockets that are no network's always may, and everybody where no
// range is given.
bool IsAllowed(const std::vector<AddressRange>& ranges, const sockaddr_storage& address);

}  // namespace terraced::server
