// UDP: requests and replies in frames, beside memcached where it does the same; large replies, items on flash, datagrams
// that are no requests, many at once.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/flash_fixture.h"
#include "tests/support/daemon.h"
#include "tests/support/eventually.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

namespace terraced {
namespace {

using support::Client;
using support::Daemon;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr size_t kHeaderBytes = 8;
constexpr size_t kDatagramBytesMax = 1'400;

struct Datagram {
  unsigned id = 0;
  unsigned number = 0;
  unsigned count = 0;
  unsigned reserved = 0;
  std::string payload;
};

class UdpClient {
 public:
  explicit UdpClient(int port) : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<uint16_t>(port));
    const int buffer = 8 << 20;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
    const timeval patience = {30, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    TERRACED_CHECK(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0);
  }
  ~UdpClient() { ::close(fd_); }
  UdpClient(const UdpClient&) = delete;
  UdpClient& operator=(const UdpClient&) = delete;

  void SendRaw(std::string_view datagram) const {
    ASSERT_EQ(send(fd_, datagram.data(), datagram.size(), 0),
              static_cast<ssize_t>(datagram.size()));
  }
  void Send(unsigned id, std::string_view request, unsigned number = 0, unsigned count = 1) const {
    std::string datagram;
    for (const unsigned field : {id, number, count, 0U}) {
      datagram += static_cast<char>(field >> 8U);
      datagram += static_cast<char>(field & 255U);
    }
    SendRaw(datagram + std::string(request));
  }
  // Nothing: none came in time.
  std::optional<Datagram> Receive(int flags = 0) const {
    std::vector<char> buffer(64U << 10);
    const ssize_t got = recv(fd_, buffer.data(), buffer.size(), flags);
    if (got < static_cast<ssize_t>(kHeaderBytes)) return std::nullopt;
    EXPECT_LE(got, static_cast<ssize_t>(kDatagramBytesMax));
    const auto field = [&buffer](size_t at) {
      return static_cast<unsigned>(static_cast<unsigned char>(buffer[at])) << 8U |
             static_cast<unsigned char>(buffer[at + 1]);
    };
    return Datagram{
        field(0), field(2), field(4), field(6),
        std::string(buffer.data() + kHeaderBytes, static_cast<size_t>(got) - kHeaderBytes)};
  }
  // The whole reply, put together by the numbers of its datagrams; what is wrong with it in angle brackets.
  std::string ReadReply(unsigned id) const {
    std::map<unsigned, std::string> parts;
    unsigned count = 0;
    do {
      const std::optional<Datagram> one = Receive();
      if (!one.has_value()) return "<no answer>";
      if (one->id != id || one->reserved != 0) return "<another id>";
      if (count != 0 && one->count != count) return "<another count>";
      count = one->count;
      if (!parts.emplace(one->number, one->payload).second) return "<twice>";
    } while (parts.size() < count);
    std::string reply;
    for (const auto& [number, payload] : parts) {
      if (number >= count) return "<a number too large>";
      reply += payload;
    }
    return reply;
  }
  std::string Ask(unsigned id, std::string_view request) const {
    Send(id, request);
    return ReadReply(id);
  }

 private:
  const int fd_;
};

class UdpTest : public ::testing::Test {
 protected:
  static std::unique_ptr<Daemon> Started(const std::string& binary,
                                         std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.end(), {"-U", "-1"});
    Result<std::unique_ptr<Daemon>> daemon =
        Daemon::Start({.binary = binary, .arguments = std::move(arguments)});
    EXPECT_TRUE(daemon.ok()) << daemon.status().message();
    return daemon.ok() ? std::move(daemon).value() : nullptr;
  }
  static int UdpPort(const Daemon& daemon) { return daemon.PortOf("UDP INET: "); }

  void Start(std::vector<std::string> arguments = {}) {
    daemon_ = Started(support::TerracedBinary(), std::move(arguments));
    ASSERT_NE(daemon_, nullptr);
    tcp_ = daemon_->Connect();
    udp_ = std::make_unique<UdpClient>(UdpPort(*daemon_));
  }

  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Client> tcp_;
  std::unique_ptr<UdpClient> udp_;
};

