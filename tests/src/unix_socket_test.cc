// The Unix socket of -s: src/net/unix_socket.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <string>

#include "src/net/address.h"
#include "tests/support/process.h"

namespace terraced::server {
namespace {

using testing::HasSubstr;

class UnixSocketTest : public testing::Test {
 protected:
  UnixSocketTest() { options_.unix_socket = directory_.Sub("socket"); }
  mode_t Mode() const {
    struct stat status;
    return ::lstat(options_.unix_socket.c_str(), &status) == 0 ? status.st_mode : 0;
  }
  const support::TempDirectory directory_;
  ServerOptions options_;
};

TEST_F(UnixSocketTest, TheFileHasItsPermissionsAndGoesWithItsOwner) {
  options_.unix_mask = 0620;
  {
    const Result<std::vector<ListeningSocket>> sockets = BindAll(options_);
    ASSERT_TRUE(sockets.ok()) << sockets.status().message();
    ASSERT_EQ(sockets.value().size(), 1U) << "and no port";
    EXPECT_EQ(sockets.value()[0].Family(), SocketFamily::kUnix);
    EXPECT_EQ(StatsName(sockets.value()[0]), "unix:" + options_.unix_socket);
    EXPECT_TRUE(S_ISSOCK(Mode()));
    EXPECT_EQ(Mode() & 0777U, 0620U);
  }
  EXPECT_EQ(Mode(), 0U);
}

TEST_F(UnixSocketTest, AnOldSocketIsReplacedAndTheNewOneStaysWhenTheOldDaemonEnds) {
  std::optional<Result<ListeningSocket>> first = BindUnix(options_);
  ASSERT_TRUE(first->ok());
  const Result<ListeningSocket> second = BindUnix(options_);
  ASSERT_TRUE(second.ok()) << second.status().message();
  first.reset();
  EXPECT_TRUE(S_ISSOCK(Mode()));
}

TEST_F(UnixSocketTest, AnythingElseAtThePathIsRefusedAndStays) {
  std::ofstream(options_.unix_socket) << "mine";
  const Result<ListeningSocket> bound = BindUnix(options_);
  ASSERT_FALSE(bound.ok());
  EXPECT_THAT(std::string(bound.status().message()), HasSubstr("is there and no socket"));
  EXPECT_EQ(support::ReadTextFile(options_.unix_socket), "mine");
}

TEST_F(UnixSocketTest, APathThatCannotBeIsNamed) {
  options_.unix_socket = directory_.Sub("missing/socket");
  EXPECT_THAT(std::string(BindUnix(options_).status().message()), HasSubstr("missing/socket"));
  options_.unix_socket = "/" + std::string(200, 'x');
  EXPECT_THAT(std::string(BindUnix(options_).status().message()), HasSubstr("give at most 107"));
}

}  // namespace
}  // namespace terraced::server
