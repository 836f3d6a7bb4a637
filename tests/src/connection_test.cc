#include "src/net/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/src/connection_rig.h"

namespace terraced::server {
namespace {

using testing::EndsWith;
using testing::StartsWith;

class ConnectionTest : public ConnectionRig {};

TEST_F(ConnectionTest, AnswersEveryClassicCommand) {
  EXPECT_EQ(Ask("set a 7 0 3\r\nabc\r\n"), "STORED\r\n");
  EXPECT_EQ(Ask("get a\r\n"), "VALUE a 7 3\r\nabc\r\nEND\r\n");
  EXPECT_EQ(Ask("gets a b\r\n"), "VALUE a 7 3 1\r\nabc\r\nEND\r\n");
  EXPECT_EQ(Ask("add a 0 0 1\r\nx\r\n"), "NOT_STORED\r\n");
  EXPECT_EQ(Ask("append a 0 0 1\r\nd\r\n"), "STORED\r\n");
  EXPECT_EQ(Ask("cas a 0 0 1 1\r\nx\r\n"), "EXISTS\r\n");
  EXPECT_EQ(Ask("cas b 0 0 1 1\r\nx\r\n"), "NOT_FOUND\r\n");
  EXPECT_EQ(Ask("gat 0 a\r\n"), "VALUE a 7 4\r\nabcd\r\nEND\r\n");
  EXPECT_EQ(Ask("touch a 0\r\n"), "TOUCHED\r\n");
  EXPECT_EQ(Ask("set n 0 0 2\r\n10\r\n"), "STORED\r\n");
  EXPECT_EQ(Ask("decr n 1\r\n"), "9\r\n");
  EXPECT_EQ(Ask("incr n 1 noreply\r\nincr none 1\r\n"), "NOT_FOUND\r\n");
  EXPECT_EQ(Ask("incr a 1\r\n"),
            "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n");
  EXPECT_EQ(Ask("delete a\r\n"), "DELETED\r\n");
  EXPECT_EQ(Ask("delete a\r\n"), "NOT_FOUND\r\n");
  EXPECT_EQ(Ask("flush_all\r\n"), "OK\r\n");
  EXPECT_EQ(host_.cache.FlushedAt(), 0U);
  EXPECT_EQ(Ask("flush_all 10\r\n"), "OK\r\n");
  EXPECT_EQ(host_.cache.FlushedAt(), 1'000'010U);
  EXPECT_EQ(Ask("version\r\n"), "VERSION 1.6.18\r\n");
  EXPECT_EQ(Ask("stats\r\n"), "STAT name value\r\nEND\r\n");
  EXPECT_EQ(Ask("stats unknown\r\n"), "ERROR\r\n");
  EXPECT_EQ(Ask("stats reset\r\n"), "RESET\r\n");
  EXPECT_EQ(host_.control.resets, 1);
  EXPECT_EQ(Ask("extstore a good\r\nextstore a unknown\r\nextstore a\r\n"),
            "OK\r\nERROR\r\nERROR\r\n");
  EXPECT_EQ(Ask("extstore a bad\r\nextstore a bad noreply\r\nextstore a never\r\n"),
            "CLIENT_ERROR why\r\nSERVER_ERROR out of memory\r\n");
  EXPECT_EQ(Ask("nonsense\r\n"), "ERROR\r\n");
  EXPECT_EQ(Ask("quit\r\n"), "");
  EXPECT_TRUE(host_.closed);
}

TEST_F(ConnectionTest, ReadsValuesWhereverTheyAreSplit) {
  const std::string request = "set k 0 0 12\r\nab\r\ncd\nef\r\n!\r\nget k\r\n";
  for (size_t split = 1; split < request.size(); ++split) {
    std::string reply = Ask(request.substr(0, split));
    reply += Ask(request.substr(split));
    EXPECT_EQ(reply, "STORED\r\n" + Value("k", "ab\r\ncd\nef\r\n!") + "END\r\n") << split;
    Send("delete k noreply\r\n");
  }
}

TEST_F(ConnectionTest, SendsLargeValuesFromWhereTheyLie) {
  const std::string large(300'000, 'L');
  EXPECT_EQ(Ask(Set("large", large)), "STORED\r\n");
  EXPECT_EQ(Ask("get large none large\r\n"),
            Value("large", large) + Value("large", large) + "END\r\n");
  EXPECT_EQ(host_.buffers.Taken(), 0U) << "an idle connection holds no block";
}

TEST_F(ConnectionTest, RefusesABadChunkAndGoesOnBehindIt) {
  Send(Set("k", "old"));
  Receive();
  EXPECT_EQ(Ask("set k 0 0 3\r\nabcde\r\n"), "CLIENT_ERROR bad data chunk\r\nERROR\r\n");
  EXPECT_EQ(Ask("set k 0 0 3 noreply\r\nabcde\r\n"), "ERROR\r\n");
  EXPECT_EQ(Ask("get k\r\n"), Value("k", "old") + "END\r\n");
}

TEST_F(ConnectionTest, SwallowsWhatIsTooLargeAndDropsTheOldValueOfASet) {
  Send(Set("k", "old"));
  Receive();
  const std::string huge(2'000'000, 'h');
  EXPECT_EQ(Ask("add k 0 0 2000000\r\n" + huge + "\r\nversion\r\n"),
            "SERVER_ERROR object too large for cache\r\nVERSION 1.6.18\r\n");
  EXPECT_EQ(host_.cache.Dropped(), 0);
  EXPECT_EQ(Ask("set k 0 0 2000000 noreply\r\n" + huge + "\r\nget k\r\n"), "END\r\n");
  EXPECT_EQ(host_.cache.Dropped(), 1);
}

TEST_F(ConnectionTest, AFlashReadThatFailsIsAMissForGetAndAnErrorForTheOthers) {
  StoreOnFlash("cold", "c");
  EXPECT_EQ(Ask("get cold\r\n"), "");
  host_.Answer(0, false);
  EXPECT_EQ(Receive(), "END\r\n");
  for (const char* request : {"delete cold\r\n", "touch cold 0\r\n", "incr cold 1\r\n",
                              "gat 0 none cold\r\n", "add cold 0 0 1\r\nx\r\n"}) {
    EXPECT_EQ(Ask(request), "") << request;
    ASSERT_EQ(host_.wanted.size(), 1U) << request;
    host_.Answer(0, false);
    EXPECT_EQ(Receive(), "SERVER_ERROR flash read failed\r\n") << request;
  }
}

TEST_F(ConnectionTest, RefreshCertsAnswersWhatBecameOfIt) {
  EXPECT_EQ(Ask("refresh_certs\r\n"), "OK\r\n");
  EXPECT_EQ(Ask("refresh_certs noreply\r\nrefresh_certs junk\r\n"), "OK\r\n");
  host_.control.certificates = Status(StatusCode::kInvalidArgument, "-o ssl_key k: why");
  EXPECT_EQ(Ask("refresh_certs\r\n"), "CLIENT_ERROR -o ssl_key k: why\r\n");
  host_.control.certificates = Status(StatusCode::kUnavailable, "off");
  EXPECT_EQ(Ask("refresh_certs\r\n"), "Error TLS not enabled\r\n");
}

TEST_F(ConnectionTest, GatOfManyKeysEndsWhenTheLastIsAnswered) {
  Send(Set("cold1", "1") + Set("cold2", "2") + Set("hot", "h"));
  Receive();
  host_.cache.PutOnFlash("cold1");
  host_.cache.PutOnFlash("cold2");
  EXPECT_EQ(Ask("gat 0 cold1 hot cold2\r\nversion\r\n"), "");
  host_.Answer(1);
  host_.Answer(0);
  EXPECT_EQ(Receive(), Value("cold1", "1") + Value("hot", "h") + Value("cold2", "2") +
                           "END\r\nVERSION 1.6.18\r\n");
}

TEST_F(ConnectionTest, GatOfManyKeysThatWaitsLeavesLaterPiecesOfItsLineAlone) {
  host_.options.pipelined_reads_max = 2;
  Send(Set("cold", "c") + Set("hot", "h"));
  Receive();
  host_.cache.PutOnFlash("cold");
  EXPECT_EQ(Ask("get cold\r\ngat 0 hot hot hot cold hot\r\n"), "");
  host_.Answer(0);
  EXPECT_EQ(Receive(), Value("cold", "c") + "END\r\n" + Value("hot", "h") + Value("hot", "h") +
                           Value("hot", "h"));
  host_.Answer(0);
  EXPECT_EQ(Receive(), Value("cold", "c") + Value("hot", "h") + "END\r\n");
}

TEST_F(ConnectionTest, StopsReadingAClientThatDoesNotReadItsReplies) {
  host_.options.reply_bytes_max = 1U << 20;
  const std::string value(10'000, 'v');
  Send(Set("k", value));
  Receive();
  std::string requests;
  for (int i = 0; i < 2'000; ++i) requests += "get k\r\n";
  ASSERT_NO_FATAL_FAILURE(SendWithoutReading(requests));
  EXPECT_FALSE(host_.reads);
  EXPECT_TRUE(host_.writes);
  EXPECT_LE(connection_->UnsentBytes(), (1U << 20) + 10'100);
  const std::string got = Drain(2'000 * (value.size() + 25));
  EXPECT_THAT(got, StartsWith("VALUE k 0 10000\r\n"));
  EXPECT_THAT(got, EndsWith("END\r\n"));
  EXPECT_EQ(got.size(), 2'000 * (Value("k", value).size() + 5));
  EXPECT_TRUE(host_.reads);
  EXPECT_GT(host_.counters.reply_pauses.Get(), 0U);
}

TEST_F(ConnectionTest, HoldsNoMoreRepliesThanAreLeftOfTheBudget) {
  const std::string value(10'000, 'v');
  Send(Set("k", value));
  Receive();
  ReplyAccount others(host_.budget);
  others.Take(host_.budget.BytesMax() - (256U << 10));
  others.Publish();
  std::string requests;
  std::string replies;
  for (int i = 0; i < 500; ++i) {
    requests += "get k k\r\n";
    replies += Value("k", value) + Value("k", value) + "END\r\n";
  }
  ASSERT_NO_FATAL_FAILURE(SendWithoutReading(requests));
  EXPECT_FALSE(host_.reads);
  EXPECT_LE(host_.budget.HeldBytes(), host_.budget.BytesMax());
  EXPECT_GT(connection_->UnsentBytes(), 64U << 10);
  // Now nothing is left: it goes on a block at a time, as fast as the client reads.
  others.Take(16U << 20);
  others.Publish();
  EXPECT_TRUE(Drain(replies.size()) == replies);
  EXPECT_EQ(connection_->UnsentBytes(), 0U);
  ASSERT_NO_FATAL_FAILURE(SendWithoutReading(requests));
  EXPECT_LE(connection_->UnsentBytes(), BufferPool::kBlockBytes + 10'100);
  EXPECT_TRUE(Drain(replies.size()) == replies);
  others.GiveBack(host_.budget.BytesMax() - (256U << 10) + (16U << 20));
}

TEST_F(ConnectionTest, ReadsUnderWayCountAsRepliesAndAreFewWhereNothingIsLeft) {
  StoreOnFlash("small", "s");
  // Small values let the connection have many reads under way.
  for (int i = 0; i < 100; ++i) {
    Send("get small\r\n");
    while (!host_.wanted.empty()) host_.Answer(0);
    Receive();
  }
  std::string request = "get";
  std::string replies;
  for (int i = 0; i < 1'000; ++i) {
    request += " small";
    replies += Value("small", "s");
  }
  request += "\r\n";
  replies += "END\r\n";
  ASSERT_NO_FATAL_FAILURE(SendWithoutReading(request));
  EXPECT_EQ(host_.wanted.size(), host_.options.pipelined_reads_max);
  EXPECT_GE(host_.budget.HeldBytes(), host_.wanted.size() * Suspended::kBytes);
  EXPECT_TRUE(Drain(replies.size()) == replies);
  ReplyAccount others(host_.budget);
  others.Take(host_.budget.BytesMax());
  others.Publish();
  ASSERT_NO_FATAL_FAILURE(SendWithoutReading(request));
  EXPECT_EQ(host_.wanted.size(), BufferPool::kBlockBytes / Suspended::kBytes);
  EXPECT_TRUE(Drain(replies.size()) == replies);
  others.GiveBack(host_.budget.BytesMax());
  others.Publish();
  EXPECT_EQ(host_.budget.HeldBytes(), 0U);
}

TEST_F(ConnectionTest, ReadsAFlashValueAgainThatCameBackWhenTheRepliesWereFull) {
  host_.options.reply_bytes_max = 64U << 10;
  const std::string value(300'000, 'L');
  Send(Set("small", "s") + Set("large", value));
  Receive();
  host_.cache.PutOnFlash("small");
  // Small values let the connection have many reads under way.
  for (int i = 0; i < 100; ++i) {
    Send("get small\r\n");
    while (!host_.wanted.empty()) host_.Answer(0);
    Receive();
  }
  host_.cache.PutOnFlash("large");
  std::string request = "get";
  std::string replies;
  for (int i = 0; i < 20; ++i) {
    request += " large";
    replies += Value("large", value);
  }
  ASSERT_NO_FATAL_FAILURE(SendWithoutReading(request + "\r\n"));
  ASSERT_EQ(host_.wanted.size(), 20U);
  const size_t two_values = 2 * (value.size() + 100);
  while (host_.wanted.size() > 1) {
    host_.Answer(host_.wanted.size() - 1);
    EXPECT_LE(connection_->UnsentBytes(), (64U << 10) + two_values);
  }
  EXPECT_EQ(connection_->SuspendedCount(), 19U) << "all but one were put off";
  host_.Answer(0);
  EXPECT_LE(connection_->UnsentBytes(), (64U << 10) + two_values);
  EXPECT_TRUE(Drain(replies.size() + 5) == replies + "END\r\n");
  EXPECT_EQ(connection_->SuspendedCount(), 0U);
}

TEST_F(ConnectionTest, AClientThatVanishesMidValueLeavesNothingBehind) {
  Send("set k 0 0 600000\r\n" + std::string(1'000, 'x'));
  ::close(std::exchange(client_, -1));
  Pump();
  EXPECT_TRUE(host_.closed);
  EXPECT_TRUE(host_.cache.Calls().empty());
  for (const storage::SlabClassStats& slab : host_.cache.Stats().slabs)
    EXPECT_EQ(slab.used_chunks, 0U);
}

TEST_F(ConnectionTest, IsIdleBetweenRequestsAndInAStalledUploadButNotWhileItIsOwedAnAnswer) {
  EXPECT_EQ(Ask("version\r\n"), "VERSION 1.6.18\r\n");
  EXPECT_TRUE(connection_->IsIdle());
  Send("set cold 0 0 4\r\nva");
  EXPECT_TRUE(connection_->IsIdle());
  EXPECT_EQ(Ask("lu\r\n"), "STORED\r\n");
  host_.cache.PutOnFlash("cold");
  Send("get cold\r\n");
  EXPECT_FALSE(connection_->IsIdle());
  host_.Answer(0);
  EXPECT_TRUE(connection_->IsIdle());
}

TEST_F(ConnectionTest, AClientThatVanishesMidFillIsForgotten) {
  StoreOnFlash("cold", "c");
  Send("get cold\r\nget cold\r\n");
  ASSERT_EQ(host_.wanted.size(), 2U);
  connection_->Close();
  EXPECT_TRUE(host_.wanted.empty());
  EXPECT_TRUE(host_.closed);
}

TEST_F(ConnectionTest, AClientThatHasSaidAllIsStillAnswered) {
  StoreOnFlash("cold", "c");
  Send("get cold\r\n");
  shutdown(client_, SHUT_WR);
  Pump();
  EXPECT_FALSE(host_.closed);
  host_.Answer(0);
  EXPECT_TRUE(host_.closed);
  EXPECT_EQ(Receive(), Value("cold", "c") + "END\r\n");
}

TEST_F(ConnectionTest, QuitAnswersWhatWasAskedBefore) {
  StoreOnFlash("cold", "c");
  Send("get cold\r\nquit\r\nversion\r\n");
  EXPECT_FALSE(host_.closed);
  host_.Answer(0);
  EXPECT_TRUE(host_.closed);
  EXPECT_EQ(Receive(), Value("cold", "c") + "END\r\n");
}

TEST_F(ConnectionTest, DemoteAnswersWhenAllIsOnFlash) {
  EXPECT_EQ(Ask("debug demote\r\nversion\r\n"), "");
  EXPECT_TRUE(host_.demoting);
  connection_->DemoteDone();
  EXPECT_EQ(Receive(), "OK\r\nVERSION 1.6.18\r\n");
  EXPECT_THAT(Ask("debug sync_points\r\n"), StartsWith("STAT demote_collected "));
  EXPECT_EQ(Ask("debug delay flush 0\r\n"), "OK\r\n");
  EXPECT_EQ(Ask("debug delay nowhere 0\r\n"), "ERROR\r\n");
  EXPECT_EQ(Ask("debug nothing\r\n"), "ERROR\r\n");
}

TEST_F(ConnectionTest, ShutdownIsRefusedUnlessItWasAllowedAndThenClosesItsClient) {
  EXPECT_EQ(Ask("shutdown\r\nshutdown nonsense\r\n"),
            "ERROR: shutdown not enabled\r\nERROR: shutdown not enabled\r\n");
  host_.options.shutdown_command = true;
  EXPECT_EQ(Ask("shutdown now\r\nshutdown graceful x\r\nshutdown noreply\r\n"),
            "CLIENT_ERROR invalid shutdown mode\r\nCLIENT_ERROR invalid shutdown mode\r\n"
            "CLIENT_ERROR invalid shutdown mode\r\n");
  EXPECT_EQ(host_.control.stops + host_.control.graceful_stops, 0);
  EXPECT_EQ(Ask("shutdown graceful\r\nversion\r\n"), "");
  EXPECT_TRUE(host_.closed);
  EXPECT_EQ(host_.control.graceful_stops, 1);
  EXPECT_EQ(host_.control.stops, 0);
}

TEST_F(ConnectionTest, StatsConnsAnswersWhenTheHostHasAskedAll) {
  EXPECT_EQ(Ask("stats conns\r\nversion\r\n"), "");
  EXPECT_TRUE(host_.listing);
  EXPECT_EQ(connection_->StateName(), "conn_parse_cmd");
  connection_->ConnectionsListed({{.fd = 5,
                                   .address = "tcp:1.2.3.4:5",
                                   .listen_address = "",
                                   .state = "conn_listening",
                                   .idle_s = 7},
                                  {.fd = 6,
                                   .address = "unix:/a",
                                   .listen_address = "unix:/b",
                                   .state = "conn_read",
                                   .idle_s = 0}});
  EXPECT_EQ(Receive(),
            "STAT 5:addr tcp:1.2.3.4:5\r\nSTAT 5:state conn_listening\r\n"
            "STAT 5:secs_since_last_cmd 7\r\nSTAT 6:addr unix:/a\r\n"
            "STAT 6:listen_addr unix:/b\r\nSTAT 6:state conn_read\r\n"
            "STAT 6:secs_since_last_cmd 0\r\nEND\r\nVERSION 1.6.18\r\n");
}

TEST_F(ConnectionTest, ItsStateHasMemcachedsNames) {
  Open();
  EXPECT_EQ(connection_->StateName(), "conn_new_cmd");
  Send("version\r\n");
  EXPECT_EQ(connection_->StateName(), "conn_read");
  Send("set k 0 0 10\r\nabc");
  EXPECT_EQ(connection_->StateName(), "conn_nread");
  Send("defghij\r\nset k 0 0 2000000\r\nabc");
  EXPECT_EQ(connection_->StateName(), "conn_swallow");
  Send(std::string(1'999'997, 'x') + "\r\n");
  StoreOnFlash("cold", "c");
  Send("get cold\r\n");
  EXPECT_EQ(connection_->StateName(), "conn_io_queue");
  host_.Answer(0);
  EXPECT_EQ(connection_->StateName(), "conn_read");
}

TEST_F(ConnectionTest, AnswersAMultiGetThatFitsNoBuffer) {
  Send(Set("k", "v"));
  Receive();
  std::string request = "get";
  std::string reply;
  for (int i = 0; i < 60'000; ++i) {
    request += i % 10 == 0 ? " k" : " missing_key";
    if (i % 10 == 0) reply += Value("k", "v");
  }
  request += "\r\n";
  std::string got;
  for (size_t at = 0; at < request.size(); at += 50'000) got += Ask(request.substr(at, 50'000));
  EXPECT_EQ(got, reply + "END\r\n");
  EXPECT_LE(host_.buffers.TakenBytes(), kLineBytesMax);
}

TEST_F(ConnectionTest, HangsUpOnALineWithoutEnd) {
  Send(std::string(kCommandBytesMax + 1, 'x'));
  EXPECT_TRUE(host_.closed);
}

}  // namespace
}  // namespace terraced::server
