// Every classic command, error and edge case once: the same bytes to the reference memcached and to terraced, and
// their replies compared byte by byte. A case is a pipeline on a connection of its own; `version` (which both
// answer alike) marks its end.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/client.h"
#include "tests/support/daemon.h"
#include "tests/support/servers.h"

namespace terraced::support {
namespace {

constexpr std::string_view kMark = "version\r\n";
constexpr std::string_view kMarkReply = "VERSION 1.6.18\r\n";

std::string Key(size_t length) {
  return std::string(length, 'k');
}

std::string Large(const std::string& command, size_t bytes, const std::string& after) {
  return command + " " + std::to_string(bytes) + after + "\r\n" + std::string(bytes, 'x') + "\r\n";
}

std::string Many(const std::string& piece, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += piece;
  return all;
}

std::string WithNul(std::string text) {
  for (char& byte : text) byte = byte == '@' ? '\0' : byte;
  return text;
}

std::vector<std::string> LineCases() {
  return {
      "\r\n",
      "\n",
      "a\r\n",
      "ab\r\n",
      "  \r\n",
      "foo\r\n",
      "foobar noreply\r\n",
      "FOO\r\n",
      "GET k\r\n",
      " get k\r\n",
      "get k\n",
      "get   k    k  \r\n",
      "get k\r\r\n",
      "set k\r 0 0 1\r\nx\r\nget k\r\r\n",
      "set a\tb 0 0 1\r\nx\r\nget a\tb\r\n",
      WithNul("set a@b 0 0 1\r\nx\r\nget a\r\n"),
      WithNul("get@\r\n"),
      WithNul("get k@ b\r\n"),
      WithNul("set k 0 0 1@\r\na\r\nget k\r\n"),
      WithNul("@\r\n"),
      "x\r\ny\r\nz\r\n",
      "foo " + Many("k ", 3000) + "\r\n",
      std::string(4000, 'x') + "\r\n",
      "version " + Many("k ", 1020) + "\r\n",
      "version junk\r\n",
      "version noreply\r\n",
      "versionx\r\n",
      "verbosity\r\n",
      "verbosity x\r\n",
      "verbosity 0\r\n",
      "verbosity 0 x\r\n",
      "verbosity 0 0 x\r\n",
      "verbosity -1\r\n",
      "verbosity 1a\r\n",
      "verbosity 0 noreply\r\n",
      "verbosity noreply\r\n",
      "verbosity 0 x noreply\r\n",
      "verbosity x noreply\r\n",
      "stats x\r\n",
      "stats noreply\r\n",
      "stats reset\r\n",
      "stats  reset noreply\r\n",
      "stats resetx\r\n",
      "stats sizes\r\n",
      "stats extstore\r\n",
      "stats proxy\r\n",
      "stats proxyfuncs\r\n",
      "stats proxybe\r\n",
      "stats r\r\n",
      "stats ITEMS\r\n",
      "statsx\r\n",
      "quitx\r\n",
      "misbehave\r\n",
      "debug\r\n",
      "debug demote\r\n",
      "mget k\r\n",
  };
}

std::vector<std::string> GetCases() {
  const std::string set = "set k 0 0 1\r\na\r\nset j 4294967295 0 2\r\nbc\r\n";
  const std::string mark(kMark);
  return {
      "get\r\n",
      "get \r\n",
      "gets  \r\n",
      "gat\r\n",
      "gat 10\r\n",
      "gat 0\r\n",
      "gat x k\r\n",
      "gat 1a k\r\n",
      "gat noreply\r\n",
      "gat\t0 k\r\n",
      "get noreply\r\n",
      "gxx\r\n",
      "gxx a\r\n",
      "g\r\n",
      "ge k\r\n",
      set + "get k j k none j\r\n",
      set + "get k noreply\r\n",
      set + "bget k\r\n",
      set + "gat 0 k k none j\r\n",
      set + "gat -1 k\r\nget k j\r\n",
      set + "gat 100 k\r\ngats 9 none\r\n",
      set + "get" + Many(" k", 25) + "\r\n",
      set + "get " + Many("k j none ", 700) + "\r\n",
      set + "gat 0 " + Many("k ", 1500) + "\r\n",
      "get " + Key(250) + "\r\n",
      // On their own: memcached drops replies in front of them in the same pipeline.
      "get " + Key(251) + "\r\n",
      "gets " + Key(251) + "\r\n",
      "get k " + Key(251) + " k\r\n",
      "get " + Many("a ", 30) + Key(251) + " k\r\n",
      "gat 0 k " + Key(251) + "\r\n",
      "gat x " + Key(251) + "\r\n",
  };
}

std::vector<std::string> StoreCases() {
  return {
      "set\r\n",
      "set k\r\n",
      "set k 0 0\r\n",
      "set k noreply\r\n",
      "add\r\n",
      "add noreply\r\n",
      "cas\r\n",
      "set k 0 0 1\r\na\r\nget k\r\n",
      "set k 0 0 1 foo\r\na\r\nget k\r\n",
      "set k 0 0 1 foo bar\r\na\r\n",
      "set k 0 0 1 noreply\r\na\r\nget k\r\n",
      "set k 0 0 1 foo noreply\r\nb\r\nget k\r\n",
      "set k 0 0 1 noreply foo\r\nb\r\nget k\r\n",
      "set  k   0  0  1 \r\nx\r\nget k\r\n",
      "set k -1 0 1\r\na\r\n",
      "set k -0 0 1\r\na\r\n",
      "set k +1 0 1\r\na\r\nget k\r\n",
      "set k abc 0 1\r\na\r\n",
      "set k 4294967295 0 1\r\na\r\nget k\r\n",
      "set k 4294967296 0 1\r\na\r\nget k\r\n",
      "set k 4294967297 0 1\r\na\r\nget k\r\n",
      "set k 18446744073709551615 0 1\r\na\r\nget k\r\n",
      "set k 18446744073709551616 0 1\r\na\r\n",
      "set k 1a 0 1\r\na\r\n",
      "set k 0 abc 1\r\na\r\n",
      "set k 0 1a 1\r\na\r\n",
      "set k 0 9223372036854775808 1\r\na\r\n",
      "set k 0 -9223372036854775808 1\r\na\r\n",
      "set k 0 -9223372036854775809 1\r\na\r\n",
      "set k 0 0 abc\r\na\r\n",
      "set k 0 0 -1\r\na\r\n",
      "set k 0 0 1a\r\na\r\n",
      "set k 0 0 +1\r\na\r\nget k\r\n",
      "set k 0 0 01\r\na\r\nget k\r\n",
      "set k 0 \t0 1\r\na\r\nget k\r\n",
      "set k 0 0 2147483646\r\n",
      "set k 0 0 2147483647\r\na\r\n",
      "set k 0 0 9223372036854775808\r\n",
      "set k 0 0 -5 noreply\r\na\r\n",
      "set k 0 x 1 noreply\r\na\r\n",
      "set k 0 -1 1\r\na\r\nget k\r\n",
      "set k 0 2592000 1\r\na\r\nget k\r\n",
      "set k 0 2592001 1\r\na\r\nget k\r\n",
      "set k 0 0 0\r\n\r\nget k\r\n",
      "set k 0 0 3\r\nabcd\r\n",
      "set k 0 0 3\r\nab\r\nget k\r\n",
      "set k 0 0 3\r\nabc\nversion\r\n",
      "set k 0 0 1 noreply\r\nabc\r\nget k\r\n",
      "set k 0 0 6\r\n\r\n\r\n\r\n\r\nget k\r\n",
      WithNul("set k 0 0 5\r\n@a@b@\r\nget k\r\n"),
      "set " + Key(250) + " 0 0 1\r\na\r\nget " + Key(250) + "\r\ndelete " + Key(250) + "\r\n",
      "set " + Key(251) + " 0 0 1\r\na\r\n",
      "set " + Key(251) + " 0 0 1 noreply\r\na\r\n",
      "set " + Key(251) + " 0 0 x\r\na\r\n",
      "cas " + Key(251) + " 0 0 1 x\r\na\r\n",
      "cas k 0 0 1\r\na\r\n",
      "cas k 0 0 1 x\r\na\r\n",
      "cas k 0 0 1 -1\r\na\r\n",
      "cas k 0 0 1 1 2 3\r\na\r\n",
      "cas none 0 0 1 0\r\na\r\n",
      "cas none 0 0 1 1 noreply\r\na\r\n",
      "cas k 0 0 1 x noreply\r\na\r\n",
      "set k 0 0 1\r\na\r\ncas k 0 0 1 0\r\nb\r\ncas k 0 0 1 18446744073709551615 x\r\nb\r\nget "
      "k\r\n",
      "cas k 0 0 1 18446744073709551616\r\na\r\n",
      "cas k 0 0 1 noreply\r\na\r\n",
      "add k 0 0 1\r\na\r\nadd k 0 0 1\r\nb\r\nreplace k 3 0 1\r\nc\r\nget k\r\nreplace none 0 0 "
      "1\r\na\r\n",
      "append none 0 0 1\r\na\r\nprepend none 0 0 1\r\na\r\nappend k x y 1\r\na\r\nappend k -1 0 "
      "1\r\na\r\n",
      "set k 7 0 1\r\nm\r\nappend k 9 0 1\r\nz\r\nprepend k 9 -1 1\r\na\r\nget k\r\n",
      "append k 0 0 1 x y\r\na\r\n",
      "set k 0 0 1 \r\nx\r\n\r\nget k\r\n",
      Large("set k 0 0", 2'000'000, ""),
      Large("set k 0 0", 2'000'000, " noreply"),
      Large("set k 0 0", 1'048'576, ""),
      Large("set k 0 0", 1'000'000, "") + "get k\r\n",
      Large("set k 0 0", 600'000, "") + "append k 0 0 3\r\nend\r\nget k\r\n",
      "set k 0 0 1\r\na\r\n" + Large("set k 0 0", 2'000'000, "") + "get k\r\n",
      "set k 0 0 1\r\na\r\n" + Large("add k 0 0", 2'000'000, "") + "get k\r\n",
      "set k 0 0 1\r\na\r\n" + Large("append k 0 0", 2'000'000, "") + "get k\r\n",
      "set k 0 0 1\r\na\r\n" + Large("cas k 0 0", 2'000'000, " 1") + "get k\r\n",
  };
}

std::vector<std::string> OtherCases() {
  const std::string set = "set k 0 0 1\r\na\r\n";
  return {
      "delete\r\n",
      "delete none\r\n",
      "delete none 0\r\n",
      "delete none 10\r\n",
      "delete none noreply\r\n",
      "delete none 0 noreply\r\n",
      "delete none 10 noreply\r\n",
      "delete a b c d\r\n",
      "delete a 0 x\r\n",
      "delete a b c\r\n",
      "delete noreply\r\n",
      set + "delete k 10\r\nget k\r\ndelete k 0\r\nget k\r\n",
      "delete " + Key(251) + "\r\n",
      "delete " + Key(251) + " 10\r\n",
      "delete " + Key(251) + " noreply\r\n",
      "touch\r\n",
      "touch k\r\n",
      "touch none 1\r\n",
      "touch none x\r\n",
      "touch none x noreply\r\n",
      "touch none 1 noreply\r\n",
      "touch none 1 2\r\n",
      "touch none 1 2 3\r\n",
      "touch k noreply\r\n",
      "touch none -1\r\n",
      "touch \t1 5\r\n",
      "touch " + Key(251) + " x\r\n",
      set + "touch k 100\r\nget k\r\n",
      set + "touch k -1\r\nget k\r\n",
      "touch k 9223372036854775808\r\n",
      set + "touch k -9223372036854775808\r\n",
      "touch k -9223372036854775809\r\n",
      "incr\r\n",
      "incr k\r\n",
      "incr none 1\r\n",
      "incr none x\r\n",
      "incr none -1\r\n",
      "incr none +1\r\n",
      "incr none 1 noreply\r\n",
      "incr none x noreply\r\n",
      "incr none 1 foo\r\n",
      "incr none 1 foo bar\r\n",
      "incr none 18446744073709551615\r\n",
      "incr none 18446744073709551616\r\n",
      "decr none 01\r\n",
      "incr k noreply\r\n",
      "incr " + Key(251) + " x\r\n",
      "incr " + Key(251) + " x noreply\r\n",
      "incr none \t1\r\n",
      "incr none 1 1 noreply\r\n",
      "set n 5 0 2\r\n10\r\ndecr n 1\r\nget n\r\nincr n 1\r\nget n\r\nincr n 90\r\nget n\r\ndecr n "
      "500\r\nget n\r\n",
      "set n 0 0 20\r\n18446744073709551615\r\nincr n 1\r\nget n\r\n",
      "set n 0 0 3\r\nabc\r\nincr n 1\r\n",
      "set n 0 0 0\r\n\r\nincr n 1\r\n",
      "set n 0 0 3\r\n 5 \r\nincr n 1\r\nget n\r\n",
      "set n 0 0 2\r\n+5\r\nincr n 1\r\nget n\r\n",
      "set n 0 0 3\r\n5 a\r\nincr n 1\r\nget n\r\n",
      "set n 0 0 2\r\n-5\r\nincr n 1\r\n",
      "set n 0 0 3\r\n5ab\r\nincr n 1\r\n",
      "set n 0 0 21\r\n000000000000000000001\r\nincr n 1\r\nget n\r\n",
      "set n 0 0 3\r\nabc\r\nincr n 1 noreply\r\n",
      "set n 0 0 1\r\n5\r\nincr n 5 noreply\r\nget n\r\n",
      set + "gat -9223372036854775808 k\r\n",
      set + "flush_all -9223372036854775808\r\nget k\r\n",
      "flush_all x\r\n",
      "flush_all 1a\r\n",
      "flush_all 0 x y\r\n",
      "flush_all x noreply\r\n",
      "flush_all 0 noreply x\r\n",
      set + "flush_all 0 x\r\nget k\r\n",
      set + "flush_all noreply\r\nget k\r\n",
      set + "flush_all  noreply \r\nget k\r\n",
      set + "flush_all 0 noreply\r\nget k\r\n",
      set + "flush_all -1\r\nget k\r\n",
      set + "flush_all\r\n" + set + "get k\r\n",
      set + "flush_all 100\r\nget k\r\nflush_all\r\nget k\r\n",
  };
}

// Meta commands beside classic ones, where the differential test does not come by: it speaks one protocol.
std::vector<std::string> MetaCases() {
  const std::string set = "set k 0 0 1\r\na\r\n";
  return {
      "ms Zm9vYmFy 2 b\r\nhi\r\nget foobar\r\nmg foobar k v\r\nmg Zm9vYmFy b k v\r\ndelete "
      "foobar\r\n",
      "set foobar 0 0 2\r\nhi\r\nmg Zm9vYmFy b k v\r\n",
      "ms k 2 T0 F77\r\nhi\r\nget k\r\nmd k I\r\nget k\r\nmg k v\r\n",
      "mg k N30\r\nget k\r\nma n N0 J5\r\nincr n 1\r\ndelete n\r\n",
      set + "mg k C1 v\r\nmg k v C0\r\n",
      set + "mn noreply\r\nmn a b c\r\n",
      "me none\r\nme bm9uZQ== b x\r\nme\r\n",
  };
}

// What hangs up, and what is sent before.
std::vector<std::string> ClosingCases() {
  return {
      "quit\r\n",
      "quit junk\r\nversion\r\n",
      "version\r\nquit\r\n",
      "set k 0 0 1\r\na\r\nget k\r\nquit\r\nget k\r\n",
      "POST / HTTP/1.1\r\n",
      "foo HTTP/1.1\r\n",
      std::string(2049, 'x'),
      "foo " + Many("k ", 1500),
      std::string(101, ' ') + "get " + std::string(3000, 'k'),
  };
}

// For servers with -C: nobody's CAS unique is shown, and none matches.
std::vector<std::string> CasCases() {
  const std::string set = "set k 0 0 1\r\na\r\n";
  return {
      set + "gets k k\r\n",
      set + "gats 0 k\r\nget k\r\n",
      set + "cas k 0 0 1 0\r\nb\r\ncas k 0 0 1 1\r\nb\r\nget k\r\n",
      set + "cas k 0 0 1 2 noreply\r\nb\r\nget k\r\n",
      "cas none 0 0 1 0\r\na\r\ncas none 0 0 1 1\r\na\r\n",
      "cas k 0 0 1 x\r\na\r\n",
      "set n 0 0 1\r\n1\r\nincr n 1\r\nappend n 0 0 1\r\n0\r\ngets n\r\ndelete n\r\n",
  };
}

// For servers with -F.
std::vector<std::string> FlushCases() {
  const std::string set = "set k 0 0 1\r\na\r\n";
  return {
      set + "flush_all\r\nget k\r\n",
      set + "flush_all 0\r\nflush_all -1\r\nget k\r\n",
      set + "flush_all noreply\r\nget k\r\n",
      "flush_all x\r\n",
      "flush_all x noreply\r\n",
      "flush_all 0 x y\r\n",
  };
}

class TextProtocolTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    reference_ = Start(ReferenceBinary()).release();
    ours_ = Start(TerracedBinary()).release();
  }
  static void TearDownTestSuite() {
    delete reference_;
    delete ours_;
  }
  static std::unique_ptr<Daemon> Start(const std::string& binary,
                                       const std::vector<std::string>& switches = {}) {
    DaemonSpec spec;
    spec.binary = binary;
    spec.arguments = {"-m", "256"};
    spec.arguments.insert(spec.arguments.end(), switches.begin(), switches.end());
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(spec);
    EXPECT_TRUE(daemon.ok()) << daemon.status().message();
    return daemon.ok() ? std::move(daemon).value() : nullptr;
  }
  void SetUp() override { ASSERT_TRUE(reference_ != nullptr && ours_ != nullptr); }

