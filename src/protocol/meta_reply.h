// MetaReply: writes the answers of meta commands: two letters, then what the flags asked for, in their order.
// Threads: one per worker. Ownership: borrows the clock, and the output that it was last bound to.
// Sizes: a line has at most kLineBytesMax, since a request has at most 17 flags, of which two are long (k and O).
#pragma once

#include <string_view>

#include "src/protocol/reply_sink.h"
#include "storage/base/clock.h"

namespace terraced::server {

class MetaReply final : public ReplySink, private tiering::ValueSink {
 public:
  explicit MetaReply(const Clock& clock) : clock_(clock) {}

  // Answers go to `output` from here on; `connection` is the number shown at -vv.
  void Bind(ReplyOutput* output, int connection) {
    output_ = output;
    connection_ = connection;
  }

  void Answer(const Request& request, Reply reply) override;
  void Done(const Request& request, Reply reply, const tiering::ItemMeta& item) override;
  void Number(const Request& request, uint64_t value, const tiering::ItemMeta& item) override;
  void Refuse(const Request& request, std::string_view why) override;
  // The request outlives the call of the cache.
  tiering::ValueSink& Value(const Request& request, bool cas_enabled) override;
  void Miss(const Request& request) override;
  void End(const Request&) override {}
  void Stat(std::string_view, std::string_view) override {}
  void Say(const Request&, std::string_view) override {}

 private:
  static constexpr size_t kLineBytesMax = 1024;

  char* Begin(const tiering::ItemMeta& meta) override;
  void Pinned(const tiering::ItemMeta& meta, storage::ItemRef ref) override;

  char* WriteHit(const tiering::ItemMeta& meta, char* to) const;
  bool SendsValue(const tiering::ItemMeta& meta) const;
  char* WriteDebug(const tiering::ItemMeta& meta, char* to) const;
  char* WriteFlags(const Request& request, const tiering::ItemMeta& item, char* to) const;
  // What stands behind T or N is answered as it is then.
  char* WriteFlagsInTurn(const Request& request, const tiering::ItemMeta& found, char* to) const;
  // Of the flags only those that repeat what the request said: its key and opaque.
  char* WriteEcho(const Request& request, char* to) const;
  char* WriteFlag(const Request& request, std::string_view flag, const tiering::ItemMeta& item,
                  char* to) const;
  char* WriteKey(const Request& request, bool binary, char* to) const;
  char* WriteKeyFlag(const Request& request, bool binary, char* to) const;
  // Ends a line that was begun with Reserve(kLineBytesMax).
  void Finish(char* begin, char* end);
  void Write(std::string_view bytes);

  const Clock& clock_;
  ReplyOutput* output_ = nullptr;
  int connection_ = -1;
  const Request* request_ = nullptr;
  bool cas_enabled_ = true;
};

}  // namespace terraced::server
