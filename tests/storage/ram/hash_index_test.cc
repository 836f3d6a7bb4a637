#include "storage/ram/hash_index.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "storage/base/hash.h"
#include "storage/ram/item_allocator.h"

namespace terraced::storage {
namespace {

class HashIndexTest : public testing::Test {
 protected:
  static SlabOptions Options() {
    SlabOptions options;
    options.limit_bytes = 64ULL * kSlabPageBytes;
    return options;
  }

  HashIndexTest()
      : arena_(std::move(SlabArena::Create(Options())).value()),
        allocator_(*arena_, Options().item_bytes_max),
        index_(*arena_) {}

  Position NewItem(std::string_view key) {
    SlabClass short_of = kNoSlabClass;
    const Position position = allocator_.New(key, 0, 0, &short_of);
    TERRACED_CHECK(position != kNoPosition);
    return position;
  }
  static uint64_t HashOf(std::string_view key) { return HashBytes(key, HashKey{{5, 6, 7, 8}}); }
  std::map<Position, int> WalkAll(uint32_t buckets) const {
    std::map<Position, int> visits;
    uint64_t cursor = 0;
    while (index_.Walk(&cursor, buckets, [&](Position position) { ++visits[position]; })) {
    }
    return visits;
  }

  std::unique_ptr<SlabArena> arena_;
  ItemAllocator allocator_;
  HashIndex index_;
};

// Items are inserted, replaced and erased between the steps of the walk, and the index grows by a multiple.
TEST_F(HashIndexTest, WalksOnceThoughItGrows) {
  constexpr int kItems = 4'000;
  const auto name = [](int i) { return "key" + std::to_string(i); };
  std::map<std::string, int> visits;
  std::vector<Position> positions;
  for (int i = 0; i < kItems; ++i) {
    positions.push_back(NewItem(name(i)));
    index_.Insert(HashOf(name(i)), positions.back());
  }
  int next = kItems;
  uint64_t cursor = 0;
  uint64_t before = 0;
  bool more = true;
  while (more) {
    more = index_.WalkOnce(&cursor, 2, [&](Position position) {
      const std::string_view key = arena_->ItemAt(position)->Key();
      ++visits[std::string(key)];
      EXPECT_GE(HashIndex::CursorOf(HashOf(key)), before);
      EXPECT_LT(HashIndex::CursorOf(HashOf(key)), uint64_t{1} << 40);
    });
    before = cursor;
    for (int i = 0; i < 40; ++i, ++next) index_.Insert(HashOf(name(next)), NewItem(name(next)));
    const int moved = next % kItems;
    const Position copy = NewItem(name(moved));
    ASSERT_TRUE(index_.Replace(HashOf(name(moved)), positions[static_cast<size_t>(moved)], copy));
    positions[static_cast<size_t>(moved)] = copy;
  }
  EXPECT_GT(next, 2 * kItems);
  for (int i = 0; i < kItems; ++i) EXPECT_EQ(visits[name(i)], 1) << i;
  for (const auto& [key, times] : visits) EXPECT_EQ(times, 1) << key;
}

TEST_F(HashIndexTest, HintsAtTheItemWhereverGrowthHasMovedIt) {
  constexpr int kItems = 20'000;
  std::vector<Position> positions;
  for (int i = 0; i < kItems; ++i) {
    const std::string key = "key" + std::to_string(i);
    EXPECT_EQ(index_.Hint(HashOf(key)), kNoPosition);
    positions.push_back(NewItem(key));
    index_.Insert(HashOf(key), positions.back());
  }
  int hinted = 0;
  for (int i = 0; i < kItems; ++i) {
    hinted +=
        index_.Hint(HashOf("key" + std::to_string(i))) == positions[static_cast<size_t>(i)] ? 1 : 0;
  }
  // The rest lies in overflow buckets.
  EXPECT_GT(hinted, kItems * 3 / 4);
}

TEST_F(HashIndexTest, FindsWhatWasInsertedUntilErased) {
  const Position position = NewItem("key");
  const uint64_t hash = HashOf("key");
  EXPECT_EQ(index_.Find(hash, "key"), kNoPosition);
  index_.Insert(hash, position);
  EXPECT_EQ(index_.Find(hash, "key"), position);
  EXPECT_TRUE(index_.Contains(hash, position));
  EXPECT_EQ(index_.Find(hash, "kez"), kNoPosition);
  EXPECT_EQ(index_.Count(), 1U);
  EXPECT_TRUE(index_.Erase(hash, position));
  EXPECT_FALSE(index_.Erase(hash, position));
  EXPECT_FALSE(index_.Contains(hash, position));
  EXPECT_EQ(index_.Find(hash, "key"), kNoPosition);
  EXPECT_EQ(index_.Count(), 0U);
}

TEST_F(HashIndexTest, ReplaceChangesThePositionInPlace) {
  const uint64_t hash = HashOf("key");
  const Position old_position = NewItem("key");
  const Position new_position = NewItem("key");
  EXPECT_FALSE(index_.Replace(hash, old_position, new_position));
  index_.Insert(hash, old_position);
  EXPECT_TRUE(index_.Replace(hash, old_position, new_position));
  EXPECT_EQ(index_.Find(hash, "key"), new_position);
  EXPECT_FALSE(index_.Contains(hash, old_position));
  EXPECT_EQ(index_.Count(), 1U);
}

// All keys of one hash: a chain of many overflow buckets that no split can part.
TEST_F(HashIndexTest, KeysOfOneHashAreToldApart) {
  constexpr uint64_t kHash = 0x0123456789abcdefU;
  std::mt19937 random(3);
  std::map<std::string, Position> reference;
  for (int step = 0; step < 4'000; ++step) {
    const std::string key = "k" + std::to_string(random() % 60);
    const auto found = reference.find(key);
    ASSERT_EQ(index_.Find(kHash, key), found == reference.end() ? kNoPosition : found->second);
    if (found == reference.end()) {
      const Position position = NewItem(key);
      index_.Insert(kHash, position);
      reference.emplace(key, position);
    } else {
      ASSERT_TRUE(index_.Erase(kHash, found->second));
      allocator_.Free(found->second);
      reference.erase(found);
    }
  }
  EXPECT_EQ(index_.Count(), reference.size());
  EXPECT_EQ(WalkAll(1).size(), reference.size());
}

TEST_F(HashIndexTest, AgreesWithAReferenceWhileItGrowsAndShrinks) {
  std::mt19937 random(11);
  std::unordered_map<std::string, Position> reference;
  std::vector<std::string> live;
  bool was_expanding = false;
  for (int step = 0; step < 300'000; ++step) {
    // Waves: mostly insertions, then mostly erases, so that chains fill and empty at several sizes.
    const bool rising = (step / 30'000) % 3 != 2;
    const std::string key = "key" + std::to_string(random() % 400'000);
    if (random() % 10 < (rising ? 8U : 2U)) {
      if (reference.contains(key)) continue;
      const Position position = NewItem(key);
      index_.Insert(HashOf(key), position);
      reference.emplace(key, position);
      live.push_back(key);
      was_expanding = was_expanding || index_.IsExpanding();
    } else if (!live.empty()) {
      std::swap(live[random() % live.size()], live.back());
      const auto found = reference.find(live.back());
      ASSERT_EQ(index_.Find(HashOf(live.back()), live.back()), found->second);
      ASSERT_TRUE(index_.Erase(HashOf(live.back()), found->second));
      allocator_.Free(found->second);
      reference.erase(found);
      live.pop_back();
    }
    ASSERT_EQ(index_.Count(), reference.size());
    ASSERT_EQ(index_.Find(HashOf(key), key) != kNoPosition, reference.contains(key));
  }
  EXPECT_TRUE(was_expanding);
  for (const auto& [key, position] : reference) {
    ASSERT_EQ(index_.Find(HashOf(key), key), position);
    ASSERT_TRUE(index_.Contains(HashOf(key), position));
  }
}

TEST_F(HashIndexTest, WalkVisitsEveryItemOnceWhenNothingChanges) {
  std::map<Position, int> expected;
  for (int i = 0; i < 10'000; ++i) {
    const std::string key = "key" + std::to_string(i);
    const Position position = NewItem(key);
    index_.Insert(HashOf(key), position);
    expected[position] = 1;
  }
  EXPECT_EQ(WalkAll(1), expected);
  EXPECT_EQ(WalkAll(97), expected);
}

TEST_F(HashIndexTest, WalkMissesNothingThatStaysWhileItGrows) {
  std::vector<Position> stays;
  int next = 0;
  const auto insert = [&] {
    const std::string key = "key" + std::to_string(next++);
    const Position position = NewItem(key);
    index_.Insert(HashOf(key), position);
    return position;
  };
  for (int i = 0; i < 3'000; ++i) stays.push_back(insert());
  std::map<Position, int> visits;
  uint64_t cursor = 0;
  while (index_.Walk(&cursor, 3, [&](Position position) { ++visits[position]; })) {
    for (int i = 0; i < 17; ++i) insert();
    if (next > 60'000) break;
  }
  while (index_.Walk(&cursor, 64, [&](Position position) { ++visits[position]; })) {
  }
  for (const Position position : stays) EXPECT_GE(visits[position], 1);
}

TEST_F(HashIndexTest, TheVisitorMayEraseWhatItIsGiven) {
  for (int i = 0; i < 5'000; ++i) {
    const std::string key = "key" + std::to_string(i);
    index_.Insert(HashOf(key), NewItem(key));
  }
  int visited = 0;
  uint64_t cursor = 0;
  while (index_.Walk(&cursor, 10, [&](Position position) {
    ++visited;
    const std::string key(arena_->ItemAt(position)->Key());
    EXPECT_TRUE(index_.Erase(HashOf(key), position));
    allocator_.Free(position);
  })) {
  }
  EXPECT_EQ(visited, 5'000);
  EXPECT_EQ(index_.Count(), 0U);
}

TEST_F(HashIndexTest, StartsSmallAndStaysWithinItsPromise) {
  EXPECT_LE(index_.MemoryBytes(), 2'048U);
  uint64_t next_check = 1'000;
  for (uint64_t i = 1; i <= 200'000; ++i) {
    const std::string key = "key" + std::to_string(i);
    index_.Insert(HashOf(key), NewItem(key));
    if (i != next_check) continue;
    const double per_item = static_cast<double>(index_.MemoryBytes()) / static_cast<double>(i);
    EXPECT_GT(per_item, 9.0) << i;
    EXPECT_LT(per_item, 15.0) << i;
    next_check += next_check / 7;
  }
}

}  // namespace
}  // namespace terraced::storage