TEST_F(UdpTest, AnswersAsMemcached) {
  const std::unique_ptr<Daemon> ours = Started(support::TerracedBinary());
  const std::unique_ptr<Daemon> theirs = Started(support::ReferenceBinary());
  ASSERT_TRUE(ours != nullptr && theirs != nullptr);
  const UdpClient our_client(UdpPort(*ours));
  const UdpClient their_client(UdpPort(*theirs));
  unsigned id = 65'000;
  for (const char* request : {"set k 7 0 3\r\nabc\r\n",
                              "get k\r\n",
                              "get none\r\n",
                              "gets k\r\n",
                              "add k 0 0 1\r\nx\r\n",
                              "append k 0 0 2\r\nde\r\n",
                              "get k\r\n",
                              "set n 0 0 2\r\n41\r\n",
                              "incr n 1\r\n",
                              "incr k 1\r\n",
                              "touch k 100\r\n",
                              "gat 100 k\r\n",
                              "delete k\r\n",
                              "delete k\r\n",
                              "nonsense word\r\n",
                              "get\r\n",
                              "set k 0 0 x\r\n",
                              "version\r\n",
                              "flush_all\r\n",
                              "verbosity 0\r\n",
                              "get n\r\n"}) {
    const std::string expected = their_client.Ask(id, request);
    EXPECT_EQ(our_client.Ask(id, request), expected) << request;
    id = (id + 77) % 65'536;
  }
}

TEST_F(UdpTest, NoreplyAndQuitAreAnsweredByNothing) {
  ASSERT_NO_FATAL_FAILURE(Start());
  udp_->Send(1, "set k 0 0 1 noreply\r\nv\r\n");
  // Any worker may have taken it.
  ASSERT_TRUE(support::Eventually([this] { return tcp_->Get("k") == "v"; }));
  udp_->Send(2, "quit\r\n");
  EXPECT_EQ(udp_->Ask(3, "get k\r\n"), "VALUE k 0 1\r\nv\r\nEND\r\n");
  EXPECT_EQ(udp_->Ask(4, "get k\r\n"), "VALUE k 0 1\r\nv\r\nEND\r\n");
}

TEST_F(UdpTest, ADatagramMayHoldSeveralRequests) {
  ASSERT_NO_FATAL_FAILURE(Start());
  std::string requests;
  std::string expected;
  for (int i = 0; i < 1'000; ++i) {
    requests += "set k" + std::to_string(i) + " 0 0 1\r\nv\r\n";
    expected += "STORED\r\n";
  }
  EXPECT_EQ(udp_->Ask(9, requests), expected);
}

TEST_F(UdpTest, EachDatagramChoosesItsProtocol) {
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(udp_->Ask(1, "ms k 1\r\nx\r\nmg k v\r\nmn\r\n"), "HD\r\nVA 1\r\nx\r\nMN\r\n");
  std::string noop(24, '\0');
  noop[0] = '\x80';
  noop[1] = '\x0a';
  std::string answer = noop;
  answer[0] = '\x81';
  EXPECT_EQ(udp_->Ask(2, noop), answer);
  EXPECT_EQ(udp_->Ask(3, "get k\r\n"), "VALUE k 0 1\r\nx\r\nEND\r\n");
}

TEST_F(UdpTest, ADatagramCannotWatchAndIsNoConnection) {
  ASSERT_NO_FATAL_FAILURE(Start({"-t", "1"}));
  const std::unique_ptr<Client> watcher = daemon_->Connect();
  EXPECT_EQ(watcher->Ask("watch connevents\r\n"), "OK\r\n");
  EXPECT_EQ(udp_->Ask(1, "watch fetchers\r\n"), "WATCHER_FAILED failed to add log watcher\r\n");
  EXPECT_EQ(udp_->Ask(2, "get none\r\n"), "END\r\n");
  EXPECT_EQ(tcp_->Stat("log_watchers"), 1U);
  const std::unique_ptr<Client> another = daemon_->Connect();
  const Result<std::string> event = watcher->ReadThrough("\n");
  ASSERT_TRUE(event.ok()) << event.status().message();
  EXPECT_THAT(event.value(), HasSubstr(" rip=127.0.0.1 "));
}

