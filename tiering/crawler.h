// Crawler: walks the RAM items in bounded steps and reaps what expired or was flushed. A whole walk
// after a flush_all proves that no item of an older epoch is left, so that the epoch's short form
// may come round again.
// Threads: its own; SweepNow by a worker that has outrun it; one walk at a time.
#pragma once

#include "storage/base/mutex.h"
#include "tiering/background_thread.h"
#include "tiering/shard.h"

namespace terraced::tiering {

class Crawler {
 public:
  explicit Crawler(Tiers& tiers) : tiers_(tiers) {}
  void Start();
  void Join() { thread_.Join(); }
  void Wake() { thread_.Wake(); }
  // A whole walk on the caller's thread.
  void SweepNow() { Walk(false); }

 private:
  std::chrono::milliseconds Round();
  void Walk(bool pace);
  // One bounded step; false when the shard is done.
  bool WalkStep(Shard& shard, uint64_t* cursor);

  Tiers& tiers_;
  Mutex walking_;  // before any shard mutex
  uint64_t last_walk_us_ = 0;
  BackgroundThread thread_;
};

}  // namespace terraced::tiering