  static std::string Replies(const Daemon& daemon, const std::string& request,
                             std::string_view end) {
    const std::unique_ptr<Client> client = daemon.Connect();
    const Status sent = client->Send(request);
    if (!sent.ok()) return "<" + std::string(sent.message()) + ">";
    const Result<std::string> replies = client->ReadThrough(end);
    return replies.ok() ? replies.value() : "<" + std::string(replies.status().message()) + ">";
  }

  static std::string Shown(const std::string& text) {
    return text.size() <= 400
               ? text
               : text.substr(0, 300) + "...(" + std::to_string(text.size()) + " bytes)";
  }

  static void Compare(const std::vector<std::string>& cases) {
    Compare(*reference_, *ours_, cases);
  }
  static void Compare(const Daemon& reference, const Daemon& ours,
                      const std::vector<std::string>& cases) {
    for (const std::string& request : cases) {
      // The mark of a pipeline must be the last: a request may hold `version` itself, so it is counted.
      const std::string marked =
          request + "delete k noreply\r\ntouch end_of_case 0\r\n" + std::string(kMark);
      const std::string expected =
          Replies(reference, marked, "NOT_FOUND\r\n" + std::string(kMarkReply));
      const std::string got = Replies(ours, marked, "NOT_FOUND\r\n" + std::string(kMarkReply));
      // Two servers that both do not answer have not agreed on anything.
      EXPECT_FALSE(expected.starts_with('<')) << Shown(request) << ": " << expected;
      EXPECT_EQ(got == expected, true)
          << "request: " << Shown(request) << "\nmemcached: " << Shown(expected)
          << "\nterraced:  " << Shown(got);
    }
  }