TEST_F(UdpTest, AValueThatIsRefusedNeedNotBeWhole) {
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(udp_->Ask(1, "set huge 0 0 2000000\r\nabc\r\n"),
            "SERVER_ERROR object too large for cache\r\n");
  EXPECT_EQ(udp_->Ask(2, "get huge\r\n"), "END\r\n");
}

TEST_F(UdpTest, LargeRepliesAreNumberedAsOne) {
  ASSERT_NO_FATAL_FAILURE(Start());
  std::string expected;
  for (const size_t bytes : {size_t{1'360}, size_t{1'392}, size_t{30'000}, size_t{300'000}}) {
    const std::string key = "key" + std::to_string(bytes);
    const std::string value = support::ValueOf(key, bytes);
    ASSERT_EQ(tcp_->Set(key, value), "STORED\r\n");
    const std::string block =
        "VALUE " + key + " 0 " + std::to_string(bytes) + "\r\n" + value + "\r\n";
    EXPECT_TRUE(udp_->Ask(5, "get " + key + "\r\n") == block + "END\r\n") << bytes;
    expected += block;
  }
  EXPECT_TRUE(udp_->Ask(6, "get key1360 key1392 key30000 key300000\r\n") == expected + "END\r\n");
}

TEST_F(UdpTest, AReplyBeyondTheLimitIsDropped) {
  ASSERT_NO_FATAL_FAILURE(Start({"-o", "reply_max=64k"}));
  ASSERT_EQ(tcp_->Set("large", std::string(100'000, 'v')), "STORED\r\n");
  udp_->Send(1, "get large\r\n");
  EXPECT_EQ(udp_->Ask(2, "version\r\n"), "VERSION 1.6.18\r\n");
  EXPECT_EQ(tcp_->Stat("udp_replies_dropped"), 1U);
  EXPECT_LT(tcp_->Stat("reply_buf_bytes"), 64U << 10);
}

TEST_F(UdpTest, WhatIsNoRequestIsDropped) {
  ASSERT_NO_FATAL_FAILURE(Start());
  udp_->SendRaw("");
  udp_->SendRaw("get k\r\n");
  udp_->Send(1, "");
  udp_->Send(2, "version\r\n", 0, 2);
  udp_->Send(3, "version\r\n", 0, 0);
  udp_->Send(4, "version");                   // no line end
  udp_->Send(5, "set k 0 0 100\r\nabc\r\n");  // half a value
  udp_->Send(6, std::string(60'000, 'x'));
  udp_->Send(7, std::string("\0\1\2\3", 4));
  EXPECT_EQ(udp_->Ask(8, "get k\r\n"), "END\r\n");
  EXPECT_EQ(tcp_->Ask("version\r\n"), "VERSION 1.6.18\r\n");
  // The number of the datagram does not matter.
  udp_->Send(9, "version\r\n", 5, 1);
  EXPECT_EQ(udp_->ReadReply(9), "VERSION 1.6.18\r\n");
}

TEST_F(UdpTest, ItemsOnFlashAreAnsweredLaterAndHoldNobodyUp) {
  support::TempDirectory flash;
  ASSERT_NO_FATAL_FAILURE(
      Start({"-m", "64", "-o", "test_commands,flash_size=512m,flash_path=" + flash.Sub("flash")}));
  for (int i = 0; i < 100; ++i) {
    const std::string key = "cold" + std::to_string(i);
    ASSERT_EQ(tcp_->Set(key, support::ValueOf(key, 3'000)), "STORED\r\n");
  }
  ASSERT_EQ(tcp_->Ask("debug demote\r\n"), "OK\r\n");
  ASSERT_EQ(tcp_->Set("hot", "h"), "STORED\r\n");
  const std::string first = support::ValueOf("cold0", 3'000);
  EXPECT_TRUE(udp_->Ask(1, "get hot cold0 none\r\n") ==
              "VALUE hot 0 1\r\nh\r\nVALUE cold0 0 3000\r\n" + first + "\r\nEND\r\n");
  // All at once: each reply is whole, whatever their order.
  for (unsigned i = 1; i < 100; ++i) udp_->Send(i, "get cold" + std::to_string(i) + "\r\n");
  std::map<unsigned, std::map<unsigned, std::string>> replies;
  size_t datagrams = 0;
  for (; datagrams < 99 * 3; ++datagrams) {
    const std::optional<Datagram> one = udp_->Receive();
    ASSERT_TRUE(one.has_value()) << datagrams;
    EXPECT_EQ(one->count, 3U);
    replies[one->id][one->number] = one->payload;
  }
  for (unsigned i = 1; i < 100; ++i) {
    const std::string key = "cold" + std::to_string(i);
    const std::string expected =
        "VALUE " + key + " 0 3000\r\n" + support::ValueOf(key, 3'000) + "\r\nEND\r\n";
    EXPECT_TRUE(replies[i][0] + replies[i][1] + replies[i][2] == expected) << i;
  }
  EXPECT_GE(tcp_->Stat("get_hits_flash"), 90U);
  EXPECT_EQ(udp_->Ask(200, "delete cold5\r\n"), "DELETED\r\n");
  EXPECT_EQ(udp_->Ask(201, "get cold5\r\n"), "END\r\n");
}

TEST_F(UdpTest, ItsSocketsAreListedAndItsPortShown) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::map<std::string, std::string> conns = tcp_->Stats("conns");
  std::string all;
  for (const auto& [name, value] : conns) all += name + " " + value + "\n";
  EXPECT_THAT(all, HasSubstr(":UDP UDP\n"));
  EXPECT_THAT(all, HasSubstr(":addr udp:127.0.0.1:" + std::to_string(UdpPort(*daemon_)) + "\n"));
  EXPECT_EQ(tcp_->Stats("settings")["udpport"], "-1");
  EXPECT_EQ(udp_->Ask(1, "version\r\n"), "VERSION 1.6.18\r\n");
  EXPECT_EQ(tcp_->Stat("curr_connections"), 1U);
}

TEST_F(UdpTest, ATakenPortIsAnErrorOfTheStart) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string port = std::to_string(UdpPort(*daemon_));
  const support::FailedStart failed =
      support::StartRefused({.binary = support::TerracedBinary(), .arguments = {"-U", port}});
  EXPECT_EQ(failed.exit_status, 71);
  EXPECT_THAT(failed.stderr_text, HasSubstr("UDP on 127.0.0.1 port " + port));
}

TEST_F(UdpTest, AFloodLeavesTheOthersServed) {
  ASSERT_NO_FATAL_FAILURE(Start({"-t", "2"}));
  ASSERT_EQ(tcp_->Set("k", std::string(10'000, 'v')), "STORED\r\n");
  for (unsigned i = 0; i < 20'000; ++i) {
    udp_->Send(i % 65'536, "get k k k k k k k k k k\r\n");
    if (i % 1'000 == 0) {
      ASSERT_EQ(tcp_->Get("k").size(), 10'000U);
    }
    while (udp_->Receive(MSG_DONTWAIT).has_value()) {
    }
  }
  EXPECT_EQ(tcp_->Get("k").size(), 10'000U);
  const UdpClient other(UdpPort(*daemon_));
  EXPECT_EQ(other.Ask(1, "version\r\n"), "VERSION 1.6.18\r\n");
  EXPECT_LT(tcp_->Stat("reply_buf_bytes"), 1U << 20);
}

}  // namespace
}  // namespace terraced
