// ReplySink: where handlers answer; one per protocol. A reply is built once its answer is known; nobody
// patches bytes that were already written. ReplyOutput: where a sink puts its bytes (net/reply_queue.h).
// Threads: both belong to one worker. Errors: none; memory that cannot be had ends the process (operator new).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "src/protocol/request.h"
#include "tiering/cache.h"

namespace terraced::server {

class ReplyOutput {
 public:
  // So many contiguous bytes; they stay where they are until they are sent.
  virtual char* Reserve(size_t bytes) = 0;
  virtual void Commit(size_t bytes) = 0;  // of what was reserved last
  // `bytes` of a pinned value follow what was committed; unpinned once they are sent.
  virtual void Pin(storage::ItemRef ref, uint64_t bytes) = 0;

 protected:
  ~ReplyOutput() = default;
};

class ReplySink {
 public:
  virtual ~ReplySink() = default;

  // A fixed answer. Silent where the request said noreply, or is quiet and all went well.
  virtual void Answer(const Request& request, Reply reply) = 0;
  // The same of a command that stored, deleted or touched: what became of the item, or why not.
  virtual void Done(const Request& request, Reply reply, const tiering::ItemMeta& item) = 0;
  virtual void Number(const Request& request, uint64_t value, const tiering::ItemMeta& item) = 0;
  // One line of text, or several with line ends between them, as administration commands have them.
  virtual void Say(const Request& request, std::string_view line) = 0;
  // A CLIENT_ERROR that says why: one line of text.
  virtual void Refuse(const Request& request, std::string_view why) = 0;
  // Where the value (or what else is asked for) of a hit of request.key goes; good for one call of the cache. Without
  // `cas_enabled` (-C) its CAS unique is shown as 0.
  virtual tiering::ValueSink& Value(const Request& request, bool cas_enabled) = 0;
  // Of a key that was read and is not there.
  virtual void Miss(const Request& request) = 0;
  // After the last key of a command with many.
  virtual void End(const Request& request) = 0;
  virtual void Stat(std::string_view name, std::string_view value) = 0;
};

}  // namespace terraced::server
