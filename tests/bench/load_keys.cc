#include "tests/bench/load_keys.h"

#include <algorithm>
#include <cmath>

namespace terraced::bench {
namespace {

constexpr uint64_t kBatchesASweep = 10;
// Coprime to any number of keys below it: rank to key is one to one.
constexpr uint64_t kSpread = 2'654'435'761;  // a prime

// (e^x - 1) / x and log(1 + x) / x, precise near 0.
double ExpQuotient(double x) {
  return std::abs(x) > 1e-8 ? std::expm1(x) / x : 1 + x / 2 * (1 + x / 3);
}
double LogQuotient(double x) {
  return std::abs(x) > 1e-8 ? std::log1p(x) / x : 1 - x / 2 + x * x / 3;
}

}  // namespace

ZipfSampler::ZipfSampler(uint64_t count, double theta)
    : count_(count),
      theta_(theta),
      integral_first_(Integral(1.5) - 1),
      integral_last_(Integral(static_cast<double>(count) + 0.5)),
      shortcut_(2 - IntegralInverse(Integral(2.5) - std::pow(2, -theta))) {}

double ZipfSampler::Integral(double x) const {
  const double log_x = std::log(x);
  return ExpQuotient((1 - theta_) * log_x) * log_x;
}

double ZipfSampler::IntegralInverse(double y) const {
  const double t = std::max(-1.0, y * (1 - theta_));
  return std::exp(LogQuotient(t) * y);
}

uint64_t ZipfSampler::Next(Random& random) const {
  while (true) {
    const double u = integral_last_ + random.Unit() * (integral_first_ - integral_last_);
    const double x = IntegralInverse(u);
    const auto rank = std::clamp<uint64_t>(static_cast<uint64_t>(x + 0.5), 1, count_);
    const auto k = static_cast<double>(rank);
    if (k - x <= shortcut_ || u >= Integral(k + 0.5) - std::pow(k, -theta_)) return rank;
  }
}

KeyPicker::KeyPicker(const LoadShape& shape)
    : shape_(shape), random_(shape.seed), zipf_(shape.keys, shape.zipf_theta) {}

void KeyPicker::BeginBatch() {
  sweeping_ = shape_.choice == KeyChoice::kScan && ++batches_ % kBatchesASweep == 0;
}

uint64_t KeyPicker::Next() {
  uint64_t number = 0;
  if (sweeping_ || shape_.work == Work::kSweep) {
    number = swept_++ % shape_.keys;
  } else if (shape_.choice == KeyChoice::kUniform) {
    number = random_.Below(shape_.keys);
  } else {
    const unsigned __int128 rank = zipf_.Next(random_) - 1;
    number = static_cast<uint64_t>(rank * kSpread % shape_.keys);
  }
  return shape_.first_key + number;
}

}  // namespace terraced::bench
