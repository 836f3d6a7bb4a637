// History: the judge of the history checker. It is told every change of every key when its request is sent and
// when its reply has come, and says of every value that a get returned whether it could have been the key's
// value at some moment between the get's request and its reply. A cache may lose: a miss is always right.
// A value is wrong if, before the get's request was sent, a reply had acknowledged that it was stored over,
// deleted or flushed, if it expired more than kExpirySlackS before, or if nobody ever stored it.
// A server may be killed and go on with what it kept: changes that it did not answer then are broken off. Such a change
// may have happened or not, until a value shows which; it never happens later.
// Threads: any number of readers; the changes of one key come from one thread at a time, one after the other,
// so their order is known.
// Ownership: keeps hashes of values, not values.
// Errors: a violation is a sentence that shows the value, the times and what was last done to the key.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/mutex.h"

namespace terraced::support {

// Servers keep exptimes in whole seconds of a clock that may lag by one.
constexpr int64_t kExpirySlackS = 2;

// Order is told by the monotonic clock, expiry by the wall clock.
struct Moment {
  uint64_t us = 0;
  int64_t wall_s = 0;
  static Moment Now();
};

enum class ChangeKind : uint8_t {
  kStore,   // set, add, replace, cas, append, prepend, incr, decr: a new value
  kRemove,  // delete; a store or touch that has expired at once
  kTouch,   // the value stays, its exptime changes
};

struct Change {
  ChangeKind kind = ChangeKind::kStore;
  uint64_t version = 0;        // for messages; grows with each change of the key
  std::string_view value;      // kStore: all of it
  int64_t ttl_s = 0;           // kStore, kTouch: 0 = never expires
  bool needs_value = false;    // it can only succeed on an item that is there
  bool keeps_exptime = false;  // append, incr: the item expires when it would have
};

enum class Applied : uint8_t {
  kYes,
  kNo,  // refused: the key is what it was
};

using Violation = std::optional<std::string>;

class History {
 public:
  explicit History(size_t key_count);

  // Before a change's request is sent, and after its reply.
  void BeginChange(size_t key, const Change& change, Moment now);
  Violation EndChange(size_t key, Applied applied, Moment now);
  // Instead of EndChange: the server died. The key's next change must be one that does not depend on its value.
  void BreakOffChange(size_t key, Moment now);
  // A change that was refused because the item was there (add: NOT_STORED): was it allowed to be there?
  // `begin` is the moment of BeginChange.
  Violation JudgePresence(size_t key, Moment begin) const;
  // A get that was sent at `begin` and answered at `end` with this value.
  Violation JudgeHit(size_t key, std::string_view value, Moment begin, Moment end);
  // Whether the key holds a value for certain, if nothing was lost: when it was last changed (the reply's time).
  std::optional<uint64_t> HeldSince(size_t key, Moment now) const;

  // flush_all is about every key and may overlap with anything.
  size_t BeginFlush(Moment now);
  // A delayed flush has ended when it must have happened, which may be told ahead.
  void EndFlush(size_t flush, Moment now);
  // Instead of EndFlush: the server died. `last` is when it may have happened at the latest.
  void BreakOffFlush(size_t flush, Moment last);

 private:
  static constexpr uint64_t kNotYet = UINT64_MAX;
  static constexpr uint64_t kAbsent = 0;
  // No get takes longer: what ended this long before the newest change can be forgotten.
  static constexpr uint64_t kForgetAfterUs = 120'000'000;

  // What a key was from one change to the next.
  struct State {
    uint64_t content = kAbsent;  // hash of the value
    uint64_t version = 0;
    ChangeKind kind = ChangeKind::kRemove;
    bool needs_value = false;
    bool keeps_exptime = false;
    int64_t ttl_s = 0;
    int64_t expires_s = 0;         // Unix seconds, the latest possible; 0: never, or not known yet
    Moment begin;                  // request sent
    uint64_t end_us = kNotYet;     // reply received
    uint64_t broken_us = kNotYet;  // broken off: there will be no reply
    uint64_t stored_us = kNotYet;  // reply to the change that stored the value: touching keeps it
  };
  using States = std::deque<State>;
  struct KeyHistory {
    mutable Mutex mutex;
    States states TERRACED_GUARDED_BY(mutex);
  };
  struct Flush {
    uint64_t begin_us = 0;
    uint64_t end_us = kNotYet;
    uint64_t last_us = kNotYet;  // it does not happen after that
  };

  static uint64_t ContentOf(std::string_view value);
  // Why a reader that began at `begin` cannot have seen this state; empty: it can.
  std::string WhyDead(const State& state, const State* next, Moment begin) const;
  // The same of all that the key may have been after the first `count` states: the last of them, or, where that is
  // broken off, one before it.
  std::string WhyNoneAlive(const States& states, size_t count, Moment begin) const;
  bool Flushed(const State& state, Moment begin) const;
  // The first state from `from` on whose change was answered; null: there is none.
  static const State* Answered(const States& states, size_t from);
  // A value was seen: what was broken off before it has happened, what was broken off after it has not.
  static void Settle(States* states, size_t seen, Moment begin, Moment end);
  static std::string Describe(size_t key, const States& states, Moment begin);

  std::vector<std::unique_ptr<KeyHistory>> keys_;  // constant after construction
  mutable Mutex flush_mutex_;
  std::vector<Flush> flushes_ TERRACED_GUARDED_BY(flush_mutex_);
};

}  // namespace terraced::support
