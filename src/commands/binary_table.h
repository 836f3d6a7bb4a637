// The binary protocol's command table: one row for each opcode: what of a body it takes and which CommandSpec runs it.
// The handlers are those of the text protocol.
// Threads: constant. Errors: an opcode without a row is unknown. Sources: memcached's protocol_binary.h and the running
// memcached 1.6.18.
#pragma once

#include <cstdint>

#include "src/commands/command_table.h"

namespace terraced::server {

// What stands in the body beside the extras.
enum BinaryShape : uint8_t {
  kNeedsKey = 1U << 0,
  kMayHaveKey = 1U << 1,
  kMayHaveValue = 1U << 2,
  kMayLackExtras = 1U << 3,
  kNeedsWholeBody = 1U << 4,  // the value is no data block but an argument, in the read buffer
};

struct BinarySpec {
  CommandSpec command;  // without a handler: the opcode is not assigned
  uint8_t extras_bytes = 0;
  uint8_t shape = 0;  // BinaryShape
  uint32_t asks = 0;  // RequestAsks of every request

  bool Takes(uint8_t what) const { return (shape & what) != 0; }
};

constexpr int kBinaryOpcodes = 0x25;  // the highest one and 1

const BinarySpec* FindBinaryCommand(uint8_t opcode);  // nullptr: unknown
const CommandSpec& UnknownOpcode();  // says so; a body of value_bytes is thrown away
const CommandSpec&
BrokenFrame();  // answers request.error, and closes: nobody knows where the next request begins

}  // namespace terraced::server
