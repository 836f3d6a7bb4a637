// TextReply: writes answers in memcached's classic text protocol. Values are copied (or pinned) straight to
// where they are sent from.
// Threads: one per worker. Ownership: borrows the output that it was last bound to.
#pragma once

#include <string_view>

#include "src/protocol/reply_sink.h"

namespace terraced::server {

// What `version` answers: clients parse it as memcached's and switch features by it. Our own version is
// `stats`, terraced_version.
constexpr std::string_view kProtocolVersion = "1.6.18";

class TextReply final : public ReplySink, private tiering::ValueSink {
 public:
  // Answers go to `output` from here on; `connection` is the number shown at -vv.
  void Bind(ReplyOutput* output, int connection) {
    output_ = output;
    connection_ = connection;
  }

  void Answer(const Request& request, Reply reply) override;
  void Done(const Request& request, Reply reply, const tiering::ItemMeta& item) override;
  void Number(const Request& request, uint64_t value, const tiering::ItemMeta& item) override;
  void Say(const Request& request, std::string_view line) override;
  void Refuse(const Request& request, std::string_view why) override;
  tiering::ValueSink& Value(const Request& request, bool cas_enabled) override;
  void Miss(const Request&) override {}
  void End(const Request& request) override;
  void Stat(std::string_view name, std::string_view value) override;

 private:
  char* Begin(const tiering::ItemMeta& meta) override;
  void Pinned(const tiering::ItemMeta& meta, storage::ItemRef ref) override;
  char* WriteHeader(const tiering::ItemMeta& meta, char* to) const;
  void Write(std::string_view bytes);
  void Show(const Request& request, std::string_view text) const;

  ReplyOutput* output_ = nullptr;
  int connection_ = -1;
  std::string_view key_;
  bool with_cas_ = false;
  bool cas_enabled_ = true;
};

// The text of a fixed reply, line end included.
std::string_view TextOf(Reply reply);

}  // namespace terraced::server
