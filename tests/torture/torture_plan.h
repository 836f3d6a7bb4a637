// TorturePlan: in which ways the daemon dies, one after the other. Every round has each named point once (kill points and
// sync points), kills at random moments between them, clean stops, and what must leave the flash tier cold: a reboot, two
// deaths while RocksDB is opened.
// Threads: one. Ownership: values.
#pragma once

#include <cstdint>
#include <deque>
#include <random>
#include <span>
#include <string>
#include <string_view>

namespace terraced::torture {

enum class Death : uint8_t {
  kRandom,       // SIGKILL at a random moment
  kPoint,        // kills itself where it passes a point under load
  kStopPoint,    // the same, in a clean stop
  kStartPoint,   // the same, in a start; the life that follows ends by a kill at a random moment
  kTermAndKill,  // SIGTERM, SIGKILL soon after
  kCleanStop,
  kReboot,        // after a death, the shared index is gone or of another boot
  kTwiceOpening,  // two starts that die opening RocksDB
  kCount
};
std::string_view NameOf(Death death);

// What a life begins with, and so what its start has to do.
enum class Before : uint8_t {
  kAnything,
  kStoppedCleanly,
  kColdTier,
};

// What the load has to be for a point to be passed.
enum class LoadShape : uint8_t {
  kPlain,
  kFlushes,         // flush_all, some of them delayed
  kDelayedFlushes,  // only those
  kGrows,           // many new keys
  kShifts,          // sizes that change, so that pages move between slab classes
  kFills,           // the tier turns over, and what is dropped was hit
};

struct PointPlan {
  std::string_view name;
  Death death = Death::kPoint;
  LoadShape load = LoadShape::kPlain;
  Before before = Before::kAnything;
  uint64_t nth_max = 1;
  bool twin_only = false;  // compiled into the faulty twin alone
};
std::span<const PointPlan> Points();
// Null: no such point.
const PointPlan* PointByName(std::string_view name);

struct Life {
  Death death = Death::kRandom;
  Before before = Before::kAnything;
  LoadShape load = LoadShape::kPlain;
  const PointPlan* point = nullptr;
  uint64_t nth = 1;
  int attempt = 1;
};

class TorturePlan {
 public:
  // `with_twin`: there is a binary that has the hot points. `only`: if not empty, the one point that is ever used.
  TorturePlan(uint64_t seed, bool with_twin, std::string_view only)
      : random_(seed), with_twin_(with_twin), only_(only) {}

  Life Next();
  // A point that was not passed in time is tried again, in a while.
  void Again(const Life& life);
  // So many lives until every point had its turn.
  size_t RoundLength() const;

 private:
  void FillRound();
  void Add(const PointPlan& point);

  std::mt19937_64 random_;
  const bool with_twin_;
  const std::string only_;
  std::deque<Life> lives_;
};

}  // namespace terraced::torture
