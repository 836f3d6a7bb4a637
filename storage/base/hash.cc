#include "storage/base/hash.h"

#include <sys/random.h>

#include <cstring>

#include "storage/base/check.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace terraced {
namespace {

uint64_t Load64(const char* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

uint64_t Load32(const char* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// Both halves of a 64x64 multiplication folded into one word.
uint64_t Fold(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

constexpr uint64_t kOdd1 = 0x9e3779b97f4a7c15U;  // 2^64 divided by the golden ratio
constexpr uint64_t kOdd2 = 0xd6e8feb86659fd93U;

constexpr std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}
constexpr std::array<uint32_t, 256> kCrcTable = MakeCrcTable();

uint32_t Crc32cPortable(uint32_t crc, std::string_view bytes) {
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<uint8_t>(byte)) & 0xffU];
  }
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t Crc32cSse42(uint32_t crc, std::string_view bytes) {
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t wide = crc;
  for (; left >= 8; at += 8, left -= 8) wide = _mm_crc32_u64(wide, Load64(at));
  crc = static_cast<uint32_t>(wide);
  for (; left > 0; ++at, --left) crc = _mm_crc32_u8(crc, static_cast<uint8_t>(*at));
  return crc;
}
#endif

}  // namespace

HashKey HashKey::Random() {
  HashKey key;
  for (uint64_t& word : key.words) word = RandomU64();
  return key;
}

uint64_t HashBytes(std::string_view bytes, const HashKey& key) {
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t state = key.words[0] ^ Fold(bytes.size() ^ kOdd1, key.words[1] | 1U);
  for (; left > 16; at += 16, left -= 16) {
    state = Fold(Load64(at) ^ key.words[2], Load64(at + 8) ^ state);
  }
  uint64_t low = 0;
  uint64_t high = 0;
  if (left >= 8) {  // two words that overlap where there are fewer than 16 bytes
    low = Load64(at);
    high = Load64(at + left - 8);
  } else if (left >= 4) {
    low = Load32(at);
    high = Load32(at + left - 4);
  } else if (left > 0) {
    low = static_cast<uint8_t>(at[0]) |
          (static_cast<uint64_t>(static_cast<uint8_t>(at[left / 2])) << 8) |
          (static_cast<uint64_t>(static_cast<uint8_t>(at[left - 1])) << 16);
  }
  state = Fold(low ^ key.words[3], high ^ state);
  return Fold(state ^ key.words[1], kOdd2 ^ bytes.size());
}

uint32_t Crc32c(uint32_t crc, std::string_view bytes) {
#if defined(__x86_64__)
  static const bool has_sse42 = __builtin_cpu_supports("sse4.2") != 0;
  if (has_sse42) return ~Crc32cSse42(~crc, bytes);
#endif
  return ~Crc32cPortable(~crc, bytes);
}

uint64_t RandomU64() {
  uint64_t value = 0;
  TERRACED_CHECK(getrandom(&value, sizeof(value), 0) == static_cast<ssize_t>(sizeof(value)));
  return value;
}

}  // namespace terraced
