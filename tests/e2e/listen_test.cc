// Where the daemon listens and who may come: Unix sockets, -l and its prefixes, allow, shutdown, `stats conns`,
// `stats settings`, the exit codes of a start that is refused; beside memcached where it has the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/client.h"
#include "tests/support/daemon.h"
#include "tests/support/process.h"
#include "tests/support/servers.h"

namespace terraced {
namespace {

using support::Client;
using support::Daemon;
using support::Process;
using support::TempDirectory;
using testing::HasSubstr;

constexpr std::chrono::seconds kPatience{60};

std::unique_ptr<Daemon> Started(const std::string& binary, std::vector<std::string> arguments) {
  Result<std::unique_ptr<Daemon>> daemon =
      Daemon::Start({.binary = binary, .arguments = std::move(arguments)});
  EXPECT_TRUE(daemon.ok()) << daemon.status().message();
  return daemon.ok() ? std::move(daemon).value() : nullptr;
}

// A server on a Unix socket, which has no port that it could be found by.
class UnixServer {
 public:
  UnixServer(const std::string& binary, std::vector<std::string> more) {
    support::ProcessSpec spec;
    spec.arguments = {binary, "-s", Path()};
    if (::geteuid() == 0) spec.arguments.insert(spec.arguments.end(), {"-u", "root"});
    spec.arguments.insert(spec.arguments.end(), more.begin(), more.end());
    spec.environment = {{"MEMCACHED_PORT_FILENAME", directory_.Sub("ports")}};
    spec.stderr_path = directory_.Sub("stderr");
    Result<std::unique_ptr<Process>> process = Process::Start(spec);
    EXPECT_TRUE(process.ok());
    process_ = std::move(process).value();
  }
  std::string Path() const { return directory_.Sub("socket"); }
  bool WritesPorts() const { return ::access(directory_.Sub("ports").c_str(), F_OK) == 0; }
  std::string Stderr() const { return support::ReadTextFile(directory_.Sub("stderr")); }
  Process& Child() { return *process_; }

  // Waits until it listens; nullptr where it has ended.
  std::unique_ptr<Client> Connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, Path().c_str(), Path().size() + 1);
    const auto end = std::chrono::steady_clock::now() + kPatience;
    do {
      const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
        return Client::Adopt(fd);
      }
      ::close(fd);
    } while (!process_->WaitFor(std::chrono::milliseconds(2)) &&
             std::chrono::steady_clock::now() < end);
    return nullptr;
  }

 private:
  const TempDirectory directory_;
  std::unique_ptr<Process> process_;
};

TEST(ListenTest, AUnixSocketIsServedAsByMemcached) {
  std::vector<std::string> replies;
  for (const std::string& binary : {support::ReferenceBinary(), support::TerracedBinary()}) {
    UnixServer server(binary, {"-a", "0620", "-A"});
    const std::unique_ptr<Client> client = server.Connect();
    ASSERT_NE(client, nullptr) << server.Stderr();
    struct stat status;
    ASSERT_EQ(::lstat(server.Path().c_str(), &status), 0);
    EXPECT_TRUE(S_ISSOCK(status.st_mode));
    EXPECT_EQ(status.st_mode & 0777U, 0620U) << binary;
    std::string all = client->Ask("set k 3 0 2\r\nab\r\n") + client->Ask("get k\r\n");
    auto settings = client->Stats("settings");
    EXPECT_EQ(settings["domain_socket"], server.Path());
    for (const char* name : {"umask", "shutdown_command", "tcpport", "udpport", "inter"}) {
      all += std::string(name) + " " + settings[name] + "\n";
    }
    EXPECT_FALSE(server.WritesPorts()) << binary;
    if (binary == support::TerracedBinary()) {  // there the client's own address, which has no name
      const std::string conns = client->Ask("stats conns\r\n");
      EXPECT_THAT(conns, HasSubstr(":addr unix:" + server.Path() + "\r\n"));
      EXPECT_THAT(conns, HasSubstr(":listen_addr unix:" + server.Path() + "\r\n"));
      EXPECT_THAT(conns, testing::Not(HasSubstr("?:<AF 0>")));
    }
    EXPECT_TRUE(client->Send("shutdown graceful\r\n").ok());
    EXPECT_TRUE(client->ServerCloses(kPatience));
    EXPECT_EQ(server.Child().WaitFor(kPatience), 0) << binary;
    EXPECT_THAT(server.Stderr(), HasSubstr("Gracefully stopping"));
    if (binary == support::TerracedBinary()) {
      EXPECT_NE(::lstat(server.Path().c_str(), &status), 0) << "its file is still there";
    }
    replies.push_back(all);
  }
  EXPECT_EQ(replies[0], replies[1]);
}

