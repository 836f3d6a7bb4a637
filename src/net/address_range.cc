#include "src/net/address_range.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>

namespace terraced::server {
namespace {

constexpr uint8_t kIpv4Bits = 32;
constexpr uint8_t kIpv6Bits = 128;
constexpr uint8_t kMappedBits = kIpv6Bits - kIpv4Bits;

// A range of ::ffff:0:0/96 is one of IPv4: that is how its clients come, whatever the socket.
AddressRange AsIpv4WhereMapped(const AddressRange& range) {
  in6_addr six{};
  std::memcpy(&six, range.bytes.data(), sizeof(six));
  if (!range.is_ipv6 || range.bits < kMappedBits || !IN6_IS_ADDR_V4MAPPED(&six)) return range;
  AddressRange four{.bits = static_cast<uint8_t>(range.bits - kMappedBits)};
  std::copy_n(range.bytes.begin() + kMappedBits / 8, kIpv4Bits / 8, four.bytes.begin());
  return four;
}

std::optional<AddressRange> ParseRange(std::string_view text) {
  AddressRange range;
  const size_t slash = text.find('/');
  const std::string host(text.substr(0, slash));
  if (inet_pton(AF_INET, host.c_str(), range.bytes.data()) != 1) {
    if (inet_pton(AF_INET6, host.c_str(), range.bytes.data()) != 1) return std::nullopt;
    range.is_ipv6 = true;
  }
  const uint8_t bits_max = range.is_ipv6 ? kIpv6Bits : kIpv4Bits;
  range.bits = bits_max;
  if (slash == std::string_view::npos) return range;
  const std::string_view bits = text.substr(slash + 1);
  const char* const end = bits.data() + bits.size();
  const auto [stop, error] = std::from_chars(bits.data(), end, range.bits);
  if (error != std::errc() || stop != end || range.bits > bits_max) return std::nullopt;
  return range;
}

bool HasPrefix(const uint8_t* address, const AddressRange& range) {
  const size_t whole = range.bits / 8;
  if (!std::equal(address, address + whole, range.bytes.begin())) return false;
  const unsigned rest = range.bits % 8;
  if (rest == 0) return true;
  return ((address[whole] ^ range.bytes[whole]) >> (8 - rest)) == 0;
}

}  // namespace

bool AddressRange::Contains(const sockaddr_storage& address) const {
  if (address.ss_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, &address, sizeof(four));
    std::array<uint8_t, 4> octets{};
    std::memcpy(octets.data(), &four.sin_addr, octets.size());
    return !is_ipv6 && HasPrefix(octets.data(), *this);
  }
  if (address.ss_family != AF_INET6) return false;
  sockaddr_in6 six{};
  std::memcpy(&six, &address, sizeof(six));
  const uint8_t* const octets = six.sin6_addr.s6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr) && !is_ipv6) return HasPrefix(octets + 12, *this);
  return is_ipv6 && HasPrefix(octets, *this);
}

Result<std::vector<AddressRange>> ParseAddressRanges(std::string_view text) {
  std::vector<AddressRange> ranges;
  for (;;) {
    const size_t stop = std::min(text.find(';'), text.size());
    const std::string_view piece = text.substr(0, stop);
    const std::optional<AddressRange> range = ParseRange(piece);
    if (!range.has_value()) {
      return Status(StatusCode::kInvalidArgument,
                    "'" + std::string(piece) +
                        "' is no range of addresses: give address or address/bits, as in "
                        "10.0.0.0/8 or fd00::/8, separated by semicolons");
    }
    ranges.push_back(AsIpv4WhereMapped(*range));
    if (stop == text.size()) return ranges;
    text.remove_prefix(stop + 1);
  }
}

bool IsAllowed(const std::vector<AddressRange>& ranges, const sockaddr_storage& address) {
  if (ranges.empty() || (address.ss_family != AF_INET && address.ss_family != AF_INET6))
    return true;
  return std::any_of(ranges.begin(), ranges.end(),
                     [&address](const AddressRange& range) { return range.Contains(address); });
}

}  // namespace terraced::server
