#include "tests/bench/load_keys.h"

namespace terraced::bench {
namespace {

constexpr uint64_t kBatchesASweep = 10;
// A prime, so that it spreads ranks over any smaller number of keys one to one.
constexpr uint64_t kSpread = 2'654'435'761;

}  // namespace

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
    number = RandomBelow(random_, shape_.keys);
  } else {
    const unsigned __int128 rank = zipf_.Sample(random_);
    number = static_cast<uint64_t>(rank * kSpread % shape_.keys);
  }
  return shape_.first_key + number;
}

}  // namespace terraced::bench
