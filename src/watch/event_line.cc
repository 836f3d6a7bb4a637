#include "src/watch/event_line.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <span>

#include "src/protocol/uri_text.h"
#include "src/protocol/words.h"
#include "storage/base/check.h"
#include "tiering/cache.h"

namespace terraced::server {
namespace {

using tiering::Event;
using tiering::EventType;
using tiering::kEventNumbersMax;

constexpr std::array<std::string_view, 4> kFetchStatuses = {"not_found", "found", "flushed",
                                                            "expired"};
constexpr std::array<std::string_view, 6> kStoreModes = {"set",    "add",     "replace",
                                                         "append", "prepend", "cas"};
constexpr std::array<std::string_view, 2> kDeleteWords = {"delete", "md"};
constexpr std::array<std::string_view, 2> kNoYes = {"no", "yes"};
constexpr std::array<std::string_view, 3> kTransports = {"local", "tcp", "udp"};
constexpr std::array<std::string_view, 4> kReasons = {"error", "normal", "idle_timeout",
                                                      "shutdown"};
// By tiering::Outcome; a store ends with one of those named.
constexpr std::array<std::string_view, 12> kStoreStatuses = {
    "", "", "stored",    "not_stored", "exists", "not_found",
    "", "", "too_large", "no_memory",  "",       "flash_failed"};
static_assert(static_cast<size_t>(tiering::Outcome::kStored) == 2);
static_assert(static_cast<size_t>(tiering::Outcome::kTooLarge) == 8);
static_assert(static_cast<size_t>(tiering::Outcome::kFlashFailed) == kStoreStatuses.size() - 1);

enum class Kind : uint8_t {
  kNone,
  kText,        // the text of the event, encoded
  kAddress,     // the text of the event, whose colons stay
  kConnection,  // who caused it
  kNumber,      // the next of its numbers
  kWord,        // the next of its numbers chooses it
};
struct Field {
  std::string_view name;
  Kind kind = Kind::kNone;
  std::span<const std::string_view> words = {};
};
constexpr size_t kFieldsMax = 7;
struct Row {
  EventType type;
  std::string_view name;
  uint32_t classes;
  std::array<Field, kFieldsMax> fields;
  std::string_view help;
};

constexpr Field kKey = {"key", Kind::kText};
constexpr Field kClass = {"clsid", Kind::kNumber};
constexpr Field kConnection = {"cfd", Kind::kConnection};
constexpr Field kSize = {"size", Kind::kNumber};
constexpr Field kFetch = {"fetch", Kind::kWord, kNoYes};
constexpr Field kTtl = {"ttl", Kind::kNumber};
constexpr Field kIdle = {"la", Kind::kNumber};
constexpr Field kBatch = {"batch", Kind::kNumber};

constexpr std::array<Row, static_cast<size_t>(EventType::kCount)> kRows = {{
    {EventType::kItemGet,
     "item_get",
     tiering::kFetchers,
     {{kKey, {"status", Kind::kWord, kFetchStatuses}, kClass, kConnection, kSize}},
     "a command looked for an item; clsid=0: it was read from flash"},
    {EventType::kItemStore,
     "item_store",
     tiering::kMutations,
     {{kKey,
       {"status", Kind::kWord, kStoreStatuses},
       {"cmd", Kind::kWord, kStoreModes},
       kTtl,
       kClass,
       kConnection,
       kSize}},
     "a store command ended"},
    {EventType::kDeleted,
     "deleted",
     tiering::kDeletions,
     {{kKey, {"cmd", Kind::kWord, kDeleteWords}, kClass, kSize}},
     "a client deleted an item; clsid=0: it was on flash"},
    {EventType::kEviction,
     "eviction",
     tiering::kEvictions,
     {{kKey, kFetch, kTtl, kIdle, kClass, kSize}},
     "an item left RAM for want of room and is lost"},
    {EventType::kExtWrite,
     "extwrite",
     tiering::kEvictions,
     {{kKey, kFetch, kTtl, kIdle, kClass, kBatch}},
     "an item was written to flash"},
    {EventType::kFlashPromotion,
     "flash_promotion",
     tiering::kEvictions,
     {{kKey, kClass, kSize, kBatch}},
     "an item that was read from flash is in RAM again"},
    {EventType::kFlashBatchWritten,
     "flash_batch_written",
     tiering::kSysEvents,
     {{kBatch, {"items", Kind::kNumber}, {"bytes", Kind::kNumber}}},
     "a batch stands on flash"},
    {EventType::kFlashBatchDropped,
     "flash_batch_dropped",
     tiering::kSysEvents,
     {{kBatch, {"lost", Kind::kNumber}, {"bytes", Kind::kNumber}}},
     "a batch went; lost: items that only it held"},
    {EventType::kFlashOffline,
     "flash_offline",
     tiering::kSysEvents,
     {{{"reason", Kind::kText}}},
     "flash takes no batches until flash_online"},
    {EventType::kFlashOnline,
     "flash_online",
     tiering::kSysEvents,
     {{{"after", Kind::kNumber}}},
     "flash takes batches again, after so many seconds"},
    {EventType::kLruCrawler,
     "lru_crawler",
     tiering::kSysEvents,
     {{{"elapsed", Kind::kNumber}, {"examined", Kind::kNumber}, {"reclaimed", Kind::kNumber}}},
     "the crawler has been through all items"},
    {EventType::kSlabMove,
     "slab_move",
     tiering::kSysEvents,
     {{{"src", Kind::kNumber}, {"dst", Kind::kNumber}}},
     "a page went from one slab class to another"},
    {EventType::kConnNew,
     "conn_new",
     tiering::kConnEvents,
     {{{"rip", Kind::kAddress},
       {"rport", Kind::kNumber},
       {"transport", Kind::kWord, kTransports},
       {"cfd", Kind::kNumber}}},
     "a client connected"},
    {EventType::kConnClose,
     "conn_close",
     tiering::kConnEvents,
     {{{"rip", Kind::kAddress},
       {"rport", Kind::kNumber},
       {"transport", Kind::kWord, kTransports},
       {"reason", Kind::kWord, kReasons},
       {"cfd", Kind::kNumber}}},
     "a connection was closed"},
}};

constexpr bool RowsStandWhereTheirTypesSay() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<size_t>(kRows[i].type) != i) return false;
  }
  return true;
}
static_assert(RowsStandWhereTheirTypesSay());

