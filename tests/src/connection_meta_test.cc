// A connection whose client speaks the meta protocol: what the differential test found to differ from memcached 1.6.18.
#include <gtest/gtest.h>

#include <string>

#include "tests/src/connection_rig.h"

namespace terraced::server {
namespace {

class ConnectionMetaTest : public ConnectionRig {};

TEST_F(ConnectionMetaTest, SaysNothingOfAnItemThatWasNotCounted) {
  EXPECT_EQ(Ask("ma n c t v k O1\r\n"), "NF kn O1\r\n");
  EXPECT_EQ(Ask("ms n 1\r\n5\r\nma n C99 c t v k O1\r\n"), "HD\r\nEX kn O1\r\n");
}

TEST_F(ConnectionMetaTest, ShowsTheExptimeAsItIsAtTheFlagsPlace) {
  EXPECT_EQ(Ask("ms n 1\r\n5\r\nma n t T100\r\nma n T50 t\r\n"), "HD\r\nHD t-1\r\nHD t50\r\n");
  EXPECT_EQ(Ask("ma made t N100\r\nmd made\r\nma made N100 T50 t\r\nmg made t\r\n"),
            "HD t-1\r\nHD\r\nHD t50\r\nHD t50\r\n");
  EXPECT_EQ(Ask("md made\r\nma made T50 t N100\r\nmg made t\r\n"), "HD\r\nHD t50\r\nHD t100\r\n");
}

TEST_F(ConnectionMetaTest, SaysThatANumberWasMadeThoughItIsQuiet) {
  EXPECT_EQ(Ask("ma n q N0 O1\r\nma n q N0 O2\r\nmn\r\n"), "HD O1\r\nMN\r\n");
}

TEST_F(ConnectionMetaTest, ShowsAKeyAsTheItemWasStored) {
  EXPECT_EQ(Ask("ms key 1\r\n5\r\nmg a2V5 b k\r\nma a2V5 b k\r\nmg none k b\r\n"),
            "HD\r\nHD kkey\r\nHD ka2V5 b\r\nEN knone b\r\n");
  EXPECT_EQ(Ask("ms a2V5 1 b\r\n5\r\nmg key k\r\nma key k\r\n"), "HD\r\nHD ka2V5 b\r\nHD kkey\r\n");
}

TEST_F(ConnectionMetaTest, SaysADuplicateRatherThanABadToken) {
  EXPECT_EQ(Ask("mg k Tx T1\r\n"), "CLIENT_ERROR duplicate flag\r\n");
  EXPECT_EQ(Ask("mg k Tx v\r\n"), "CLIENT_ERROR bad token in command line format\r\n");
}

TEST_F(ConnectionMetaTest, SaysTheLastOfSeveralBadTokens) {
  EXPECT_EQ(Ask("mg k Tx Jx\r\n"), "CLIENT_ERROR invalid numeric initial value\r\n");
  EXPECT_EQ(Ask("mg k Dx\r\n"), "CLIENT_ERROR invalid numeric delta value\r\n");
  EXPECT_EQ(Ask("ms k 1 MX Tx\r\na\r\n"), "CLIENT_ERROR bad token in command line format\r\n");
  EXPECT_EQ(Ask("ma k Jx\r\n"), "CLIENT_ERROR invalid or duplicate flag\r\n");
}

TEST_F(ConnectionMetaTest, NamesTooManyFlagsAsTheCommandDoes) {
  const std::string flags = " k a b c d e f g h i j k l m n o p q r s t\r\n";
  EXPECT_EQ(Ask("mg" + flags), "CLIENT_ERROR options flags are too long\r\n");
  EXPECT_EQ(Ask("md" + flags), "CLIENT_ERROR options flags too long\r\n");
  EXPECT_EQ(Ask("ma" + flags), "CLIENT_ERROR options flags too long\r\n");
}

}  // namespace
}  // namespace terraced::server
