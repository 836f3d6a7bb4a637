// HistoryBook: what outlives a history run and the server it ran against: the judge, and what each writer knows of its
// keys. A server that was killed and started again is judged by the book it left.
// Threads: one run at a time. Ownership: owns judge and writers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/support/history.h"
#include "tests/support/history_writer.h"

namespace terraced::support {

struct HistoryBook {
  HistoryBook(const HistoryKeys& the_keys, uint32_t writer_count, uint32_t value_bytes_max,
              uint64_t seed)
      : keys(the_keys), history(keys.Count() + 1) {
    for (uint32_t i = 0; i < writer_count; ++i) {
      writers.push_back(
          std::make_unique<HistoryWriter>(i, seed * 2'000 + i, keys, value_bytes_max, history));
      fills.push_back(i);
    }
  }
  // Beside the writers' keys: the one of the ambush.
  size_t AmbushKey() const { return keys.Count(); }

  const HistoryKeys keys;
  History history;
  std::vector<std::unique_ptr<HistoryWriter>> writers;  // each has the keys of its remainder
  std::vector<size_t> fills;  // by writer: the key that it sets next, in turn
  Moment flush_due;           // of the last delayed flush: over by then
};

}  // namespace terraced::support
