#include "src/net/address_range.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>
#include <string>

namespace terraced::server {
namespace {

sockaddr_storage Address(const std::string& text) {
  sockaddr_storage storage{};
  sockaddr_in four{};
  sockaddr_in6 six{};
  if (inet_pton(AF_INET, text.c_str(), &four.sin_addr) == 1) {
    four.sin_family = AF_INET;
    std::memcpy(&storage, &four, sizeof(four));
  } else if (inet_pton(AF_INET6, text.c_str(), &six.sin6_addr) == 1) {
    six.sin6_family = AF_INET6;
    std::memcpy(&storage, &six, sizeof(six));
  } else {
    storage.ss_family = AF_UNIX;
  }
  return storage;
}

bool Allowed(std::string_view ranges, const std::string& address) {
  const Result<std::vector<AddressRange>> parsed = ParseAddressRanges(ranges);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  return parsed.ok() && IsAllowed(parsed.value(), Address(address));
}

TEST(AddressRangeTest, ItsBitsDecide) {
  EXPECT_TRUE(Allowed("10.0.0.0/8", "10.255.1.2"));
  EXPECT_FALSE(Allowed("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(Allowed("192.168.16.0/20", "192.168.31.255"));
  EXPECT_FALSE(Allowed("192.168.16.0/20", "192.168.32.0"));
  EXPECT_TRUE(Allowed("127.0.0.1", "127.0.0.1"));
  EXPECT_FALSE(Allowed("127.0.0.1", "127.0.0.2"));
  EXPECT_TRUE(Allowed("10.1.2.3/8", "10.9.9.9")) << "what is behind the bits does not count";
  EXPECT_TRUE(Allowed("0.0.0.0/0", "203.0.113.7"));
  EXPECT_TRUE(Allowed("fd00::/9", "fd7f::1"));
  EXPECT_FALSE(Allowed("fd00::/9", "fd80::1"));
  EXPECT_TRUE(Allowed("::1/128", "::1"));
  EXPECT_FALSE(Allowed("::1", "::2"));
}

TEST(AddressRangeTest, EachFamilyHasItsOwnRanges) {
  EXPECT_FALSE(Allowed("0.0.0.0/0", "::1"));
  EXPECT_FALSE(Allowed("::/0", "127.0.0.1"));
  EXPECT_TRUE(Allowed("10.0.0.0/8", "::ffff:10.1.1.1"));
  EXPECT_FALSE(Allowed("10.0.0.0/8", "::ffff:11.1.1.1"));
  EXPECT_TRUE(Allowed("10.0.0.0/8", "a unix socket"));
  EXPECT_TRUE(Allowed("::ffff:10.1.1.1", "10.1.1.1")) << "an IPv4 address however it is written";
  EXPECT_FALSE(Allowed("::ffff:10.1.1.1", "10.1.1.2"));
  EXPECT_TRUE(Allowed("::ffff:10.0.0.0/104", "10.9.9.9"));
  EXPECT_FALSE(Allowed("::ffff:10.0.0.0/104", "11.9.9.9"));
  EXPECT_FALSE(Allowed("::ffff:10.0.0.0/88", "10.0.0.0")) << "wider than the mapped ones";
}

TEST(AddressRangeTest, OneOfSeveralIsEnoughAndNoneAllowsEverybody) {
  EXPECT_TRUE(Allowed("127.0.0.1;10.0.0.0/8;::1", "10.1.1.1"));
  EXPECT_FALSE(Allowed("127.0.0.1;10.0.0.0/8;::1", "192.168.1.1"));
  EXPECT_TRUE(IsAllowed({}, Address("192.168.1.1")));
}

TEST(AddressRangeTest, WhatIsNoRangeIsQuoted) {
  for (const std::string bad :
       {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/-1", "10.0/8", "host", "::1/129",
        "::1/1000", "10.0.0.0/8 ", "10.0.0.0/8/8"}) {
    const Result<std::vector<AddressRange>> parsed = ParseAddressRanges("127.0.0.1;" + bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_NE(std::string(parsed.status().message()).find("'" + bad + "' is no range"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace terraced::server
