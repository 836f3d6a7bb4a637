// LoadConnection: one client of a load: a batch of requests in one write, then all of their replies.
// Everything it does for a request is a few dozen nanoseconds: what is to be measured is the server.
// Threads: one. Ownership: owns its socket. Errors: Connect's Status; a server that hangs up or answers what no
// request asked for ends the program with one line (a load has nothing to go on with).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "tests/bench/load_keys.h"
#include "tests/bench/load_shape.h"

namespace terraced::bench {

struct LoadCounts {
  uint64_t operations = 0;  // keys asked for and keys set
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t stored = 0;
  uint64_t refused = 0;  // sets that were not stored
  uint64_t wrong = 0;    // values that belong to another key
};

class LoadConnection {
 public:
  static Result<std::unique_ptr<LoadConnection>> Connect(const LoadShape& shape);
  ~LoadConnection();
  LoadConnection(const LoadConnection&) = delete;
  LoadConnection& operator=(const LoadConnection&) = delete;

  // Requests are gathered, then sent together. `begun_ns` is when their time began to count.
  void AddGet(KeyPicker& keys, uint64_t key_count, uint64_t begun_ns);
  void AddSet(uint64_t number, uint64_t begun_ns);
  void Send();
  // Reads what has come. True: everything that was asked has been answered. done(begun_ns) per request.
  template <typename Done>
  bool Receive(LoadCounts* counts, Done done) {
    Fill();
    uint64_t begun_ns = 0;
    while (Answered(counts, &begun_ns)) done(begun_ns);
    Compact();
    return IsIdle();
  }
  bool IsIdle() const { return asked_.size() == next_; }
  uint64_t Waiting() const { return asked_.size() - next_; }
  int Fd() const { return fd_; }

  uint64_t index = 0;  // the load's

 private:
  struct Asked {
    uint64_t begun_ns = 0;
    uint64_t first = 0;      // number of the key, or where the keys of a get stand in keys_
    uint32_t key_count = 0;  // 0: a set
  };

  LoadConnection(const LoadShape& shape, int fd);
  void Fill();
  bool Answered(LoadCounts* counts, uint64_t* begun_ns);
  bool AnsweredGet(const Asked& asked, LoadCounts* counts);
  void CheckValue(const char* header, uint64_t number, LoadCounts* counts) const;
  void Compact();
  char* Grow(size_t bytes);

  const LoadShape& shape_;
  const int fd_;
  size_t header_bytes_ = 0;  // "VALUE <key> 0 <bytes>\r\n"
  std::vector<char> out_;
  size_t out_bytes_ = 0;
  std::vector<Asked> asked_;
  size_t next_ = 0;  // the first that is not answered
  std::vector<uint64_t> keys_;
  std::vector<char> in_;
  size_t in_begin_ = 0;
  size_t in_end_ = 0;
  // Of the get at next_: what has been read of its reply already.
  uint32_t keys_seen_ = 0;
  uint32_t hits_seen_ = 0;
};

}  // namespace terraced::bench
