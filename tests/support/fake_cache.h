// FakeCache: a tiering::Cache over a std::map, for tests of everything above the cache. It behaves like the
// real one seen from a connection; keys can be put "on flash", where a command first answers kNeedsFlash.
// Threads: any, under one mutex. Ownership: drafts and pinned values live in a small arena of its own.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "storage/base/mutex.h"
#include "storage/flash/batch_store.h"
#include "storage/ram/item_allocator.h"
#include "tests/support/fake_administration.h"
#include "tiering/cache.h"
#include "tiering/flash_reader.h"

namespace terraced::support {

class FakeCache final : public tiering::Cache {
 public:
  FakeCache(const tiering::CacheOptions& options, const Clock& clock);
  ~FakeCache() override;

  // From now on a command on that key needs one read before it answers; a set takes the key back to RAM.
  void PutOnFlash(std::string_view key);
  void PutAllOnFlash();  // every key that there is
  // The next so many calls of Allocate that may wait are told to.
  void LetAllocateWait(int times);
  std::vector<std::string> Calls()
      const;                   // commands as they were run to their end: "get k", "set k"
  uint64_t FlushedAt() const;  // what FlushAll was last given; kNeverFlushed
  static constexpr uint64_t kNeverFlushed = ~0ULL;
  int Dropped() const;  // calls of DropRefused
  // With it, DemoteAll is not answered until AnswerDemotions.
  void HoldDemotions();
  void AwaitHeldDemotion();  // blocks until there is one
  void AnswerDemotions();
  // As new, for whoever runs many tests through one cache. Nobody may be waiting for it.
  void Forget();

  uint64_t HashOf(std::string_view key) const override;
  void Prefetch(std::span<const tiering::Key>) const override {}
  void PrefetchChange(const tiering::Key&) const override {}
  tiering::Outcome Get(const tiering::Key& key, tiering::Evidence* evidence,
                       tiering::ValueSink& sink) override;
  tiering::Outcome Read(const tiering::Key& key, const tiering::ReadPlan& plan,
                        tiering::Evidence* evidence, tiering::ValueSink& sink) override;
  tiering::Outcome Delete(const tiering::Key& key, const tiering::DeletePlan& plan,
                          tiering::Evidence* evidence, tiering::ItemMeta* item) override;
  tiering::Outcome Count(const tiering::Key& key, const tiering::CountPlan& plan,
                         tiering::Evidence* evidence, tiering::ItemMeta* item,
                         uint64_t* value) override;
  tiering::AllocateResult Allocate(const tiering::Key& key, const tiering::AllocatePlan& plan,
                                   tiering::Draft* draft) override;
  tiering::Outcome Store(const tiering::Key& key, const tiering::StorePlan& plan,
                         tiering::Draft* draft, tiering::Evidence* evidence,
                         tiering::ItemMeta* item) override;
  void DropRefused(const tiering::Key& key) override;
  void FlushAll(uint32_t at_s) override;
  void Tick() override {}
  tiering::CacheStats Stats() const override;
  void ResetStats() override;
  const tiering::CacheOptions& Options() const override { return options_; }
  const tiering::LiveSettings& Live() const override { return live_; }
  Status ChangeSettings(const tiering::CacheOptions& options) override;
  tiering::FlashReader& Reader() override { return *reader_; }
  bool HasFlash() const override { return true; }
  FakeAdministration& Admin() override { return administration_; }
  void DemoteAll(Executor& executor, Completion* done) override;
  Status Stop(const std::function<bool()>& hurry) override;

 private:
  struct Entry {
    std::string value;
    uint32_t client_flags = 0;
    uint32_t exptime_s = 0;
    uint64_t cas_unique = 0;
    bool fetched = false;
    bool stale = false;
    bool token_sent = false;
    bool binary_key = false;
  };
  enum class Place { kHere, kNowhere, kAsk, kFailed };
  Place Look(const tiering::Key& key, tiering::Evidence* evidence, Entry** entry)
      TERRACED_REQUIRES(mutex_);
  tiering::ItemMeta MetaOf(const Entry& entry);
  void Deliver(const Entry& entry, const tiering::ItemMeta& meta, tiering::ValueSink& sink)
      TERRACED_REQUIRES(mutex_);
  tiering::Outcome ReadLocked(std::string_view name, const tiering::Key& key,
                              const tiering::ReadPlan& plan, tiering::Evidence* evidence,
                              tiering::ValueSink& sink) TERRACED_REQUIRES(mutex_);
  static tiering::Outcome JudgeStore(const tiering::StorePlan& plan, const Entry* old, Entry* made);
  void Called(std::string_view command, std::string_view key) TERRACED_REQUIRES(mutex_);

  const tiering::CacheOptions options_;
  tiering::LiveSettings live_;
  FakeAdministration administration_{options_};
  const Clock& clock_;
  const std::unique_ptr<storage::BatchStore> store_;
  const std::unique_ptr<tiering::FlashReader> reader_;
  std::unique_ptr<storage::SlabArena> arena_;
  std::unique_ptr<storage::ItemAllocator> allocator_;
  mutable Mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_ TERRACED_GUARDED_BY(mutex_);
  std::set<std::string, std::less<>> on_flash_ TERRACED_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ TERRACED_GUARDED_BY(mutex_);
  std::vector<std::pair<Executor*, Completion*>> demotions_ TERRACED_GUARDED_BY(mutex_);
  bool hold_demotions_ TERRACED_GUARDED_BY(mutex_) = false;
  CondVar demotion_held_;
  uint64_t cas_unique_ TERRACED_GUARDED_BY(mutex_) = 0;
  uint64_t flushed_at_ TERRACED_GUARDED_BY(mutex_) = kNeverFlushed;
  int waits_ TERRACED_GUARDED_BY(mutex_) = 0;
  int dropped_ TERRACED_GUARDED_BY(mutex_) = 0;
};

}  // namespace terraced::support