TEST(ListenTest, WhatIsNoSocketStaysWhereItIs) {
  const TempDirectory directory;
  const std::string path = directory.Sub("file");
  std::ofstream(path) << "mine";
  const support::FailedStart failed =
      support::StartRefused({.binary = support::TerracedBinary(), .arguments = {"-s", path}});
  EXPECT_EQ(failed.exit_status, 71);
  EXPECT_EQ(failed.stderr_text,
            "terraced: -s " + path + " is there and no socket: remove it or give another path\n");
  EXPECT_EQ(support::ReadTextFile(path), "mine");
  const support::FailedStart reference =
      support::StartRefused({.binary = support::ReferenceBinary(), .arguments = {"-s", path}});
  EXPECT_EQ(reference.exit_status, 71);
}

TEST(ListenTest, AQuietClientOfAUnixSocketIsNeverKicked) {
  UnixServer server(support::TerracedBinary(), {"-o", "idle_timeout=1"});
  const std::unique_ptr<Client> quiet = server.Connect();
  ASSERT_NE(quiet, nullptr) << server.Stderr();
  EXPECT_FALSE(quiet->ServerCloses(std::chrono::seconds(4)));
  EXPECT_THAT(quiet->Ask("version\r\n"), testing::StartsWith("VERSION "));
  EXPECT_EQ(server.Connect()->Stat("idle_kicks"), 0U);
}

TEST(ListenTest, AQuietClientIsKickedAsByMemcached) {
  for (const std::string& binary : {support::ReferenceBinary(), support::TerracedBinary()}) {
    std::unique_ptr<Daemon> daemon = Started(binary, {"-o", "idle_timeout=1"});
    ASSERT_NE(daemon, nullptr);
    const std::unique_ptr<Client> quiet = daemon->Connect();
    EXPECT_THAT(quiet->Ask("version\r\n"), testing::StartsWith("VERSION "));
    EXPECT_FALSE(quiet->ReadBytes(1).ok()) << binary << " said something";
    const std::unique_ptr<Client> other = daemon->Connect();
    EXPECT_GE(other->Stat("idle_kicks"), 1U) << binary;
    EXPECT_EQ(other->Stats("settings")["idle_timeout"], "1");
  }
}

// Asked for the version in text, and in both.
TEST(ListenTest, OneProtocolOnlyIsSpokenAsByMemcached) {
  const std::string text = "version and more words, over 24 bytes\r\n";
  const std::string packet = "\x80\x0b" + std::string(22, '\0');
  for (const std::string protocol : {"ascii", "binary"}) {
    for (const std::string& request :
         {text, protocol == "ascii" ? packet + "\r\n" + text : packet}) {
      std::vector<std::string> replies;
      for (const std::string& binary : {support::ReferenceBinary(), support::TerracedBinary()}) {
        // It may not know the text that a start is noticed by.
        Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(
            {.binary = binary, .arguments = {"-B", protocol}, .asks_for_login = true});
        ASSERT_TRUE(daemon.ok()) << daemon.status().message();
        const std::unique_ptr<Client> client = daemon.value()->Connect();
        EXPECT_TRUE(client->Send(request).ok());
        ::shutdown(client->Descriptor(), SHUT_WR);
        std::string all;
        for (Result<std::string> byte = client->ReadBytes(1); byte.ok();
             byte = client->ReadBytes(1)) {
          all += byte.value();
        }
        replies.push_back(all);
      }
      EXPECT_EQ(replies[1], replies[0]) << protocol << ": " << request;
    }
  }
}

