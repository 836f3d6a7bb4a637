// KeyPicker: which key a load asks for next. Ranks of a Zipf distribution are spread over the key space, so that
// neighbouring keys are not alike.
// Threads: one. Source of the Zipf sampler: W. Hörmann, G. Derflinger, "Rejection-inversion to generate variates
// from monotone discrete distributions" (1996): constant time, no tables.
#pragma once

#include <cstdint>

#include "tests/bench/load_shape.h"

namespace terraced::bench {

// xorshift64*: fast, and good enough to choose keys.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL | 1U) {}
  uint64_t Next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1dULL;
  }
  uint64_t Below(uint64_t limit) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * limit) >> 64);
  }
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }  // [0, 1)

 private:
  uint64_t state_;
};

// Ranks 1..count, P(rank) proportional to rank^-theta.
class ZipfSampler {
 public:
  ZipfSampler(uint64_t count, double theta);
  uint64_t Next(Random& random) const;

 private:
  double Integral(double x) const;         // of x^-theta, up to a constant
  double IntegralInverse(double y) const;  // of Integral

  uint64_t count_;
  double theta_;
  double integral_first_;
  double integral_last_;
  double shortcut_;
};

class KeyPicker {
 public:
  explicit KeyPicker(const LoadShape& shape);
  // What the next batch is made of is decided as a whole.
  void BeginBatch();
  uint64_t Next();

 private:
  const LoadShape& shape_;
  Random random_;
  ZipfSampler zipf_;
  uint64_t batches_ = 0;
  uint64_t swept_ = 0;
  bool sweeping_ = false;
};

}  // namespace terraced::bench
