#include "src/net/worker.h"
#include "src/prefix_stats.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/fake_cache.h"

namespace terraced::server {
namespace {

// `stats GROUP` calls the test, on the worker's thread and in the middle of its round.
class CallingControl final : public ServerControl {
 public:
  bool WriteStats(std::string_view group, ReplySink&) override {
    on_stats(group);
    return true;
  }
  void ResetStats() override {}
  Status ChangeSetting(std::string_view, std::string_view) override { return {}; }
  void RequestStop(bool) override {}
  Status RefreshCertificates() override { return {}; }
  ListingTours& Tours() override { return tours; }
  std::function<void(std::string_view)> on_stats;
  ListingTours tours;
};

class WorkerTest : public testing::Test {
 protected:
  WorkerTest()
      : cache_(CacheOptions(), clock_), context_{cache_, clock_, options_, control_, prefixes_} {
    Result<std::unique_ptr<Worker>> worker = Worker::Create(context_, connections_, budget_, [] {});
    TERRACED_CHECK(worker.ok());
    worker_ = std::move(worker).value();
  }
  ~WorkerTest() override {
    worker_->BeginStop();
    worker_->Join();
  }
  static tiering::CacheOptions CacheOptions() {
    tiering::CacheOptions options;
    options.demotion_wait_ms = 3'600'000;  // never over within a test
    options.slabs.limit_bytes = 32U << 20;
    return options;
  }
  // The client's end of a new connection.
  int Connect() {
    int pair[2];
    TERRACED_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    connections_.current.fetch_add(1);
    fcntl(pair[1], F_SETFL, O_NONBLOCK);
    worker_->Adopt(pair[1]);
    return pair[0];
  }
  static std::string Read(int fd, size_t bytes) {
    std::string all;
    while (all.size() < bytes) {
      char buffer[4096];
      const ssize_t got = recv(fd, buffer, std::min(sizeof(buffer), bytes - all.size()), 0);
      if (got <= 0) break;
      all.append(buffer, static_cast<size_t>(got));
    }
    return all;
  }
  static void Send(int fd, std::string_view bytes) {
    TERRACED_CHECK(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                   static_cast<ssize_t>(bytes.size()));
  }

  Clock clock_{1'000};
  ServerOptions options_;
  CallingControl control_;
  support::FakeCache cache_;
  ConnectionCounters connections_;
  ReplyBudget budget_{16U << 20};
  PrefixStats prefixes_{':', false};
  const CommandContext context_;
  std::unique_ptr<Worker> worker_;
};

TEST_F(WorkerTest, ALongPipelineDoesNotKeepOthersFromBeingHeard) {
  const int pump = Connect();
  const int other = Connect();
  std::string heard;
  control_.on_stats = [&](std::string_view group) {
    if (group == "begin") {
      Send(other, "version\r\n");  // the pipeline is read already, this is in the kernel only
    } else {
      char buffer[64];
      const ssize_t got = recv(other, buffer, sizeof(buffer), MSG_DONTWAIT);
      if (got > 0) heard.assign(buffer, static_cast<size_t>(got));
    }
  };
  constexpr size_t kGets = 1'000;
  std::string pipeline = "stats begin\r\n";
  std::string replies = "END\r\n";
  for (size_t i = 0; i < kGets; ++i) {
    pipeline += "get n\r\n";
    replies += "END\r\n";
  }
  pipeline += "stats end\r\n";
  replies += "END\r\n";
  ASSERT_LT(pipeline.size(), BufferPool::kBlockBytes) << "is read at once";
  Send(pump, pipeline);
  ASSERT_TRUE(worker_->Start().ok());
  EXPECT_EQ(Read(pump, replies.size()), replies);
  EXPECT_EQ(heard, "VERSION 1.6.18\r\n");
  ::close(pump);
  ::close(other);
}

TEST_F(WorkerTest, EveryStoreThatWaitsForRoomIsTriedAgainAndOneThatVanishesIsForgotten) {
  constexpr int kClients = 50;
  cache_.LetAllocateWait(3 * kClients);
  std::vector<int> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(Connect());
    Send(clients.back(), "set k" + std::to_string(i) + " 0 0 1\r\nv\r\n");
  }
  ::close(clients.back());
  clients.pop_back();
  ASSERT_TRUE(worker_->Start().ok());
  for (const int client : clients) {
    EXPECT_EQ(Read(client, 8), "STORED\r\n");
    ::close(client);
  }
}

TEST_F(WorkerTest, AClientThatGoesWhileItIsNotReadIsNoticedAndOneThatHasSaidAllIsNot) {
  cache_.LetAllocateWait(1'000'000'000);
  const int goes = Connect();
  const int stays = Connect();
  for (const int client : {goes, stays}) Send(client, "version\r\nset k 0 0 1\r\nv\r\n");
  ASSERT_TRUE(worker_->Start().ok());
  for (const int client : {goes, stays}) EXPECT_EQ(Read(client, 16), "VERSION 1.6.18\r\n");
  ASSERT_EQ(shutdown(stays, SHUT_WR), 0);
  ::close(goes);
  while (connections_.current.load() > 1) std::this_thread::yield();
  cache_.LetAllocateWait(0);
  EXPECT_EQ(Read(stays, 8), "STORED\r\n");
  ::close(stays);
}

}  // namespace
}  // namespace terraced::server
