// Reply: every fixed answer a command can have. What it looks like on the wire is the codec's business
// (text: text_reply.cc).
#pragma once

#include <cstdint>

namespace terraced::server {

enum class Reply : uint8_t {
  kNone,
  kStored,
  kNotStored,
  kExists,
  kNotFound,
  kDeleted,
  kTouched,
  kOk,
  kReset,
  kEnd,
  kVersion,
  kUnknownCommand,
  kBadLine,
  kBadDelete,  // delete with arguments it does not have
  kBadExptime,
  kBadDelta,
  kBadChunk,    // the data block does not end where it should
  kNonNumeric,  // incr or decr of something else than a number
  kTooLarge,
  kNoMemoryToStore,
  kNoMemoryToChange,  // incr, decr or touch needed room for the new item
  kFlashFailed,
  kFlushNotAllowed,
  kMetaNoop,
  kBadDeltaFlag,
  kBadInitialFlag,
  kTooManyFlags,
  kTooManyChangeFlags,
  kDuplicateFlag,
  kInvalidFlag,
  kBadFlags,  // ma: either of them
  kBadToken,  // a flag's number is none
  kOpaqueTooLong,
  kBadBase64,  // of a key
  kBadModeLength,
  kBadSetMode,
  kBadCountMode,
  kShutdownNotEnabled,
  kBadShutdownMode,
  kTlsNotEnabled,
  kWatchNotAllowed,
  kWatchPipelined,  // answers to earlier commands are still to be sent
  kWatchersTooMany,
  kWatcherFailed,
  kLoggedIn,
  kLoginFailed,
  kUnauthenticated,  // something else than a login has to wait for one
  kBadTokenFormat,   // of user and password
  kLongToken,
  kBadTermination,
  kCount
};

}  // namespace terraced::server
