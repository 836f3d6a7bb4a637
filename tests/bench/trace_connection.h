// TraceConnection: one connection of a replay. A round's requests are gathered, sent while the replies are read,
// and each reply is judged where it lies in the buffer: support::Client, which copies every reply, would cost as
// much as a fast server.
// Threads: one at a time. Ownership: closes its socket.
// Errors: Status when the server closes or says what is no reply; a reply that refuses is only counted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/status.h"
#include "tests/bench/trace_operation.h"

namespace terraced::bench {

struct ReplayCounts {
  uint64_t operations = 0;  // of the trace; what follows a miss is none
  uint64_t gets = 0;
  uint64_t hits = 0;
  uint64_t wrong = 0;    // hits with another key's value
  uint64_t fills = 0;    // sets after a miss
  uint64_t sets = 0;     // of the trace
  uint64_t deletes = 0;  // of the trace
  uint64_t refused = 0;  // sets and fills that were not stored
  uint64_t errors = 0;   // gets and deletes that were answered with an error
  uint64_t hit_bytes = 0;
  uint64_t set_bytes = 0;  // keys and values, fills included
};

class TraceConnection {
 public:
  static Result<std::unique_ptr<TraceConnection>> Connect(int port);
  ~TraceConnection();
  TraceConnection(const TraceConnection&) = delete;
  TraceConnection& operator=(const TraceConnection&) = delete;

  void Add(const TraceOperation& operation, uint64_t key_hash, ReplayCounts* counts);
  // Sends and reads what the socket takes and has at this moment.
  Status Progress(ReplayCounts* counts);
  bool Done() const { return answered_ == asked_.size() && sent_ == output_.size(); }
  // Begins the next round with sets of what this one missed, and says whether there are any.
  bool StartRound(ReplayCounts* counts);

  int Descriptor() const { return descriptor_; }
  // What poll() should wait for.
  short Awaits() const;

 private:
  struct Asked {
    TraceVerb verb;
    bool missed = false;
    uint16_t key_length;
    uint32_t value_bytes;
    uint32_t ttl_s;
    uint64_t key_hash;
    size_t key_at;  // in keys_
  };

  explicit TraceConnection(int descriptor);
  void AppendSet(std::string_view key, const Asked& asked, ReplayCounts* counts);
  std::string_view KeyOf(const Asked& asked) const {
    return std::string_view(keys_).substr(asked.key_at, asked.key_length);
  }
  // A later request of the round is for the same key.
  bool IsAskedAgain(size_t index) const;
  Status SendSome();
  Status ReadSome();
  void MakeRoom();
  Status JudgeReplies(ReplayCounts* counts);
  // The bytes of the reply in front, 0 while it is not whole; judges it when it is.
  Result<size_t> JudgeReply(std::string_view pending, Asked* asked, ReplayCounts* counts);
  Result<size_t> JudgeValue(std::string_view pending, size_t line_bytes, const Asked& asked,
                            ReplayCounts* counts);

  const int descriptor_;
  std::string output_;
  size_t sent_ = 0;
  std::string keys_;
  std::vector<Asked> asked_;
  size_t answered_ = 0;
  std::vector<char> input_;  // [taken_, filled_) is not judged yet
  size_t taken_ = 0;
  size_t filled_ = 0;
};

}  // namespace terraced::bench
