// Wire: how the differential test speaks one protocol: the bytes of a request, the request whose reply ends an
// exchange, which reply is whose, and where CAS uniques stand in it.
// Threads: one at a time. Ownership: plain values; borrows the client for a call.
// Errors: Status when the server closes, is silent, or answers what belongs to no request.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "storage/base/status.h"
#include "tests/support/client.h"
#include "tests/support/request_generator.h"

namespace terraced::support {

// A reply whose CAS uniques are taken out: they differ between two servers by nature.
struct MaskedReply {
  std::string text;
  std::vector<uint64_t> uniques;  // in the order of their appearance
};

class Wire {
 public:
  static std::unique_ptr<Wire> Create(Protocol protocol);
  virtual ~Wire() = default;

  // With that unique where the request wants one.
  virtual std::string BytesOf(const GeneratedRequest& request, uint64_t unique) const = 0;
  virtual std::string EndRequest() const = 0;
  // One for each request, empty where it had none; reads through the end's reply.
  virtual Result<std::vector<std::string>> ReadReplies(
      Client& client, const std::vector<GeneratedRequest>& requests) const = 0;
  // All there are before the end's reply, or before the server closes.
  struct Rest {
    std::string bytes;
    bool closed = false;
    bool silent = false;  // neither came in time
  };
  Rest ReadRest(Client& client) const;
  // Of one reply, as ReadReplies gives it.
  virtual MaskedReply Mask(const std::string& reply) const = 0;
  // The reply to a request that reads shows an item.
  virtual bool ShowsItem(const std::string& reply) const = 0;

 protected:
  // The next reply, or line, whole.
  virtual Result<std::string> ReadUnit(Client& client) const = 0;
  virtual bool IsEnd(const std::string& unit) const = 0;
  // Those up to the end's, given out: a quiet request has one if `answers` says that it is its.
  Result<std::vector<std::string>> ReadAndAssign(
      Client& client, const std::vector<GeneratedRequest>& requests) const;
  // Whether the unit answers requests[i], a quiet one.
  virtual bool Answers(const std::string& unit, const std::vector<GeneratedRequest>& requests,
                       size_t i) const = 0;
};

}  // namespace terraced::support
