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

TEST(AddressTest, ReadsWhatStandsInFrontOfAnAddress) {
  const Result<ListenAddress> all =
      ParseListenAddress("mtls:proto[ascii]:tag[abcdefgh]:[::1]:9", 1);
  ASSERT_TRUE(all.ok()) << all.status().message();
  EXPECT_EQ(all.value().host, "::1");
  EXPECT_EQ(all.value().port, 9);
  EXPECT_EQ(all.value().traits.tls, ListenTls::kMutual);
  EXPECT_EQ(all.value().traits.protocol, BindingProtocol::kAscii);
  EXPECT_EQ(all.value().traits.tag, "abcdefgh");
  const Result<ListenAddress> some = ParseListenAddress("notls:proto[negotiating]:tag_x_:h", 5);
  ASSERT_TRUE(some.ok()) << some.status().message();
  EXPECT_EQ(some.value().host, "h");
  EXPECT_EQ(some.value().port, 5);
  EXPECT_EQ(some.value().traits.tls, ListenTls::kOff);
  EXPECT_EQ(some.value().traits.protocol, BindingProtocol::kAuto);
  EXPECT_EQ(some.value().traits.tag, "x");
  const Result<ListenAddress> none = ParseListenAddress("btls:h:7", 5);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none.value().traits.tls, ListenTls::kBasic);
  EXPECT_EQ(none.value().traits.protocol, std::nullopt);
  for (const char* bad : {"proto[proxy]:h", "proto[]:h", "tag[]:h", "tag[123456789]:h", "notls:"}) {
    EXPECT_FALSE(ParseListenAddress(bad, 1).ok()) << bad;
  }
}

TEST(AddressTest, ASocketSpeaksItsOwnProtocolOrThatOfAll) {
  ServerOptions options;
  options.listen = {"127.0.0.1", "proto[binary]:127.0.0.1"};
  options.tcp_port = -1;
  options.binding_protocol = BindingProtocol::kAscii;
  const Result<std::vector<ListeningSocket>> sockets = BindAll(options);
  ASSERT_TRUE(sockets.ok()) << sockets.status().message();
  ASSERT_EQ(sockets.value().size(), 2U);
  EXPECT_EQ(sockets.value()[0].Protocol(options), BindingProtocol::kAscii);
  EXPECT_EQ(sockets.value()[1].Protocol(options), BindingProtocol::kBinary);
  EXPECT_EQ(StatsName(sockets.value()[0]), "tcp:" + sockets.value()[0].Name());
}

TEST(AddressTest, ListsMayBeSeparatedOrRepeated) {
  ServerOptions options;
  options.listen = {"a,b:1", "c;d"};
  const Result<std::vector<ListenAddress>> addresses = ListenAddresses(options);
  ASSERT_TRUE(addresses.ok());
  ASSERT_EQ(addresses.value().size(), 4U);
  EXPECT_EQ(addresses.value()[1].port, 1);
  EXPECT_EQ(addresses.value()[3].host, "d");
  options.listen = {"a,a", "a"};
  options.tcp_port = 1;
  EXPECT_EQ(ListenAddresses(options).value().size(), 1U);
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
