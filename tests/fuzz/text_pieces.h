// What the targets of the text protocol share: how a text is cut into the pieces in which a socket would deliver it,
// and when that may make no difference.
// Threads: plain values. Ownership: borrows the bytes.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "src/protocol/text_codec.h"
#include "tests/fuzz/fuzz_input.h"

namespace terraced::fuzz {

// Sizes of pieces, used one after the other and then from the beginning again: [count] [count bytes].
class PieceSizes {
 public:
  explicit PieceSizes(FuzzInput* input) : sizes_(input->Take(input->Byte() % 32)) {}

  // Mostly a few bytes, now and then some thousands; of a long text never less than lets it come in kPiecesMax.
  size_t Next(size_t text_bytes) {
    const size_t least = 1 + text_bytes / kPiecesMax;
    if (sizes_.empty()) return least;
    const auto size = static_cast<uint8_t>(sizes_[next_++ % sizes_.size()]);
    return std::max<size_t>(least, size < 0xf0 ? 1U + size : (size - 0xefU) * 4000U);
  }

 private:
  static constexpr size_t kPiecesMax = 256;

  std::string_view sizes_;
  size_t next_ = 0;
};

// Up to this length a line means the same in pieces as whole; of a longer one it matters how much of it had come when
// it was looked at, in memcached too.
inline bool HasLongLine(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (end > server::kCommandBytesMax) return true;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return false;
}

}  // namespace terraced::fuzz
