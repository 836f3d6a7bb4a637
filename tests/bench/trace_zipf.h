// ZipfSampler: ranks whose frequencies follow Zipf's law, rank r of [0, count) in proportion to 1/(r+1)^theta,
// drawn in constant time and without a table by rejection-inversion (W. Hörmann, G. Derflinger, "Rejection-inversion
// to generate variates from monotone discrete distributions", 1996).
// Threads: immutable; the random engine is the caller's. Errors: none; count >= 1 and theta >= 0 are CHECKed.
#pragma once

#include <cstdint>
#include <random>

namespace terraced::bench {

// Of [0, 1), the same on every system.
inline double UniformReal(std::mt19937_64& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

class ZipfSampler {
 public:
  ZipfSampler(uint64_t count, double theta);
  uint64_t Sample(std::mt19937_64& random) const;

 private:
  // 1/x^theta over the reals, its integral and the integral's inverse.
  double Density(double x) const;
  double Integral(double x) const;
  double InverseIntegral(double y) const;

  const uint64_t count_;
  const double theta_;
  const double first_;    // the integral where the first rank begins
  const double last_;     // and where the last one ends
  const double squeeze_;  // so close below a rank no look at the integral is needed
};

}  // namespace terraced::bench
