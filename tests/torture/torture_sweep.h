// Sweep: after a start, a get of every key, judged by the history; and whether what must have outlived the death is there.
// Threads: one. Ownership: borrows book and client. Errors: Status when the daemon does not answer as it should.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "storage/base/status.h"
#include "tests/support/client.h"
#include "tests/support/history_book.h"

namespace terraced::torture {

// Keys that were last changed within these moments (replies received, monotonic clock), for certain, must be there. Older
// ones may have gone with their batch.
struct Kept {
  uint64_t from_us = 0;
  uint64_t to_us =
      0;  // flash: when the last demotion of everything that was answered was asked for
  uint64_t ram_to_us = 0;  // RAM: the death
};

struct SweepResult {
  uint64_t gets = 0;
  uint64_t hits = 0;
  uint64_t first_hit_us = 0;  // monotonic clock; 0: there was none
  uint64_t flash_expected = 0;
  uint64_t flash_kept = 0;
  uint64_t ram_expected = 0;  // changed since that demotion
  uint64_t ram_kept = 0;
  std::vector<std::string> stale;
};

Result<SweepResult> Sweep(support::Client& client, const Kept& kept, support::HistoryBook* book);

}  // namespace terraced::torture
