// Clients that mean harm, or have bad luck in great numbers: the daemon's memory stays within its bound, a good client
// beside them is answered as before, and when they have gone everything is as it was.
#include <sys/resource.h>

#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/e2e/hostile_fixture.h"

namespace terraced::support {
namespace {

constexpr size_t kBig = 900'000;
constexpr size_t kCopied = 10'000;
constexpr uint64_t kGigabyte = 1'000'000'000;

std::string Repeated(const std::string& text, size_t times) {
  std::string all;
  all.reserve(text.size() * times);
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

class HostileClientsTest : public HostileFixture {
 protected:
  std::unique_ptr<Siege> Send(CrowdShape shape) const {
    return std::make_unique<Crowd>(daemon_->Port(), std::move(shape));
  }
};

TEST_F(HostileClientsTest, HundredsThatSendAByteNowAndThenHoldABlockEachAndNobodyUp) {
  constexpr size_t kClients = 400;
  ASSERT_NO_FATAL_FAILURE(StartFullRam());
  Endure("slow loris", BoundBytes(kClients, 0), [&] {
    return Send({.clients = kClients,
                 .opening =
                     [](size_t i) {
                       const std::array<std::string, 4> part = {"", "get ",
                                                                "set loris 0 0 100000\r\n",
                                                                "get " + std::string(30'000, ' ')};
                       return part[i % part.size()];
                     },
                 .then = "k",
                 .with_reset = true});
  });
}

TEST_F(HostileClientsTest, HalfValuesForEverTakeRoomFromLargeValuesOnly) {
  constexpr size_t kClients = 200;
  ASSERT_NO_FATAL_FAILURE(StartFullRam());
  for (const size_t percent : {0U, 50U}) {
    Endure(
        "half values, " + std::to_string(percent) + " %", BoundBytes(kClients, 0),
        [&] {
          return Send({.clients = kClients, .opening = [&](size_t i) {
                         return "set half" + std::to_string(i) + " 0 0 1000000\r\n" +
                                std::string(10'000 * percent, 'h');
                       }});
        },
        [&] {
          // Whoever has a value of another size still has room: each size class keeps its pages or gets a first one.
          for (const size_t bytes : {10U, 3'000U, 20'000U, 200'000U}) {
            EXPECT_EQ(client_->Set("other", std::string(bytes, 'o')), "STORED\r\n") << bytes;
          }
        });
  }
}

TEST_F(HostileClientsTest, AGigabyteOfRepliesThatNobodyReads) {
  constexpr size_t kClients = 16;
  ASSERT_NO_FATAL_FAILURE(StartFullRam());
  for (size_t i = 0; i < kClients; ++i) {
    ASSERT_EQ(client_->Set("big" + std::to_string(i), std::string(kBig, 'b')), "STORED\r\n");
    ASSERT_EQ(client_->Set("copied" + std::to_string(i), std::string(kCopied, 'c')), "STORED\r\n");
  }
  const auto opening = [](size_t i) {
    const std::string number = std::to_string(i);
    if (i % 4 < 2) return Repeated("get big" + number + "\r\n", kGigabyte / kBig);
    if (i % 4 == 2) return Repeated("get copied" + number + "\r\n", kGigabyte / kCopied);
    return "get" + Repeated(" copied" + number, kGigabyte / kCopied) + "\r\n";
  };
  for (const size_t sip_bytes : {0U, 1U}) {
    Endure(sip_bytes == 0 ? "never read" : "a byte at a time", BoundBytes(kClients, kCopied), [&] {
      return Send({.clients = kClients,
                   .socket = {.receive_buffer_bytes = sip_bytes == 0 ? 0 : 4'096},
                   .opening = opening,
                   .sip_bytes = sip_bytes,
                   .with_reset = sip_bytes == 0});
    });
  }
}

TEST_F(HostileClientsTest, AHundredThousandThatComeAndGo) {
  constexpr size_t kConnects = 100'000;
  ASSERT_NO_FATAL_FAILURE(StartFullRam());
  const uint64_t before =
      client_->Stat(kStatTotalConnections) + client_->Stat(kStatRejectedConnections);
  EndureOnce("100,000 connects", BoundBytes(1'024, 0), [this] {
    const std::array<std::string, 5> said = {"", "get unfini", "set half 0 0 100000\r\nhhh",
                                             "get item\r\nversion\r\n", "quit\r\n"};
    for (size_t i = 0; i < kConnects; ++i) {
      RudeClient client(daemon_->Port(), {.source = static_cast<uint8_t>(2 + i % 64)});
      client.Push(said[i % said.size()]);
      client.Leave(i % 3 != 0);
    }
  });
  EXPECT_GE(client_->Stat(kStatTotalConnections) + client_->Stat(kStatRejectedConnections),
            before + kConnects);
}

TEST_F(HostileClientsTest, FloodsOfWhatNeverEnds) {
  constexpr size_t kClients = 12;
  ASSERT_NO_FATAL_FAILURE(StartFullRam());
  const std::array<std::string, 6> openings = {
      "get " + std::string(300, 'k'),        "set ", "get", "set huge 0 0 2000000000\r\n",
      "set huge 0 0 2000000000 noreply\r\n", "\x80"};
  struct Flood {
    std::string name;
    std::string bytes;
  };
  const std::array<Flood, 3> floods = {{{"one key", Repeated("k", 100'000)},
                                        {"keys", Repeated(" kkkkkkkk", 20'000)},
                                        {"bad lines", Repeated("\r\nset a 0 0 -1\r\n\n", 10'000)}}};
  for (const Flood& flood : floods) {
    Endure("flood of " + flood.name, BoundBytes(kClients, 0), [&] {
      return Send({.clients = kClients,
                   .opening = [&openings](size_t i) { return openings[i % openings.size()]; },
                   .then = flood.bytes,
                   .then_bytes = 256U << 10,
                   .sip_bytes = 64U << 10,
                   .comes_back = true});
    });
  }
}

TEST_F(HostileClientsTest, ADaemonWithoutDescriptorsWaitsForThemAndDoesNotSpin) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP()
      << "UBSan opens a pipe to look at an object's type: without one it takes each for a bad one";
#endif
  constexpr size_t kWaiting = 50;
  ASSERT_NO_FATAL_FAILURE(StartFullRam());
  struct rlimit usual;
  ASSERT_EQ(prlimit(daemon_->Pid(), RLIMIT_NOFILE, nullptr, &usual), 0);
  const double cpu_before_s = daemon_->Usage().cpu_s;
  const auto limit = [&](rlim_t most) {
    const struct rlimit changed = {.rlim_cur = most, .rlim_max = usual.rlim_max};
    ASSERT_EQ(prlimit(daemon_->Pid(), RLIMIT_NOFILE, &changed, nullptr), 0);
  };
  probe_ = std::make_unique<LatencyProbe>(*daemon_, probe_shape_);
  ASSERT_NO_FATAL_FAILURE(limit(daemon_->Usage().descriptors));
  std::vector<std::unique_ptr<Client>> waiting;
  for (size_t i = 0; i < kWaiting; ++i) {
    waiting.push_back(daemon_->Connect());
    ASSERT_TRUE(waiting.back()->Send("version\r\n").ok());
  }
  const ProbeRound round = probe_->Measure(std::chrono::milliseconds(1'000));
  EXPECT_EQ(round.failed, 0U) << round.first_failure;
  EXPECT_EQ(client_->Stat("accepting_conns"), 0U);
  // The good client's 2,000 requests a second are in it too.
  EXPECT_LT(daemon_->Usage().cpu_s - cpu_before_s, 0.5);
  ASSERT_NO_FATAL_FAILURE(limit(usual.rlim_cur));
  for (const std::unique_ptr<Client>& client : waiting) {
    Result<std::string> reply = client->ReadLine();
    ASSERT_TRUE(reply.ok()) << reply.status().message();
    EXPECT_TRUE(reply.value().starts_with("VERSION ")) << reply.value();
  }
}

TEST_F(HostileClientsTest, AFullDaemonRefusesOrLetsWaitAndDoesNotSpin) {
  constexpr size_t kTooMany = 40;
  for (const char* const how : {"maxconns_fast", "no_maxconns_fast"}) {
    ASSERT_NO_FATAL_FAILURE(StartFullRam({"-c", "20", "-o", how}));
    probe_ = std::make_unique<LatencyProbe>(*daemon_, probe_shape_);
    const double cpu_before_s = daemon_->Usage().cpu_s;
    std::vector<RudeClient> many;
    for (size_t i = 0; i < kTooMany; ++i) many.emplace_back(daemon_->Port());
    const ProbeRound round = probe_->Measure(std::chrono::milliseconds(1'000));
    EXPECT_EQ(round.failed, 0U) << round.first_failure;
    EXPECT_LE(client_->Stat(kStatCurrConnections), 20U + 1) << how;
    EXPECT_LT(daemon_->Usage().cpu_s - cpu_before_s, 0.5) << how;
    many.clear();
    ASSERT_NO_FATAL_FAILURE(TearDown());
    daemon_.reset();
  }
}

class HostileFlashClientsTest : public HostileClientsTest {
 protected:
  static constexpr size_t kValues = 40;

  // The good client's items and the big values are all on flash, and RAM has been in use.
  void StartOnFlash() {
    ASSERT_NO_FATAL_FAILURE(Start());
    probe_shape_ = {.keys = 10'000, .set_every = 0, .item = {.value_bytes = 500}};
    probe_ = std::make_unique<LatencyProbe>(*daemon_, probe_shape_);
    for (size_t i = 0; i < kValues; ++i) {
      const std::string key = "big" + std::to_string(i);
      ASSERT_EQ(client_->Set(key, ValueOf(key, kBig)), "STORED\r\n");
    }
    constexpr uint64_t kMore = 20'000;
    ASSERT_EQ(SetItems(*client_, kMore, 2 * kMore, {.value_bytes = 5'000}), kMore);
    ASSERT_NO_FATAL_FAILURE(DemoteAll());
    probe_->KeepHits();
    floor_ =
        std::chrono::milliseconds(250);  // a read may wait a second, and reading takes processors
  }
  // Gets of all big values, beginning with another one for each client, so that they share no reads.
  static std::string BigGets(size_t client, size_t count) {
    std::string lines;
    for (size_t i = 0; i < count; ++i) {
      lines += "get big" + std::to_string((client * 11 + i * 7) % kValues) + "\r\n";
    }
    return lines;
  }
};

TEST_F(HostileFlashClientsTest, AGigabyteFromFlashThatNobodyReadsLeavesTheReadersToOthers) {
  constexpr size_t kClients = 50;
  ASSERT_NO_FATAL_FAILURE(StartOnFlash());
  for (const size_t sip_bytes : {0U, 1U}) {
    Endure(sip_bytes == 0 ? "flash, never read" : "flash, a byte at a time",
           BoundBytes(kClients, 2 * kBig), [&] {
             return Send({.clients = kClients,
                          .opening = [&](size_t i) { return BigGets(i, kGigabyte / kBig); },
                          .sip_bytes = sip_bytes});
           });
  }
  EXPECT_GT(client_->Stat(kStatGetHitsFlash), 0U);
}

TEST_F(HostileFlashClientsTest, ThoseWhoAskFlashForMuchAndGoLeaveNothingToRead) {
  constexpr size_t kComeAndGo = 6'000;
  ASSERT_NO_FATAL_FAILURE(StartOnFlash());
  floor_ = std::chrono::milliseconds(
      600);  // a thousand at once have each asked for what keeps a worker busy
  EndureOnce("flash, ask and go", BoundBytes(1'024, 0), [this] {
    for (size_t i = 0; i < kComeAndGo; ++i) {
      RudeClient client(daemon_->Port(), {.source = static_cast<uint8_t>(2 + i % 64)});
      client.Push(BigGets(i, 40));
      client.Leave(true);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
}

TEST_F(HostileFlashClientsTest, ManySmallReadsOfACrowdThatNeverReads) {
  constexpr size_t kClients = 400;
  ASSERT_NO_FATAL_FAILURE(StartOnFlash());
  Endure("flash, many small reads", BoundBytes(kClients, 2 * 500), [&] {
    return Send({.clients = kClients, .opening = [&](size_t i) {
                   std::string lines;
                   for (size_t j = 0; j < 2'000; ++j) {
                     lines += "get " + LoadKey((i * 977 + j * 31) % probe_shape_.keys) + "\r\n";
                   }
                   return lines;
                 }});
  });
}

// The readers are slowed down, so that all that may be under way is.
TEST_F(HostileFlashClientsTest, ReadsUnderWayOfManyClientsShareTheReplyMemory) {
  constexpr size_t kClients = 400;
  ASSERT_NO_FATAL_FAILURE(StartOnFlash());
  std::string lines;
  for (size_t j = 0; j < 2'000; ++j) lines += "get " + LoadKey(j * 4) + "\r\n";
  const uint64_t rss_before = daemon_->Usage().rss_bytes;
  std::vector<std::unique_ptr<Client>> clients;
  for (size_t i = 0; i < kClients; ++i) {
    clients.push_back(daemon_->Connect());
    // They have read small values before, so each may ask for many at once.
    ASSERT_TRUE(clients.back()->Send(lines.substr(0, lines.size() / 20)).ok());
    ASSERT_TRUE(clients.back()->ReadThrough("END\r\n").ok());
  }
  ASSERT_EQ(Ask("debug delay fill_read 50\r\n"), "OK\r\n");
  for (const std::unique_ptr<Client>& client : clients) ASSERT_TRUE(client->Send(lines).ok());
  ASSERT_EQ(Ask("debug delay fill_read 0\r\n"), "OK\r\n");
  const uint64_t limit = client_->Stat("reply_buf_limit_bytes");
  EXPECT_LE(client_->Stat("reply_buf_bytes"),
            limit + kWorkers * 2 * kMegabyte + kClients * 2 * (16U << 10));
  if (!kSanitized) {
    EXPECT_LE(daemon_->Usage().rss_bytes, rss_before + BoundBytes(kClients, 2 * 500));
  }
  clients.clear();
}

TEST_F(HostileFlashClientsTest, HalfValuesForEverBesideAFlashTier) {
  constexpr size_t kClients = 200;
  ASSERT_NO_FATAL_FAILURE(StartOnFlash());
  Endure("flash, half values", BoundBytes(kClients, 0), [&] {
    return Send({.clients = kClients, .opening = [&](size_t i) {
                   return "set half" + std::to_string(i) + " 0 0 1000000\r\n" +
                          std::string(500'000, 'h');
                 }});
  });
}

}  // namespace
}  // namespace terraced::support
