#include "src/net/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace terraced::server {
namespace {

using testing::HasSubstr;

TEST(AddressTest, ReadsEveryFormOfListen) {
  struct Case {
    std::string text;
    std::string host;
    int port;
  };
  const Case cases[] = {
      {"localhost", "localhost", 11211},
      {"10.0.0.1:99", "10.0.0.1", 99},
      {"[::1]:99", "::1", 99},
      {"[::1]", "::1", 11211},
      {"::1", "::1", 11211},
      {"*", "", 11211},
      {"*:5", "", 5},
      {"host:0", "host", 0},
      {"host:-1", "host", -1},
  };
  for (const Case& one : cases) {
    const Result<ListenAddress> address = ParseListenAddress(one.text, 11211);
    ASSERT_TRUE(address.ok()) << one.text;
    EXPECT_EQ(address.value().host, one.host) << one.text;
    EXPECT_EQ(address.value().port, one.port) << one.text;
  }
  for (const char* bad : {"", "host:", "host:x", "host:65536", "[::1", "[::1]x", ":5", "host:5x"}) {
    EXPECT_FALSE(ParseListenAddress(bad, 1).ok()) << bad;
  }
}

TEST(AddressTest, ListsMayBeSeparatedOrRepeated) {
  ServerOptions options;
  options.listen = {"a,b:1", "c;d"};
  const Result<std::vector<ListenAddress>> addresses = ListenAddresses(options);
  ASSERT_TRUE(addresses.ok());
  ASSERT_EQ(addresses.value().size(), 4U);
  EXPECT_EQ(addresses.value()[1].port, 1);
  EXPECT_EQ(addresses.value()[3].host, "d");
}

TEST(AddressTest, SaysWhoHoldsAPortThatIsTaken) {
  ServerOptions options;
  options.listen = {"127.0.0.1"};
  options.tcp_port = -1;
  Result<std::vector<ListeningSocket>> first = BindAll(options);
  ASSERT_TRUE(first.ok()) << first.status().message();
  ASSERT_EQ(first.value().size(), 1U);
  const std::string& name = first.value()[0].Name();
  options.tcp_port = std::stoi(name.substr(name.rfind(':') + 1));
  const Result<std::vector<ListeningSocket>> second = BindAll(options);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("on 127.0.0.1 is in use by "));
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("(pid " + std::to_string(getpid()) + ")"));
}

TEST(AddressTest, NamesAnAddressThatCannotBe) {
  ServerOptions options;
  options.listen = {"203.0.113.7"};
  options.tcp_port = -1;
  const Result<std::vector<ListeningSocket>> bound = BindAll(options);
  ASSERT_FALSE(bound.ok());
  EXPECT_THAT(std::string(bound.status().message()), HasSubstr("203.0.113.7"));
}

TEST(AddressTest, PortZeroListensNowhere) {
  ServerOptions options;
  options.tcp_port = 0;
  const Result<std::vector<ListeningSocket>> bound = BindAll(options);
  ASSERT_TRUE(bound.ok());
  EXPECT_TRUE(bound.value().empty());
}

}  // namespace
}  // namespace terraced::server
