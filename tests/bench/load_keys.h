// KeyPicker: which key a load asks for next. Ranks of a Zipf distribution are spread over the key space, so that
// neighbouring keys are not alike.
// Threads: one.
#pragma once

#include <cstdint>
#include <random>

#include "tests/bench/load_shape.h"
#include "tests/bench/trace_zipf.h"

namespace terraced::bench {

// Of [0, limit), without the bias and the division of a remainder.
inline uint64_t RandomBelow(std::mt19937_64& random, uint64_t limit) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(random()) * limit) >> 64);
}

class KeyPicker {
 public:
  explicit KeyPicker(const LoadShape& shape);
  // What the next batch is made of is decided as a whole.
  void BeginBatch();
  uint64_t Next();

 private:
  const LoadShape& shape_;
  std::mt19937_64 random_;
  ZipfSampler zipf_;
  uint64_t batches_ = 0;
  uint64_t swept_ = 0;
  bool sweeping_ = false;
};

}  // namespace terraced::bench
