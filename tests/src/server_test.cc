#include "src/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "src/options.h"
#include "tests/support/fake_cache.h"

namespace terraced::server {
namespace {

// A blocking socket to the server; every read ends with the reply's last line.
class Peer {
 public:
  explicit Peer(const std::string& address) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    TERRACED_CHECK(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0);
  }
  ~Peer() { ::close(fd_); }
  void Send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  // Until the text ends so; what there was if the server closes first.
  std::string Until(std::string_view end) const {
    std::string text;
    while (!text.ends_with(end)) {
      char buffer[4096];
      const ssize_t got = recv(fd_, buffer, sizeof(buffer), 0);
      if (got <= 0) break;
      text.append(buffer, static_cast<size_t>(got));
    }
    return text;
  }
  std::string Ask(std::string_view request, std::string_view end) const {
    Send(request);
    return Until(end);
  }

 private:
  int fd_;
};

// Asks for `stats` until the line is there; false after half a minute.
bool SaysInTime(const Peer& peer, std::string_view line) {
  const uint64_t end_us = MonotonicUs() + 30'000'000;
  while (peer.Ask("stats\r\n", "END\r\n").find(line) == std::string::npos) {
    if (MonotonicUs() > end_us) return false;
  }
  return true;
}

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    options_.server.listen = {"127.0.0.1"};
    options_.server.tcp_port = -1;
    options_.server.worker_threads = 2;
    options_.server.test_commands = true;
    options_.cache.slabs.limit_bytes = 32U << 20;
  }
  void Start() {
    cache_ = std::make_unique<support::FakeCache>(options_.cache, clock_);
    Result<std::unique_ptr<Server>> server = Server::Bind(options_);
    ASSERT_TRUE(server.ok()) << server.status().message();
    server_ = std::move(server).value();
    ASSERT_TRUE(server_->Start(*cache_, clock_).ok());
    ASSERT_EQ(server_->Addresses().size(), 1U);
    address_ = server_->Addresses()[0];
  }

  Options options_;
  Clock clock_{1'000};
  std::unique_ptr<support::FakeCache> cache_;
  std::unique_ptr<Server> server_;
  std::string address_;
};

