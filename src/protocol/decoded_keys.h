// DecodedKeys: keys that do not stand in the read buffer as they are: those of meta commands that came in base64. They
// live as long as the batch of requests that they were decoded for.
// Threads: one worker's. Sizes: a fixed 12 KiB; as many keys as a batch has requests.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace terraced::server {

class DecodedKeys {
 public:
  static constexpr size_t kKeysMax = 64;
  // What 250 characters of base64 stand for, at most.
  static constexpr size_t kKeyBytes = 188;

  void Clear() { count_ = 0; }
  // Where the next key is written to.
  char* Next() { return keys_[count_].data(); }
  // Keeps the first `bytes` that were written there.
  std::string_view Keep(size_t bytes) {
    const std::string_view key(keys_[count_].data(), bytes);
    if (count_ + 1 < kKeysMax) ++count_;
    return key;
  }

 private:
  std::array<std::array<char, kKeyBytes>, kKeysMax> keys_;
  size_t count_ = 0;
};

}  // namespace terraced::server
