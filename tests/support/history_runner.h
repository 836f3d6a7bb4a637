// HistoryRunner: the load of the history checker. Writers change keys (each key belongs to one writer), readers
// get them, half of them among those that should be on flash alone by then, a demoter pushes everything to flash
// and shifts delays from one sync point to another, a flusher flushes now and then, a filler stores keys that
// nobody asks for, so that the flash tier turns over and its index grows. Every reply is judged by a History. The
// first violation ends the run. With a book the run goes on from an earlier one, and a server that dies ends it.
// Threads: RunHistory starts and joins its own.
// Errors: a reply that should not come (no answer, garbage) is an error of the run, not a violation.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/client.h"
#include "tests/support/history_book.h"

namespace terraced::support {

struct HistoryLoad {
  int port = 0;
  uint64_t seed = 1;
  std::chrono::seconds duration{20};
  // If `enough` is not true then, the run goes on until it is, with no flush but the first, and no longer than this.
  std::chrono::seconds longest{120};
  std::function<bool(Client&)> enough;
  uint32_t writers = 2;
  uint32_t readers = 3;
  uint32_t text_keys = 14'000;
  uint32_t number_keys = 200;
  uint32_t value_bytes_max = 2'000;
  uint32_t filler_keys_per_burst = 0;  // 0: no filler
  uint32_t filler_bytes_min = 20;
  uint32_t filler_bytes_max = 420;
  bool demotes = false;                          // the server has `debug demote` and `debug delay`
  std::chrono::milliseconds flush_every{6'000};  // 0: never

  // For runs on a server that is killed: the book goes on (writers and keys are the book's then), broken connections
  // are no error, writers never stop setting their keys in turn, and flushes do not wait for them.
  HistoryBook* book = nullptr;
  bool ambushes = true;  // if it demotes: begins with the race that traffic alone seldom meets
  uint32_t delayed_flush_pct = 0;  // so many of the flushes are delayed ones
  // Small values and large ones in turn; 0: all sizes at once.
  std::chrono::milliseconds filler_shifts_every{0};
  std::function<void(Client&)> watch;  // called now and then, on a connection of its own
};

struct HistoryReport {
  uint64_t gets = 0;  // keys asked for
  uint64_t hits = 0;
  uint64_t changes = 0;
  uint64_t flushes = 0;
  uint64_t demotes = 0;
  double seconds = 0;
  bool enough = true;
  uint64_t demote_asked_us = 0;  // when the last demote that was answered was asked for
  std::vector<std::string> violations;
  std::vector<std::string> errors;

  std::string Summary() const;
};

HistoryReport RunHistory(const HistoryLoad& load);

}  // namespace terraced::support
