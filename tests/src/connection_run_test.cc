// What src/net/connection_run.cc does: whole batches, in order, with what has to wait.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "src/net/connection.h"
#include "tests/src/connection_rig.h"

namespace terraced::server {
namespace {

using testing::ElementsAre;

class ConnectionRunTest : public ConnectionRig {};

TEST_F(ConnectionRunTest, AnswersAPipelineInOrderAndGivesWayBetween) {
  host_.options.requests_per_event = 3;
  std::string requests = Set("k", "v");
  std::string replies = "STORED\r\n";
  for (int i = 0; i < 50; ++i) {
    requests += "get k none\r\ngets none\r\n";
    replies += Value("k", "v") + "END\r\nEND\r\n";
  }
  EXPECT_EQ(Ask(requests), replies);
  EXPECT_GE(host_.counters.conn_yields.Get(), 30U);
}

TEST_F(ConnectionRunTest, RunsNothingBetweenGivingWayAndItsTurn) {
  host_.options.requests_per_event = 3;
  Open();
  const std::string requests = "get 1\r\nget 2\r\nget 3\r\nget 4\r\nget 5\r\n";
  ASSERT_EQ(send(client_, requests.data(), requests.size(), 0),
            static_cast<ssize_t>(requests.size()));
  connection_->OnReadable();
  EXPECT_EQ(host_.cache.Calls().size(), 3U);
  ASSERT_EQ(send(client_, "get 6\r\n", 7, 0), 7);
  connection_->OnReadable();
  connection_->OnWritable();
  connection_->FlushReplies();
  EXPECT_EQ(host_.cache.Calls().size(), 3U);
  EXPECT_EQ(host_.yields, 1);
  connection_->Run();
  EXPECT_EQ(host_.cache.Calls().size(), 5U);
  connection_->OnReadable();
  EXPECT_EQ(host_.cache.Calls().size(), 6U);
  host_.run_soon = false;
}

TEST_F(ConnectionRunTest, LetsAStoreWaitForRoomWithoutReadingOn) {
  host_.cache.LetAllocateWait(2);
  EXPECT_EQ(Ask(Set("k", "v") + "get k\r\n"), "");
  EXPECT_FALSE(host_.reads);
  EXPECT_TRUE(std::exchange(host_.retry_room, false));
  connection_->RetryRoom();
  EXPECT_TRUE(std::exchange(host_.retry_room, false));
  connection_->RetryRoom();
  EXPECT_EQ(Receive(), "STORED\r\n" + Value("k", "v") + "END\r\n");
  EXPECT_TRUE(host_.reads);
}

TEST_F(ConnectionRunTest, AStoreInABatchThatWaitsForRoomKeepsWhatIsBehindIt) {
  host_.cache.LetAllocateWait(1);
  Open();
  const std::string requests =
      Set("a", "1") + "get a\r\n" + Set("b", "2") + "delete a\r\nget a b\r\n";
  SendWithoutReading(requests);
  EXPECT_EQ(Receive(), "");
  EXPECT_TRUE(std::exchange(host_.retry_room, false));
  host_.cache.LetAllocateWait(0);
  connection_->RetryRoom();
  EXPECT_EQ(Receive(), "STORED\r\n" + Value("a", "1") + "END\r\nSTORED\r\nDELETED\r\n" +
                           Value("b", "2") + "END\r\n");
  EXPECT_THAT(host_.cache.Calls(),
              ElementsAre("store a", "get a", "store b", "delete a", "get a", "get b"));
}

TEST_F(ConnectionRunTest, AMutationInABatchThatWaitsForFlashKeepsWhatIsBehindIt) {
  StoreOnFlash("cold", "5");
  EXPECT_EQ(Ask(Set("a", "1") + "incr cold 1\r\n" + Set("b", "2") + "get a b\r\n"), "STORED\r\n");
  ASSERT_EQ(host_.wanted.size(), 1U);
  host_.Answer(0);
  Pump();
  EXPECT_EQ(Receive(), "6\r\nSTORED\r\n" + Value("a", "1") + Value("b", "2") + "END\r\n");
}

TEST_F(ConnectionRunTest, CountsRequestsOfABatchThatHadToWaitOnlyOnce) {
  host_.options.requests_per_event = 4;
  host_.cache.LetAllocateWait(1);
  Open();
  SendWithoutReading(Set("a", "1") + Set("b", "2") + Set("c", "3") + Set("d", "4"));
  EXPECT_TRUE(std::exchange(host_.retry_room, false));
  connection_->RetryRoom();
  EXPECT_EQ(Receive(), "STORED\r\nSTORED\r\nSTORED\r\nSTORED\r\n");
  EXPECT_EQ(host_.counters.conn_yields.Get(), 0U);
}

TEST_F(ConnectionRunTest, ReceivesFirstAndRunsWhenItIsTold) {
  Open();
  const std::string request = "get key\r\n";
  ASSERT_EQ(send(client_, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  connection_->Receive();
  EXPECT_EQ(connection_->NextKey(), "key");
  EXPECT_TRUE(host_.cache.Calls().empty());
  connection_->RunReceived();
  EXPECT_EQ(connection_->NextKey(), "");
  EXPECT_EQ(Receive(), "END\r\n");
}

TEST_F(ConnectionRunTest, QuitInABatchLeavesWhatIsBehindItUndone) {
  EXPECT_EQ(Ask(Set("a", "1") + "quit\r\n" + Set("b", "2")), "STORED\r\n");
  EXPECT_TRUE(host_.closed);
  EXPECT_THAT(host_.cache.Calls(), ElementsAre("store a"));
}

TEST_F(ConnectionRunTest, LaterReadsOvertakeInWorkButNotInReplies) {
  Send(Set("cold", "c") + Set("hot", "h"));
  Receive();
  host_.cache.PutOnFlash("cold");
  EXPECT_EQ(Ask("get cold\r\nget hot cold\r\nget hot\r\n"), "");
  ASSERT_EQ(host_.wanted.size(), 2U);
  host_.Answer(1);
  EXPECT_EQ(Receive(), "");
  host_.Answer(0);
  EXPECT_EQ(Receive(), Value("cold", "c") + "END\r\n" + Value("hot", "h") + Value("cold", "c") +
                           "END\r\n" + Value("hot", "h") + "END\r\n");
  EXPECT_THAT(host_.cache.Calls(),
              ElementsAre("store cold", "store hot", "get hot", "get hot", "get cold", "get cold"));
}

TEST_F(ConnectionRunTest, AMutationWaitsForEarlierFlashReads) {
  StoreOnFlash("cold", "c");
  EXPECT_EQ(Ask("get cold\r\nget cold\r\nset cold 0 0 1\r\nn\r\nget cold\r\n"), "");
  EXPECT_THAT(host_.cache.Calls(), ElementsAre("store cold"));
  EXPECT_FALSE(host_.reads) << "what cannot be run is not read either";
  host_.Answer(1);
  EXPECT_FALSE(host_.reads);
  host_.Answer(0);
  EXPECT_EQ(Receive(), Value("cold", "c") + "END\r\n" + Value("cold", "c") + "END\r\nSTORED\r\n" +
                           Value("cold", "n") + "END\r\n");
  EXPECT_TRUE(host_.reads);
}

TEST_F(ConnectionRunTest, NothingOvertakesAMutationThatWaitsForFlash) {
  StoreOnFlash("cold", "c");
  EXPECT_EQ(Ask("append cold 0 0 1\r\n+\r\nget cold\r\nversion\r\n"), "");
  ASSERT_EQ(host_.wanted.size(), 1U);
  EXPECT_FALSE(host_.reads);
  host_.Answer(0);
  EXPECT_EQ(Receive(), "STORED\r\n" + Value("cold", "c+") + "END\r\nVERSION 1.6.18\r\n");
  EXPECT_TRUE(host_.reads);
}

TEST_F(ConnectionRunTest, HasABoundedNumberOfFlashReadsUnderWay) {
  host_.options.pipelined_reads_max = 4;
  StoreOnFlash("cold", "c");
  std::string request = "get";
  std::string reply;
  for (int i = 0; i < 10; ++i) {
    request += " cold";
    reply += Value("cold", "c");
  }
  EXPECT_EQ(Ask(request + "\r\n"), "");
  EXPECT_EQ(host_.wanted.size(), 4U);
  EXPECT_FALSE(host_.reads);
  std::string got;
  while (!host_.wanted.empty()) {
    host_.Answer(host_.wanted.size() - 1);
    EXPECT_LE(host_.wanted.size(), 4U);
    got += Receive();
  }
  EXPECT_EQ(got, reply + "END\r\n");
  EXPECT_TRUE(host_.reads);
}

}  // namespace
}  // namespace terraced::server
