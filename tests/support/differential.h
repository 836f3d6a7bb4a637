// Differential: sends one stream of requests to the reference server and to the daemon under test and compares
// the replies byte by byte. CAS uniques differ by nature: each server's are paired in the order of their first
// appearance, a pair must hold from then on, and a key's grow on both sides or on none. What else may differ is listed
// in known_differences.h, and counted. A miss where the reference hits is followed by a delete on both sides, so that
// one loss is one difference.
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
#include "tests/support/known_differences.h"
#include "tests/support/remade_keys.h"
#include "tests/support/request_generator.h"
#include "tests/support/wire.h"

namespace terraced::support {

class Differential {
 public:
  Differential(Protocol protocol, const Daemon& reference, const Daemon& tested);

  // All of them in one write to each server; a malformed request must be alone. False: a difference.
  bool Exchange(const std::vector<GeneratedRequest>& requests);

  const std::string& Failure() const { return failure_; }
  uint64_t Requests() const { return requests_; }
  uint64_t Reads() const { return reads_; }
  uint64_t Hits() const { return hits_; }
  // How often each class of KnownDifferences() occurred.
  uint64_t Known(size_t known) const { return known_[known]; }

 private:
  static constexpr size_t kConnections = 3;
  struct Asked {
    std::string text;
    std::string reference_reply;
    std::string tested_reply;
    std::vector<std::string> keys;
  };
  using UniquePair = std::pair<uint64_t, uint64_t>;  // the reference's, the tested one's

  void Connect(size_t i);
  bool ReadReplies(const std::vector<GeneratedRequest>& requests);
  bool ReadMalformedReplies(const GeneratedRequest& request);
  bool Compare(const GeneratedRequest& request, const std::string& reference,
               const std::string& tested);
  bool CompareReplies(const Asked& asked, const GeneratedRequest& request);
  bool CompareValues(const Asked& asked);
  bool SameBlock(const ValueBlock& reference, const ValueBlock& tested);
  bool PairUniques(const std::string& key, uint64_t reference, uint64_t tested);
  bool IsTainted(const std::vector<std::string>& keys) const;
  void AcceptMiss(const std::string& key);
  bool ResyncTainted();
  void Remember(Asked asked);
  bool Fail(const Asked& asked, const std::string& what);

  const Protocol protocol_;
  const Daemon& reference_daemon_;
  const Daemon& tested_daemon_;
  const std::unique_ptr<Wire> wire_;
  std::array<std::unique_ptr<Client>, kConnections> reference_;
  std::array<std::unique_ptr<Client>, kConnections> tested_;
  // Speak the binary protocol, whatever the others do: it can name any key.
  const std::unique_ptr<Client> reference_cleaner_;
  const std::unique_ptr<Client> tested_cleaner_;
  size_t turn_ = 0;
  std::unordered_map<uint64_t, uint64_t> tested_unique_of_;     // by the reference's
  std::unordered_map<uint64_t, uint64_t> reference_unique_of_;  // by the tested one's
  std::unordered_map<std::string, UniquePair> last_uniques_;    // by key
  RemadeKeys remade_;
  std::set<std::string> tainted_;  // lost by the tested server in this exchange
  std::deque<Asked> recent_;
  std::string exchange_;  // the requests of the exchange under way, for the failure's text
  std::string failure_;
  uint64_t requests_ = 0;
  uint64_t reads_ = 0;
  uint64_t hits_ = 0;
  std::array<uint64_t, kKnownDifferencesMax> known_ = {};
};

}  // namespace terraced::support
