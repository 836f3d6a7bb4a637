// The cache against a map: one random stream of commands, every answer equal, while items go to flash and back,
// partitions grow, the clock moves and everything is flushed now and then.
#include <map>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "tests/tiering/cache_rig.h"
#include "tiering/number_text.h"

namespace terraced::tiering {
namespace {

// What a cache without limits would answer.
class Reference {
 public:
  struct Entry {
    std::string value;
    uint32_t client_flags = 0;
    uint32_t exptime_s = 0;
    uint64_t cas_unique = 0;
  };
  Entry* Find(const std::string& key) {
    const auto at = entries_.find(key);
    if (at == entries_.end()) return nullptr;
    if (!IsExpired(at->second.exptime_s, now_s)) return &at->second;
    entries_.erase(at);
    return nullptr;
  }
  void Put(const std::string& key, Entry entry) { entries_[key] = std::move(entry); }
  void Erase(const std::string& key) { entries_.erase(key); }
  void Clear() { entries_.clear(); }
  const std::map<std::string, Entry>& All() const { return entries_; }

  uint32_t now_s = kStartS;

 private:
  std::map<std::string, Entry> entries_;
};

class CacheReferenceTest : public testing::Test {
 protected:
  static CacheOptions Options() {
    CacheOptions options = RigOptions();
    options.slabs.limit_bytes = 64ULL << 20;
    options.slabs.slab_sizes = {96, 160, 320, 1'024, 8'192, 512U << 10};
    options.flash_size_bytes = 4ULL << 30;  // nothing is dropped for space
    return options;
  }
  // Keys that collide in no table of any size: each has its own fingerprint in its partition.
  void MakeKeys(size_t count) {
    std::set<std::pair<uint32_t, uint64_t>> taken;
    for (int i = 0; keys_.size() < count; ++i) {
      std::string key = "key" + std::to_string(i);
      const uint64_t hash = rig_.cache->HashOf(key);
      if (taken.emplace(storage::PartitionOf(hash), hash & 0x3ffff).second)
        keys_.push_back(std::move(key));
    }
  }
  uint32_t Random(uint32_t below) { return static_cast<uint32_t>(random_() % below); }
  std::string RandomValue() {
    if (Random(4) == 0) return std::to_string(random_() >> Random(64));
    const uint32_t bytes = Random(200) == 0 ? Random(20'000) : Random(300);
    std::string value(bytes, '\0');
    for (char& c : value) c = static_cast<char>('a' + Random(Random(2) == 0 ? 2 : 26));
    return value;
  }
  uint32_t RandomExptime() { return Random(3) == 0 ? reference_.now_s + Random(100) : 0; }

  void CheckGot(const Got& got, const std::string& key) {
    const Reference::Entry* const entry = reference_.Find(key);
    ASSERT_EQ(got.Hit(), entry != nullptr) << key;
    if (entry == nullptr) return;
    ASSERT_EQ(got.value, entry->value) << key;
    ASSERT_EQ(got.meta.client_flags, entry->client_flags);
    ASSERT_EQ(got.meta.cas_unique, entry->cas_unique);
  }
  void Get(const std::string& key) {
    const Got got = rig_->Get(key);
    CheckGot(got, key);
    ASSERT_TRUE(!got.Hit() || got.meta.exptime_s == reference_.Find(key)->exptime_s) << key;
  }
  void GetAndTouch(const std::string& key) {
    const uint32_t exptime_s = RandomExptime();
    CheckGot(rig_->GetAndTouch(key, exptime_s), key);
    if (Reference::Entry* const entry = reference_.Find(key)) entry->exptime_s = exptime_s;
  }
  void Touch(const std::string& key) {
    const uint32_t exptime_s = RandomExptime();
    Reference::Entry* const entry = reference_.Find(key);
    ASSERT_EQ(rig_->Touch(key, exptime_s), entry != nullptr ? Outcome::kHit : Outcome::kMiss)
        << key;
    if (entry != nullptr) entry->exptime_s = exptime_s;
  }
  void Delete(const std::string& key) {
    const bool there = reference_.Find(key) != nullptr;
    ASSERT_EQ(rig_->Delete(key), there ? Outcome::kDeleted : Outcome::kNotFound) << key;
    reference_.Erase(key);
  }
  void Store(const std::string& key) {
    constexpr StoreMode kModes[] = {StoreMode::kSet,     StoreMode::kSet,    StoreMode::kAdd,
                                    StoreMode::kReplace, StoreMode::kAppend, StoreMode::kPrepend,
                                    StoreMode::kCas};
    const StoreMode mode = kModes[Random(7)];
    const Reference::Entry* const entry = reference_.Find(key);
    Reference::Entry fresh{RandomValue(), Random(2) * Random(UINT32_MAX), RandomExptime(), 0};
    const uint64_t compare = entry == nullptr ? 1 : entry->cas_unique - (Random(4) == 0 ? 1 : 0);
    const bool joins = mode == StoreMode::kAppend || mode == StoreMode::kPrepend;
    Outcome expected = Outcome::kStored;
    if (mode == StoreMode::kAdd && entry != nullptr) expected = Outcome::kNotStored;
    if ((joins || mode == StoreMode::kReplace) && entry == nullptr) expected = Outcome::kNotStored;
    if (joins && entry != nullptr && entry->cas_unique != compare) expected = Outcome::kExists;
    if (mode == StoreMode::kCas) {
      expected = entry == nullptr
                     ? Outcome::kNotFound
                     : (entry->cas_unique == compare ? Outcome::kStored : Outcome::kExists);
    }
    ASSERT_EQ(rig_->Store(mode, key, fresh.value, fresh.client_flags, fresh.exptime_s, compare),
              expected)
        << key;
    if (expected != Outcome::kStored) return;
    if (joins) {
      const std::string joined =
          mode == StoreMode::kAppend ? entry->value + fresh.value : fresh.value + entry->value;
      fresh = *entry;
      fresh.value = joined;
    }
    ASSERT_GT(rig_->cas_unique, newest_cas_);  // I4: never the same again
    newest_cas_ = rig_->cas_unique;
    fresh.cas_unique = newest_cas_;
    reference_.Put(key, std::move(fresh));
  }
  void StoreAll() {
    for (const std::string& key : keys_) {
      ASSERT_EQ(rig_->Set(key, key), Outcome::kStored);
      reference_.Put(key, {key, 0, 0, newest_cas_ = rig_->cas_unique});
    }
    rig_.Demote();
  }
  void Count(const std::string& key) {
    const uint64_t delta = random_() >> Random(64);
    const bool up = Random(2) == 0;
    Reference::Entry* const entry = reference_.Find(key);
    uint64_t number = 0;
    const bool numeric = entry != nullptr && ParseCounter(entry->value, &number);
    const Outcome expected =
        entry == nullptr ? Outcome::kNotFound : (numeric ? Outcome::kStored : Outcome::kNonNumeric);
    ASSERT_EQ(up ? rig_->Increment(key, delta) : rig_->Decrement(key, delta), expected) << key;
    if (expected != Outcome::kStored) return;
    number = up ? number + delta : number - std::min(number, delta);
    ASSERT_EQ(rig_->number, number);
    std::string text = std::to_string(number);
    text.resize(std::max(text.size(), entry->value.size()), ' ');
    entry->value = text;
    entry->cas_unique = rig_->Get(key).meta.cas_unique;
    ASSERT_GT(entry->cas_unique, newest_cas_);
    newest_cas_ = entry->cas_unique;
  }
  void OneCommand() {
    const std::string& key =
        keys_[Random(Random(2) == 0 ? 50 : static_cast<uint32_t>(keys_.size()))];
    const uint32_t dice = Random(100);
    if (dice < 40) return Get(key);
    if (dice < 75) return Store(key);
    if (dice < 80) return Delete(key);
    if (dice < 85) return Touch(key);
    if (dice < 90) return GetAndTouch(key);
    return Count(key);
  }
  void OneEvent(int step) {
    if (step % 500 == 0) rig_.Demote();
    if (step % 700 == 0) rig_.InDemoter().Step();
    if (step % 1'000 == 0) rig_.clock.Set(reference_.now_s += Random(10));
    if (step % 3'000 == 0) rig_.cache->CrawlerForTest().SweepNow();
    if (step % 60'000 == 0) {
      rig_.cache->FlushAll(0);
      reference_.Clear();
    }
    if (step % 60'000 == 1) StoreAll();  // enough for every partition to grow
  }

  CacheRig rig_{Options()};
  Reference reference_;
  std::vector<std::string> keys_;
  std::mt19937_64 random_{42};
  uint64_t newest_cas_ = 0;
};

TEST_F(CacheReferenceTest, EveryAnswerIsThatOfAMap) {
  MakeKeys(25'000);
  for (int step = 1; step <= 200'000; ++step) {
    ASSERT_NO_FATAL_FAILURE(OneEvent(step));
    ASSERT_NO_FATAL_FAILURE(OneCommand()) << "step " << step;
  }
  rig_.Demote();
  for (const std::string& key : keys_) ASSERT_NO_FATAL_FAILURE(Get(key));
  const CacheStats stats = rig_.Stats();
  EXPECT_EQ(stats.evictions, 0U);
  EXPECT_EQ(stats.commands.flash_index_collisions, 0U);
  EXPECT_GT(stats.flash.index_growths, 200U);
  EXPECT_GT(stats.commands.get_hits_flash, 10'000U);
  EXPECT_GT(stats.commands.flash_promotions, 1'000U);
  EXPECT_GE(stats.curr_items, reference_.All().size());
}

}  // namespace
}  // namespace terraced::tiering
