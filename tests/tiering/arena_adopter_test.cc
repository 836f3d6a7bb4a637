#include "tiering/arena_adopter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "tests/support/process.h"
#include "tests/tiering/cache_client.h"
#include "tiering/two_tier_cache.h"

namespace terraced::tiering {
namespace {

// A file's bytes, to be changed while no cache has them.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path) : bytes_(std::filesystem::file_size(path)) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    at_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
  }
  ~MappedFile() { ::munmap(at_, bytes_); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  char* Bytes() const { return static_cast<char*>(at_); }

 private:
  const size_t bytes_;
  void* at_ = nullptr;
};

constexpr uint32_t kStartS = 1'700'000'000;

// A cache without flash whose memory lies in a file. Nothing runs in the background but what a test cranks.
class ArenaAdopterTest : public testing::Test {
 protected:
  ArenaAdopterTest() {
    options_.slabs.limit_bytes = 8U << 20;
    options_.memory_file = directory_.Sub("arena");
  }
  void Start() {
    Result<std::unique_ptr<Cache>> made = Cache::Create(options_, clock_);
    ASSERT_TRUE(made.ok()) << made.status().message();
    cache_ = std::move(made).value();
    client_ = std::make_unique<CacheClient>(*cache_);
  }
  void Kill() {
    client_.reset();
    cache_.reset();
  }
  void Again() {
    Kill();
    ASSERT_NO_FATAL_FAILURE(Start());
  }
  static std::string Name(int i) { return "key" + std::to_string(i); }
  static std::string Value(int i) {
    return std::string(static_cast<size_t>(i % 300), static_cast<char>('a' + i % 26));
  }
  Tiers& InTiers() { return static_cast<TwoTierCache&>(*cache_).TiersForTest(); }
  uint64_t Items() const { return cache_->Stats().curr_items; }
  // Whatever the background pass has left to do.
  void FinishAdoption() {
    while (InTiers().arena->Adopting()) std::this_thread::yield();
  }
  const support::TempDirectory directory_;
  CacheOptions options_;
  Clock clock_{kStartS};
  std::unique_ptr<Cache> cache_;
  std::unique_ptr<CacheClient> client_;
};

TEST_F(ArenaAdopterTest, EveryItemIsThereAfterAKillAtOnceAndInTheEnd) {
  Start();
  for (int i = 0; i < 5'000; ++i) client_->Set(Name(i), Value(i), static_cast<uint32_t>(i), 0);
  const uint64_t bytes = cache_->Stats().bytes;
  for (int round = 0; round < 3; ++round) {
    ASSERT_NO_FATAL_FAILURE(Again());
    for (int i = 0; i < 5'000; ++i) {
      const Got got = client_->Get(Name(i));
      ASSERT_TRUE(got.Hit()) << i;
      ASSERT_EQ(got.value, Value(i));
      ASSERT_EQ(got.meta.client_flags, static_cast<uint32_t>(i));
    }
    FinishAdoption();
    EXPECT_EQ(Items(), 5'000U);
    EXPECT_EQ(cache_->Stats().bytes, bytes);
  }
}

TEST_F(ArenaAdopterTest, WhatWasDeletedStoredOverOrFlushedStaysSo) {
  Start();
  for (int i = 0; i < 300; ++i) client_->Set(Name(i), "old");
  for (int i = 0; i < 300; ++i) {
    if (i % 3 == 0) client_->Delete(Name(i));
    if (i % 3 == 1) client_->Set(Name(i), std::string(500, 'n'));
  }
  ASSERT_NO_FATAL_FAILURE(Again());
  for (int i = 0; i < 300; ++i) {
    const Got got = client_->Get(Name(i));
    EXPECT_EQ(got.Hit(), i % 3 != 0);
    if (i % 3 != 0) {
      EXPECT_EQ(got.value, i % 3 == 1 ? std::string(500, 'n') : "old");
    }
  }
  cache_->FlushAll(0);
  ASSERT_NO_FATAL_FAILURE(Again());
  for (int i = 0; i < 300; ++i) EXPECT_FALSE(client_->Get(Name(i)).Hit());
  EXPECT_EQ(Items(), 0U);
}

TEST_F(ArenaAdopterTest, ChunkedValuesAreWhole) {
  options_.slabs.slab_chunk_bytes_max = 16U << 10;
  const std::string large(700'000, 'x');
  Start();
  client_->Set("large", large);
  ASSERT_NO_FATAL_FAILURE(Again());
  FinishAdoption();  // before anybody asks for it
  EXPECT_EQ(client_->Get("large"), large);
  ASSERT_NO_FATAL_FAILURE(Again());
  EXPECT_EQ(client_->Get("large"), large);
  EXPECT_EQ(client_->Delete("large"), Outcome::kDeleted);
  FinishAdoption();
  for (const storage::SlabClassStats& of : InTiers().arena->Stats()) EXPECT_EQ(of.used_chunks, 0U);
}

TEST_F(ArenaAdopterTest, AValueUnderWayLeavesItsChunksFree) {
  Start();
  client_->Set("k", "v");
  storage::SlabClass short_of = storage::kNoSlabClass;
  for (int i = 0; i < 10; ++i) {
    ASSERT_NE(InTiers().allocator.New("draft", 0, 5'000, &short_of), storage::kNoPosition);
  }
  ASSERT_NO_FATAL_FAILURE(Again());
  FinishAdoption();
  uint64_t used = 0;
  for (const storage::SlabClassStats& of : InTiers().arena->Stats()) used += of.used_chunks;
  EXPECT_EQ(used, 1U);
  EXPECT_EQ(client_->Get("k"), "v");
}

TEST_F(ArenaAdopterTest, AFullMemoryTakesNewItemsAtOnce) {
  Start();
  for (int i = 0; i < 40'000; ++i) client_->Set(Name(i), std::string(300, 'o'));
  const uint64_t before = Items();
  ASSERT_NO_FATAL_FAILURE(Again());
  for (int i = 0; i < 2'000; ++i) {
    ASSERT_EQ(client_->Set("new" + Name(i), std::string(300, 'n')), Outcome::kStored) << i;
  }
  FinishAdoption();
  EXPECT_GT(Items(), before - 2'100);
  for (int i = 0; i < 2'000; ++i) EXPECT_TRUE(client_->Get("new" + Name(i)).Hit()) << i;
}

TEST_F(ArenaAdopterTest, CasUniquesNeverRepeatAndStayWhatTheyWere) {
  uint64_t newest = 0;
  for (int start = 0; start < 5; ++start) {
    ASSERT_NO_FATAL_FAILURE(Again());
    if (start > 0) {
      EXPECT_EQ(client_->Get("k").meta.cas_unique, newest);
    }
    client_->Set("k", "v");
    EXPECT_GT(client_->cas_unique, newest);
    newest = client_->cas_unique;
  }
}

TEST_F(ArenaAdopterTest, WhereManyRunsHaveItemsThoseOfTheOldestGetNewUniques) {
  Start();
  client_->Set("k", "v");
  const uint64_t first = client_->cas_unique;
  storage::CasRunTable& table = InTiers().arena->File()->CasTable();
  for (uint32_t number = 10; number < 210; ++number) {
    table.runs[number] = 0xf00000 + number;
    table.in_use[number] = 1;
  }
  ASSERT_NO_FATAL_FAILURE(Again());
  FinishAdoption();
  const Got got = client_->Get("k");
  EXPECT_EQ(got.value, "v");
  EXPECT_GT(got.meta.cas_unique, first);
  ASSERT_NO_FATAL_FAILURE(Again());
  EXPECT_EQ(client_->Get("k").meta.cas_unique, got.meta.cas_unique);
}

TEST_F(ArenaAdopterTest, AFileOfTooManyRunsBeginsAnew) {
  Start();
  client_->Set("k", "v");
  storage::CasRunTable& table = InTiers().arena->File()->CasTable();
  for (uint32_t number = 0; number < storage::kCasRuns; ++number) {
    if (table.runs[number] == 0) table.runs[number] = 0xf00000 + number;
    table.in_use[number] = 1;
  }
  ASSERT_NO_FATAL_FAILURE(Again());
  EXPECT_EQ(Items(), 0U);
  EXPECT_EQ(client_->Set("k", "v"), Outcome::kStored);
}

// What is no item is gone from the index before its chunk can be another's, or a walk over the index would meet it.
TEST_F(ArenaAdopterTest, WhatIsNotWholeIsDroppedFromIndexAndMemory) {
  Start();
  for (int i = 0; i < 1'000; ++i) client_->Set(Name(i), Value(i));
  std::array<int64_t, 7> offsets{};  // in the file
  for (int i = 1; i <= 6; ++i) {
    const uint64_t hash = cache_->HashOf(Name(i));
    Shard& shard = InTiers().ShardOf(hash);
    const MutexLock lock(shard.mutex);
    offsets[static_cast<size_t>(i)] = reinterpret_cast<const char*>(shard.ram.Find(hash, Name(i))) -
                                      InTiers().arena->File()->Memory();
  }
  Kill();
  {
    const MappedFile file(options_.memory_file);
    const auto item = [&](size_t i) {
      return reinterpret_cast<storage::Item*>(file.Bytes() + offsets[i]);
    };
    item(1)->key_length = 0;
    item(2)->value_high = 1;  // longer than its chunk
    item(3)->state.fetch_xor(1U << storage::kItemShardShift);
    item(4)->Clear(storage::kItemLinked);
    item(5)->state.store(0);
    item(6)->data[3] ^= 1;  // another key
  }
  ASSERT_NO_FATAL_FAILURE(Start());
  FinishAdoption();
  static_cast<TwoTierCache&>(*cache_).CrawlerForTest().SweepNow();
  EXPECT_EQ(Items(), 994U);
  uint64_t used = 0;
  for (const storage::SlabClassStats& of : InTiers().arena->Stats()) used += of.used_chunks;
  EXPECT_EQ(used, 994U);
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_EQ(client_->Get(Name(i)).Hit(), i == 0 || i > 6) << i;
    ASSERT_EQ(client_->Set(Name(i), "new"), Outcome::kStored);
  }
  EXPECT_EQ(Items(), 1'000U);
}

TEST_F(ArenaAdopterTest, IndexesThatShareMemoryAreRefused) {
  Start();
  client_->Set("k", "v");
  storage::ArenaIndexRoot& root = InTiers().arena->File()->IndexRoot(42);
  root.buckets[0] = InTiers().arena->File()->IndexRoot(41).buckets[0].load();
  ASSERT_NO_FATAL_FAILURE(Again());
  EXPECT_EQ(Items(), 0U);
  EXPECT_EQ(client_->Set("k", "v"), Outcome::kStored);
}

TEST_F(ArenaAdopterTest, AFileOfSomebodyElseIsRefused) {
  std::ofstream(options_.memory_file) << "notes";
  const Result<std::unique_ptr<Cache>> made = Cache::Create(options_, clock_);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.status().message().find("is no memory file"), std::string_view::npos);
  std::string text;
  std::ifstream(options_.memory_file) >> text;
  EXPECT_EQ(text, "notes");
}

TEST_F(ArenaAdopterTest, AnotherLimitKeepsTheItemsOtherSizesDoNot) {
  Start();
  client_->Set("k", "v");
  options_.slabs.limit_bytes = 16U << 20;
  ASSERT_NO_FATAL_FAILURE(Again());
  EXPECT_EQ(client_->Get("k"), "v");
  options_.slabs.growth_factor = 1.5;
  ASSERT_NO_FATAL_FAILURE(Again());
  EXPECT_FALSE(client_->Get("k").Hit());
}

}  // namespace
}  // namespace terraced::tiering
