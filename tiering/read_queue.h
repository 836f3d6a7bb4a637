// ReadQueue: fills that wait for a reader, in an order that is fair to those who ask. Each read is charged to its asker at
// about what it will cost; who had less so far comes first, so one who asks for little now and then does not wait
// behind those who ask for much. It is weighted fair queueing with equal weights: a read's turn ends where its asker's
// last one did, or now if that is past, plus its charge; the earliest end is next. Nobody waits for ever, because now
// moves on with what is read, by each asker's share of it.
// Threads: externally synchronised. Ownership: shares its fills.
// Sizes: as many fills as are wanted; connections limit that (src/net).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace terraced::tiering {

class Fill;

// When it is a read's turn, in bytes of the queue's time.
struct ReadTurn {
  uint64_t end = 0;
  uint64_t charge = 0;
};

// One who asks: a connection. It belongs to its worker's thread.
struct ReadAsker {
  uint64_t expected_bytes = 0;  // of a read, as far as those before tell
  uint64_t last_end = 0;
  // The turn that its next read would have, and (Took) has.
  ReadTurn Next(uint64_t now) const;
  void Took(const ReadTurn& turn) { last_end = turn.end; }
};

class ReadQueue {
 public:
  void Push(std::shared_ptr<Fill> fill, const ReadTurn& turn);
  // Whose turn it is; the queue is not empty.
  std::shared_ptr<Fill> Pop();
  // What Pop() gave and nobody read goes back to where it was.
  void PutBack(std::shared_ptr<Fill> fill, const ReadTurn& turn);

  bool Empty() const { return waiting_.empty(); }
  size_t Size() const { return waiting_.size(); }
  uint64_t Now() const { return now_; }

 private:
  struct Waiting {
    ReadTurn turn;
    uint64_t number = 0;  // who came first, where turns end together
    std::shared_ptr<Fill> fill;
  };
  static bool IsLater(const Waiting& one, const Waiting& other);
  void Insert(std::shared_ptr<Fill> fill, const ReadTurn& turn, uint64_t number);

  std::vector<Waiting> waiting_;  // a heap, the next one in front
  uint64_t last_number_ = 1ULL << 63;
  uint64_t first_number_ = 1ULL << 63;
  uint64_t latest_end_ = 0;
  uint64_t now_ = 0;
};

}  // namespace terraced::tiering
