// CacheClient: one connection's view of a cache, for tests: runs a command again with its fill until there is an
// answer, as a worker does; its completions wait in a CrankedExecutor until the test's thread runs them.
// Threads: a CacheClient belongs to one thread; several may share a cache. Nothing here sleeps.
// Ownership: borrows the cache.
#pragma once

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "storage/base/mutex.h"
#include "tiering/cache.h"

namespace terraced::tiering {

// Completions wait here until the test's thread runs them.
class CrankedExecutor final : public Executor {
 public:
  void Post(Completion* first) override {
    const MutexLock lock(mutex_);
    Completion** end = &first_;
    while (*end != nullptr) end = &(*end)->next;
    *end = first;
    posted_.NotifyAll();
  }
  // Runs what was posted; waits until there is something.
  void Run() {
    Completion* at = Take();
    while (at != nullptr) std::exchange(at, at->next)->Run();
  }

 private:
  Completion* Take() {
    const MutexLock lock(mutex_);
    while (first_ == nullptr) posted_.Wait(mutex_);
    return std::exchange(first_, nullptr);
  }

  Mutex mutex_;
  CondVar posted_;
  Completion* first_ TERRACED_GUARDED_BY(mutex_) = nullptr;
};

class Flag final : public Completion {
 public:
  void Run() override { raised = true; }
  bool raised = false;
};

// What a get answered.
struct Got final : ValueSink {
  Got() = default;
  Got(const Got&) = default;
  Got& operator=(const Got&) = default;
  ~Got() = default;
  char* Begin(const ItemMeta& of) override {
    meta = of;
    value.assign(of.value_bytes, '\0');
    return value.data();
  }
  void Pinned(const ItemMeta& of, storage::ItemRef ref) override {
    ref.Allocator().CopyValue(*ref, Begin(of));
    pinned = true;
  }
  bool Hit() const { return outcome == Outcome::kHit; }

  Outcome outcome = Outcome::kMiss;
  std::string value;
  ItemMeta meta;
  bool pinned = false;
};
inline bool operator==(const Got& got, std::string_view value) {
  return got.Hit() && got.value == value;
}
inline void PrintTo(const Got& got, std::ostream* out) {
  *out << (got.Hit() ? "hit '" + got.value.substr(0, 80) + "'"
                     : "outcome " + std::to_string(static_cast<int>(got.outcome)));
}
inline void PrintTo(Outcome outcome, std::ostream* out) {
  *out << "outcome " << static_cast<int>(outcome);
}

class CacheClient final : public FillWaiter {
 public:
  explicit CacheClient(Cache& cache) : cache_(cache), fills_(cache.Reader(), executor_) {}

  Key KeyOf(std::string_view key) const { return {key, cache_.HashOf(key)}; }
  Got Get(std::string_view key) {
    Got got;
    got.outcome =
        Loop(key, [&](const Key& of, Evidence* evidence) { return cache_.Get(of, evidence, got); });
    return got;
  }
  Got GetAndTouch(std::string_view key, uint32_t exptime_s) {
    Got got;
    got.outcome = Loop(key, [&](const Key& of, Evidence* evidence) {
      return cache_.Read(of, {.touches = true, .exptime_s = exptime_s}, evidence, got);
    });
    return got;
  }
  Outcome Touch(std::string_view key, uint32_t exptime_s) {
    const ReadPlan plan{.wants_value = false, .touches = true, .exptime_s = exptime_s};
    return Read(key, plan).outcome;
  }
  Got Read(std::string_view key, const ReadPlan& plan) {
    Got got;
    got.outcome = Loop(key, [&](const Key& of, Evidence* evidence) {
      return cache_.Read(of, plan, evidence, got);
    });
    return got;
  }
  Outcome Delete(std::string_view key, const DeletePlan& plan = {}) {
    return Loop(key, [&](const Key& of, Evidence* evidence) {
      return cache_.Delete(of, plan, evidence, &item);
    });
  }
  Outcome Count(std::string_view key, const CountPlan& plan) {
    return Loop(key, [&](const Key& of, Evidence* evidence) {
      return cache_.Count(of, plan, evidence, &item, &number);
    });
  }
  Outcome Count(std::string_view key, Arithmetic direction, uint64_t delta) {
    return Count(key, CountPlan{.direction = direction, .delta = delta});
  }
  Outcome Increment(std::string_view key, uint64_t delta) {
    return Count(key, Arithmetic::kIncrement, delta);
  }
  Outcome Decrement(std::string_view key, uint64_t delta) {
    return Count(key, Arithmetic::kDecrement, delta);
  }

  Outcome Store(StoreMode mode, std::string_view key, std::string_view value,
                uint32_t client_flags = 0, uint32_t exptime_s = 0, uint64_t compare_cas = 0) {
    return Store({.mode = mode, .compare_cas = compare_cas}, key, value, client_flags, exptime_s);
  }
  Outcome Store(const StorePlan& plan, std::string_view key, std::string_view value,
                uint32_t client_flags = 0, uint32_t exptime_s = 0) {
    Draft draft;
    const AllocateResult room = cache_.Allocate(KeyOf(key),
                                                {.client_flags = client_flags,
                                                 .exptime_s = exptime_s,
                                                 .value_bytes = value.size(),
                                                 .new_cas = plan.new_cas},
                                                &draft);
    if (room == AllocateResult::kTooLarge) return Outcome::kTooLarge;
    if (room != AllocateResult::kOk) return Outcome::kNoMemory;
    draft.FillValue({value});
    return Loop(key, [&](const Key& of, Evidence* evidence) {
      const Outcome outcome = cache_.Store(of, plan, &draft, evidence, &item);
      cas_unique = item.cas_unique;
      return outcome;
    });
  }
  Outcome Set(std::string_view key, std::string_view value, uint32_t client_flags = 0,
              uint32_t exptime_s = 0) {
    return Store(StoreMode::kSet, key, value, client_flags, exptime_s);
  }
  Outcome Cas(std::string_view key, std::string_view value, uint64_t compare_cas) {
    return Store(StoreMode::kCas, key, value, 0, 0, compare_cas);
  }

  // A command until it has an answer. After BeLate(true) its reads are told to be too late.
  template <typename Command>
  Outcome Loop(std::string_view key, const Command& command) {
    const Key of = KeyOf(key);
    Evidence evidence;
    Outcome outcome = command(of, &evidence);
    while (outcome == Outcome::kNeedsFlash) {
      told_ = false;
      fills_.Want(of, evidence.need, this, late_ ? 1 : UINT64_MAX);
      fills_.Submit();
      if (late_) fills_.ExpireUntil(2);
      while (!told_) executor_.Run();
      evidence.fill = std::move(fill_);
      evidence.timed_out = evidence.fill == nullptr;
      ++evidence.attempts;
      outcome = command(of, &evidence);
    }
    while (!fills_.Idle()) executor_.Run();
    return outcome;
  }
  void FillDone(std::shared_ptr<const Fill> fill) override {
    fill_ = std::move(fill);
    told_ = true;
  }
  // From now on every read misses its deadline.
  void BeLate(bool late) { late_ = late; }

  ItemMeta item;            // of the last command that changed one
  uint64_t cas_unique = 0;  // of the last store
  uint64_t number = 0;      // of the last incr or decr

 private:
  Cache& cache_;
  CrankedExecutor executor_;
  FillQueue fills_;
  std::shared_ptr<const Fill> fill_;
  bool told_ = false;
  bool late_ = false;
};

}  // namespace terraced::tiering
