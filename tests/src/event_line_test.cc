#include "src/watch/event_line.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "src/watch/log_buffer.h"
#include "tiering/cache.h"

namespace terraced::server {
namespace {

using tiering::Event;
using tiering::EventType;

std::string LineOf(const Event& event) {
  std::string record(RecordBytes(event), '\0');
  WriteRecord({.gid = 7,
               .time_us = 1'795'822'882'063'592,
               .connection = 23,
               .text_bytes = 0,
               .type = event.type},
              event, record.data());
  std::string line;
  AppendEventLine(record, &line);
  return line;
}

TEST(EventLineTest, WritesMemcachedsFieldsInItsOrder) {
  const std::string begin = "ts=1795822882.063592 gid=7 type=";
  const auto found = static_cast<int64_t>(tiering::FetchStatus::kFound);
  EXPECT_EQ(LineOf({.type = EventType::kItemGet, .text = "a", .numbers = {found, 1, 12}}),
            begin + "item_get key=a status=found clsid=1 cfd=23 size=12\n");
  const auto outcome = static_cast<int64_t>(tiering::Outcome::kNotStored);
  const auto mode = static_cast<int64_t>(tiering::StoreMode::kReplace);
  EXPECT_EQ(
      LineOf({.type = EventType::kItemStore, .text = "a", .numbers = {outcome, mode, 100, 2, 5}}),
      begin + "item_store key=a status=not_stored cmd=replace ttl=100 clsid=2 cfd=23 size=5\n");
  EXPECT_EQ(LineOf({.type = EventType::kEviction, .text = "a", .numbers = {1, -1, 60, 3, 9}}),
            begin + "eviction key=a fetch=yes ttl=-1 la=60 clsid=3 size=9\n");
  EXPECT_EQ(LineOf({.type = EventType::kDeleted, .text = "a", .numbers = {0, 3, 9}}),
            begin + "deleted key=a cmd=delete clsid=3 size=9\n");
  EXPECT_EQ(LineOf({.type = EventType::kDeleted, .text = "a", .numbers = {1, 0, 9}}),
            begin + "deleted key=a cmd=md clsid=0 size=9\n");
  EXPECT_EQ(LineOf({.type = EventType::kSlabMove, .text = {}, .numbers = {3, 9}}),
            begin + "slab_move src=3 dst=9\n");
  for (const auto& [reason, word] : {std::pair(CloseReason::kError, "error"),
                                     {CloseReason::kNormal, "normal"},
                                     {CloseReason::kShutdown, "shutdown"}}) {
    EXPECT_EQ(LineOf({.type = EventType::kConnClose,
                      .text = "::1",
                      .numbers = {1, static_cast<int64_t>(PeerTransport::kTcp),
                                  static_cast<int64_t>(reason), 31}}),
              begin + "conn_close rip=::1 rport=1 transport=tcp reason=" + word + " cfd=31\n");
  }
  const auto idle = static_cast<int64_t>(CloseReason::kIdleTimeout);
  EXPECT_EQ(
      LineOf({.type = EventType::kConnClose,
              .text = "127.0.0.1",
              .numbers = {4711, static_cast<int64_t>(PeerTransport::kTcp), idle, 31}}),
      begin + "conn_close rip=127.0.0.1 rport=4711 transport=tcp reason=idle_timeout cfd=31\n");
}

TEST(EventLineTest, EncodesWhatIsNoPlainCharacterLikeMemcached) {
  EXPECT_EQ(LineOf({.type = EventType::kFlashOffline, .text = "k\x01\xff%,~_-.!*+/:@=&? z"}),
            "ts=1795822882.063592 gid=7 type=flash_offline "
            "reason=k%01%FF%25%2C~_-.%21%2A%2B%2F%3A%40%3D%26%3F%20z\n");
}

TEST(EventLineTest, HasAWordForEveryEndOfAStore) {
  using tiering::Outcome;
  for (const Outcome outcome :
       {Outcome::kStored, Outcome::kNotStored, Outcome::kExists, Outcome::kNotFound,
        Outcome::kTooLarge, Outcome::kNoMemory, Outcome::kFlashFailed}) {
    const std::string line = LineOf(
        {.type = EventType::kItemStore, .text = "k", .numbers = {static_cast<int64_t>(outcome)}});
    EXPECT_EQ(line.find("status= "), std::string::npos) << line;
  }
}

TEST(EventLineTest, TheLongestLineHasItsLimit) {
  for (size_t type = 0; type < static_cast<size_t>(EventType::kCount); ++type) {
    const std::string text(1'000, '\xff');
    Event event{.type = static_cast<EventType>(type), .text = text};
    event.numbers.fill(INT64_MIN);
    EXPECT_LE(LineOf(event).size(), kEventLineBytesMax) << type;
    EXPECT_LE(LineOf(event).size(), size_t{LogBuffer::kRecordBytesMax}) << type;
    EXPECT_LE(RecordBytes(event), size_t{LogBuffer::kRecordBytesMax}) << type;
  }
}

TEST(EventLineTest, ReadsTheWordsOfWatch) {
  EXPECT_EQ(ParseWatchLine("watch"), tiering::kFetchers);
  EXPECT_EQ(ParseWatchLine("watch  mutations   evictions "),
            tiering::kMutations | tiering::kEvictions);
  EXPECT_EQ(ParseWatchLine("watch fetchers fetchers"), tiering::kFetchers);
  EXPECT_EQ(ParseWatchLine("watch rawcmds proxyreqs proxyevents proxyuser"), 0U);
  EXPECT_EQ(ParseWatchLine("watch connevents deletions sysevents"),
            tiering::kConnEvents | tiering::kDeletions | tiering::kSysEvents);
  EXPECT_EQ(ParseWatchLine("watch Fetchers"), std::nullopt);
  EXPECT_EQ(ParseWatchLine("watch fetchers foo"), std::nullopt);
}

TEST(EventLineTest, TheReadmeHasTheTable) {
  std::ifstream file(std::string(TERRACED_SOURCE_DIR) + "/src/README.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find(EventDocumentation()), std::string::npos)
      << "src/README.md should have\n"
      << EventDocumentation();
}

}  // namespace
}  // namespace terraced::server
