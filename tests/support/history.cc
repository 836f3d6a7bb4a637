#include "tests/support/history.h"

#include <algorithm>
#include <functional>

#include "storage/base/check.h"
#include "storage/base/clock.h"

namespace terraced::support {
namespace {

constexpr size_t kShownStates = 8;
constexpr size_t kShownValueBytes = 80;

std::string Since(uint64_t us, Moment begin) {
  const int64_t difference = static_cast<int64_t>(us) - static_cast<int64_t>(begin.us);
  return (difference >= 0 ? "+" : "") + std::to_string(difference) + " us";
}

// The readable part of a value: what stands before its noise.
std::string HeadOf(std::string_view value) {
  return std::string(value.substr(0, std::min<size_t>(value.find(';'), kShownValueBytes)));
}

const char* NameOf(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::kStore:
      return "store";
    case ChangeKind::kRemove:
      return "remove";
    case ChangeKind::kTouch:
      return "touch";
  }
  return "?";
}

}  // namespace

Moment Moment::Now() {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return {.us = MonotonicUs(),
          .wall_s = std::chrono::duration_cast<std::chrono::seconds>(wall).count()};
}

History::History(size_t key_count) {
  for (size_t i = 0; i < key_count; ++i) {
    keys_.push_back(std::make_unique<KeyHistory>());
    MutexLock lock(keys_.back()->mutex);
    State never;  // absent since ever
    never.end_us = never.stored_us = 0;
    keys_.back()->states.push_back(never);
  }
}

uint64_t History::ContentOf(std::string_view value) {
  const uint64_t hash = std::hash<std::string_view>()(value);
  return hash == kAbsent ? 1 : hash;
}

void History::BeginChange(size_t key, const Change& change, Moment now) {
  KeyHistory& history = *keys_[key];
  MutexLock lock(history.mutex);
  States& states = history.states;
  const bool broken = states.back().broken_us != kNotYet;
  TERRACED_CHECK(states.back().end_us != kNotYet || broken);  // one change of a key at a time
  TERRACED_CHECK(!broken || (!change.needs_value && !change.keeps_exptime));
  for (const State* next = Answered(states, 1);
       next != nullptr && next->end_us + kForgetAfterUs < now.us; next = Answered(states, 1)) {
    states.pop_front();
  }
  State state;
  state.kind = change.kind;
  state.version = change.version;
  state.needs_value = change.needs_value;
  state.keeps_exptime = change.keeps_exptime;
  state.ttl_s = change.ttl_s;
  state.begin = now;
  if (change.kind == ChangeKind::kStore) state.content = ContentOf(change.value);
  if (change.kind == ChangeKind::kTouch) {
    state.content = states.back().content;
    state.stored_us = states.back().stored_us;
  }
  states.push_back(state);
}

Violation History::EndChange(size_t key, Applied applied, Moment now) {
  KeyHistory& history = *keys_[key];
  MutexLock lock(history.mutex);
  States& states = history.states;
  TERRACED_CHECK(states.size() > 1 && states.back().end_us == kNotYet);
  TERRACED_CHECK(states.back().broken_us == kNotYet);
  if (applied == Applied::kNo) {
    states.pop_back();
    return std::nullopt;
  }
  State& state = states.back();
  std::string why_dead;
  if (state.needs_value) why_dead = WhyNoneAlive(states, states.size() - 1, state.begin);
  state.end_us = now.us;
  if (state.kind != ChangeKind::kTouch) state.stored_us = now.us;
  if (state.ttl_s > 0) state.expires_s = now.wall_s + state.ttl_s;
  if (state.keeps_exptime) state.expires_s = states[states.size() - 2].expires_s;
  if (why_dead.empty()) return std::nullopt;
  return std::string(NameOf(state.kind)) + " worked on an item that " + why_dead + "\n" +
         Describe(key, states, state.begin);
}

void History::BreakOffChange(size_t key, Moment now) {
  KeyHistory& history = *keys_[key];
  MutexLock lock(history.mutex);
  State& state = history.states.back();
  TERRACED_CHECK(state.end_us == kNotYet && state.broken_us == kNotYet);
  state.broken_us = now.us;
}

Violation History::JudgePresence(size_t key, Moment begin) const {
  const KeyHistory& history = *keys_[key];
  MutexLock lock(history.mutex);
  const States& states = history.states;
  const bool pending = states.back().end_us == kNotYet && states.back().broken_us == kNotYet;
  const std::string why_dead = WhyNoneAlive(states, states.size() - (pending ? 1 : 0), begin);
  if (why_dead.empty()) return std::nullopt;
  return "the server found an item that " + why_dead + "\n" + Describe(key, states, begin);
}

