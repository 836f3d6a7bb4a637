#include "tests/support/request_generator.h"

#include <algorithm>
#include <array>

namespace terraced::support {
namespace {

constexpr uint64_t kMillion = 1'000'000;
constexpr size_t kKeyBytesMax = 250;
constexpr size_t kOverTheLimitBytes = (1U << 20) + 1;

}  // namespace

std::unique_ptr<RequestGenerator> RequestGenerator::Create(Protocol protocol, uint64_t seed,
                                                           const RequestMix& mix) {
  switch (protocol) {
    case Protocol::kMeta:
      return CreateMetaRequests(seed, mix);
    case Protocol::kBinary:
      return CreateBinaryRequests(seed, mix);
    case Protocol::kText:
      break;
  }
  return CreateTextRequests(seed, mix);
}

std::string RequestGenerator::KeyName(Family family, uint64_t number) const {
  const char* const prefix = family == Family::kValue ? "v" : family == Family::kNumber ? "n" : "l";
  std::string name = prefix + std::to_string(number);
  if (any_bytes_ && number % 32 == 5) name.append(std::string(" \0\r\n:", 5));
  if (family != Family::kValue) return name;
  // Lengths up to the limit, and bytes that are unusual but legal in a key.
  if (number % 16 == 3) name.append(":user-session-object");
  if (number % 64 == 7) name.append("\x01\t\x7f\xc3\xa9");
  if (number % 256 == 9) name.append(kKeyBytesMax - name.size(), 'k');
  return name;
}

RequestGenerator::Family RequestGenerator::FamilyOf(const std::string& key) {
  return key[0] == 'n' ? Family::kNumber : key[0] == 'l' ? Family::kLarge : Family::kValue;
}

std::vector<std::string> RequestGenerator::AllKeys() const {
  std::vector<std::string> keys;
  for (uint64_t i = 0; i < mix_.key_count; ++i) keys.push_back(KeyName(Family::kValue, i));
  for (uint64_t i = 0; i < mix_.number_key_count; ++i) keys.push_back(KeyName(Family::kNumber, i));
  for (uint64_t i = 0; i < mix_.large_key_count; ++i) keys.push_back(KeyName(Family::kLarge, i));
  return keys;
}

RequestGenerator::Family RequestGenerator::AnyFamily() {
  return OneIn(8) ? Family::kNumber : Family::kValue;
}

std::string RequestGenerator::AnyKey(Family family) {
  switch (family) {
    case Family::kNumber:
      return KeyName(family, Below(mix_.number_key_count));
    case Family::kLarge:
      return KeyName(family, Below(mix_.large_key_count));
    case Family::kValue:
      break;
  }
  // A sixth of the traffic goes to a few keys, so that commands meet on them.
  return KeyName(family, OneIn(6) ? Below(64) : Below(mix_.key_count));
}

std::string RequestGenerator::Bytes(size_t count) {
  std::string bytes(count, ' ');
  const bool compressible = OneIn(2);
  for (size_t i = 0; i < count; i += 8) {
    uint64_t word = random_();
    if (compressible && i >= 8) word = 0x6162636465666768ULL + (word & 1);
    for (size_t j = i; j < std::min(i + 8, count); ++j, word >>= 8) {
      bytes[j] = static_cast<char>(word & 0xff);
    }
  }
  // Bytes that would confuse a parser that looked into data.
  if (count >= 24 && OneIn(4)) bytes.replace(4, 17, "\r\nEND\r\nget v1\r\n0 ");
  return bytes;
}

std::string RequestGenerator::NumberText() {
  switch (Below(12)) {
    case 0:
      return "a text that is no number, and longer than any";
    case 1:
      return "12abc";
    case 2:
      return " 17 ";
    case 3:
      return "-5";
    case 4:
      return "18446744073709551616";
    case 5:
      return "0";
    default:
      return std::to_string(Below(1ULL << (4 + Below(30))));
  }
}

std::string RequestGenerator::AnyValue(Family family) {
  if (family == Family::kNumber) return NumberText();
  const uint64_t die = Below(100);
  size_t bytes = Below(200);
  if (die >= 60) bytes = 200 + Below(1'800);
  if (die >= 90) bytes = 2'000 + Below(14'000);
  if (die >= 99) bytes = Below(mix_.value_bytes_max);
  return Bytes(std::min<size_t>(bytes, mix_.value_bytes_max));
}

std::string RequestGenerator::FirstValue(const std::string& key) {
  const Family family = FamilyOf(key);
  return family == Family::kLarge ? Bytes(mix_.large_value_bytes_min) : AnyValue(family);
}

std::string RequestGenerator::AnyPiece(Family family) {
  // Digits would make numbers of 2^63 and more, where the reference answers by chance.
  if (family == Family::kNumber) return OneIn(3) ? "" : OneIn(3) ? "x" : " ";
  // Small ones, so that values do not wander towards the limit, where headers decide.
  std::string piece = AnyValue(family);
  piece.resize(std::min<size_t>(piece.size(), 64));
  return piece;
}

std::string RequestGenerator::LargeValue() {
  return Bytes(mix_.large_value_bytes_min +
               Below(mix_.large_value_bytes_max - mix_.large_value_bytes_min));
}

std::string RequestGenerator::TooLargeValue() {
  return Bytes(kOverTheLimitBytes + Below(200'000));
}

std::string RequestGenerator::AnyExptime() {
  constexpr std::array<const char*, 8> kNever = {"0",      "0",       "0",          "0",
                                                 "100000", "2592000", "2000000000", "-1"};
  if (OneIn(100)) return "2592001";  // an absolute time in 1970
  return kNever[OneIn(25) ? 7 : Below(7)];
}

std::string RequestGenerator::AnyFlags() {
  if (OneIn(50)) return "4294967295";
  return std::to_string(OneIn(2) ? 0 : Below(65536));
}

bool RequestGenerator::Falls(uint64_t share, uint64_t* die) {
  const bool chosen = *die < share;
  *die -= chosen ? 0 : share;
  return chosen;
}

uint64_t RequestGenerator::MillionDie() {
  return Below(kMillion);
}

}  // namespace terraced::support
