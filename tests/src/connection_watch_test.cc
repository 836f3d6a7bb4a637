// A connection that watches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/src/connection_rig.h"

namespace terraced::server {
namespace {

using testing::HasSubstr;

class ConnectionWatchTest : public ConnectionRig {
 protected:
  void Note(std::string_view key) {
    host_.hub.Note({.type = tiering::EventType::kItemGet, .text = key});
    host_.hub.Pass();
  }
};

TEST_F(ConnectionWatchTest, IsSentWhatHappensAndNotListenedTo) {
  ASSERT_EQ(Ask("watch\r\n"), "OK\r\n");
  EXPECT_EQ(host_.hub.Stats().watchers, 1U);
  Note("a");
  EXPECT_EQ(host_.lines_ready, 1);
  connection_->SendLines();
  EXPECT_THAT(Receive(), HasSubstr(" type=item_get key=a status=not_found "));
  EXPECT_EQ(Ask("get a\r\nset a 0 0 100000\r\nquit\r\n"), "");
  EXPECT_FALSE(host_.closed);
  EXPECT_FALSE(connection_->IsIdle()) << "idle_timeout is not for watchers";
  ::shutdown(client_, SHUT_WR);
  Pump();
  EXPECT_TRUE(host_.closed);
  EXPECT_EQ(host_.hub.Stats().watchers, 0U);
}

TEST_F(ConnectionWatchTest, WhatFollowsInTheSamePipelineIsNotRun) {
  EXPECT_EQ(Ask("watch mutations\r\nset a 0 0 1\r\nx\r\nGET / HTTP/1.1\r\n"), "OK\r\n");
  EXPECT_FALSE(host_.closed);
  EXPECT_TRUE(host_.cache.Calls().empty());
}

TEST_F(ConnectionWatchTest, MustNotBePipelinedBehindOtherCommands) {
  EXPECT_EQ(Ask("set a 0 0 1\r\nx\r\nwatch\r\nversion\r\n"),
            "STORED\r\nERROR cannot pipeline other commands before watch\r\nVERSION 1.6.18\r\n");
  StoreOnFlash("f", "value");
  Send("get f\r\nwatch\r\n");
  host_.Answer(0);
  EXPECT_EQ(Receive(),
            Value("f", "value") + "END\r\nERROR cannot pipeline other commands before watch\r\n");
  EXPECT_EQ(Ask("watch\r\n"), "OK\r\n") << "it is a client like any other until then";
}

TEST_F(ConnectionWatchTest, SaysWhyNot) {
  EXPECT_EQ(Ask("watch foo\r\n"), "ERROR\r\n");
  EXPECT_EQ(Ask("watch fetchers noreply\r\n"), "");
  std::vector<std::shared_ptr<Watcher>> others;
  for (size_t i = 0; i < kWatchersMax; ++i) {
    others.push_back(std::make_shared<Watcher>(tiering::kFetchers, 0, host_));
    ASSERT_EQ(host_.hub.Add(others.back()), WatchHub::Added::kYes);
  }
  EXPECT_EQ(Ask("watch\r\n"), "WATCHER_TOO_MANY log watcher limit reached\r\n");
  for (const std::shared_ptr<Watcher>& one : others) host_.hub.Remove(one.get());
  host_.options.watch_enabled = false;
  EXPECT_EQ(Ask("watch foo\r\n"), "CLIENT_ERROR watch commands not allowed\r\n");
}

TEST_F(ConnectionWatchTest, OneThatDoesNotReadHoldsABlockAndItsBuffer) {
  ASSERT_EQ(Ask("watch\r\n"), "OK\r\n");
  const std::string key(250, 'k');
  for (int i = 0; i < 20'000; ++i) {
    Note(key);
    connection_->SendLines();
    ASSERT_LE(connection_->UnsentBytes(), BufferPool::kBlockBytes);
  }
  EXPECT_TRUE(host_.writes);
  EXPECT_TRUE(host_.reads) << "its end must be noticed";
  const uint64_t skipped = host_.hub.Stats().skipped;
  ASSERT_GT(skipped, 0U);
  // It wakes up.
  std::string lines;
  for (std::string more = Receive(); !more.empty(); more = Receive()) {
    lines += more;
    Pump();
  }
  Note("last");
  connection_->SendLines();
  lines += Receive();
  EXPECT_THAT(lines, HasSubstr("\nskipped=" + std::to_string(skipped) + "\n"));
  EXPECT_THAT(lines, HasSubstr(" key=last "));
  uint64_t shown = 0;
  for (const char byte : lines) shown += byte == '\n' ? 1 : 0;
  EXPECT_EQ(shown, 20'000 - skipped + 2);
}

TEST_F(ConnectionWatchTest, ManyLinesTakeTurns) {
  ASSERT_EQ(Ask("watch\r\n"), "OK\r\n");
  for (int i = 0; i < 1'000; ++i) Note(std::to_string(i));
  connection_->SendLines();
  std::string lines = Receive();
  Pump();
  lines += Receive();
  EXPECT_THAT(lines, HasSubstr(" key=0 "));
  EXPECT_THAT(lines, HasSubstr(" key=999 "));
}

TEST_F(ConnectionWatchTest, ConnectionsAreEventsThemselves) {
  const auto watcher = std::make_shared<Watcher>(tiering::kConnEvents, 0, host_);
  ASSERT_EQ(host_.hub.Add(watcher), WatchHub::Added::kYes);
  Open();
  host_.hub.Pass();
  const std::string cfd = "cfd=" + std::to_string(connection_->Fd()) + "\n";
  EXPECT_THAT(std::string(watcher->Lines().Front()),
              HasSubstr(" type=conn_new rip=unix rport=0 transport=local " + cfd));
  watcher->Lines().Pop();
  connection_->CloseFor(CloseReason::kIdleTimeout);
  host_.hub.Pass();
  EXPECT_THAT(
      std::string(watcher->Lines().Front()),
      HasSubstr(" type=conn_close rip=unix rport=0 transport=local reason=idle_timeout " + cfd));
  host_.hub.Remove(watcher.get());
}

}  // namespace
}  // namespace terraced::server
