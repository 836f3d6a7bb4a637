// TraceGenerator: a trace made from parameters, the same one for the same parameters: popularity by Zipf's law,
// churn, scans, updates, sizes and TTLs (trace_config.h says what each means).
// Keys are a letter and a number: `k` for those of the first popularity and of churn, `s` for those of scans.
// Threads: one at a time. Ownership: keeps 8 bytes for each popular rank, nothing for the others.
// Errors: none.
#pragma once

#include <random>
#include <vector>

#include "tests/bench/trace_config.h"
#include "tests/bench/trace_operation.h"
#include "tests/bench/trace_zipf.h"

namespace terraced::bench {

class TraceGenerator : public TraceSource {
 public:
  explicit TraceGenerator(const TraceConfig& config);
  Result<bool> Next(TraceOperation* operation) override;

  // The number of the key that a rank has now.
  uint64_t KeyOfRank(uint64_t rank) const;
  uint64_t PopularRanks() const { return popular_.size(); }

 private:
  struct Item {
    char family;
    uint64_t number;
  };
  // One of the list by its weights, the same for one item; `salt` keeps size and TTL independent.
  static uint32_t Choose(const std::vector<Weighted>& list, double total, const Item& item,
                         uint64_t salt);
  uint32_t ValueBytes(const Item& item) const;
  void Fill(const Item& item, TraceOperation* operation) const;
  void Churn();
  bool TakesScan();
  TraceVerb AnyVerb();

  const TraceConfig config_;
  const ZipfSampler zipf_;
  const double sizes_total_;
  const double ttls_total_;
  const double churn_per_operation_;  // ranks that get a new key
  uint64_t churn_stride_ = 1;
  std::mt19937_64 random_;
  std::vector<uint64_t> popular_;  // by rank: the number of its key
  uint64_t made_ = 0;
  uint64_t churned_ = 0;
  double churn_due_ = 0;
  uint64_t churn_at_ = 0;
  uint64_t since_scan_ = 0;
  uint64_t scan_left_ = 0;
  uint64_t scanned_ = 0;
};

}  // namespace terraced::bench
