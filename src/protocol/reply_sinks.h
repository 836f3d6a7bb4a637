// ReplySinks: one ReplySink per protocol, and which of them answers a request.
// Threads: one per worker. Ownership: borrows the clock, and the output that it was last bound to.
#pragma once

#include "src/commands/command_table.h"
#include "src/protocol/binary_reply.h"
#include "src/protocol/meta_reply.h"
#include "src/protocol/text_reply.h"

namespace terraced::server {

class ReplySinks {
 public:
  explicit ReplySinks(const Clock& clock) : meta_(clock) {}

  // Answers go to `output` from here on; `connection` is the number shown at -vv.
  void Bind(ReplyOutput* output, int connection) {
    text_.Bind(output, connection);
    meta_.Bind(output, connection);
    binary_.Bind(output, connection);
  }
  ReplySink& For(const Request& request) {
    if (!request.command->Has(kMeta | kBinary)) return text_;
    if (request.command->Has(kMeta)) return meta_;
    binary_.BeginStats(request);
    return binary_;
  }
  // For what only the binary protocol says.
  BinaryReply& Binary() { return binary_; }

 private:
  TextReply text_;
  MetaReply meta_;
  BinaryReply binary_;
};

}  // namespace terraced::server
