// LatencyHistogram: how long requests took, in buckets that are a 32nd of their value wide.
// Threads: one. Sizes: nanoseconds, up to 2^40 (18 minutes); what is longer counts as that.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace terraced::bench {

class LatencyHistogram {
 public:
  void Add(uint64_t ns) {
    ++counts_[BucketOf(ns)];
    ++total_;
    longest_ns_ = std::max(longest_ns_, ns);
  }
  uint64_t Total() const { return total_; }
  uint64_t LongestNs() const { return longest_ns_; }
  // The upper end of the bucket where that share (0..1) of all requests has been passed.
  uint64_t QuantileNs(double share) const {
    const double wanted = share * static_cast<double>(total_);
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen > 0 && static_cast<double>(seen) >= wanted) return std::min(EndOf(i), longest_ns_);
    }
    return longest_ns_;
  }
  // visit(end_ns, count) for buckets that are not empty.
  template <typename Visitor>
  void ForEach(Visitor visit) const {
    for (size_t i = 0; i < kBuckets; ++i) {
      if (counts_[i] > 0) visit(EndOf(i), counts_[i]);
    }
  }

 private:
  static constexpr int kFineBits = 5;
  static constexpr uint64_t kFine = 1ULL << kFineBits;
  static constexpr uint64_t kLongest = (1ULL << 40) - 1;
  static constexpr size_t kBuckets = (40 - kFineBits + 1) * kFine;

  static size_t BucketOf(uint64_t ns) {
    ns = std::min(ns, kLongest);
    if (ns < kFine) return ns;
    const int shift = 63 - __builtin_clzll(ns) - kFineBits;
    return static_cast<size_t>(shift) * kFine + (ns >> shift);
  }
  static uint64_t EndOf(size_t bucket) {
    if (bucket < 2 * kFine) return bucket;
    const uint64_t shift = bucket / kFine - 1;
    return ((bucket % kFine + kFine + 1) << shift) - 1;
  }

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t total_ = 0;
  uint64_t longest_ns_ = 0;
};

}  // namespace terraced::bench
