// What each command does to the counters of `stats`, beside memcached's: after every request of text, meta and binary
// protocol the same ones have grown by as much. Where they have not, both sides are written down.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/binary.h"
#include "tests/support/daemon.h"
#include "tests/support/servers.h"

namespace terraced::support {
namespace {

using Counters = std::map<std::string, int64_t>;

constexpr std::array kNames = {
    "cmd_get",         "cmd_set",         "cmd_flush",   "cmd_touch",   "cmd_meta",
    "get_hits",        "get_misses",      "get_expired", "get_flushed", "delete_misses",
    "delete_hits",     "incr_misses",     "incr_hits",   "decr_misses", "decr_hits",
    "cas_misses",      "cas_hits",        "cas_badval",  "touch_hits",  "touch_misses",
    "store_too_large", "store_no_memory", "auth_cmds",   "auth_errors", "total_items"};

Counters Shown(Client* asks) {
  std::map<std::string, std::string> stats = asks->Stats();
  Counters counters;
  for (const char* name : kNames) counters[name] = std::atoll(stats[name].c_str());
  return counters;
}

// One server, and what its last request has changed.
class Counted {
 public:
  explicit Counted(const std::string& binary) {
    // What its background threads find is their own doing.
    Result<std::unique_ptr<Daemon>> started = Daemon::Start(
        {.binary = binary,
         .arguments = {"-m", "64", "-t", "2", "-o", "no_lru_maintainer,no_lru_crawler"}});
    EXPECT_TRUE(started.ok()) << started.status().message();
    daemon_ = std::move(started).value();
    asks_ = daemon_->Connect();
    text_ = daemon_->Connect();
    binary_ = daemon_->Connect();
    last_ = Shown(asks_.get());
  }
  std::string AfterText(const std::string& request) {
    EXPECT_TRUE(text_->Send(request + "mn\r\n").ok());
    EXPECT_TRUE(text_->ReadThrough("MN\r\n").ok()) << request.substr(0, 60);
    return Changed();
  }
  std::string AfterPacket(const std::string& packet) {
    EXPECT_TRUE(binary_->Send(packet + Packet(kNoopOp)).ok());
    uint8_t opcode = 0;
    do {
      const Result<std::string> header = binary_->ReadBytes(kBinaryHeader);
      EXPECT_TRUE(header.ok());
      if (!header.ok()) break;
      opcode = static_cast<uint8_t>(header.value()[1]);
      EXPECT_TRUE(binary_->ReadBytes(NumberIn(header.value().substr(8, 4))).ok());
    } while (opcode != kNoopOp);
    return Changed();
  }

 private:
  std::string Changed() {
    const Counters now = Shown(asks_.get());
    std::string text;
    for (const auto& [name, value] : now) {
      if (value != last_[name]) text += name + "+" + std::to_string(value - last_[name]) + " ";
    }
    last_ = now;
    return text;
  }

  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Client> asks_;
  std::unique_ptr<Client> text_;
  std::unique_ptr<Client> binary_;
  Counters last_;
};

struct Case {
  std::string request;
  // Where the two differ on purpose, what each counts: src/README.md, "Where we differ".
  std::string reference = {};
  std::string ours = {};
};

class CountersTest : public testing::Test {
 protected:
  static void Expect(const Case& one, const std::string& reference, const std::string& ours) {
    const std::string shown = one.request.substr(0, 60);
    if (one.reference.empty() && one.ours.empty()) {
      EXPECT_EQ(ours, reference) << shown;
      return;
    }
    EXPECT_EQ(reference, one.reference) << shown;
    EXPECT_EQ(ours, one.ours) << shown;
  }
  void CompareText(const std::vector<Case>& cases) {
    for (const Case& one : cases) {
      Expect(one, reference_.AfterText(one.request), ours_.AfterText(one.request));
    }
  }
  void ComparePackets(const std::vector<Case>& cases) {
    for (const Case& one : cases) {
      Expect(one, reference_.AfterPacket(one.request), ours_.AfterPacket(one.request));
    }
  }

