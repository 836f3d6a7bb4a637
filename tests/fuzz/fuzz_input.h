// FuzzInput: takes a fuzzer's bytes apart. A target first takes what steers it, a control byte and numbers, and gives
// the rest to its decoder. Where the input has ended everything is 0 or empty, so every input means something.
// ApplyPatches, Stretch: how a short input becomes a large file or a long line, which a fuzzer would not find by
// itself.
// Threads: plain values. Ownership: borrows the bytes. Sizes: see the constants.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace terraced::fuzz {

class FuzzInput {
 public:
  explicit FuzzInput(std::string_view bytes) : bytes_(bytes) {}

  bool Empty() const { return bytes_.empty(); }
  std::string_view Take(size_t count) {
    const std::string_view taken = bytes_.substr(0, std::min(count, bytes_.size()));
    bytes_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view Rest() { return Take(bytes_.size()); }
  template <typename Number>
  Number Take() {
    const std::string_view taken = Take(sizeof(Number));
    Number number = 0;
    std::memcpy(&number, taken.data(), taken.size());
    return number;
  }
  uint8_t Byte() { return Take<uint8_t>(); }

 private:
  std::string_view bytes_;
};

constexpr size_t kPatchedBytesMax = 256U << 10;
constexpr size_t kStretchedBytesMax = 72U << 10;  // some more than kLineBytesMax of the text codec

// Changes `bytes` as the rest of the input says: bytes written over, numbers put in, an end cut off or appended.
void ApplyPatches(FuzzInput* input, std::string* bytes);

// The input with each 0xFE and the byte behind it replaced by so many copies of the 128 bytes before it.
std::string Stretch(std::string_view bytes);

}  // namespace terraced::fuzz
