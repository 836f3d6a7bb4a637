#include "src/net/udp_frame.h"

#include <gtest/gtest.h>

#include <string>

namespace terraced::server {
namespace {

std::string Datagram(uint16_t id, size_t number, size_t count, std::string_view payload) {
  const UdpHeader header = EncodeUdpHeader(id, number, count);
  return std::string(reinterpret_cast<const char*>(header.data()), header.size()) +
         std::string(payload);
}

TEST(UdpFrameTest, AHeaderIsBigEndian) {
  EXPECT_EQ(Datagram(0x0102, 0x0304, 0xfffe, ""), std::string("\x01\x02\x03\x04\xff\xfe\0\0", 8));
}

TEST(UdpFrameTest, ARequestIsOneDatagramWhateverItsNumber) {
  for (const size_t number : {size_t{0}, size_t{7}}) {
    const std::string datagram = Datagram(0xfedc, number, 1, "x");
    const std::optional<UdpRequest> request = DecodeUdpRequest(datagram);
    ASSERT_TRUE(request.has_value());
    EXPECT_EQ(request->id, 0xfedc);
    EXPECT_EQ(request->payload, "x");
  }
}

TEST(UdpFrameTest, WhatIsTooShortOrOneOfSeveralIsNoRequest) {
  const std::string good = Datagram(1, 0, 1, "x");
  for (size_t bytes = 0; bytes < good.size(); ++bytes) {
    EXPECT_FALSE(DecodeUdpRequest(std::string_view(good).substr(0, bytes)).has_value()) << bytes;
  }
  for (const size_t count : {size_t{0}, size_t{2}, size_t{256}, size_t{65'535}}) {
    EXPECT_FALSE(DecodeUdpRequest(Datagram(1, 0, count, "x")).has_value()) << count;
  }
}

TEST(UdpFrameTest, DatagramsAreFullBeforeThereIsAnother) {
  EXPECT_EQ(UdpDatagramsOf(1), 1U);
  EXPECT_EQ(UdpDatagramsOf(1'392), 1U);
  EXPECT_EQ(UdpDatagramsOf(1'393), 2U);
  EXPECT_EQ(UdpDatagramsOf(kUdpReplyBytesMax), kUdpDatagramsMax);
}

}  // namespace
}  // namespace terraced::server
