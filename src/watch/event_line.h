// Event lines: what a watcher is sent: "ts=<s.us> gid=<n> type=<name> <field>=<value> ...", fields in memcached's order
// where it has the line, keys and texts URI-encoded. One table says what each event is called, which class it is of and
// what its fields are; the table in src/README.md is that of EventDocumentation().
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tiering/event_sink.h"

namespace terraced::server {

// One event as it lies in a LogBuffer, followed by the numbers of its type and the text.
struct EventRecord {
  uint64_t gid;
  uint64_t time_us;
  int32_t connection;  // descriptor of who caused it; 0: no client did
  uint16_t text_bytes;
  tiering::EventType type;
};

// For kConnNew and kConnClose.
enum class PeerTransport : uint8_t { kLocal, kTcp, kUdp };
enum class CloseReason : uint8_t { kError, kNormal, kIdleTimeout, kShutdown };

uint32_t ClassOf(tiering::EventType type);
// The line of a watch command, its word included: the classes it names, fetchers where it names none. nullopt: one of
// the words is no class.
std::optional<uint32_t> ParseWatchLine(std::string_view line);

// What a record takes, and writing it; `to` has that room.
size_t RecordBytes(const tiering::Event& event);
void WriteRecord(const EventRecord& head, const tiering::Event& event, char* to);
EventRecord ReadRecordHead(std::string_view record);
// At most kEventLineBytesMax, line end included.
void AppendEventLine(std::string_view record, std::string* to);
constexpr size_t kEventLineBytesMax = 1024;

// The rows of the table in src/README.md.
std::string EventDocumentation();

}  // namespace terraced::server
