// LruMaintainer: the thread that keeps HOT and WARM within their shares, so that COLD has what
// demotion and eviction look for. Moves a bounded number of items per hold of a shard mutex.
#pragma once

#include "tiering/background_thread.h"
#include "tiering/shard.h"

namespace terraced::tiering {

class LruMaintainer {
 public:
  explicit LruMaintainer(Tiers& tiers) : tiers_(tiers) {}
  Status Start();
  void Join() { thread_.Join(); }
  // One pass over every list; returns how many items it moved.
  uint64_t Pass();

 private:
  // A few moves of that class in every shard; how many there were.
  uint64_t Round(storage::SlabClass slab_class);

  Tiers& tiers_;
  BackgroundThread thread_;
};

}  // namespace terraced::tiering
