#include "tests/torture/torture_sweep.h"

#include <algorithm>
#include <optional>

#include "storage/base/clock.h"

namespace terraced::torture {
namespace {

using support::HistoryKeys;
using support::Moment;

constexpr size_t kKeysAtOnce = 64;

class Sweeper {
 public:
  Sweeper(support::Client& client, const Kept& kept, support::HistoryBook* book)
      : client_(client), kept_(kept), book_(*book) {}

  Status AskFor(size_t first, size_t last);
  SweepResult Take() { return std::move(result_); }

 private:
  void Count(bool hit, const std::optional<uint64_t>& held_since);

  support::Client& client_;
  const Kept kept_;
  support::HistoryBook& book_;
  SweepResult result_;
};

void Sweeper::Count(bool hit, const std::optional<uint64_t>& held_since) {
  ++result_.gets;
  if (hit) ++result_.hits;
  if (!held_since || *held_since < kept_.from_us) return;
  if (*held_since < kept_.to_us) {
    ++result_.flash_expected;
    result_.flash_kept += hit ? 1U : 0U;
  } else if (*held_since < kept_.ram_to_us) {
    ++result_.ram_expected;
    result_.ram_kept += hit ? 1U : 0U;
  }
}

Status Sweeper::AskFor(size_t first, size_t last) {
  std::string request = "get";
  std::vector<std::optional<uint64_t>> held_since;
  const Moment begin = Moment::Now();
  for (size_t key = first; key < last; ++key) {
    request.append(" ").append(HistoryKeys::Name(key));
    held_since.push_back(book_.history.HeldSince(key, begin));
  }
  const std::string reply = client_.Ask(request + "\r\n");
  const Moment end = Moment::Now();
  if (!reply.ends_with("END\r\n")) {
    return Status(StatusCode::kUnavailable, "the sweep was answered by " + reply.substr(0, 200));
  }
  const std::vector<support::ValueBlock> blocks = support::ParseValues(reply);
  size_t block = 0;  // hits come in the order of the keys
  for (size_t key = first; key < last; ++key) {
    const bool hit = block < blocks.size() && blocks[block].key == HistoryKeys::Name(key);
    Count(hit, held_since[key - first]);
    if (!hit) continue;
    if (result_.first_hit_us == 0) result_.first_hit_us = end.us;
    support::Violation stale = book_.history.JudgeHit(key, blocks[block++].data, begin, end);
    if (stale.has_value()) result_.stale.push_back(std::move(*stale));
  }
  if (block != blocks.size()) return Status(StatusCode::kCorruption, "an unasked value");
  return Status();
}

}  // namespace

Result<SweepResult> Sweep(support::Client& client, const Kept& kept, support::HistoryBook* book) {
  Sweeper sweeper(client, kept, book);
  const size_t count = book->keys.Count();
  for (size_t first = 0; first < count; first += kKeysAtOnce) {
    TERRACED_RETURN_IF_ERROR(sweeper.AskFor(first, std::min(first + kKeysAtOnce, count)));
  }
  return sweeper.Take();
}

}  // namespace terraced::torture