// A server's own socket, by the number that `stats conns` has for an address; -1 where that is not allowed.
int SocketOf(const Daemon& daemon, const std::map<std::string, std::string>& conns,
             const std::string& field, const std::string& address) {
  for (const auto& [name, value] : conns) {
    if (!name.ends_with(":" + field) || !value.starts_with(address)) continue;
    const int process = static_cast<int>(::syscall(SYS_pidfd_open, daemon.Pid(), 0));
    const int copy =
        static_cast<int>(::syscall(SYS_pidfd_getfd, process, std::atoi(name.c_str()), 0));
    ::close(process);
    return copy;
  }
  ADD_FAILURE() << "nothing at " << address;
  return -1;
}

int OptionOf(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &size), 0);
  return value;
}

TEST(ListenTest, SocketsHaveMemcachedsOptions) {
  for (const std::string& binary : {support::ReferenceBinary(), support::TerracedBinary()}) {
    std::unique_ptr<Daemon> daemon = Started(binary, {"-l", "127.0.0.1,::1"});
    ASSERT_NE(daemon, nullptr);
    const std::unique_ptr<Client> client = daemon->Connect();
    const std::map<std::string, std::string> conns = client->Stats("conns");
    const int accepted = SocketOf(*daemon, conns, "listen_addr", "tcp:127.0.0.1:");
    if (accepted < 0) GTEST_SKIP() << "descriptors of another process are out of reach here";
    EXPECT_NE(OptionOf(accepted, IPPROTO_TCP, TCP_NODELAY), 0) << binary;
    EXPECT_NE(OptionOf(accepted, SOL_SOCKET, SO_KEEPALIVE), 0) << binary;
    EXPECT_EQ(OptionOf(accepted, SOL_SOCKET, SO_LINGER), 0) << binary;
    ::close(accepted);
    const int ipv6 = SocketOf(*daemon, conns, "addr", "tcp6:[::1]:");
    ASSERT_GE(ipv6, 0);
    EXPECT_EQ(OptionOf(ipv6, IPPROTO_IPV6, IPV6_V6ONLY), 1) << binary;
    ::close(ipv6);
  }
}

TEST(ListenTest, EveryAddressOfTheListIsServedAndWrittenDown) {
  const TempDirectory directory;
  std::unique_ptr<Daemon> daemon = Started(
      support::TerracedBinary(), {"-l", "proto[ascii]:tag[a]:127.0.0.1,::1", "-l", "127.0.0.2"});
  ASSERT_NE(daemon, nullptr);
  const auto conns = daemon->Connect()->Stats("conns");
  size_t listening = 0;
  bool ipv6 = false;
  for (const auto& [name, value] : conns) {
    if (value == "conn_listening") ++listening;
    if (name.ends_with(":addr") && value.starts_with("tcp6:[::1]:")) ipv6 = true;
  }
  EXPECT_EQ(listening, 4U) << "127.0.0.1 twice: the tests' and ours";
  EXPECT_TRUE(ipv6);
}

TEST(ListenTest, OnlyAllowedAddressesAreServed) {
  std::unique_ptr<Daemon> daemon = Started(
      support::TerracedBinary(), {"-o", "allow=127.0.0.0/8;10.0.0.0/8", "-l", "127.0.0.1,::1"});
  ASSERT_NE(daemon, nullptr);
  const std::unique_ptr<Client> good = daemon->Connect();
  EXPECT_EQ(good->Stat("rejected_by_address"), 0U);
  // The IPv6 socket's port, from the list of connections.
  int port = 0;
  for (const auto& [name, value] : good->Stats("conns")) {
    if (value.starts_with("tcp6:[::1]:"))
      port = std::atoi(value.c_str() + std::strlen("tcp6:[::1]:"));
  }
  ASSERT_NE(port, 0);
  const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  address.sin6_port = htons(static_cast<uint16_t>(port));
  ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const std::unique_ptr<Client> bad = Client::Adopt(fd);
  EXPECT_TRUE(bad->ServerCloses(kPatience));
  EXPECT_EQ(good->Stat("rejected_by_address"), 1U);
  EXPECT_EQ(good->Stat("curr_connections"), 1U);
}