TEST_F(ServerTest, ServesManyClientsAtOnce) {
  Start();
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([this, i] {
      const Peer peer(address_);
      const std::string key = "key" + std::to_string(i);
      for (int round = 0; round < 50; ++round) {
        const std::string value = std::to_string(round);
        const std::string size = std::to_string(value.size());
        EXPECT_EQ(
            peer.Ask("set " + key + " 0 0 " + size + "\r\n" + value + "\r\nget " + key + "\r\n",
                     "END\r\n"),
            "STORED\r\nVALUE " + key + " 0 " + size + "\r\n" + value + "\r\nEND\r\n");
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_NE(Peer(address_).Ask("stats\r\n", "END\r\n").find("STAT total_connections 9\r\n"),
            std::string::npos);
}

TEST_F(ServerTest, ReadsFromFlashThroughTheReaders) {
  Start();
  const Peer peer(address_);
  std::string request;
  std::string reply;
  for (int i = 0; i < 100; ++i) {
    const std::string key = "cold" + std::to_string(i);
    peer.Ask("set " + key + " 0 0 1\r\nc\r\n", "\r\n");
    cache_->PutOnFlash(key);
    request += "get " + key + " hot\r\nincr " + key + " 1\r\n";
    reply += "VALUE " + key +
             " 0 1\r\nc\r\nEND\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
  }
  EXPECT_EQ(peer.Ask(request + "version\r\n", "VERSION 1.6.18\r\n"), reply + "VERSION 1.6.18\r\n");
}

TEST_F(ServerTest, ClientsThatVanishWithReadsUnderWayHurtNobody) {
  Start();
  {
    const Peer setter(address_);
    setter.Ask("set cold 0 0 1\r\nc\r\n", "\r\n");
  }
  cache_->PutOnFlash("cold");
  for (int i = 0; i < 50; ++i)
    Peer(address_).Send("get cold\r\nget cold cold cold\r\nappend cold 0 0 1\r\n");
  EXPECT_EQ(Peer(address_).Ask("get cold\r\n", "END\r\n"), "VALUE cold 0 1\r\nc\r\nEND\r\n");
}

TEST_F(ServerTest, StopsWithReadsAndDemotionsUnderWay) {
  Start();
  cache_->HoldDemotions();
  const Peer peer(address_);
  peer.Ask("set cold 0 0 1\r\nc\r\n", "\r\n");
  cache_->PutOnFlash("cold");
  peer.Send("debug demote\r\n");
  // On another worker, so its answer says nothing of the demotion: the cache does.
  cache_->AwaitHeldDemotion();
  const Peer other(address_);
  EXPECT_EQ(other.Ask("version\r\n", "\r\n"), "VERSION 1.6.18\r\n");
  for (int i = 0; i < 20; ++i) other.Send("get cold\r\n");
  std::thread stop([this] { server_->Stop(); });
  // The connections end at once; the threads once the demoter has answered.
  EXPECT_EQ(peer.Until("never"), "");
  cache_->AnswerDemotions();
  stop.join();
}

TEST_F(ServerTest, TurnsAwayAClientTooMany) {
  options_.server.connections_max = 2;
  Start();
  const Peer one(address_);
  const Peer two(address_);
  EXPECT_EQ(one.Ask("version\r\n", "\r\n") + two.Ask("version\r\n", "\r\n"),
            "VERSION 1.6.18\r\nVERSION 1.6.18\r\n");
  EXPECT_EQ(Peer(address_).Until("never"), "ERROR Too many open connections\r\n");
  EXPECT_NE(one.Ask("stats\r\n", "END\r\n").find("STAT rejected_connections 1\r\n"),
            std::string::npos);
}

TEST_F(ServerTest, WithoutMaxconnsFastAClientTooManyWaits) {
  options_.server.connections_max = 1;
  options_.server.maxconns_fast = false;
  Start();
  auto one = std::make_unique<Peer>(address_);
  // Accepting stops when the last free place is taken: by the first, and by the second. The listener sees that
  // after it has handed a connection over, so the worker may answer before.
  EXPECT_TRUE(SaysInTime(*one, "STAT listen_disabled_num 1\r\n"));
  EXPECT_TRUE(SaysInTime(*one, "STAT accepting_conns 0\r\n"));
  const Peer two(address_);
  two.Send("version\r\n");
  one->Send("quit\r\n");
  EXPECT_EQ(two.Until("\r\n"), "VERSION 1.6.18\r\n");
  EXPECT_TRUE(SaysInTime(two, "STAT listen_disabled_num 2\r\n"));
  EXPECT_EQ(two.Ask("stats\r\n", "END\r\n").find("STAT time_in_listen_disabled_us 0\r\n"),
            std::string::npos);
}

TEST_F(ServerTest, SecondServerOnThePortIsRefused) {
  Start();
  options_.server.tcp_port = std::stoi(address_.substr(address_.rfind(':') + 1));
  const Result<std::unique_ptr<Server>> second = Server::Bind(options_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kBusy);
}

TEST_F(ServerTest, ASettingThatWasChangedIsTheCachesAndIsShown) {
  Start();
  const Peer peer(address_);
  EXPECT_EQ(peer.Ask("extstore flash_item_min 2k\r\n", "\r\n"), "OK\r\n");
  EXPECT_EQ(cache_->Live().flash_item_min_bytes.Get(), 2'048U);
  EXPECT_EQ(peer.Ask("extstore recache_rate 4\r\n", "\r\n"), "OK\r\n");
  EXPECT_EQ(cache_->Live().flash_item_min_bytes.Get(), 2'048U);  // each change keeps the others
  const std::string settings = peer.Ask("stats settings\r\n", "END\r\n");
  EXPECT_NE(settings.find("STAT flash_item_min 2048\r\n"), std::string::npos);
  EXPECT_NE(settings.find("STAT promote_hits 5\r\n"), std::string::npos);
}

TEST_F(ServerTest, ChangesOfManyClientsAreAllKept) {
  options_.server.worker_threads = 4;
  Start();
  const std::vector<std::string> names = {"flash_item_min", "flash_ttl_min", "flash_write_rate",
                                          "demotion_wait"};
  std::vector<std::thread> clients;
  for (const std::string& name : names) {
    clients.emplace_back([this, name] {
      const Peer peer(address_);
      for (int i = 1; i <= 100; ++i) {
        EXPECT_EQ(peer.Ask("extstore " + name + " " + std::to_string(i) + "\r\n", "\r\n"),
                  "OK\r\n");
      }
    });
  }
  for (std::thread& client : clients) client.join();
  const std::string settings = Peer(address_).Ask("stats settings\r\n", "END\r\n");
  for (const std::string& name : names) {
    EXPECT_NE(settings.find("STAT " + name + " 100\r\n"), std::string::npos) << name;
  }
}

TEST_F(ServerTest, ConnectionsOfAllWorkersAreListedWhoeverAsks) {
  options_.server.worker_threads = 3;
  Start();
  const Peer idle(address_);
  const Peer storing(address_);
  EXPECT_EQ(storing.Ask("version\r\nset k 0 0 9\r\nabc", "\r\n"), "VERSION 1.6.18\r\n");
  std::vector<std::thread> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back([this] {
      const Peer peer(address_);
      for (int round = 0; round < 30; ++round) {
        const std::string conns = peer.Ask("stats conns\r\n", "END\r\n");
        EXPECT_NE(conns.find(":addr tcp:" + address_ + "\r\n"), std::string::npos);
        EXPECT_NE(conns.find(":state conn_listening\r\n"), std::string::npos);
        EXPECT_NE(conns.find(":listen_addr tcp:" + address_ + "\r\n"), std::string::npos);
        EXPECT_NE(conns.find(":state conn_parse_cmd\r\n"), std::string::npos);
        EXPECT_NE(conns.find(":state conn_nread\r\n"), std::string::npos);
        EXPECT_NE(conns.find(":secs_since_last_cmd 0\r\n"), std::string::npos);
      }
    });
  }
  for (std::thread& client : clients) client.join();
}

TEST_F(ServerTest, ClientsThatVanishWhileConnectionsAreListedHurtNobody) {
  options_.server.worker_threads = 3;
  Start();
  for (int i = 0; i < 100; ++i) Peer(address_).Send("stats conns\r\nstats conns\r\n");
  const Peer peer(address_);
  EXPECT_NE(peer.Ask("stats conns\r\n", "END\r\n").find(":state conn_listening"),
            std::string::npos);
  // And the server stops with lists under way.
  std::vector<std::unique_ptr<Peer>> asking;
  for (int i = 0; i < 20; ++i) {
    asking.push_back(std::make_unique<Peer>(address_));
    asking.back()->Send("stats conns\r\n");
  }
  server_->Stop();
}

TEST_F(ServerTest, ClientsOfOtherAddressesAreClosedAndCounted) {
  options_.server.allow = ParseAddressRanges("10.0.0.0/8;::1").value();
  Start();
  EXPECT_EQ(Peer(address_).Until("never"), "");
  EXPECT_EQ(Peer(address_).Until("never"), "");
  server_->Stop();
  options_.server.allow = ParseAddressRanges("10.0.0.0/8;127.0.0.0/8").value();
  Start();
  EXPECT_NE(Peer(address_).Ask("stats\r\n", "END\r\n").find("STAT rejected_by_address 0\r\n"),
            std::string::npos);
}

TEST_F(ServerTest, ResetKeepsGaugesAndForgetsCounters) {
  Start();
  const Peer peer(address_);
  peer.Ask("version\r\n", "\r\n");
  EXPECT_EQ(peer.Ask("stats reset\r\n", "\r\n"), "RESET\r\n");
  const std::string stats = peer.Ask("stats\r\n", "END\r\n");
  EXPECT_NE(stats.find("STAT total_connections 0\r\n"), std::string::npos);
  EXPECT_NE(stats.find("STAT curr_connections 1\r\n"), std::string::npos);
}

}  // namespace
}  // namespace terraced::server
