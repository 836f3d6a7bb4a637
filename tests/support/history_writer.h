// HistoryWriter: the thread of a history run that changes keys; only it changes its keys, so it always knows
// what each must hold. Values name their key, version and writer, and never repeat.
// It may live longer than a server: a change that the server's death left unanswered is broken off, and the key's next
// change is a plain set.
// Threads: one. Ownership: borrows history and client.
// Errors: kUnavailable where the connection broke; else a Status for replies that should not come.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <unordered_map>

#include "storage/base/status.h"
#include "tests/support/client.h"
#include "tests/support/history.h"

namespace terraced::support {

// Keys are numbered: text keys first, then number keys (values that incr can count).
struct HistoryKeys {
  uint32_t text_keys = 0;
  uint32_t number_keys = 0;
  uint32_t Count() const { return text_keys + number_keys; }
  bool IsNumber(size_t key) const { return key >= text_keys; }
  static std::string Name(size_t key) { return "h" + std::to_string(key); }
};

// Bytes that do not compress.
void AppendNoise(std::mt19937_64& random, size_t bytes, std::string* text);

class HistoryWriter {
 public:
  HistoryWriter(uint32_t index, uint64_t seed, const HistoryKeys& keys, uint32_t value_bytes_max,
                History& history)
      : index_(index),
        keys_(keys),
        value_bytes_max_(value_bytes_max),
        history_(history),
        random_(seed) {}

  // Before the first change, and again with each server.
  void Use(Client& client) { client_ = &client; }
  // One random change of the key, which must be this writer's, with its request and reply.
  Status ChangeOnce(size_t key, Violation* violation);
  // A plain set, to fill the server.
  Status FillOnce(size_t key, Violation* violation) { return Set(key, "set", violation); }

 private:
  struct Known {
    uint64_t version = 0;
    std::string value;    // what the key holds if it holds anything
    uint64_t number = 0;  // last one used for a number key: they only grow
    bool unsure = false;  // the last change was broken off
  };

  Status Set(size_t key, const char* verb, Violation* violation);
  Status SetQuietly(size_t key, Violation* violation);
  Status Cas(size_t key, Violation* violation);
  Status Append(size_t key, Violation* violation);
  Status Increment(size_t key, Violation* violation);
  Status Delete(size_t key, Violation* violation);
  Status Touch(size_t key, bool and_get, Violation* violation);

  std::string NewValue(size_t key, uint64_t version);
  // Finishes a conditional change by its reply: `yes` applied, `no` refused; anything else is a Status.
  Status Conclude(size_t key, const std::string& reply, std::string_view yes, std::string_view no,
                  Violation* violation);
  int64_t AnyTtl();
  uint64_t Below(uint64_t bound) { return random_() % bound; }
  static Status Unexpected(const std::string& request, const std::string& reply);
  // A reply that will not come any more.
  static bool Broke(const std::string& reply);
  Status BreakOff(size_t key);
  // The data block in pieces with pauses, as from a slow client.
  std::string StoreSlowly(const std::string& line, const std::string& value);

  const uint32_t index_;
  const HistoryKeys keys_;
  const uint32_t value_bytes_max_;
  History& history_;
  Client* client_ = nullptr;
  std::mt19937_64 random_;
  std::unordered_map<size_t, Known> known_;
};

}  // namespace terraced::support
