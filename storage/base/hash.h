// HashKey and HashBytes: the keyed 64-bit hash of a key's bytes. The key is random per flash
// directory (or per process without one), so that clients cannot choose colliding keys. CRC-32C
// (Castagnoli): the check of everything that is written to flash.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace terraced {

struct HashKey {
  std::array<uint64_t, 4> words{};
  // From the kernel's random source.
  static HashKey Random();
};

uint64_t HashBytes(std::string_view bytes, const HashKey& key);

// Extends `crc` (0 at first) over the bytes.
uint32_t Crc32c(uint32_t crc, std::string_view bytes);

// 64 random bits from the kernel (getrandom).
uint64_t RandomU64();

}  // namespace terraced
