#include "tests/bench/trace_value.h"

#include <algorithm>
#include <cstring>

#include "storage/base/hash.h"

namespace terraced::bench {
namespace {

constexpr char kFiller = 'x';
constexpr HashKey kFixedKey = {
    {0x243f6a8885a308d3ULL, 0x13198a2e03707344ULL, 0xa4093822299f31d0ULL, 0x082efa98ec4e6c89ULL}};

size_t RandomBytes(size_t value_bytes) {
  return (value_bytes + 1) / 2;
}

// The words of the random half, one after the other.
class Words {
 public:
  Words(uint64_t key_hash, size_t value_bytes) : state_(key_hash ^ (value_bytes << 32) ^ 1) {}
  uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    const uint64_t word = (state_ ^ (state_ >> 32)) * 0xd6e8feb86659fd93ULL;
    return word ^ (word >> 32);
  }

 private:
  uint64_t state_;
};

}  // namespace

uint64_t TraceKeyHash(std::string_view key) {
  return HashBytes(key, kFixedKey);
}

void AppendTraceValue(uint64_t key_hash, size_t bytes, std::string* text) {
  const size_t begin = text->size();
  text->resize(begin + bytes, kFiller);
  Words words(key_hash, bytes);
  const size_t random_bytes = RandomBytes(bytes);
  for (size_t at = 0; at < random_bytes; at += sizeof(uint64_t)) {
    const uint64_t word = words.Next();
    std::memcpy(text->data() + begin + at, &word, std::min(sizeof(word), random_bytes - at));
  }
}

bool IsTraceValue(uint64_t key_hash, std::string_view value) {
  Words words(key_hash, value.size());
  const size_t random_bytes = RandomBytes(value.size());
  for (size_t at = 0; at < random_bytes; at += sizeof(uint64_t)) {
    const uint64_t word = words.Next();
    if (std::memcmp(value.data() + at, &word, std::min(sizeof(word), random_bytes - at)) != 0) {
      return false;
    }
  }
  // All of the filler is equal to its first byte where it is equal to itself one byte on.
  const std::string_view filler = value.substr(random_bytes);
  return filler.empty() || (filler.front() == kFiller &&
                            std::memcmp(filler.data(), filler.data() + 1, filler.size() - 1) == 0);
}

}  // namespace terraced::bench