const Row& RowOf(EventType type) {
  return kRows[static_cast<size_t>(type)];
}

constexpr bool TakesNumber(Kind kind) {
  return kind == Kind::kNumber || kind == Kind::kWord;
}

size_t NumberCount(EventType type) {
  size_t count = 0;
  for (const Field& field : RowOf(type).fields) count += TakesNumber(field.kind) ? 1 : 0;
  TERRACED_DCHECK(count <= kEventNumbersMax);
  return count;
}

// The words of `watch` and what they stand for; those of memcached's proxy and rawcmds have no events.
struct ClassName {
  std::string_view word;
  uint32_t classes;
};
constexpr std::array<ClassName, 10> kClassNames = {{{"fetchers", tiering::kFetchers},
                                                    {"mutations", tiering::kMutations},
                                                    {"evictions", tiering::kEvictions},
                                                    {"connevents", tiering::kConnEvents},
                                                    {"deletions", tiering::kDeletions},
                                                    {"sysevents", tiering::kSysEvents},
                                                    {"rawcmds", 0},
                                                    {"proxyreqs", 0},
                                                    {"proxyevents", 0},
                                                    {"proxyuser", 0}}};

void AppendNumber(int64_t number, std::string* to) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  to->append(digits.data(), end);
}

void AppendWord(std::span<const std::string_view> words, int64_t number, std::string* to) {
  if (number >= 0 && static_cast<size_t>(number) < words.size()) {
    to->append(words[static_cast<size_t>(number)]);
  }
}

