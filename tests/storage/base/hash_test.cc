#include "storage/base/hash.h"

#include <gtest/gtest.h>

#include <bit>
#include <set>
#include <string>
#include <vector>

namespace terraced {
namespace {

HashKey FixedKey() {
  return HashKey{{1, 2, 3, 4}};
}

TEST(HashTest, DependsOnEveryByteAndOnTheLength) {
  // Each length class of the function (0, 1-3, 4-7, 8-16, more than one block).
  for (const size_t length : {1U, 2U, 3U, 4U, 7U, 8U, 15U, 16U, 17U, 32U, 33U, 100U, 250U}) {
    const std::string original(length, 'k');
    const uint64_t hash = HashBytes(original, FixedKey());
    EXPECT_EQ(HashBytes(original, FixedKey()), hash);
    EXPECT_NE(HashBytes(original + "k", FixedKey()), hash);
    for (size_t i = 0; i < length; ++i) {
      std::string changed = original;
      changed[i] = 'K';
      EXPECT_NE(HashBytes(changed, FixedKey()), hash) << length << " " << i;
    }
  }
}

TEST(HashTest, DependsOnEveryWordOfTheKey) {
  for (const size_t length : {0U, 5U, 12U, 40U}) {
    const std::string bytes(length, 'x');
    const uint64_t hash = HashBytes(bytes, FixedKey());
    for (const size_t word : {0U, 1U, 3U}) {
      HashKey other = FixedKey();
      other.words[word] ^= 1ULL << 40;
      EXPECT_NE(HashBytes(bytes, other), hash) << length << " " << word;
    }
  }
  HashKey other = FixedKey();
  other.words[2] ^= 1ULL << 40;
  EXPECT_NE(HashBytes(std::string(40, 'x'), other), HashBytes(std::string(40, 'x'), FixedKey()));
}

TEST(HashTest, SpreadsCountingKeysOverAllBits) {
  constexpr int kKeys = 100'000;
  std::vector<int> ones(64);
  std::vector<int> partitions(256);
  std::set<uint64_t> seen;
  for (int i = 0; i < kKeys; ++i) {
    const uint64_t hash = HashBytes("key_" + std::to_string(i), FixedKey());
    seen.insert(hash);
    ++partitions[hash >> 56];
    for (size_t bit = 0; bit < 64; ++bit) ones[bit] += static_cast<int>((hash >> bit) & 1U);
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(kKeys));
  for (const int count : ones) EXPECT_NEAR(count, kKeys / 2, 1000);         // over 6 sigma
  for (const int count : partitions) EXPECT_NEAR(count, kKeys / 256, 125);  // over 6 sigma
}

TEST(HashTest, OneFlippedBitFlipsAboutHalfOfTheHash) {
  std::string key = "session:0123456789";
  const uint64_t hash = HashBytes(key, FixedKey());
  int flipped = 0;
  int samples = 0;
  for (char& byte : key) {
    for (int bit = 0; bit < 8; ++bit) {
      byte = static_cast<char>(byte ^ (1 << bit));
      flipped += std::popcount(hash ^ HashBytes(key, FixedKey()));
      byte = static_cast<char>(byte ^ (1 << bit));
      ++samples;
    }
  }
  EXPECT_NEAR(static_cast<double>(flipped) / samples, 32.0, 2.0);
}

TEST(HashTest, RandomKeysAndNumbersDiffer) {
  EXPECT_NE(HashKey::Random().words, HashKey::Random().words);
  EXPECT_NE(RandomU64(), RandomU64());
}

// RFC 3720, appendix B.4 (iSCSI), and the check value that every CRC catalogue gives for
// Castagnoli's.
TEST(Crc32cTest, AgreesWithThePublishedVectors) {
  EXPECT_EQ(Crc32c(0, ""), 0U);
  EXPECT_EQ(Crc32c(0, "123456789"), 0xe3069283U);
  EXPECT_EQ(Crc32c(0, std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(Crc32c(0, std::string(32, '\xff')), 0x62a8ab43U);
  std::string rising;
  for (int i = 0; i < 32; ++i) rising.push_back(static_cast<char>(i));
  EXPECT_EQ(Crc32c(0, rising), 0x46dd794eU);
  const std::string falling(rising.rbegin(), rising.rend());
  EXPECT_EQ(Crc32c(0, falling), 0x113fdb5cU);
}

TEST(Crc32cTest, ExtendsOverPiecesAsOverTheWhole) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) bytes.push_back(static_cast<char>(i * 7));
  const uint32_t whole = Crc32c(0, bytes);
  const std::string_view view = bytes;
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    EXPECT_EQ(Crc32c(Crc32c(0, view.substr(0, cut)), view.substr(cut)), whole) << cut;
  }
}

}  // namespace
}  // namespace terraced