TEST(ListenTest, ShutdownAnswersAsMemcachedDoesAndStopsCleanly) {
  for (const std::string mode : {"", " graceful"}) {
    std::vector<std::string> replies;
    for (const std::string& binary : {support::ReferenceBinary(), support::TerracedBinary()}) {
      std::unique_ptr<Daemon> daemon = Started(binary, {"-A"});
      ASSERT_NE(daemon, nullptr);
      const std::unique_ptr<Client> client = daemon->Connect();
      replies.push_back(client->Ask("shutdown now\r\n") + client->Ask("shutdown graceful 1\r\n"));
      EXPECT_TRUE(client->Send("shutdown" + mode + "\r\n").ok());
      EXPECT_TRUE(client->ServerCloses(kPatience));
      EXPECT_EQ(daemon->WaitFor(kPatience), 0) << binary;
    }
    EXPECT_EQ(replies[0], replies[1]);
  }
  std::vector<std::string> refused;
  for (const std::string& binary : {support::ReferenceBinary(), support::TerracedBinary()}) {
    std::unique_ptr<Daemon> daemon = Started(binary, {});
    ASSERT_NE(daemon, nullptr);
    refused.push_back(daemon->Connect()->Ask("shutdown\r\n") +
                      daemon->Connect()->Ask("shutdown graceful\r\n"));
  }
  EXPECT_EQ(refused[0], refused[1]);
}

// Numbers of descriptors and ports differ; fields, their order and the states do not.
std::string ConnectionsOf(const std::string& binary) {
  std::unique_ptr<Daemon> daemon = Started(binary, {});
  if (daemon == nullptr) return "";
  const std::unique_ptr<Client> asks = daemon->Connect();
  const std::unique_ptr<Client> fresh = daemon->Connect();
  const std::unique_ptr<Client> stores = daemon->Connect();
  const std::unique_ptr<Client> has_asked = daemon->Connect();
  EXPECT_TRUE(stores->Send("set k 0 0 9\r\nabc").ok());
  (void)has_asked->Ask("version\r\n");
  const auto end = std::chrono::steady_clock::now() + kPatience;
  std::string text;
  do {
    Result<std::string> reply = asks->Send("stats conns\r\n").ok()
                                    ? asks->ReadReply(support::ReplyShape::kStats)
                                    : Result<std::string>(Status(StatusCode::kIoError, "gone"));
    text = reply.ok() ? reply.value() : "";
  } while (text.find("conn_nread") == std::string::npos && std::chrono::steady_clock::now() < end);
  text = std::regex_replace(text, std::regex("STAT [0-9]+:"), "STAT FD:");
  text = std::regex_replace(text, std::regex("127.0.0.1:[0-9]+"), "ADDRESS");
  text =
      std::regex_replace(text, std::regex("secs_since_last_cmd [0-9]+"), "secs_since_last_cmd S");
  // The listening socket's number stands before or behind its clients': each connection by itself, sorted.
  std::multimap<std::string, std::string> blocks;
  std::string block;
  for (size_t at = 0; at < text.size();) {
    const size_t next = text.find('\n', at) + 1;
    const std::string line = text.substr(at, next - at);
    block += line;
    if (line.find("secs_since_last_cmd") != std::string::npos || line.starts_with("END")) {
      blocks.emplace(block, "");
      block.clear();
    }
    at = next;
  }
  std::string sorted;
  for (const auto& [one, unused] : blocks) sorted += one;
  return sorted;
}

TEST(ListenTest, ConnectionsAreListedAsByMemcached) {
  const std::string reference = ConnectionsOf(support::ReferenceBinary());
  EXPECT_THAT(reference, HasSubstr("conn_nread"));
  EXPECT_EQ(ConnectionsOf(support::TerracedBinary()), reference);
}

