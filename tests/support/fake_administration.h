// FakeAdministration: the Administration of a FakeCache: settings that are settings and nothing else, and a dump of no
// keys.
// Threads: as Administration. Ownership: by the FakeCache.
#pragma once

#include <atomic>

#include "tiering/administration.h"

namespace terraced::support {

class FakeAdministration final : public tiering::Administration {
 public:
  explicit FakeAdministration(const tiering::CacheOptions& options) : settings_(options) {}

  tiering::AdminSettings& Settings() override { return settings_; }
  bool StartCrawl() override { return true; }
  tiering::ReassignResult ReassignPage(int from, int to) override {
    return from == to ? tiering::ReassignResult::kSame : tiering::ReassignResult::kNoSpare;
  }
  Status SetMemoryLimit(uint64_t limit_bytes) override {
    limit_bytes_.store(limit_bytes);
    return {};
  }
  void TrackSizes(bool on) override { tracks_sizes_.store(on); }
  bool TracksSizes() const override { return tracks_sizes_.load(); }
  std::map<uint64_t, uint64_t> Sizes() const override {
    return TracksSizes() ? std::map<uint64_t, uint64_t>{{64, 1}} : std::map<uint64_t, uint64_t>();
  }
  void ListCold(storage::SlabClass slab_class, const VisitCold& visit) override {
    if (slab_class == 1) visit("cold", 4, 0);
  }
  bool BeginDump(const tiering::DumpScope&) override { return !dumping_.exchange(true); }
  void NextDumpPiece(tiering::DumpPiece* piece, Executor& executor, Completion* done) override {
    piece->last = true;
    executor.Post(done);
  }
  void EndDump() override { dumping_.store(false); }

  uint64_t LimitBytes() const { return limit_bytes_.load(); }
  bool Dumping() const { return dumping_.load(); }

 private:
  tiering::AdminSettings settings_;
  std::atomic<uint64_t> limit_bytes_{0};
  std::atomic<bool> tracks_sizes_{false};
  std::atomic<bool> dumping_{false};
};

}  // namespace terraced::support
