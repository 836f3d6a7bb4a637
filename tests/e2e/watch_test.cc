// watch: the same lines as memcached's for what both have, with the values masked that must differ (time, number, port,
// descriptor, slab class); and what only this daemon has: deletions, and what goes between the tiers.
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "tests/e2e/flash_fixture.h"
#include "tests/support/binary.h"
#include "tests/support/eventually.h"

namespace terraced::support {
namespace {

// A line without its time and number, and without what depends on the process.
std::string Masked(const std::string& line) {
  std::string masked = std::regex_replace(line, std::regex("^ts=[0-9]+\\.[0-9]+ gid=[0-9]+ "), "");
  masked = std::regex_replace(masked, std::regex(" (rport|cfd|clsid)=[0-9]+"), " $1=N");
  masked = std::regex_replace(masked, std::regex(" ttl=[1-9][0-9]*"), " ttl=N");
  masked = std::regex_replace(masked, std::regex("(eviction key=k)[0-9]+"), "$1N");
  masked = std::regex_replace(masked, std::regex(" la=[0-9]+"), " la=N");
  // memcached shows no size here, and the descriptor as the class.
  if (masked.find("status=too_large") != std::string::npos) {
    masked = std::regex_replace(masked, std::regex(" size=[0-9]+"), " size=N");
  }
  return masked;
}

std::unique_ptr<Client> Watch(const Daemon& daemon, const std::string& classes) {
  std::unique_ptr<Client> watcher = daemon.Connect();
  EXPECT_TRUE(watcher->Send("watch " + classes + "\r\n").ok());
  const Result<std::string> answer = watcher->ReadThrough("\n");
  EXPECT_EQ(answer.ok() ? answer.value() : "<none>", "OK\r\n");
  return watcher;
}

// Every line up to the first that holds `last`.
std::vector<std::string> LinesThrough(Client& watcher, const std::string& last) {
  std::vector<std::string> lines;
  while (true) {
    const Result<std::string> line = watcher.ReadThrough("\n");
    if (!line.ok()) {
      ADD_FAILURE() << "no " << last << ": " << line.status().message();
      return lines;
    }
    lines.push_back(line.value());
    if (lines.back().find(last) != std::string::npos) return lines;
  }
}

class WatchTest : public testing::Test {
 protected:
  static std::unique_ptr<Daemon> Start(const std::string& binary,
                                       const std::vector<std::string>& more = {}) {
    DaemonSpec spec{.binary = binary, .arguments = {"-m", "64", "-t", "2"}};
    spec.arguments.insert(spec.arguments.end(), more.begin(), more.end());
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(spec);
    EXPECT_TRUE(daemon.ok()) << daemon.status().message();
    return std::move(daemon).value();
  }
  // What both servers show of what `act` does, up to the line with `last`. One worker: memcached has an order within a
  // worker only.
  static void Compare(const std::string& classes, const std::function<void(const Daemon&)>& act,
                      const std::string& last) {
    std::string shown[2];
    const std::string binaries[] = {ReferenceBinary(), TerracedBinary()};
    for (int i = 0; i < 2; ++i) {
      const std::unique_ptr<Daemon> daemon = Start(binaries[i], {"-t", "1"});
      const std::unique_ptr<Client> watcher = Watch(*daemon, classes);
      act(*daemon);
      for (const std::string& line : LinesThrough(*watcher, last)) {
        EXPECT_TRUE(std::regex_search(line, std::regex("^ts=[0-9]+\\.[0-9]+ gid=[0-9]+ type=")))
            << binaries[i] << ": " << line;
        shown[i] += Masked(line);
      }
    }
    EXPECT_EQ(shown[1], shown[0]);
  }
};

TEST_F(WatchTest, ShowsFetchesAndStoresAsMemcachedDoes) {
  const auto act = [](const Daemon& daemon) {
    const std::unique_ptr<Client> client = daemon.Connect();
    const std::string too_large(1'100'000, 'x');
    const std::vector<std::string> requests = {"get a\r\n",
                                               "set a 5 0 1\r\na\r\n",
                                               "get a b\r\n",
                                               "gets a\r\n",
                                               "gat 100 a\r\n",
                                               "gat 100 none\r\n",
                                               "touch a 0\r\n",
                                               "touch none 0\r\n",
                                               "add a 0 0 1\r\nb\r\n",
                                               "add n 0 100 1\r\nb\r\n",
                                               "replace a 0 0 1\r\nb\r\n",
                                               "replace none 0 0 1\r\nb\r\n",
                                               "append a 0 0 1\r\nb\r\n",
                                               "prepend a 0 0 1\r\nb\r\n",
                                               "append none 0 0 1\r\nb\r\n",
                                               "cas a 0 0 1 1000\r\nb\r\n",
                                               "cas none 0 0 1 1\r\nb\r\n",
                                               "set num 0 0 1\r\n5\r\n",
                                               "incr num 1\r\n",
                                               "decr num 1\r\n",
                                               "incr a 1\r\n",
                                               "incr none 1\r\n",
                                               "delete a\r\n",
                                               "delete a\r\n",
                                               "set k\x01\xff%,~_-.!*+/:@=&? 0 0 1\r\na\r\n",
                                               "set big 0 0 1100000\r\n" + too_large + "\r\n",
                                               "set " + std::string(250, 'k') + " 0 0 1\r\na\r\n"};
    for (const std::string& request : requests) client->Ask(request);
    client->Ask("set end 0 0 1\r\na\r\n");
  };
  Compare("fetchers mutations", act, "item_store key=end ");
  Compare("mutations", act, "item_store key=end ");
}

TEST_F(WatchTest, ShowsMetaCommandsAsMemcachedDoes) {
  const auto act = [](const Daemon& daemon) {
    const std::unique_ptr<Client> client = daemon.Connect();
    const std::vector<std::string> requests = {"mg none v\r\n",
                                               "mg none q\r\nmn\r\n",
                                               "mg viv N30 v\r\n",
                                               "mg viv v\r\n",
                                               "mg viv R60 t v\r\n",
                                               "mg viv T90\r\n",
                                               "mg none T90\r\n",
                                               "me viv\r\n",
                                               "me none\r\n",
                                               "ms a 3\r\nabc\r\n",
                                               "mg a\r\n",
                                               "ms a 3 ME\r\nabc\r\n",
                                               "ms e 3 ME T10\r\nabc\r\n",
                                               "ms a 3 MA\r\nabc\r\n",
                                               "ms none 3 MA\r\nabc\r\n",
                                               "ms a 3 MP\r\nabc\r\n",
                                               "ms a 3 MR\r\nabc\r\n",
                                               "ms none 3 MR\r\nabc\r\n",
                                               "ms none 3 C5\r\nabc\r\n",
                                               "ms a 3 C99999\r\nabc\r\n",
                                               "ms a 3 C1 I\r\nabc\r\n",
                                               "ms Zm9vYmFy 2 b\r\nhi\r\n",
                                               "mg Zm9vYmFy b v\r\n",
                                               "ma n\r\n",
                                               "ma n v\r\n",
                                               "ms n 2\r\n10\r\n",
                                               "ma n v\r\n",
                                               "ma n MD D3 T30 v\r\n",
                                               "ma n C99999\r\n",
                                               "ma a\r\n",
                                               "md none\r\n",
                                               "md a C99999\r\n",
                                               "md a I T30\r\n",
                                               "mg a s v\r\n",
                                               "md a\r\n",
                                               "md a\r\n"};
    for (const std::string& request : requests) client->Ask(request);
    client->Ask("ms end 1\r\na\r\n");
  };
  Compare("fetchers mutations", act, "item_store key=end ");
}

// In 1.6.18 the line of a meta store has a random descriptor then, and a binary one makes it crash.
TEST_F(WatchTest, ShowsStoresThatAreTooLargeInEveryProtocol) {
  const std::unique_ptr<Daemon> daemon = Start(TerracedBinary());
  const std::unique_ptr<Client> watcher = Watch(*daemon, "mutations");
  const std::string value(1'100'000, 'x');
  const std::unique_ptr<Client> text = daemon->Connect();
  text->Ask("ms meta 1100000 ME\r\n" + value + "\r\n");
  EXPECT_EQ(Masked(LinesThrough(*watcher, "key=meta ").back()),
            "type=item_store key=meta status=too_large cmd=add ttl=0 clsid=N cfd=N size=N\n");
  const std::unique_ptr<Client> binary = daemon->Connect();
  ASSERT_TRUE(binary->Send(Packet(kReplaceOp, "binary", value)).ok());
  EXPECT_EQ(Masked(LinesThrough(*watcher, "key=binary ").back()),
            "type=item_store key=binary status=too_large cmd=replace ttl=0 clsid=N cfd=N size=N\n");
}

// memcached shows that it looked twice.
TEST_F(WatchTest, ShowsWhatMaMakesOfNothingAsAdded) {
  Compare(
      "mutations", [](const Daemon& daemon) { daemon.Connect()->Ask("ma n N0 J10\r\n"); },
      "item_store key=n ");
}

TEST_F(WatchTest, ShowsBinaryCommandsAsMemcachedDoes) {
  const auto act = [](const Daemon& daemon) {
    const std::unique_ptr<Client> client = daemon.Connect();
    const std::vector<std::string> packets = {
        Packet(kGetOp, "none"),          Packet(kSetOp, "k", "v"),
        Packet(kGetKQOp, "k"),           Packet(kAddOp, "k", "v"),
        Packet(kAddOp, "n", "v"),        Packet(kReplaceOp, "none", "v"),
        Packet(kReplaceOp, "k", "v"),    Packet(kSetOp, "k", "v", 99'999),
        Packet(kSetOp, "none", "v", 99), Packet(kAppendOp, "k", "v"),
        Packet(kPrependOp, "k", "v"),    Packet(kAppendOp, "none", "v"),
        Packet(kTouchOp, "k"),           Packet(kGatOp, "k"),
        Packet(kIncrementOp, "k"),       Packet(kDeleteOp, "k"),
        Packet(kDeleteOp, "k")};
    for (const std::string& packet : packets) ASSERT_TRUE(client->Send(packet).ok());
    ASSERT_TRUE(client->Send(Packet(kSetOp, "end", "v")).ok());
    ASSERT_TRUE(client->Send(Packet(kNoopOp)).ok());
    std::string header;
    do {
      const Result<std::string> read = client->ReadBytes(kBinaryHeader);
      ASSERT_TRUE(read.ok());
      header = read.value();
      ASSERT_TRUE(client->ReadBytes(NumberIn(header.substr(8, 4))).ok());
    } while (header[1] != kNoopOp);
  };
  Compare("fetchers mutations", act, "item_store key=end ");
}

TEST_F(WatchTest, ShowsConnectionsAsMemcachedDoes) {
  const auto wait_for_end = [](Client& client) {
    EXPECT_TRUE(client.ServerCloses(std::chrono::seconds(10)));
  };
  Compare(
      "connevents",
      [&](const Daemon& daemon) {
        const std::unique_ptr<Client> quits = daemon.Connect();
        ASSERT_TRUE(quits->Send("quit\r\n").ok());
        wait_for_end(*quits);
        const std::unique_ptr<Client> breaks = daemon.Connect();
        ASSERT_TRUE(breaks->Send(std::string(3'000, 'a')).ok());
        wait_for_end(*breaks);
      },
      "reason=error");
}

TEST_F(WatchTest, ShowsClientsOfIpv6AsMemcachedDoes) {
  std::string shown[2];
  const std::string binaries[] = {ReferenceBinary(), TerracedBinary()};
  for (int i = 0; i < 2; ++i) {
    const std::unique_ptr<Daemon> daemon = Start(binaries[i], {"-t", "1", "-l", "::1"});
    const std::unique_ptr<Client> watcher = Watch(*daemon, "connevents");
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(static_cast<uint16_t>(daemon->PortOf("TCP INET6: ")));
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    Client::Adopt(fd)->CloseNow(false);
    for (const std::string& line : LinesThrough(*watcher, "type=conn_close")) {
      shown[i] += Masked(line);
    }
  }
  EXPECT_EQ(shown[1], shown[0]);
  EXPECT_NE(shown[1].find(" rip=::1 "), std::string::npos);
}

TEST_F(WatchTest, ShowsEvictionsAsMemcachedDoes) {
  // The first item that goes: its line, whichever key it is.
  Compare(
      "evictions",
      [](const Daemon& daemon) {
        const std::unique_ptr<Client> client = daemon.Connect();
        const std::string value(10'000, 'x');
        for (int i = 0; i < 10'000 && client->Stat("evictions") == 0; ++i) {
          for (int j = 0; j < 500; ++j) client->Set("same", value);
          for (int j = 0; j < 500; ++j) client->Set("k" + std::to_string(500 * i + j), value);
        }
      },
      "type=eviction");
}

TEST_F(WatchTest, AnswersLikeMemcachedWhereItRefuses) {
  for (const std::string& binary : {ReferenceBinary(), TerracedBinary()}) {
    const std::unique_ptr<Daemon> daemon = Start(binary);
    const std::unique_ptr<Client> client = daemon->Connect();
    EXPECT_EQ(client->Ask("watch foo\r\n"), "ERROR\r\n") << binary;
    EXPECT_EQ(client->Ask("watch fetchers foo\r\n"), "ERROR\r\n") << binary;
    ASSERT_TRUE(client->Send("watch noreply\r\nversion\r\n").ok());
    EXPECT_EQ(client->ReadThrough("\n").value(), "VERSION 1.6.18\r\n") << binary;
    ASSERT_TRUE(client->Send("set a 0 0 1\r\na\r\nwatch\r\n").ok());
    EXPECT_EQ(client->ReadThrough("watch\r\n").value(),
              "STORED\r\nERROR cannot pipeline other commands before watch\r\n")
        << binary;
    std::vector<std::unique_ptr<Client>> watchers;
    for (int i = 0; i < 20; ++i) watchers.push_back(Watch(*daemon, "fetchers"));
    EXPECT_EQ(client->Ask("watch\r\n"), "WATCHER_TOO_MANY log watcher limit reached\r\n") << binary;
    const std::unique_ptr<Daemon> without = Start(binary, {"-W"});
    EXPECT_EQ(without->Connect()->Ask("watch\r\n"), "CLIENT_ERROR watch commands not allowed\r\n")
        << binary;
  }
}

TEST_F(WatchTest, TakesTheClassesThatMemcachedKnowsAndDeletions) {
  const std::unique_ptr<Daemon> daemon = Start(TerracedBinary());
  const std::unique_ptr<Client> watcher =
      Watch(*daemon, "deletions sysevents rawcmds proxyreqs proxyevents proxyuser");
  const std::unique_ptr<Client> client = daemon->Connect();
  client->Set("a", "four");
  client->Ask("delete none\r\n");
  client->Ask("delete a\r\n");
  std::vector<std::string> lines = LinesThrough(*watcher, "type=deleted");
  EXPECT_EQ(Masked(lines.back()), "type=deleted key=a cmd=delete clsid=N size=4\n");
  client->Set("b", "four");
  client->Ask("md b I\r\n");  // it is still there
  client->Ask("md b\r\n");
  lines = LinesThrough(*watcher, "type=deleted");
  EXPECT_EQ(Masked(lines.back()), "type=deleted key=b cmd=md clsid=N size=4\n");
  EXPECT_EQ(lines.size(), 1U);
}

TEST_F(WatchTest, ItemsThatEndedByThemselvesAreToldApart) {
  const std::unique_ptr<Daemon> daemon = Start(TerracedBinary(), {"-o", "no_lru_crawler"});
  const std::unique_ptr<Client> watcher = Watch(*daemon, "fetchers");
  const std::unique_ptr<Client> client = daemon->Connect();
  client->Ask("set gone 0 -1 1\r\na\r\n");
  client->Ask("get gone\r\n");
  client->Set("flushed", "a");
  client->Ask("flush_all\r\n");
  client->Ask("get flushed\r\n");
  const std::vector<std::string> lines = LinesThrough(*watcher, "key=flushed status=flushed");
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(Masked(lines[1]), "type=item_get key=gone status=expired clsid=N cfd=N size=0\n");
}

TEST_F(WatchTest, NothingIsLostWithLargeBuffersAndAClientThatReads) {
  const std::unique_ptr<Daemon> daemon =
      Start(TerracedBinary(), {"-o", "worker_logbuf_size=16384,watcher_logbuf_size=65536"});
  const std::unique_ptr<Client> watcher = Watch(*daemon, "fetchers mutations");
  constexpr int kClients = 4;
  constexpr int kRequests = 5'000;
  std::vector<std::thread> threads;
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&, i] {
      const std::unique_ptr<Client> client = daemon->Connect();
      for (int j = 0; j < kRequests; ++j) {
        client->Set("k" + std::to_string(i) + "-" + std::to_string(j), "value");
      }
    });
  }
  // A look and a store for each, of all clients in one order.
  std::map<std::string, int> lines_of;
  uint64_t last_gid = 0;
  int lines = 0;
  for (; lines < 2 * kClients * kRequests; ++lines) {
    const Result<std::string> line = watcher->ReadThrough("\n");
    if (!line.ok()) break;
    const uint64_t gid = std::stoull(line.value().substr(line.value().find(" gid=") + 5));
    EXPECT_GT(gid, last_gid);
    last_gid = gid;
    const size_t key = line.value().find(" key=");
    if (key == std::string::npos) break;
    ++lines_of[line.value().substr(key, line.value().find(' ', key + 1) - key)];
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lines, 2 * kClients * kRequests);
  EXPECT_EQ(lines_of.size(), static_cast<size_t>(kClients * kRequests));
  const std::unique_ptr<Client> client = daemon->Connect();
  EXPECT_EQ(client->Stat("log_worker_dropped"), 0U);
  EXPECT_EQ(client->Stat("log_watcher_skipped"), 0U);
  EXPECT_EQ(client->Stat("log_worker_written"), static_cast<uint64_t>(lines));
  EXPECT_EQ(client->Stat("log_watcher_sent"), static_cast<uint64_t>(lines));
}

TEST_F(WatchTest, ASlowWatcherLosesLinesAndHurtsNobody) {
  const std::unique_ptr<Daemon> daemon = Start(TerracedBinary(), {"-o", "watcher_logbuf_size=4"});
  const std::unique_ptr<Client> slow = daemon->Connect();
  const int small = 4'096;
  ASSERT_EQ(setsockopt(slow->Descriptor(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
  ASSERT_TRUE(slow->Send("watch fetchers\r\n").ok());
  ASSERT_EQ(slow->ReadThrough("\n").value(), "OK\r\n");
  const std::unique_ptr<Client> client = daemon->Connect();
  std::string gets;
  for (int i = 0; i < 100; ++i) gets += "get " + std::string(240, 'k') + std::to_string(i) + "\r\n";
  gets += "version\r\n";
  ASSERT_TRUE(support::Eventually([&] {
    for (int i = 0; i < 50; ++i) {
      EXPECT_TRUE(client->Send(gets).ok());
      EXPECT_TRUE(client->ReadThrough("VERSION 1.6.18\r\n").ok());
    }
    return client->Stat("log_watcher_skipped") > 0;
  }));
  EXPECT_EQ(client->Stat("log_watchers"), 1U);
  bool told = false;
  for (const std::string& line : LinesThrough(*slow, "skipped=")) {
    told = told || std::regex_match(line, std::regex("skipped=[1-9][0-9]*\n"));
  }
  EXPECT_TRUE(told);
}

TEST_F(WatchTest, AWatcherThatLeavesIsForgotten) {
  const std::unique_ptr<Daemon> daemon = Start(TerracedBinary());
  const std::unique_ptr<Client> client = daemon->Connect();
  for (const bool with_reset : {false, true}) {
    const std::unique_ptr<Client> watcher = Watch(*daemon, "fetchers");
    EXPECT_EQ(client->Stat("log_watchers"), 1U);
    EXPECT_NE(client->Ask("stats conns\r\n").find(":state conn_watch\r\n"), std::string::npos);
    client->Get("k");
    LinesThrough(*watcher, "key=k ");
    watcher->CloseNow(with_reset);
    EXPECT_TRUE(support::Eventually([&] { return client->Stat("log_watchers") == 0; }));
  }
  const uint64_t written = client->Stat("log_worker_written");
  client->Get("k");
  EXPECT_EQ(client->Stat("log_worker_written"), written) << "nobody watches any more";
  EXPECT_EQ(client->Ask("stats reset\r\n"), "RESET\r\n");
  EXPECT_EQ(client->Stat("log_worker_written"), 0U);
}

class WatchFlashTest : public FlashFixture {};

TEST_F(WatchFlashTest, ShowsWhatGoesBetweenTheTiers) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::unique_ptr<Client> items = Watch(*daemon_, "evictions");
  const std::unique_ptr<Client> system = Watch(*daemon_, "sysevents");
  const std::unique_ptr<Client> fetches = Watch(*daemon_, "fetchers deletions");
  client_->Set("k", "value");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_TRUE(std::regex_match(
      Masked(LinesThrough(*items, "type=extwrite").back()),
      std::regex("type=extwrite key=k fetch=no ttl=-1 la=N clsid=N batch=[0-9]+\n")));
  EXPECT_TRUE(std::regex_match(
      Masked(LinesThrough(*system, "type=flash_batch_written").back()),
      std::regex("type=flash_batch_written batch=[0-9]+ items=1 bytes=[1-9][0-9]*\n")));
  EXPECT_EQ(client_->Get("k"), "value");
  EXPECT_EQ(client_->Get("k"), "value");
  EXPECT_TRUE(
      std::regex_match(Masked(LinesThrough(*items, "type=flash_promotion").back()),
                       std::regex("type=flash_promotion key=k clsid=N size=5 batch=[0-9]+\n")));
  ASSERT_EQ(Ask("delete k\r\n"), "DELETED\r\n");
  std::vector<std::string> lines = LinesThrough(*fetches, "type=deleted");
  ASSERT_EQ(lines.size(), 5U) << "of the set, two gets and the delete, and that it was deleted";
  EXPECT_NE(lines[1].find("key=k status=found clsid=0 "), std::string::npos) << "from flash";
  EXPECT_NE(lines[3].find("key=k status=found clsid=1 "), std::string::npos) << "from RAM";
  EXPECT_EQ(Masked(lines[4]), "type=deleted key=k cmd=delete clsid=N size=5\n");

  client_->Set("k", "value");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  ASSERT_EQ(Ask("delete k\r\n"), "DELETED\r\n");
  lines = LinesThrough(*fetches, "type=deleted");
  EXPECT_NE(lines.back().find(" clsid=0 size=5"), std::string::npos) << lines.back();
  ASSERT_EQ(Ask("flush_all\r\n"), "OK\r\n");
  EXPECT_TRUE(std::regex_match(
      Masked(LinesThrough(*system, "type=flash_batch_dropped").back()),
      std::regex("type=flash_batch_dropped batch=[0-9]+ lost=0 bytes=[1-9][0-9]*\n")));
  // The walk that the flush set off may have ended before its batch went.
  ASSERT_EQ(Ask("lru_crawler crawl all\r\n"), "OK\r\n");
  LinesThrough(*system, "type=lru_crawler elapsed=");
}

}  // namespace
}  // namespace terraced::support
