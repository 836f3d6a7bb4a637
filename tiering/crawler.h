// Crawler: walks the RAM items in bounded steps and reaps what expired or was flushed. A whole walk
// after a flush_all proves that no item of an older epoch is left, so that the epoch's short form
// may come round again.
// Threads: its own, which paces itself; SweepNow by a worker that has outrun it: nobody sleeps while one waits.
// One walk at a time. A shard mutex is held for a bounded number of buckets, no other mutex while walking.
#pragma once

#include <atomic>

#include "storage/base/mutex.h"
#include "tiering/background_thread.h"
#include "tiering/shard.h"

namespace terraced::tiering {

class Crawler {
 public:
  explicit Crawler(Tiers& tiers) : tiers_(tiers) {}
  Status Start();
  void Join() { thread_.Join(); }
  void Wake() { thread_.Wake(); }
  // A walk by the thread, soon. False: one is under way. While `lru_crawler` is off the thread walks never.
  bool AskForWalk();
  // Returns after a whole walk: one on the caller's thread, or the rest of the one that is under way (which began
  // under an older epoch: look whether it was enough, and call again).
  void SweepNow();

 private:
  std::chrono::milliseconds Round();
  void Walk();
  void NoteWalked();
  // Between two steps: rests, unless somebody waits for the walk. False: the thread is being stopped.
  bool Pause(bool rests);
  struct Walked {
    uint64_t examined = 0;
    uint64_t reclaimed = 0;
  };
  // One bounded step; false when the shard is done.
  bool WalkStep(Shard& shard, uint64_t* cursor, Walked* walked);

  Tiers& tiers_;
  uint64_t last_walk_us_ = 0;
  std::atomic<bool> asked_{false};
  Mutex mutex_;  // never held while walking
  CondVar changed_;
  bool walking_ TERRACED_GUARDED_BY(mutex_) = false;
  uint32_t waiting_ TERRACED_GUARDED_BY(mutex_) = 0;  // SweepNow calls under way
  BackgroundThread thread_;
};

}  // namespace terraced::tiering
