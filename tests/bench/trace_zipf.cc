#include "tests/bench/trace_zipf.h"

#include <algorithm>
#include <cmath>

#include "storage/base/check.h"

namespace terraced::bench {
namespace {

// log(1+x)/x and (exp(x)-1)/x, whose limit at 0 is 1: theta near 1 needs them there.
double LogRatio(double x) {
  return std::abs(x) > 1e-8 ? std::log1p(x) / x : 1 - x / 2;
}
double ExpRatio(double x) {
  return std::abs(x) > 1e-8 ? std::expm1(x) / x : 1 + x / 2;
}

}  // namespace

ZipfSampler::ZipfSampler(uint64_t count, double theta)
    : count_(count),
      theta_(theta),
      first_(Integral(1.5) - 1),
      last_(Integral(static_cast<double>(count) + 0.5)),
      squeeze_(2 - InverseIntegral(Integral(2.5) - Density(2))) {
  TERRACED_CHECK(count >= 1);
  TERRACED_CHECK(theta >= 0);
}

double ZipfSampler::Density(double x) const {
  return std::exp(-theta_ * std::log(x));
}

double ZipfSampler::Integral(double x) const {
  const double log_x = std::log(x);
  return ExpRatio((1 - theta_) * log_x) * log_x;
}

double ZipfSampler::InverseIntegral(double y) const {
  // Rounding may carry it below the pole at -1.
  const double scaled = std::max(y * (1 - theta_), -1.0);
  return std::exp(LogRatio(scaled) * y);
}

uint64_t ZipfSampler::Sample(std::mt19937_64& random) const {
  for (;;) {  // once in most cases, less than twice on average
    const double area = last_ + UniformReal(random) * (first_ - last_);
    const double x = InverseIntegral(area);
    const double rank = std::clamp(std::floor(x + 0.5), 1.0, static_cast<double>(count_));
    if (rank - x <= squeeze_ || area >= Integral(rank + 0.5) - Density(rank)) {
      return static_cast<uint64_t>(rank) - 1;
    }
  }
}

}  // namespace terraced::bench