std::string_view WordOf(uint32_t classes) {
  for (const ClassName& name : kClassNames) {
    if (name.classes == classes) return name.word;
  }
  return {};
}

}  // namespace

uint32_t ClassOf(EventType type) {
  return RowOf(type).classes;
}

std::optional<uint32_t> ParseWatchLine(std::string_view line) {
  std::string_view words = line;
  TakeToken(&words);
  uint32_t classes = 0;
  bool any = false;
  for (std::string_view word = TakeToken(&words); !word.empty(); word = TakeToken(&words)) {
    const auto* const name =
        std::find_if(kClassNames.begin(), kClassNames.end(),
                     [&](const ClassName& candidate) { return candidate.word == word; });
    if (name == kClassNames.end()) return std::nullopt;
    classes |= name->classes;
    any = true;
  }
  return any ? classes : tiering::kFetchers;
}

size_t RecordBytes(const Event& event) {
  return sizeof(EventRecord) + NumberCount(event.type) * sizeof(int64_t) +
         std::min(event.text.size(), tiering::kEventTextBytesMax);
}

void WriteRecord(const EventRecord& head, const Event& event, char* to) {
  EventRecord written = head;
  written.type = event.type;
  written.text_bytes =
      static_cast<uint16_t>(std::min(event.text.size(), tiering::kEventTextBytesMax));
  std::memcpy(to, &written, sizeof(written));
  to += sizeof(written);
  const size_t numbers = NumberCount(event.type) * sizeof(int64_t);
  std::memcpy(to, event.numbers.data(), numbers);
  if (written.text_bytes > 0) std::memcpy(to + numbers, event.text.data(), written.text_bytes);
}

EventRecord ReadRecordHead(std::string_view record) {
  EventRecord head;
  std::memcpy(&head, record.data(), sizeof(head));
  return head;
}

void AppendEventLine(std::string_view record, std::string* to) {
  const EventRecord head = ReadRecordHead(record);
  std::array<int64_t, kEventNumbersMax> numbers{};
  const size_t numbers_bytes = NumberCount(head.type) * sizeof(int64_t);
  std::memcpy(numbers.data(), record.data() + sizeof(head), numbers_bytes);
  const std::string_view text = record.substr(sizeof(head) + numbers_bytes, head.text_bytes);
  const Row& row = RowOf(head.type);
  std::array<char, 96> begin;
  const int length = std::snprintf(begin.data(), begin.size(), "ts=%llu.%06llu gid=%llu type=",
                                   static_cast<unsigned long long>(head.time_us / 1'000'000),
                                   static_cast<unsigned long long>(head.time_us % 1'000'000),
                                   static_cast<unsigned long long>(head.gid));
  to->append(begin.data(), static_cast<size_t>(length));
  to->append(row.name);
  size_t next = 0;
  for (const Field& field : row.fields) {
    if (field.kind == Kind::kNone) break;
    to->append(1, ' ').append(field.name).append(1, '=');
    const int64_t number = TakesNumber(field.kind) ? numbers[next++] : 0;
    if (field.kind == Kind::kText) AppendUriEncoded(text, to);
    if (field.kind == Kind::kAddress) to->append(text);
    if (field.kind == Kind::kConnection) AppendNumber(head.connection, to);
    if (field.kind == Kind::kNumber) AppendNumber(number, to);
    if (field.kind == Kind::kWord) AppendWord(field.words, number, to);
  }
  to->push_back('\n');
}

std::string EventDocumentation() {
  std::string rows;
  for (const Row& row : kRows) {
    std::string fields;
    for (const Field& field : row.fields) {
      if (field.kind == Kind::kNone) break;
      fields.append(fields.empty() ? "" : " ").append(field.name);
    }
    rows.append("| ").append(row.name).append(" | ").append(WordOf(row.classes)).append(" | ");
    rows.append(fields).append(" | ").append(row.help).append(" |\n");
  }
  return rows;
}

}  // namespace terraced::server