TEST(ListenTest, SettingsHaveMemcachedsNamesAndDefaults) {
  std::unique_ptr<Daemon> reference = Started(support::ReferenceBinary(), {});
  std::unique_ptr<Daemon> tested = Started(support::TerracedBinary(), {});
  ASSERT_TRUE(reference != nullptr && tested != nullptr);
  const auto theirs = reference->Connect()->Stats("settings");
  auto ours = tested->Connect()->Stats("settings");
  // What is another thing here, or has another default: src/README.md.
  const std::map<std::string, std::string> differ = {
      {"ext_item_size", "0"}, {"ext_recache_rate", "1"}, {"dump_enabled", ours["dump_enabled"]}};
  for (const auto& [name, value] : theirs) {
    const auto other = differ.find(name);
    EXPECT_EQ(ours.count(name), 1U) << name;
    EXPECT_EQ(ours[name], other == differ.end() ? value : other->second) << name;
  }
}

TEST(ListenTest, AStartThatIsRefusedEndsWithMemcachedsCode) {
  const std::vector<std::string> cases[] = {
      {"-p", "70000"},
      {"-B", "foo"},
      {"-I", "100"},
      {"-I", "2g"},
      {"-I", "64m"},
      {"-m", "x"},
      {"-c", "0"},
      {"-t", "0"},
      {"-t", "100000"},
      {"-R", "0"},
      {"-f", "1.0"},
      {"-n", "0"},
      {"-N", "0"},
      {"-N", "5"},
      {"-N"},
      {"-q"},
      {"--foo"},
      {"-u", "no-such-user"},
      {"-o", "hashpower=11"},
      {"-o", "hashpower=33"},
      {"-o", "hashpower"},
      {"-o", "tail_repair_time=9"},
      {"-o", "hash_algorithm=foo"},
      {"-o", "hash_algorithm"},
      {"-o", "lru_crawler_sleep=1000001"},
      {"-o", "lru_crawler_tocrawl=x"},
      {"-o", "hot_lru_pct=90"},
      {"-o", "hot_lru_pct=50,warm_lru_pct=50"},
      {"-o", "hot_max_factor=0"},
      {"-o", "temporary_ttl"},
      {"-o", "idle_timeout"},
      {"-o", "slab_automove=3"},
      {"-o", "slab_automove_ratio=x"},
      {"-o", "slab_automove_window=2"},
      {"-o", "slab_automove_freeratio=x"},
      {"-o", "slab_sizes=96-90"},
      {"-o", "slab_sizes=x"},
      {"-o", "worker_logbuf_size=x"},
      {"-o", "read_buf_mem_limit=x"},
      {"-o", "nonsense"},
      {"-o", "proxy_config=/x"},
      {"-o", "ext_path"},
      {"-o", "ext_path=/nonexistent"},
      {"-o", "ext_threads=x"},
      {"-o", "ext_item_size=x"},
      {"-o", "ext_recache_rate=x"},
      {"-o", "ext_max_frag=x"},
      {"-o", "ext_wbuf_size=x"},
      {"-o", "ext_item_age=x"},
      {"-s", "/nonexistent/socket"},
  };
  for (const std::vector<std::string>& arguments : cases) {
    const support::FailedStart theirs =
        support::StartRefused({.binary = support::ReferenceBinary(), .arguments = arguments});
    const support::FailedStart ours =
        support::StartRefused({.binary = support::TerracedBinary(), .arguments = arguments});
    const std::string text = arguments[0] + " " + arguments.back();
    EXPECT_EQ(ours.exit_status, theirs.exit_status) << text;
    EXPECT_EQ(ours.stderr_text.find('\n') + 1, ours.stderr_text.size()) << ours.stderr_text;
    EXPECT_THAT(ours.stderr_text, testing::StartsWith("terraced: -")) << text;
  }
}

}  // namespace
}  // namespace terraced
