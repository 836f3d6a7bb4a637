#include "tests/bench/trace_generator.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "storage/base/check.h"

namespace terraced::bench {
namespace {

constexpr uint64_t kSizeSalt = 1;
constexpr uint64_t kTtlSalt = 3;  // 2 is the second uniform number of a size

// splitmix64: spreads a number over 64 bits.
uint64_t Mix(uint64_t word) {
  word += 0x9e3779b97f4a7c15ULL;
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ULL;
  word = (word ^ (word >> 27)) * 0x94d049bb133111ebULL;
  return word ^ (word >> 31);
}

// Of [0, 1), fixed for an item and a purpose.
double Fraction(char family, uint64_t number, uint64_t salt) {
  return static_cast<double>(Mix(Mix(number + (static_cast<uint64_t>(family) << 56)) + salt) >>
                             11) *
         0x1p-53;
}

double TotalOf(const std::vector<Weighted>& list) {
  return std::accumulate(list.begin(), list.end(), 0.0,
                         [](double sum, const Weighted& one) { return sum + one.weight; });
}

// The letter, then the number in hexadecimal with zeros in front.
void WriteKey(char family, uint64_t number, size_t bytes, std::string* key) {
  key->assign(bytes, '0');
  key->front() = family;
  for (size_t at = bytes - 1; number > 0 && at > 0; --at, number >>= 4) {
    (*key)[at] = "0123456789abcdef"[number & 15];
  }
}

}  // namespace

TraceGenerator::TraceGenerator(const TraceConfig& config)
    : config_(config),
      zipf_(config.keys, config.zipf_theta),
      sizes_total_(TotalOf(config.value_sizes)),
      ttls_total_(TotalOf(config.ttls)),
      churn_per_operation_(config.churn_per_million / 1e6 *
                           std::floor(config.popular_share * static_cast<double>(config.keys))),
      random_(config.seed),
      popular_(static_cast<size_t>(config.popular_share * static_cast<double>(config.keys))) {
  std::iota(popular_.begin(), popular_.end(), 0);
  // A stride of the golden ratio that meets every rank before one twice, hot and lukewarm ones in turn.
  const auto count = std::max<uint64_t>(popular_.size(), 1);
  churn_stride_ = static_cast<uint64_t>(static_cast<double>(count) / std::numbers::phi) | 1;
  while (std::gcd(churn_stride_, count) != 1) churn_stride_ += 2;
}

uint64_t TraceGenerator::KeyOfRank(uint64_t rank) const {
  return rank < popular_.size() ? popular_[rank] : rank;
}

uint32_t TraceGenerator::Choose(const std::vector<Weighted>& list, double total, const Item& item,
                                uint64_t salt) {
  double left = Fraction(item.family, item.number, salt) * total;
  for (const Weighted& one : list) {
    if (left < one.weight) return one.value;
    left -= one.weight;
  }
  return list.back().value;  // rounding
}

uint32_t TraceGenerator::ValueBytes(const Item& item) const {
  if (!config_.value_sizes.empty())
    return Choose(config_.value_sizes, sizes_total_, item, kSizeSalt);
  if (config_.value_sigma <= 0) return static_cast<uint32_t>(config_.value_median);
  // Box and Muller.
  const double radius = std::sqrt(-2 * std::log(1 - Fraction(item.family, item.number, kSizeSalt)));
  const double angle = 2 * std::numbers::pi * Fraction(item.family, item.number, kSizeSalt + 1);
  const double bytes =
      config_.value_median * std::exp(config_.value_sigma * radius * std::cos(angle));
  return static_cast<uint32_t>(std::clamp(bytes, 1.0, static_cast<double>(config_.value_max)));
}

void TraceGenerator::Fill(const Item& item, TraceOperation* operation) const {
  WriteKey(item.family, item.number, config_.key_bytes, &operation->key);
  operation->value_bytes = operation->ttl_s = 0;
  if (operation->verb == TraceVerb::kDelete) return;
  operation->value_bytes = ValueBytes(item);
  operation->ttl_s = Choose(config_.ttls, ttls_total_, item, kTtlSalt);
}

void TraceGenerator::Churn() {
  for (churn_due_ += churn_per_operation_; churn_due_ >= 1; churn_due_ -= 1) {
    popular_[churn_at_] = config_.keys + churned_++;
    churn_at_ = (churn_at_ + churn_stride_) % popular_.size();
  }
}

bool TraceGenerator::TakesScan() {
  if (config_.scan_every == 0) return false;
  if (scan_left_ == 0 && since_scan_ == config_.scan_every) {
    scan_left_ = config_.scan_length;
    since_scan_ = 0;
  }
  if (scan_left_ == 0) {
    ++since_scan_;
    return false;
  }
  --scan_left_;
  return true;
}

TraceVerb TraceGenerator::AnyVerb() {
  if (config_.set_share + config_.delete_share <= 0) return TraceVerb::kGet;
  const double share = UniformReal(random_);
  if (share < config_.set_share) return TraceVerb::kSet;
  return share < config_.set_share + config_.delete_share ? TraceVerb::kDelete : TraceVerb::kGet;
}

Result<bool> TraceGenerator::Next(TraceOperation* operation) {
  if (made_ == config_.operations) return false;
  ++made_;
  Churn();
  if (TakesScan()) {
    operation->verb = TraceVerb::kGet;
    Fill({.family = 's', .number = scanned_++}, operation);
    return true;
  }
  operation->verb = AnyVerb();
  Fill({.family = 'k', .number = KeyOfRank(zipf_.Sample(random_))}, operation);
  return true;
}

}  // namespace terraced::bench
