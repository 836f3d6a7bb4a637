#include "tiering/read_queue.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"

namespace terraced::tiering {
namespace {

// What a read costs however short its record is: a lookup, and a block of the file.
constexpr uint64_t kReadBytes = 4U << 10;

}  // namespace

ReadTurn ReadAsker::Next(uint64_t now) const {
  const uint64_t charge = kReadBytes + expected_bytes;
  return {.end = std::max(now, last_end) + charge, .charge = charge};
}

bool ReadQueue::IsLater(const Waiting& one, const Waiting& other) {
  return one.turn.end != other.turn.end ? one.turn.end > other.turn.end : one.number > other.number;
}

void ReadQueue::Insert(std::shared_ptr<Fill> fill, const ReadTurn& turn, uint64_t number) {
  waiting_.push_back({turn, number, std::move(fill)});
  std::push_heap(waiting_.begin(), waiting_.end(), &IsLater);
  latest_end_ = std::max(latest_end_, turn.end);
}

void ReadQueue::Push(std::shared_ptr<Fill> fill, const ReadTurn& turn) {
  Insert(std::move(fill), turn, ++last_number_);
}

void ReadQueue::PutBack(std::shared_ptr<Fill> fill, const ReadTurn& turn) {
  Insert(std::move(fill), turn, --first_number_);
}

std::shared_ptr<Fill> ReadQueue::Pop() {
  TERRACED_DCHECK(!waiting_.empty());
  // How many askers share what is read is not known: there are at most as many as reads, so now is never ahead of
  // what is fair to those who wait, and catches up with the beginning of the turn at the latest.
  const ReadTurn turn = waiting_.front().turn;
  const uint64_t shared = now_ + std::max<uint64_t>(turn.charge / waiting_.size(), 1);
  std::pop_heap(waiting_.begin(), waiting_.end(), &IsLater);
  std::shared_ptr<Fill> fill = std::move(waiting_.back().fill);
  waiting_.pop_back();
  // Where nobody waits, nobody was kept waiting by what others had: all begin anew.
  now_ = waiting_.empty() ? latest_end_ : std::max(shared, turn.end - turn.charge);
  return fill;
}

}  // namespace terraced::tiering