  Counted reference_{ReferenceBinary()};
  Counted ours_{TerracedBinary()};
};

TEST_F(CountersTest, ClassicCommandsCountAsInMemcached) {
  const std::string large(2'000'000, 'x');
  CompareText({{"set a 0 0 1\r\n1\r\n"},
               {"get a b a\r\n"},
               {"gets a b\r\n"},
               {"add a 0 0 1\r\n1\r\n"},
               {"add n 0 0 1\r\n5\r\n"},
               {"replace a 0 0 1\r\n1\r\n"},
               {"replace none 0 0 1\r\n1\r\n"},
               {"append a 0 0 1\r\n1\r\n"},
               {"prepend none 0 0 1\r\n1\r\n"},
               {"cas a 0 0 1 999999\r\n1\r\n"},
               {"cas none 0 0 1 1\r\n1\r\n"},
               {"gat 0 a none a\r\n"},
               {"gats 100 none\r\n"},
               {"touch a 0\r\n"},
               {"touch none 0\r\n"},
               {"incr n 1\r\n"},
               {"incr none 1\r\n"},
               {"decr n 1\r\n"},
               {"decr none 1\r\n"},
               {"incr a 1\r\n"},
               {"set text 0 0 1\r\nx\r\n"},
               {"incr text 1\r\n"},
               {"delete text\r\n"},
               {"delete text\r\n"},
               {"set large 0 0 2000000\r\n" + large + "\r\n"},
               {"add large 0 0 2000000\r\n" + large + "\r\n"},
               {"set k 0 0 x\r\n"},
               {"set " + std::string(251, 'k') + " 0 0 1\r\na\r\n"},
               {"get " + std::string(251, 'k') + "\r\n"},
               {"set ended 0 -1 1\r\nx\r\n"},
               {"get ended\r\n"},
               {"gat 0 ended\r\n"},
               {"touch ended 0\r\n"},
               {"delete ended\r\n"},
               {"flush_all\r\n"},
               {"get a a\r\n"},
               {"delete a\r\n"},
               {"touch a 0\r\n"},
               {"incr a 1\r\n"},
               {"flush_all x\r\n", "cmd_flush+1 ", ""},
               {"set k 0 0 1\r\nabc\r\n", "cmd_set+1 ", ""},
               {"set n 0 0 1\r\n5\r\n"},
               {"incr n 1000\r\n", "incr_hits+1 total_items+1 ", "incr_hits+1 "}});
}

TEST_F(CountersTest, MetaCommandsCountAsInMemcached) {
  CompareText({{"ms m 1\r\n5\r\n"},
               {"mg m v\r\n"},
               {"mg none v\r\n"},
               {"mg m\r\n"},
               {"mg m T30\r\n"},
               {"mg none T30\r\n", "cmd_get+1 get_misses+1 ", "cmd_touch+1 touch_misses+1 "},
               {"mg made N30 v\r\n", "cmd_get+1 get_hits+1 total_items+1 ",
                "cmd_get+1 get_misses+1 total_items+1 "},
               {"mg made R60 v\r\n"},
               {"mg m q\r\n"},
               {"mg m u\r\n"},
               {"mg m s s\r\n"},
               {"ms m 1 ME\r\n5\r\n"},
               {"ms none 1 MR\r\n5\r\n"},
               {"ms none 1 MA\r\n5\r\n"},
               {"ms m 1 MA\r\n5\r\n"},
               {"ms m 1 C99999\r\n5\r\n"},
               {"ms none 1 C5\r\n5\r\n"},
               {"ms m 1 C1 I\r\n5\r\n"},
               {"ma m\r\n"},
               {"ma none\r\n"},
               {"ma other N0 J5\r\n", "total_items+1 ", "incr_misses+1 total_items+1 "},
               {"ma m MD\r\n"},
               {"ma none MD\r\n"},
               {"ma m C99\r\n"},
               {"ma m T30 v\r\n"},
               {"md m C99\r\n"},
               {"md m I T30\r\n"},
               {"md m\r\n"},
               {"md m\r\n"},
               {"me other\r\n"},
               {"me none\r\n"},
               {"mn\r\n"}});
}

TEST_F(CountersTest, BinaryCommandsCountAsInMemcached) {
  const auto counting = [](uint8_t opcode, const std::string& key, uint32_t exptime,
                           uint64_t cas = 0) {
    return BinaryRequest{
        .opcode = opcode, .key = key, .extras = CountExtras(1, 7, exptime), .cas = cas}
        .Bytes();
  };
  ComparePackets(
      {{Packet(kSetOp, "k", "5")},
       {Packet(kGetOp, "k")},
       {Packet(kGetQOp, "none")},
       {Packet(kGetKOp, "none")},
       {Packet(kAddOp, "k", "5")},
       {Packet(kReplaceOp, "none", "5")},
       {Packet(kSetOp, "k", "5", 999)},
       {Packet(kSetOp, "none", "5", 999)},
       {Packet(kAppendOp, "k", "5")},
       {Packet(kAppendOp, "none", "5")},
       {Packet(kAppendOp, "k", "5", 999)},
       {counting(kIncrementOp, "k", 0)},
       {counting(kIncrementOp, "none", kDoNotMake)},
       {counting(kIncrementOp, "made", 0), "total_items+1 ", "incr_misses+1 total_items+1 "},
       {counting(kIncrementOp, "made", 0, 999)},
       {counting(kDecrementOp, "k", 0)},
       {Packet(kTouchOp, "k")},
       {Packet(kTouchOp, "none")},
       {Packet(kGatOp, "k")},
       {Packet(kGatOp, "none")},
       {Packet(kDeleteOp, "k", "", 999)},
       {Packet(kDeleteOp, "k")},
       {Packet(kDeleteOp, "k")},
       {Packet(kSetOp, "large", std::string(2'000'000, 'x')), "", "store_too_large+1 "},
       {Packet(kFlushOp)},
       {Packet(kNoopOp)}});
}

// Of one exchange, between two looks: what the looks themselves cost is known by their length. One worker, for what was
// sent is counted a moment later, which another one might not see.
TEST_F(CountersTest, BytesAreThoseOfTheSockets) {
  for (const std::string& binary : {ReferenceBinary(), TerracedBinary()}) {
    Result<std::unique_ptr<Daemon>> daemon =
        Daemon::Start({.binary = binary, .arguments = {"-t", "1"}});
    ASSERT_TRUE(daemon.ok()) << daemon.status().message();
    const std::unique_ptr<Client> asks = daemon.value()->Connect();
    const std::unique_ptr<Client> other = daemon.value()->Connect();
    const auto look = [&asks](const char* name, size_t* bytes) {
      EXPECT_TRUE(asks->Send("stats\r\n").ok());
      const Result<std::string> text = asks->ReadReply(ReplyShape::kStats);
      EXPECT_TRUE(text.ok());
      *bytes = text.value().size();
      const std::string begin = "STAT " + std::string(name) + " ";
      return std::stoull(text.value().substr(text.value().find(begin) + begin.size()));
    };
    for (const char* name : {"bytes_read", "bytes_written"}) {
      const std::string set = "set k 0 0 100000\r\n" + std::string(100'000, 'v') + "\r\n";
      size_t look_bytes = 0;
      size_t unused = 0;
      const uint64_t before = look(name, &look_bytes);
      EXPECT_EQ(other->Ask(set), "STORED\r\n");
      EXPECT_EQ(other->Get("k").size(), 100'000U);
      const uint64_t grown = look(name, &unused) - before;
      const std::string head = "VALUE k 0 100000\r\n";
      EXPECT_EQ(grown, std::string_view(name) == "bytes_read"
                           ? set.size() + std::string_view("get k\r\nstats\r\n").size()
                           : std::string_view("STORED\r\n\r\nEND\r\n").size() + head.size() +
                                 100'000U + look_bytes)
          << binary << " " << name;
    }
  }
}

TEST_F(CountersTest, GaugesOfTheProcessAreMemcacheds) {
  std::map<std::string, std::string> shown[2];
  const std::string binaries[] = {ReferenceBinary(), TerracedBinary()};
  for (int i = 0; i < 2; ++i) {
    Result<std::unique_ptr<Daemon>> daemon =
        Daemon::Start({.binary = binaries[i], .arguments = {"-m", "100", "-c", "200", "-t", "3"}});
    ASSERT_TRUE(daemon.ok()) << daemon.status().message();
    shown[i] = daemon.value()->Connect()->Stats();
    EXPECT_EQ(shown[i]["pid"], std::to_string(daemon.value()->Pid()));
    EXPECT_LE(std::abs(std::atoll(shown[i]["time"].c_str()) - std::time(nullptr)), 3)
        << binaries[i];
    EXPECT_LT(std::atoll(shown[i]["uptime"].c_str()), 60) << binaries[i];
  }
  for (const char* name :
       {"version", "libevent", "pointer_size", "max_connections", "threads", "limit_maxbytes",
        "accepting_conns", "listen_disabled_num", "hash_is_expanding", "bytes", "curr_items",
        "evictions", "slab_reassign_running", "malloc_fails", "log_watchers"}) {
    EXPECT_EQ(shown[1][name], shown[0][name]) << name;
  }
}

}  // namespace
}  // namespace terraced::support