bool History::Flushed(const State& state, Moment begin) const {
  MutexLock lock(flush_mutex_);
  for (const Flush& flush : flushes_) {
    if (flush.begin_us > state.stored_us && flush.end_us < begin.us) return true;
  }
  return false;
}

const History::State* History::Answered(const States& states, size_t from) {
  for (size_t i = from; i < states.size(); ++i) {
    if (states[i].end_us != kNotYet) return &states[i];
  }
  return nullptr;
}

std::string History::WhyNoneAlive(const States& states, size_t count, Moment begin) const {
  std::string why_dead;
  for (size_t i = count; i-- > 0;) {
    why_dead = WhyDead(states[i], nullptr, begin);
    if (why_dead.empty() || states[i].broken_us == kNotYet) break;
  }
  return why_dead;
}

void History::Settle(States* states, size_t seen, Moment begin, Moment end) {
  State& state = (*states)[seen];
  if (state.broken_us != kNotYet) {
    state.broken_us = kNotYet;
    state.end_us = end.us;
    if (state.kind != ChangeKind::kTouch) state.stored_us = end.us;
  }
  const auto after = states->begin() + static_cast<ptrdiff_t>(seen) + 1;
  states->erase(std::remove_if(after, states->end(),
                               [&](const State& later) { return later.broken_us < begin.us; }),
                states->end());
}

std::string History::WhyDead(const State& state, const State* next, Moment begin) const {
  if (state.content == kAbsent) return "was not there";
  if (next != nullptr && next->end_us < begin.us) {
    return std::string("was ended by a ") + NameOf(next->kind) + " acknowledged at " +
           Since(next->end_us, begin);
  }
  if (state.expires_s != 0 && begin.wall_s > state.expires_s + kExpirySlackS) {
    return "expired " + std::to_string(begin.wall_s - state.expires_s) + " s before";
  }
  if (Flushed(state, begin)) return "was flushed";
  return std::string();
}

Violation History::JudgeHit(size_t key, std::string_view value, Moment begin, Moment end) {
  const uint64_t content = ContentOf(value);
  KeyHistory& history = *keys_[key];
  MutexLock lock(history.mutex);
  States& states = history.states;
  std::string why_dead = "was never stored, or long ago";
  for (size_t i = states.size(); i-- > 0;) {
    const State& state = states[i];
    if (state.content != content) continue;
    if (state.begin.us > end.us) {
      why_dead = "was asked to be stored only later";
      continue;
    }
    why_dead = WhyDead(state, Answered(states, i + 1), begin);
    if (!why_dead.empty()) continue;
    Settle(&states, i, begin, end);
    return std::nullopt;
  }
  return "a get returned a value that " + why_dead + ": " + HeadOf(value) + " (" +
         std::to_string(value.size()) + " bytes), answered at " + Since(end.us, begin) + "\n" +
         Describe(key, states, begin);
}

std::string History::Describe(size_t key, const States& states, Moment begin) {
  std::string text = "  key " + std::to_string(key) + ", times from the request that showed it:";
  const size_t first = states.size() > kShownStates ? states.size() - kShownStates : 0;
  for (size_t i = first; i < states.size(); ++i) {
    const State& state = states[i];
    text += "\n    " + std::string(NameOf(state.kind)) + " version " +
            std::to_string(state.version) + " sent " + Since(state.begin.us, begin) +
            (state.broken_us != kNotYet ? ", broken off " + Since(state.broken_us, begin)
             : state.end_us == kNotYet  ? ", not answered yet"
                                        : ", answered " + Since(state.end_us, begin)) +
            (state.expires_s == 0
                 ? ""
                 : ", expires at " + std::to_string(state.expires_s - begin.wall_s) + " s");
  }
  return text;
}

std::optional<uint64_t> History::HeldSince(size_t key, Moment now) const {
  const KeyHistory& history = *keys_[key];
  MutexLock lock(history.mutex);
  const State& last = history.states.back();
  if (last.end_us == kNotYet || last.content == kAbsent) return std::nullopt;
  if (last.expires_s != 0 && last.expires_s <= now.wall_s + kExpirySlackS) return std::nullopt;
  MutexLock flush_lock(flush_mutex_);
  for (const Flush& flush : flushes_) {
    if (std::min(flush.end_us, flush.last_us) > last.begin.us) return std::nullopt;
  }
  return last.end_us;
}

size_t History::BeginFlush(Moment now) {
  MutexLock lock(flush_mutex_);
  flushes_.push_back({.begin_us = now.us});
  return flushes_.size() - 1;
}

void History::EndFlush(size_t flush, Moment now) {
  MutexLock lock(flush_mutex_);
  flushes_[flush].end_us = now.us;
}

void History::BreakOffFlush(size_t flush, Moment last) {
  MutexLock lock(flush_mutex_);
  flushes_[flush].last_us = last.us;
}

}  // namespace terraced::support
