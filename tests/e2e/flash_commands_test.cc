// Every classic command on an item that lies on flash: it must answer as if the item were in RAM.
#include <chrono>
#include <thread>

#include "tests/e2e/flash_fixture.h"

namespace terraced::support {
namespace {

class FlashCommandsTest : public FlashFixture {
 protected:
  void SetUp() override { ASSERT_NO_FATAL_FAILURE(Start()); }
  // Stores and demotes; from here on the item is on flash only.
  void PutOnFlash(const std::string& key, const std::string& value, uint32_t flags = 0,
                  int64_t exptime = 0) {
    ASSERT_EQ(client_->Set(key, value, flags, exptime), "STORED\r\n");
    ASSERT_NO_FATAL_FAILURE(DemoteAll());
  }
  // Waits for the wall clock, not for the daemon: exptimes are whole seconds.
  static void WaitUntilExpired(int64_t ttl_s) {
    const auto end = std::chrono::system_clock::now() + std::chrono::seconds(ttl_s + 2);
    std::this_thread::sleep_until(end);
  }
};

TEST_F(FlashCommandsTest, GetAnswersFromFlashAndSaysSo) {
  PutOnFlash("k", "value", 42);
  EXPECT_EQ(Ask("get k\r\n"), "VALUE k 42 5\r\nvalue\r\nEND\r\n");
  EXPECT_EQ(client_->Stat(kStatGetHitsFlash), 1U);
  EXPECT_EQ(client_->Stat(kStatGetHits), 1U);
}

TEST_F(FlashCommandsTest, GetsShowsTheSameUniqueAsBefore) {
  ASSERT_EQ(client_->Set("k", "value"), "STORED\r\n");
  const std::string unique = client_->Gets("k").cas_unique;
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_EQ(client_->Gets("k").cas_unique, unique);
}

TEST_F(FlashCommandsTest, MgSendsNoValueToWhoHasThisVersion) {
  const std::string large(40'000, 'v');  // pinned in RAM, not copied
  for (const std::string& value : {std::string("value"), large}) {
    ASSERT_EQ(client_->Set("k", value), "STORED\r\n");
    const std::string unique = client_->Gets("k").cas_unique;
    const std::string size = std::to_string(value.size());
    for (const char* tier : {"RAM", "flash"}) {
      EXPECT_EQ(Ask("mg k v s C" + unique + "\r\n"), "HD s" + size + "\r\n") << tier;
      EXPECT_EQ(Ask("mg k v C1" + unique + "\r\n"), "VA " + size + "\r\n") << tier;
      EXPECT_EQ(client_->ReadThrough("\r\n").value(), value + "\r\n") << tier;
      ASSERT_NO_FATAL_FAILURE(DemoteAll());
    }
  }
}

TEST_F(FlashCommandsTest, GatAndGatsAnswerAndSetTheExptime) {
  PutOnFlash("k", "value", 7);
  EXPECT_EQ(Ask("gat 0 k\r\n"), "VALUE k 7 5\r\nvalue\r\nEND\r\n");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_TRUE(Ask("gats 100 k\r\n").starts_with("VALUE k 7 5 "));
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_EQ(Ask("gat -1 k\r\n"), "VALUE k 7 5\r\nvalue\r\nEND\r\n");
  EXPECT_EQ(Ask("get k\r\n"), "END\r\n");
}

TEST_F(FlashCommandsTest, TouchSetsTheExptime) {
  PutOnFlash("k", "value");
  EXPECT_EQ(Ask("touch k 0\r\n"), "TOUCHED\r\n");
  EXPECT_EQ(client_->Get("k"), "value");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_EQ(Ask("touch k -1\r\n"), "TOUCHED\r\n");
  EXPECT_EQ(client_->Get("k"), "<miss>");
  EXPECT_EQ(Ask("touch absent 0\r\n"), "NOT_FOUND\r\n");
}

TEST_F(FlashCommandsTest, IncrAndDecrCount) {
  PutOnFlash("n", "41");
  EXPECT_EQ(Ask("incr n 1\r\n"), "42\r\n");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_EQ(Ask("decr n 2\r\n"), "40\r\n");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_EQ(Ask("decr n 100\r\n"), "0\r\n");
  EXPECT_EQ(client_->Get("n"), "0 ");
  PutOnFlash("text", "no number");
  EXPECT_EQ(Ask("incr text 1\r\n"),
            "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n");
  EXPECT_EQ(client_->Get("text"), "no number");
}

TEST_F(FlashCommandsTest, WhatLiesInSeveralChunksIsNoNumber) {
  const std::string number = "5" + std::string(600'000, ' ');
  for (const char* tier : {"RAM", "flash"}) {
    ASSERT_EQ(client_->Set("n", number), "STORED\r\n");
    if (std::string_view(tier) == "flash") {
      ASSERT_NO_FATAL_FAILURE(DemoteAll());
    }
    EXPECT_EQ(Ask("incr n 1\r\n"),
              "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
        << tier;
  }
}

TEST_F(FlashCommandsTest, AnAppendThatMakesAValueTooLargeIsNotStored) {
  const std::string half(600'000, 'v');
  ASSERT_EQ(client_->Set("k", half), "STORED\r\n");
  for (int tier = 0; tier < 2; ++tier) {
    EXPECT_EQ(client_->Store("append k 0 0 600000", half), "NOT_STORED\r\n");
    EXPECT_EQ(Ask("ms k 600000 MA k\r\n" + half + "\r\n"), "NS kk\r\n");
    EXPECT_EQ(client_->Get("k"), half);
    ASSERT_NO_FATAL_FAILURE(DemoteAll());
  }
}

TEST_F(FlashCommandsTest, IncrKeepsFlagsAndExptime) {
  PutOnFlash("n", "1", 9, 3);
  EXPECT_EQ(Ask("incr n 1\r\n"), "2\r\n");
  EXPECT_EQ(Ask("get n\r\n"), "VALUE n 9 1\r\n2\r\nEND\r\n");
  WaitUntilExpired(3);
  EXPECT_EQ(client_->Get("n"), "<miss>");
}

TEST_F(FlashCommandsTest, AppendAndPrependExtend) {
  PutOnFlash("k", "middle", 5);
  EXPECT_EQ(client_->Store("append k 0 0 4", "-end"), "STORED\r\n");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_EQ(client_->Store("prepend k 0 0 6", "begin-"), "STORED\r\n");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_EQ(Ask("get k\r\n"), "VALUE k 5 16\r\nbegin-middle-end\r\nEND\r\n");
  EXPECT_EQ(client_->Store("append absent 0 0 1", "x"), "NOT_STORED\r\n");
}

TEST_F(FlashCommandsTest, CasComparesTheUniqueOnFlash) {
  ASSERT_EQ(client_->Set("k", "old"), "STORED\r\n");
  const std::string unique = client_->Gets("k").cas_unique;
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_EQ(client_->Store("cas k 0 0 3 1", "bad"), "EXISTS\r\n");
  EXPECT_EQ(client_->Store("cas k 0 0 3 " + unique, "new"), "STORED\r\n");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_EQ(client_->Store("cas k 0 0 3 " + unique, "bad"), "EXISTS\r\n");
  EXPECT_EQ(client_->Get("k"), "new");
  EXPECT_EQ(client_->Store("cas absent 0 0 1 1", "x"), "NOT_FOUND\r\n");
}

TEST_F(FlashCommandsTest, AddAndReplaceSeeTheItem) {
  PutOnFlash("k", "old");
  EXPECT_EQ(client_->Store("add k 0 0 3", "new"), "NOT_STORED\r\n");
  EXPECT_EQ(client_->Get("k"), "old");
  EXPECT_EQ(client_->Store("replace k 0 0 3", "new"), "STORED\r\n");
  EXPECT_EQ(client_->Get("k"), "new");
  EXPECT_EQ(client_->Store("replace absent 0 0 1", "x"), "NOT_STORED\r\n");
}

TEST_F(FlashCommandsTest, DeleteAndSetEndTheOldValue) {
  PutOnFlash("k", "old");
  EXPECT_EQ(Ask("delete k\r\n"), "DELETED\r\n");
  EXPECT_EQ(client_->Get("k"), "<miss>");
  EXPECT_EQ(Ask("delete k\r\n"), "NOT_FOUND\r\n");
  PutOnFlash("k", "second");
  ASSERT_EQ(client_->Set("k", "third"), "STORED\r\n");
  EXPECT_EQ(client_->Get("k"), "third");
  EXPECT_EQ(Ask("delete k\r\n"), "DELETED\r\n");
  EXPECT_EQ(client_->Get("k"), "<miss>") << "the value on flash came back";
}

TEST_F(FlashCommandsTest, ASetRefusedForItsSizeEndsTheOldValue) {
  PutOnFlash("k", "old");
  const std::string too_large(2U << 20, 'x');
  EXPECT_EQ(client_->Set("k", too_large), "SERVER_ERROR object too large for cache\r\n");
  EXPECT_EQ(client_->Get("k"), "<miss>");
  PutOnFlash("k", "old");
  EXPECT_EQ(client_->Store("replace k 0 0 " + std::to_string(too_large.size()), too_large),
            "SERVER_ERROR object too large for cache\r\n");
  EXPECT_EQ(client_->Get("k"), "old");
}

TEST_F(FlashCommandsTest, AnItemExpiresOnFlash) {
  PutOnFlash("short", "value", 0, 3);
  ASSERT_EQ(client_->Stat(kStatFlashItems), 1U) << "it expired before it got there";
  PutOnFlash("long", "value", 0, 1'000);
  WaitUntilExpired(3);
  EXPECT_EQ(client_->Get("short"), "<miss>");
  EXPECT_EQ(client_->Store("add short 0 0 3", "new"), "STORED\r\n");
  EXPECT_EQ(client_->Get("long"), "value");
}

TEST_F(FlashCommandsTest, FlushAllEmptiesBothTiers) {
  PutOnFlash("flash", "value");
  ASSERT_EQ(client_->Set("ram", "value"), "STORED\r\n");
  EXPECT_EQ(Ask("flush_all\r\n"), "OK\r\n");
  EXPECT_EQ(Ask("get flash ram\r\n"), "END\r\n");
  EXPECT_EQ(client_->Store("add flash 0 0 3", "new"), "STORED\r\n");
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_EQ(Ask("get flash ram\r\n"), "VALUE flash 0 3\r\nnew\r\nEND\r\n");
}

TEST_F(FlashCommandsTest, ADelayedFlushReachesBothTiers) {
  PutOnFlash("flash", "value");
  ASSERT_EQ(client_->Set("ram", "value"), "STORED\r\n");
  EXPECT_EQ(Ask("flush_all 3\r\n"), "OK\r\n");
  EXPECT_EQ(client_->Get("flash"), "value");
  WaitUntilExpired(3);
  EXPECT_EQ(Ask("get flash ram\r\n"), "END\r\n");
}

TEST_F(FlashCommandsTest, LargeChunkedItemsSurviveTheWayToFlashAndBack) {
  // The first three lie in chained chunks in RAM; a batch of this RAM tier holds items of up to 2 MB.
  for (const size_t bytes : {1'000'000U, 700'000U, 530'000U, 300'000U, 17'000U, 1U}) {
    const std::string key = "large" + std::to_string(bytes);
    ASSERT_EQ(client_->Set(key, ValueOf(key, bytes)), "STORED\r\n");
  }
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  for (const size_t bytes : {1'000'000U, 700'000U, 530'000U, 300'000U, 17'000U, 1U}) {
    const std::string key = "large" + std::to_string(bytes);
    EXPECT_TRUE(client_->Get(key) == ValueOf(key, bytes)) << bytes;
    EXPECT_TRUE(client_->Get(key) == ValueOf(key, bytes)) << bytes << " again";
    EXPECT_TRUE(client_->Get(key) == ValueOf(key, bytes)) << bytes << " after its promotion";
  }
  EXPECT_GT(client_->Stat(kStatGetHitsFlash), 0U);
}

TEST_F(FlashCommandsTest, NumbersAppendsAndLargeValuesMixInOneMultiGet) {
  std::string request = "get";
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    const std::string key = "m" + std::to_string(i);
    const std::string value = ValueOf(key, static_cast<size_t>(i) * 40);
    ASSERT_EQ(client_->Set(key, value), "STORED\r\n");
    request += " " + key + " absent" + std::to_string(i);
    expected += "VALUE " + key + " 0 " + std::to_string(value.size()) + "\r\n" + value + "\r\n";
    if (i == 150) {
      ASSERT_NO_FATAL_FAILURE(DemoteAll());  // the later half stays in RAM
    }
  }
  EXPECT_EQ(Ask(request + "\r\n"), expected + "END\r\n");
}

TEST_F(FlashCommandsTest, PipelinedRepliesKeepTheirOrderWhileFlashReadsAreOutstanding) {
  for (int i = 0; i < 64; ++i) {
    const std::string key = "p" + std::to_string(i);
    ASSERT_EQ(client_->Set(key, ValueOf(key, 200)), "STORED\r\n");
  }
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  ASSERT_EQ(client_->Set("ram", "here"), "STORED\r\n");
  ASSERT_EQ(Ask("debug delay fill_read 5\r\n"), "OK\r\n");
  std::string requests;
  std::string expected;
  for (int i = 0; i < 64; ++i) {
    const std::string key = "p" + std::to_string(i);
    const std::string value = ValueOf(key, 200);
    requests += "get " + key + "\r\nget ram\r\n";
    expected +=
        "VALUE " + key + " 0 200\r\n" + value + "\r\nEND\r\nVALUE ram 0 4\r\nhere\r\nEND\r\n";
    if (i % 8 != 0) continue;
    // A change waits for the reads before it, and the reads behind it see it.
    requests += "delete " + key + "\r\nget " + key + "\r\n";
    expected += "DELETED\r\nEND\r\n";
    requests += "set " + key + " 0 0 1 noreply\r\nx\r\nget " + key + "\r\n";
    expected += "VALUE " + key + " 0 1\r\nx\r\nEND\r\n";
  }
  ASSERT_TRUE(client_->Send(requests).ok());
  Result<std::string> replies = client_->ReadBytes(expected.size());
  ASSERT_TRUE(replies.ok()) << replies.status().message();
  EXPECT_EQ(replies.value(), expected);
  EXPECT_EQ(Ask("debug delay fill_read 0\r\n"), "OK\r\n");
}

TEST_F(FlashCommandsTest, MissesAndNewKeysDoNotAskRocksDb) {
  for (int i = 0; i < 2'000; ++i) {
    const std::string key = "old" + std::to_string(i);
    ASSERT_EQ(client_->Set(key, ValueOf(key, 100)), "STORED\r\n");
  }
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  const uint64_t before = client_->Stat(kStatRocksDbGetCalls);
  for (int i = 0; i < 2'000; ++i) {
    const std::string name = std::to_string(i);
    ASSERT_EQ(client_->Get("absent" + name), "<miss>");
    ASSERT_EQ(client_->Set("new" + name, "value"), "STORED\r\n");
    ASSERT_EQ(client_->Store("add newer" + name + " 0 0 1", "x"), "STORED\r\n");
  }
  // A fingerprint of 18 bits lets a stranger pass once in some hundred thousand keys.
  EXPECT_LE(client_->Stat(kStatRocksDbGetCalls), before + 2);
  ASSERT_EQ(client_->Get("old1"), ValueOf("old1", 100));
  EXPECT_GT(client_->Stat(kStatRocksDbGetCalls), before) << "the ticker does not tick";
}

// I6: the signal that a file limit sends along with its error must not end the daemon.
TEST_F(FlashCommandsTest, ALimitOfFileSizesCostsDemotionsAndNotTheService) {
  DaemonSpec spec = Spec();
  spec.binary = TerracedAfter(directory_.Path(), "ulimit -f 600");
  client_.reset();
  ASSERT_EQ(daemon_->Stop(SIGTERM), 0);
  Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(spec);
  ASSERT_TRUE(daemon.ok()) << daemon.status().message();
  daemon_ = std::move(daemon).value();
  client_ = daemon_->Connect();
  for (int i = 0; i < 4'000; ++i) {
    const std::string key = "k" + std::to_string(i);
    ASSERT_EQ(client_->Set(key, ValueOf(key, 1'000)), "STORED\r\n");
  }
  EXPECT_EQ(Ask("debug demote\r\n"), "OK\r\n");
  EXPECT_GE(client_->Stat("flash_batches_failed"), 1U);
  EXPECT_EQ(client_->Get("k1"), ValueOf("k1", 1'000));
}

TEST_F(FlashCommandsTest, APromotedItemIsServedFromRam) {
  PutOnFlash("k", "value");
  for (int i = 0; i < 6; ++i) ASSERT_EQ(client_->Get("k"), "value");
  EXPECT_GE(client_->Stat(kStatPromotions), 1U);
  EXPECT_GE(client_->Stat(kStatGetHitsRam), 3U);
  // Its copy on flash is as good: demoting it again writes nothing, changing it ends both.
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  EXPECT_EQ(client_->Get("k"), "value");
  for (int i = 0; i < 6; ++i) ASSERT_EQ(client_->Get("k"), "value");
  EXPECT_EQ(Ask("delete k\r\n"), "DELETED\r\n");
  EXPECT_EQ(client_->Get("k"), "<miss>");
}

// touch and gat bring the item up to RAM. Where nothing may be evicted and nothing demoted there is no room for that:
// an error, not a miss.
TEST_F(FlashCommandsTest, TouchAndGatSayThatThereIsNoRoom) {
  DaemonSpec spec = Spec(",flash_ttl_min=86400");
  spec.arguments.push_back("-M");
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(spec);
  ASSERT_TRUE(daemon.ok()) << daemon.status().message();
  daemon_ = std::move(daemon).value();
  client_ = daemon_->Connect();
  const std::string value = ValueOf("k", 300'000);
  PutOnFlash("k", value);
  std::string reply;
  for (int i = 0; i < 1'000 && (i == 0 || reply == "STORED\r\n"); ++i) {
    reply = client_->Set("full" + std::to_string(i), value, 0, 1'000);
  }
  ASSERT_EQ(reply, "SERVER_ERROR out of memory storing object\r\n");
  EXPECT_EQ(Ask("touch k 0\r\n"), "SERVER_ERROR out of memory\r\n");
  EXPECT_TRUE(Ask("gat 0 k\r\n").starts_with("SERVER_ERROR "));
  EXPECT_EQ(client_->Get("k"), value);
}

}  // namespace
}  // namespace terraced::support
