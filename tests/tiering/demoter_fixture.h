// What the tests of the demoter share: a small cache whose demoter is stepped by hand.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/tiering/cache_rig.h"
#include "tiering/demoter.h"

namespace terraced::tiering {

inline std::string Name(int i) {
  return "key" + std::to_string(i);
}

class DemoterTest : public testing::Test {
 protected:
  static CacheOptions Small() {
    CacheOptions options = RigOptions();
    options.slabs.limit_bytes = 4U << 20;
    options.flash_batch_bytes = 128U << 10;
    return options;
  }
  // Sets [first, last) and lets the demoter have a turn now and then, as its thread would.
  static void SetMany(CacheRig* rig, int first, int last, size_t value_bytes = 1'000) {
    for (int i = first; i < last; ++i) {
      ASSERT_EQ((*rig)->Set(Name(i), std::string(value_bytes, static_cast<char>('a' + i % 26))),
                Outcome::kStored);
      if (i % 16 == 0) rig->InDemoter().Step();
    }
  }
  // False: the class is short of chunks, but no set has had to evict yet.
  static bool HasRoom(const storage::SlabArena& arena, storage::SlabClass slab_class) {
    return arena.FreePages() > 0 ||
           arena.FreeChunks(slab_class) > arena.TotalChunks(slab_class) / 16;
  }
  static void FailWrites(CacheRig* rig, uint64_t count,
                         FaultyBatchStore::When when = FaultyBatchStore::When::kBefore) {
    rig->store->FailNth(BatchCall::kWrite, 1,
                        Status(StatusCode::kNoSpace, "no space left on device"), when, count);
  }
};

}  // namespace terraced::tiering
