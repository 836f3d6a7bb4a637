// Request: one decoded command, whatever protocol it came in. A codec fills it, a handler of src/commands
// runs it, a ReplySink answers it. It is plain data: nothing in it knows text, meta or binary.
// Threads: belongs to the connection that decoded it.
// Ownership: views point into the connection's read buffer and die when that moves; a command that is
// suspended keeps its own copy of the key.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "src/protocol/reply.h"
#include "src/protocol/words.h"
#include "tiering/fill.h"

namespace terraced::tiering {
class Draft;
}  // namespace terraced::tiering

namespace terraced::server {

struct CommandSpec;

constexpr size_t kKeyBytesMax = 250;
constexpr size_t kArgumentsMax = 3;

// What a command asks beside its plain form, whatever protocol it came in. A field of Request that belongs to one of
// these is only set where its bit is.
enum RequestAsks : uint32_t {
  kAsksQuiet = 1U << 0,       // success (of a get: a miss) is not answered
  kAsksValue = 1U << 1,       // mg, ma: the value
  kAsksNoBump = 1U << 2,      // the hit is not noted
  kAsksTouch = 1U << 3,       // exptime
  kAsksVivify = 1U << 4,      // vivify_exptime; of ma and binary incr: initial
  kAsksRecache = 1U << 5,     // recache_s
  kAsksCompare = 1U << 6,     // compare_cas
  kAsksNewCas = 1U << 7,      // new_cas
  kAsksInvalidate = 1U << 8,  // md, ms: stale
  kAsksDropValue = 1U << 9,   // md: empty
  kAsksBinaryKey = 1U << 10,  // the key came in base64
  kAsksKey = 1U << 11,        // binary: the answer names the key
};

struct Request {
  // Defaulted it would clear `arguments` too, for every request.
  Request() {}  // NOLINT(modernize-use-equals-default)
  const CommandSpec* command = nullptr;
  tiering::Key key;        // of a command with many keys: the one that is being run
  uint32_t key_begin = 0;  // many keys: where they begin in the list given to Decode
  uint32_t key_count = 0;
  uint32_t client_flags = 0;
  int64_t exptime = 0;              // as the client wrote it
  uint64_t value_bytes = 0;         // of the data block that follows
  uint64_t number = 0;              // CAS unique of cas, delta of incr and decr, level of verbosity
  tiering::Draft* draft = nullptr;  // store commands: the item, once its value is there
  std::string_view line;            // what is shown at -vv
  std::array<Word, kArgumentsMax> arguments;  // administration: the words after the command
  uint8_t argument_count = 0;
  uint32_t asks = 0;  // RequestAsks
  uint8_t opcode;     // binary: repeated in the answer, as opaque is
  uint32_t opaque;
  uint64_t compare_cas;
  uint64_t new_cas;
  uint64_t initial;
  int64_t vivify_exptime;
  int64_t recache_s;
  char mode;  // ms, ma: M; 0: none
  Word flags{
      nullptr,
      0};  // meta commands: the words after key and length, which are answered in their order
  Reply error =
      Reply::kNone;  // what the codec has against it: the answer of HandleRefused, or of flush_all
  bool noreply = false;
  bool more = false;  // further keys of the same command follow in the next Request

  bool Asks(uint32_t what) const { return (asks & what) != 0; }
};

}  // namespace terraced::server
