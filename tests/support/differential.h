// Differential: sends one stream of requests to the reference server and to the daemon under test and compares
// the replies byte by byte. CAS uniques differ by nature: each server's are paired in the order of their first
// appearance, and a pair must hold from then on. A miss where the reference hits is allowed (a cache may lose),
// counted, and followed by a delete on both sides, so that one loss is one difference.
// Threads: one at a time. Ownership: borrows the daemons; has connections of its own.
// Errors: the first real difference ends the run; Failure() then has the request, both replies and what was
// last asked about its key.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/support/client.h"
#include "tests/support/daemon.h"
#include "tests/support/request_generator.h"

namespace terraced::support {

class Differential {
 public:
  Differential(const Daemon& reference, const Daemon& tested);

  // All of them in one write to each server; a malformed request must be alone. False: a difference.
  bool Exchange(std::vector<GeneratedRequest> requests);
  // Reads every key from both.
  bool Sweep(const std::vector<std::string>& keys);

  const std::string& Failure() const { return failure_; }
  uint64_t Requests() const { return requests_; }
  uint64_t Reads() const { return reads_; }
  uint64_t Hits() const { return hits_; }
  uint64_t AcceptedMisses() const { return accepted_misses_; }

 private:
  static constexpr size_t kConnections = 3;
  struct Asked {
    std::string text;
    std::string reference_reply;
    std::string tested_reply;
    std::vector<std::string> keys;
  };

  std::string TextFor(const GeneratedRequest& request, bool for_reference) const;
  bool ReadReplies(const std::vector<GeneratedRequest>& requests);
  bool ReadMalformedReplies(const GeneratedRequest& request);
  bool Compare(const Asked& asked, ReplyShape shape);
  bool CompareValues(const Asked& asked);
  bool SameBlock(const ValueBlock& reference, const ValueBlock& tested);
  bool PairUniques(const ValueBlock& reference, const ValueBlock& tested);
  bool IsTainted(const Asked& asked) const;
  void AcceptMiss(const std::string& key);
  bool ResyncTainted();
  bool Fail(const Asked& asked, const std::string& what);

  std::array<std::unique_ptr<Client>, kConnections> reference_;
  std::array<std::unique_ptr<Client>, kConnections> tested_;
  size_t turn_ = 0;
  std::string reference_version_;  // the replies that end an exchange of unknown length
  std::string tested_version_;
  std::unordered_map<std::string, std::string> tested_unique_of_;     // by the reference's
  std::unordered_map<std::string, std::string> reference_unique_of_;  // by the tested one's
  std::unordered_map<std::string, std::pair<std::string, std::string>> last_uniques_;  // by key
  std::set<std::string> tainted_;  // lost by the tested server in this exchange
  std::deque<Asked> recent_;
  std::string exchange_;  // the requests of the exchange under way, for the failure's text
  std::string failure_;
  uint64_t requests_ = 0;
  uint64_t reads_ = 0;
  uint64_t hits_ = 0;
  uint64_t accepted_misses_ = 0;
};

}  // namespace terraced::support
