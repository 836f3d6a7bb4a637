#include "tests/support/latency_probe.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <thread>
#include <utility>

#include "storage/base/check.h"

namespace terraced::support {
namespace {

using SteadyClock = std::chrono::steady_clock;

// A stall longer than that is a failure, and no test waits for it.
constexpr std::chrono::milliseconds kPatience{5'000};
// Replies may hold whole values: a message shows the beginning.
constexpr size_t kShownBytes = 80;

}  // namespace

LatencyProbe::LatencyProbe(const Daemon& daemon, const ProbeShape& shape) : shape_(shape) {
  for (size_t i = 0; i < shape_.connections; ++i) clients_.push_back(daemon.Connect(kPatience));
  TERRACED_CHECK(SetItems(*clients_[0], 0, shape_.keys, shape_.item) == shape_.keys);
  numbers_.resize(shape_.keys);
  std::iota(numbers_.begin(), numbers_.end(), 0U);
}

void LatencyProbe::KeepHits() {
  constexpr uint64_t kAtOnce = 100;
  std::vector<uint64_t> hits;
  for (uint64_t first = 0; first < shape_.keys; first += kAtOnce) {
    const uint64_t last = std::min<uint64_t>(first + kAtOnce, shape_.keys);
    const bool all = GetItems(*clients_[0], first, last, shape_.item).hits == last - first;
    for (uint64_t number = first; number < last; ++number) {
      if (all || GetItems(*clients_[0], number, number + 1, shape_.item).hits > 0) {
        hits.push_back(number);
      }
    }
  }
  numbers_ = std::move(hits);
  TERRACED_CHECK(numbers_.size() > shape_.keys / 2);
}

bool LatencyProbe::AskOne(Client& client, uint64_t number, bool with_set, std::string* failure) {
  const std::string key = LoadKey(number);
  const std::string value = LoadValue(number, shape_.item);
  const std::string answer = with_set ? client.Set(key, value) : client.Get(key);
  if (answer == (with_set ? "STORED\r\n" : value)) return true;
  *failure = (with_set ? "set " : "get ") + key + ": " + answer.substr(0, kShownBytes);
  return false;
}

ProbeRound LatencyProbe::Measure(std::chrono::milliseconds duration) {
  ProbeRound round;
  std::vector<SteadyClock::duration> late;
  const auto begin = SteadyClock::now();
  for (auto due = begin; due < begin + duration;) {
    std::this_thread::sleep_until(due);
    const uint64_t number = next_++;
    const bool with_set = shape_.set_every > 0 && number % shape_.set_every == 0;
    std::string failure;
    Client& client = *clients_[number % clients_.size()];
    if (!AskOne(client, numbers_[number % numbers_.size()], with_set, &failure)) {
      if (round.failed++ == 0) round.first_failure = failure;
    }
    const auto now = SteadyClock::now();
    for (; due <= now; due += shape_.period) late.push_back(now - due);
  }
  round.requests = late.size();
  if (late.empty()) return round;
  std::sort(late.begin(), late.end());
  const auto us = [](SteadyClock::duration of) {
    return std::chrono::duration_cast<std::chrono::microseconds>(of);
  };
  round.p99 = us(late[late.size() * 99 / 100]);
  round.longest = us(late.back());
  return round;
}

}  // namespace terraced::support