  static Daemon* reference_;
  static Daemon* ours_;
};

Daemon* TextProtocolTest::reference_ = nullptr;
Daemon* TextProtocolTest::ours_ = nullptr;

TEST_F(TextProtocolTest, AnswersLinesLikeMemcached) {
  Compare(LineCases());
}
TEST_F(TextProtocolTest, AnswersGetsLikeMemcached) {
  Compare(GetCases());
}
TEST_F(TextProtocolTest, AnswersStoresLikeMemcached) {
  Compare(StoreCases());
}
TEST_F(TextProtocolTest, AnswersOtherCommandsLikeMemcached) {
  Compare(OtherCases());
}

TEST_F(TextProtocolTest, AnswersMetaBesideClassicCommandsLikeMemcached) {
  Compare(MetaCases());
}

// Here we differ: memcached 1.6.18 wraps them to 32 bits, and the item has ended.
TEST_F(TextProtocolTest, DatesAfter2038AreDates) {
  const std::unique_ptr<Client> client = ours_->Connect();
  for (const int64_t date : {int64_t{1} << 31, int64_t{4'000'000'000}, int64_t{1} << 40}) {
    const std::string end = std::to_string(date);
    EXPECT_EQ(client->Set("late", "value", 0, date), "STORED\r\n");
    EXPECT_EQ(client->Get("late"), "value") << end;
    EXPECT_EQ(client->Set("late", "value"), "STORED\r\n");
    EXPECT_EQ(client->Ask("touch late " + end + "\r\n"), "TOUCHED\r\n");
    EXPECT_EQ(client->Get("late"), "value") << end;
    EXPECT_EQ(client->Ask("gat " + end + " late\r\n"), "VALUE late 0 5\r\nvalue\r\nEND\r\n");
    EXPECT_EQ(client->Get("late"), "value") << end;
    EXPECT_EQ(client->Ask("ms late 1 T" + end + "\r\nx\r\n"), "HD\r\n");
    EXPECT_EQ(client->Get("late"), "x") << end;
  }
}

// And here: 1.6.18 takes replies in front of it along.
TEST_F(TextProtocolTest, ALongKeyLeavesEarlierRepliesOfItsPipelineAlone) {
  const std::string request = "set k 0 0 1\r\na\r\nget k k\r\nget k\r\nget k " + Key(251) +
                              " k\r\nget k\r\n" + std::string(kMark);
  EXPECT_EQ(Replies(*ours_, request, kMarkReply),
            "STORED\r\nVALUE k 0 1\r\na\r\nVALUE k 0 1\r\na\r\nEND\r\nVALUE k 0 1\r\na\r\nEND\r\n"
            "CLIENT_ERROR bad command line format\r\nVALUE k 0 1\r\na\r\nEND\r\n" +
                std::string(kMarkReply));
}

// And here: there it is base64 only before another word.
TEST_F(TextProtocolTest, MeTakesAKeyInBase64) {
  const std::unique_ptr<Client> client = ours_->Connect();
  EXPECT_EQ(client->Ask("ms Zm9vYmFy 2 b\r\nhi\r\n"), "HD\r\n");
  EXPECT_TRUE(client->Ask("me Zm9vYmFy b\r\n").starts_with("ME Zm9vYmFy exp=-1 "));
  EXPECT_TRUE(client->Ask("me foobar\r\n").starts_with("ME "));
}

TEST_F(TextProtocolTest, TheLevelOfTheLogIsTwoAtMostLikeMemcacheds) {
  for (const std::string& binary : {ReferenceBinary(), TerracedBinary()}) {
    const std::unique_ptr<Daemon> daemon = Start(binary);
    ASSERT_TRUE(daemon != nullptr);
    const std::unique_ptr<Client> client = daemon->Connect();
    for (const auto& [level, shown] : {std::pair("1", "1"), {"2", "2"}, {"9", "2"}, {"0", "0"}}) {
      EXPECT_EQ(client->Ask("verbosity " + std::string(level) + "\r\n"), "OK\r\n");
      EXPECT_EQ(client->Stats("settings")["verbosity"], shown) << binary;
    }
  }
}

TEST_F(TextProtocolTest, ObeysTheSwitchesOfCommandsLikeMemcached) {
  const std::unique_ptr<Daemon> reference = Start(ReferenceBinary(), {"-C", "-F"});
  const std::unique_ptr<Daemon> ours = Start(TerracedBinary(), {"-C", "-F"});
  ASSERT_TRUE(reference != nullptr && ours != nullptr);
  Compare(*reference, *ours, CasCases());
  Compare(*reference, *ours, FlushCases());
  const std::unique_ptr<Client> expected = reference->Connect();
  const std::unique_ptr<Client> got = ours->Connect();
  for (const char* name : {"cas_hits", "cas_misses", "cas_badval"}) {
    EXPECT_EQ(got->Stat(name), expected->Stat(name)) << name;
  }
  EXPECT_GT(expected->Stat("cmd_flush"), 0U);
  EXPECT_EQ(got->Stat("cmd_flush"), 0U) << "what was refused";
}

TEST_F(TextProtocolTest, RefusesWithMWhatDoesNotFitLikeMemcached) {
  const std::string value(10'000, 'x');
  for (const std::string& binary : {ReferenceBinary(), TerracedBinary()}) {
    const std::unique_ptr<Daemon> daemon = Start(binary, {"-M", "-m", "64"});
    ASSERT_TRUE(daemon != nullptr);
    const std::unique_ptr<Client> client = daemon->Connect();
    std::string reply;
    int stored = 0;
    for (; stored < 10'000; ++stored) {
      reply = client->Set("k" + std::to_string(stored), value);
      if (reply != "STORED\r\n") break;
    }
    EXPECT_EQ(reply, "SERVER_ERROR out of memory storing object\r\n") << binary;
    for (int i = 0; i < stored; ++i) {
      ASSERT_EQ(client->Get("k" + std::to_string(i)) == value, true) << binary << " lost k" << i;
    }
    EXPECT_EQ(client->Stat("evictions"), 0U) << binary;
  }
}

// What monitoring reads must be there, whatever we have to say about it.
TEST_F(TextProtocolTest, ShowsEveryStatisticThatMemcachedShows) {
  const std::unique_ptr<Client> reference = reference_->Connect();
  const std::unique_ptr<Client> ours = ours_->Connect();
  const std::map<std::string, std::string> expected = reference->Stats();
  const std::map<std::string, std::string> got = ours->Stats();
  EXPECT_GT(expected.size(), 80U);
  for (const auto& [name, value] : expected) EXPECT_TRUE(got.contains(name)) << name;
}

TEST_F(TextProtocolTest, HangsUpLikeMemcached) {
  for (const std::string& request : ClosingCases()) {
    std::string replies[2];
    const Daemon* const daemons[] = {reference_, ours_};
    for (int i = 0; i < 2; ++i) {
      const std::unique_ptr<Client> client = daemons[i]->Connect();
      ASSERT_TRUE(client->Send(request).ok());
      while (true) {
        const Result<std::string> byte = client->ReadBytes(1);
        if (!byte.ok()) break;
        replies[i] += byte.value();
      }
      EXPECT_TRUE(client->ServerCloses(std::chrono::seconds(5))) << Shown(request);
    }
    EXPECT_EQ(replies[1], replies[0]) << Shown(request);
  }
}

// Whatever the pieces in which requests arrive, the replies are the same.
TEST_F(TextProtocolTest, AnswersTheSameHoweverTheBytesArrive) {
  const std::string request =
      "set k 7 0 5\r\nh\r\nlo\r\nget k none\r\nincr k 1\r\ngat 0 k\r\nset n 0 0 1 "
      "noreply\r\n1\r\nincr n 41\r\n"
      "delete k\r\nbad\r\nversion\r\n";
  const std::string whole = Replies(*ours_, request, kMarkReply);
  const std::unique_ptr<Client> client = ours_->Connect();
  for (const char byte : request) ASSERT_TRUE(client->Send(std::string_view(&byte, 1)).ok());
  const Result<std::string> piecemeal = client->ReadThrough(kMarkReply);
  ASSERT_TRUE(piecemeal.ok());
  EXPECT_EQ(piecemeal.value(), whole);
}

}  // namespace
}  // namespace terraced::support
