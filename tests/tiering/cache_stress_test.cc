// Several workers and every background thread at once, with a small RAM tier, a small quota and a few keys: no get
// may answer what was overwritten, deleted or flushed before it began. Made for ThreadSanitizer.
#include <array>
#include <atomic>
#include <charconv>
#include <random>
#include <thread>
#include <vector>

#include "tests/tiering/cache_rig.h"

namespace terraced::tiering {
namespace {

constexpr uint32_t kThreads = 4;
constexpr uint32_t kKeys = 2'000;
constexpr int kCommands = 15'000;
constexpr uint32_t kRoundsMax = 100;
constexpr uint64_t kStep = 1'000'000;  // more than there are flushes

std::string Name(uint32_t key) {
  return "key" + std::to_string(key);
}

// Each key has one writer; its values begin with a number that only grows, in steps that leave room for a flush to
// raise the floors of the keys by one. A get that hits must not be below the floor that stood when it began.
class Stress {
 public:
  static CacheOptions Options() {
    CacheOptions options = RigOptions();
    options.slabs.limit_bytes = 2U << 20;
    options.slabs.slab_sizes = {128, 512, 2'048, 64U << 10};
    options.slabs.slab_chunk_bytes_max = 64U << 10;
    options.flash_batch_bytes = 64U << 10;
    options.flash_size_bytes = 1U << 20;
    options.lru_crawler_sleep_us = 0;
    return options;
  }

  void Worker(uint32_t worker, uint32_t round) {
    CacheClient client(*rig_.cache);
    std::mt19937_64 random(round * kThreads + worker + 1);
    uint64_t sequence = uint64_t{round} * kCommands;
    for (int i = 0; i < kCommands; ++i) {
      const auto key = static_cast<uint32_t>(random() % kKeys);
      const uint32_t own = key - key % kThreads + worker;
      const uint64_t dice = random() % 100;
      if (dice < 50) {
        Read(&client, key);
      } else if (dice < 85) {
        Write(&client, own, ++sequence * kStep, random() % 1'500);
      } else if (dice < 92) {
        Delete(&client, own, ++sequence * kStep);
      } else if (dice < 99) {
        client.Touch(Name(key), 0);
      } else if (worker == 0 && dice == 99 && random() % 8 == 0) {
        Flush();
      }
      if (worker == 1 && i % 500 == 0) static_cast<void>(rig_.Stats());
    }
  }
  CacheRig& Rig() { return rig_; }
  uint64_t StaleAnswers() const { return stale_.load(); }
  uint64_t Hits() const { return hits_.load(); }

 private:
  void Read(CacheClient* client, uint32_t key) {
    const uint64_t floor = floors_[key].load();
    const Got got = client->Get(Name(key));
    if (!got.Hit()) return;
    hits_.fetch_add(1);
    uint64_t sequence = 0;
    std::from_chars(got.value.data(), got.value.data() + got.value.size(), sequence);
    if (sequence < floor) stale_.fetch_add(1);
  }
  void Write(CacheClient* client, uint32_t key, uint64_t sequence, size_t padding) {
    const std::string value = std::to_string(sequence) + " " + std::string(padding, 'x');
    // One in eight is appended to what is there already, which is this writer's own.
    if (sequence % (8 * kStep) == 0) {
      client->Store(StoreMode::kAppend, Name(key), "y");
      return;
    }
    if (client->Set(Name(key), value) != Outcome::kStored)
      rig_.cache->DropRefused(client->KeyOf(Name(key)));
    Raise(key, sequence);
  }
  void Delete(CacheClient* client, uint32_t key, uint64_t sequence) {
    client->Delete(Name(key));
    Raise(key, sequence);
  }
  // Everything acknowledged before the flush is gone after it.
  void Flush() {
    std::array<uint64_t, kKeys> before;
    for (uint32_t key = 0; key < kKeys; ++key) before[key] = floors_[key].load();
    rig_.cache->FlushAll(0);
    for (uint32_t key = 0; key < kKeys; ++key) {
      if (before[key] > 0) Raise(key, before[key] + 1);
    }
  }
  void Raise(uint32_t key, uint64_t to) {
    uint64_t floor = floors_[key].load();
    while (floor < to && !floors_[key].compare_exchange_weak(floor, to)) {
    }
  }

  CacheRig rig_{Options()};
  std::array<std::atomic<uint64_t>, kKeys> floors_{};
  std::atomic<uint64_t> stale_{0};
  std::atomic<uint64_t> hits_{0};
};

TEST(CacheStressTest, NoGetAnswersWhatWasGoneBeforeItBegan) {
  Stress stress;
  ASSERT_TRUE(stress.Rig().cache->StartThreads().ok());
  // How much of it meets flash hangs on when the demoter gets to run: rounds until it was enough.
  CacheStats stats;
  uint32_t round = 0;
  do {
    std::vector<std::thread> workers;
    for (uint32_t worker = 0; worker < kThreads; ++worker) {
      workers.emplace_back([&stress, worker, round] { stress.Worker(worker, round); });
    }
    for (std::thread& worker : workers) worker.join();
    ASSERT_EQ(stress.StaleAnswers(), 0U);
    stats = stress.Rig().Stats();
  } while (++round < kRoundsMax &&
           (stats.commands.get_hits_flash <= 500 || stats.flash.demoted_items <= 1'000));
  EXPECT_GT(stress.Hits(), 1'000U);
  EXPECT_GT(stats.commands.get_hits_flash, 500U);
  EXPECT_GT(stats.flash.demoted_items, 1'000U);
  EXPECT_TRUE(stress.Rig().cache->Stop([] { return false; }).ok());
}

}  // namespace
}  // namespace terraced::tiering
