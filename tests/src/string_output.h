// StringOutput: a ReplyOutput that keeps what was committed, for tests of reply sinks. Of pinned values only how many
// bytes they have.
// Threads: one. Ownership: by value.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "src/protocol/reply_sink.h"

namespace terraced::server {

class StringOutput final : public ReplyOutput {
 public:
  char* Reserve(size_t bytes) override {
    reserved_.assign(bytes, '#');
    return reserved_.data();
  }
  void Commit(size_t bytes) override {
    ASSERT_LE(bytes, reserved_.size());
    text.append(reserved_, 0, bytes);
  }
  void Pin(storage::ItemRef, uint64_t bytes) override { pinned_bytes += bytes; }

  std::string text;
  uint64_t pinned_bytes = 0;

 private:
  std::string reserved_;
};

}  // namespace terraced::server
