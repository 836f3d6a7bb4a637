// Everything too large, too long or out of range, in every form that takes it: the same replies as memcached's, byte by
// byte, the same values afterwards, and the connection goes on where memcached's does.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <vector>

#include "tests/support/daemon.h"
#include "tests/support/servers.h"

namespace terraced::support {
namespace {

constexpr size_t kOverItemMax = 2'000'000;

class OversizedInputTest : public testing::Test {
 protected:
  void SetUp() override {
    for (auto* server : {&daemon_, &reference_}) {
      Result<std::unique_ptr<Daemon>> started =
          Daemon::Start({.binary = server == &daemon_ ? TerracedBinary() : ReferenceBinary(),
                         .arguments = {"-m", "64", "-t", "1"}});
      ASSERT_TRUE(started.ok()) << started.status().message();
      *server = std::move(started).value();
    }
  }
  void TearDown() override {
    ASSERT_NE(daemon_, nullptr);
    EXPECT_EQ(daemon_->Stop(SIGTERM), 0) << daemon_->Stderr();
  }
  // All that the server says until it closes, which it does when it has answered; then the values.
  static std::string Outcome(const Daemon& server, const std::string& request) {
    const std::unique_ptr<Client> client = server.Connect();
    EXPECT_EQ(client->Set("k", "old"), "STORED\r\n");
    EXPECT_EQ(client->Set("number", "5"), "STORED\r\n");
    const std::unique_ptr<Client> other = server.Connect();
    EXPECT_TRUE(other->Send(request + "\r\nversion\r\n").ok()) << request.substr(0, 40);
    Result<std::string> replies = other->ReadThrough("VERSION 1.6.18\r\n");
    EXPECT_TRUE(replies.ok()) << request.substr(0, 40) << ": " << replies.status().message();
    return (replies.ok() ? replies.value() : "") + client->Get("k") + client->Get("number");
  }
  void Compare(const std::vector<std::string>& requests) {
    for (const std::string& request : requests) {
      const std::string ours = Outcome(*daemon_, request);
      const std::string theirs = Outcome(*reference_, request);
      EXPECT_TRUE(ours == theirs) << request.substr(0, 60) << " (" << request.size()
                                  << " bytes): " << ours.substr(0, 200) << " instead of "
                                  << theirs.substr(0, 200);
    }
  }

  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<Daemon> reference_;
  const std::string long_key_ = std::string(251, 'k');
  const std::string digits_ = std::string(1'000, '9');
};

TEST_F(OversizedInputTest, StoresOfEveryForm) {
  const std::string large(kOverItemMax, 'x');
  const std::string large_bytes = std::to_string(kOverItemMax);
  std::vector<std::string> requests;
  for (const std::string noreply : {"", " noreply"}) {
    const std::string end = noreply + "\r\n";
    for (const std::string word : {"set", "add", "replace", "append", "prepend"}) {
      requests.push_back(word + " " + long_key_ + " 0 0 3" + end + "abc\r\n");
      requests.push_back(word + " k 0 0 " + large_bytes + end + large + "\r\n");
      requests.push_back(word + " k 0 0 -1" + end + "abc\r\n");
      requests.push_back(word + " k 0 0 " + digits_ + end + "abc\r\n");
      requests.push_back(word + " k " + digits_ + " 0 3" + end + "abc\r\n");
      requests.push_back(word + " k 0 " + digits_ + " 3" + end + "abc\r\n");
      requests.push_back(word + " k 0 0 3" + end + "abcXX");
      requests.push_back(word + " k 0 0 3" + end + "abcdefgh\r\n");
      requests.push_back(word + " k 0 0 5" + end + "ab\r\nversion\r\n");
      requests.push_back(word + " k 0 0" + end);
    }
    requests.push_back("cas " + long_key_ + " 0 0 3 1" + end + "abc\r\n");
    requests.push_back("cas k 0 0 " + large_bytes + " 1" + end + large + "\r\n");
    requests.push_back("cas k 0 0 3 " + digits_ + end + "abc\r\n");
    requests.push_back("cas k 0 0 -3 1" + end + "abc\r\n");
    requests.push_back("cas k 0 0 3 1" + end + "abcXX");
  }
  Compare(requests);
}

TEST_F(OversizedInputTest, NumbersAndKeysOfTheOtherCommands) {
  std::vector<std::string> requests;
  for (const std::string noreply : {"", " noreply"}) {
    for (const std::string word : {"incr", "decr", "touch"}) {
      for (const std::string& rest :
           {" number " + digits_, std::string(" number -1"), " " + long_key_ + " 1"}) {
        requests.push_back(word + rest + noreply + "\r\n");
      }
    }
    for (const std::string& line : {"delete " + long_key_, "delete number " + digits_,
                                    "flush_all " + digits_, "verbosity " + digits_}) {
      requests.push_back(line + noreply + "\r\n");
    }
  }
  for (const std::string word : {"gat", "gats"}) {
    requests.push_back(word + " 0 " + long_key_ + "\r\n");
    requests.push_back(word + " " + digits_ + " number\r\n");
  }
  Compare(requests);
}

TEST_F(OversizedInputTest, KeysWithoutEndAndLinesOfAHundredThousand) {
  std::string keys;
  for (int i = 0; i < 100'000; ++i) keys += " absent" + std::to_string(i);
  std::vector<std::string> requests = {"stats " + std::string(1'500, 's')};
  for (const std::string word : {"get", "gets"}) {
    for (const size_t bytes : {size_t{251}, size_t{5'000}, size_t{3'000'000}}) {
      requests.push_back(word + " " + std::string(bytes, 'k') + "\r\n");
    }
    requests.push_back(word + keys + " number\r\n");
  }
  Compare(requests);
}

}  // namespace
}  // namespace terraced::support
