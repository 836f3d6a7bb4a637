// Settings that change while the daemon runs: `extstore` beside memcached's, and what each of ours does to a daemon
// that is at work. One daemon a test, with a RAM tier of 8 MB that a few thousand items overflow.
#include <filesystem>

#include "tests/e2e/flash_fixture.h"

namespace terraced::support {
namespace {

class LiveSettingsTest : public FlashFixture {
 protected:
  static constexpr int kRounds = 200;  // of Fill, at most

  void SetUp() override { ASSERT_NO_FATAL_FAILURE(StartSmall()); }
  void StartSmall() {
    DaemonSpec spec = Spec(",flash_size=16m");
    spec.arguments.insert(spec.arguments.end(), {"-m", "8"});
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(spec);
    ASSERT_TRUE(daemon.ok()) << daemon.status().message();
    daemon_ = std::move(daemon).value();
    client_ = daemon_->Connect();
  }
  std::string Extstore(const std::string& words) { return Ask("extstore " + words + "\r\n"); }
  std::string Shown(const std::string& name) { return client_->Stats("settings")[name]; }
  // `shown`: by `stats settings`, in bytes.
  void Change(const std::string& name, const std::string& value, const std::string& shown) {
    ASSERT_NE(Shown(name), shown) << name;
    ASSERT_EQ(Extstore(name + " " + value), "OK\r\n");
    EXPECT_EQ(Shown(name), shown) << name;
  }
  void Change(const std::string& name, const std::string& value) { Change(name, value, value); }
  // Another thousand items of 1,000 bytes.
  void Fill(int64_t exptime = 0) {
    for (int i = 0; i < 1'000; ++i) {
      const std::string key = "fill" + std::to_string(next_++);
      ASSERT_EQ(client_->Set(key, ValueOf(key, 1'000), 0, exptime), "STORED\r\n");
    }
  }
  // Fills until the counter has grown.
  void FillUntilMore(const char* stat, int64_t exptime = 0) {
    const uint64_t before = client_->Stat(stat);
    for (int round = 0; round < kRounds && client_->Stat(stat) == before; ++round) Fill(exptime);
    EXPECT_GT(client_->Stat(stat), before) << stat;
  }
  void PutOnFlash(const std::string& key, const std::string& value) {
    ASSERT_EQ(client_->Set(key, value), "STORED\r\n");
    ASSERT_NO_FATAL_FAILURE(DemoteAll());
  }
  size_t Readers() const {
    size_t readers = 0;
    const std::string tasks = "/proc/" + std::to_string(daemon_->Pid()) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(tasks)) {
      readers += ReadTextFile(task.path() / "comm") == "flash_reader\n" ? 1 : 0;
    }
    return readers;
  }
  int next_ = 0;
};

constexpr const char* kNotAdmitted = "flash_items_not_admitted";

TEST_F(LiveSettingsTest, AnswersLikeMemcachedWhereItsWordsAreUsed) {
  DaemonSpec spec{.binary = ReferenceBinary(), .arguments = {"-m", "64"}};
  const Result<std::unique_ptr<Daemon>> reference = Daemon::Start(spec);
  ASSERT_TRUE(reference.ok()) << reference.status().message();
  spec.binary = TerracedBinary();  // without flash, as memcached is without extstore
  const Result<std::unique_ptr<Daemon>> ram_only = Daemon::Start(spec);
  ASSERT_TRUE(ram_only.ok()) << ram_only.status().message();
  const std::unique_ptr<Client> expected = reference.value()->Connect();
  const std::unique_ptr<Client> without_flash = ram_only.value()->Connect();
  std::vector<std::string> lines = {"extstore", "extstore noreply", "extstore ",
                                    "extstorex item_size 1", "EXTSTORE item_size 1"};
  for (const char* name : {"free_memchunks", "item_size", "item_age", "low_ttl", "recache_rate",
                           "compact_under", "drop_under", "max_sleep", "max_frag", "drop_unread",
                           "wbuf_size", "threads", "ITEM_SIZE", "unknown", "noreply"}) {
    for (const char* value : {"",
                              " 0",
                              " 1",
                              " 10",
                              " 65535",
                              " x",
                              " -1",
                              " -0",
                              " +5",
                              " 007",
                              " 1.5",
                              " .5",
                              " 1e3",
                              " 0x10",
                              " 10k",
                              " 1\t2",
                              " nan",
                              " 99999999999999999999999",
                              " 10 20",
                              " 64 1",
                              " 63 1",
                              " 63 x",
                              " x 1",
                              " 1 2 3",
                              " 10 noreply",
                              " x noreply",
                              " noreply",
                              " noreply 10"}) {
      lines.push_back("extstore " + std::string(name) + value);
    }
  }
  for (const std::string& line : lines) {
    const auto replies = [&line](Client* client) {
      EXPECT_TRUE(client->Send(line + "\r\nversion\r\n").ok());
      const Result<std::string> text = client->ReadThrough("VERSION 1.6.18\r\n");
      return text.ok() ? text.value() : std::string(text.status().message());
    };
    const std::string reply = replies(expected.get());
    EXPECT_EQ(replies(client_.get()), reply) << line;
    EXPECT_EQ(replies(without_flash.get()), reply) << line;
  }
}

TEST_F(LiveSettingsTest, WhatIsRefusedChangesNothing) {
  const std::map<std::string, std::string> before = client_->Stats("settings");
  for (const char* words :
       {"flash_item_min 2q", "flash_item_min -1", "flash_read_threads 0", "flash_read_threads 65",
        "promote_hits 65537", "second_chance_pct 101", "flash_admit_unread perhaps",
        "flash_read_deadline 20000", "recache_rate 65536", "item_size 4294967296"}) {
    EXPECT_TRUE(Extstore(words).starts_with("CLIENT_ERROR ")) << words;
  }
  EXPECT_EQ(Extstore("promote_hits 65537"),
            "CLIENT_ERROR promote_hits: '65537' is too much: give a number from 0 to 65536\r\n");
  for (const char* words :
       {"flash_path /x", "flash_size 1g", "memory-limit 10", "flash_item_min"}) {
    EXPECT_EQ(Extstore(words), "ERROR\r\n") << words;
  }
  EXPECT_EQ(client_->Stats("settings"), before);
}

TEST_F(LiveSettingsTest, ExtstoresWordsShowInOurSettings) {
  EXPECT_EQ(Extstore("item_size 512"), "OK\r\n");
  EXPECT_EQ(Shown("flash_item_min"), "512");
  EXPECT_EQ(Extstore("recache_rate 10"), "OK\r\n");
  EXPECT_EQ(Shown("promote_hits"), "11");
  ASSERT_TRUE(client_->Send("extstore recache_rate 0 noreply\r\n").ok());
  EXPECT_EQ(Shown("promote_hits"), "0");
}

TEST_F(LiveSettingsTest, TheNextStartBeginsWithTheOptionsAgain) {
  ASSERT_NO_FATAL_FAILURE(Change("flash_item_min", "1k", "1024"));
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  ASSERT_NO_FATAL_FAILURE(StartSmall());
  EXPECT_EQ(Shown("flash_item_min"), "0");
}

// --- Admission ------------------------------------------------------------------------------------------------------

TEST_F(LiveSettingsTest, TheFloorsOfSizeAndTtl) {
  ASSERT_NO_FATAL_FAILURE(Change("flash_item_min", "2k", "2048"));
  ASSERT_NO_FATAL_FAILURE(FillUntilMore(kNotAdmitted));
  EXPECT_EQ(client_->Stat(kStatDemotedItems), 0U);
  ASSERT_NO_FATAL_FAILURE(Change("flash_item_min", "0"));
  ASSERT_NO_FATAL_FAILURE(FillUntilMore(kStatDemotedItems));
  const uint64_t before = client_->Stat(kNotAdmitted);
  ASSERT_NO_FATAL_FAILURE(FillUntilMore(kStatDemotedItems, 500));
  EXPECT_EQ(client_->Stat(kNotAdmitted), before);
  ASSERT_NO_FATAL_FAILURE(Change("flash_ttl_min", "1000"));
  ASSERT_NO_FATAL_FAILURE(FillUntilMore(kNotAdmitted, 500));
}

TEST_F(LiveSettingsTest, TheCeilingOfSize) {
  ASSERT_NO_FATAL_FAILURE(Change("flash_item_max", "500"));
  ASSERT_NO_FATAL_FAILURE(FillUntilMore(kStatItemsTooLarge));
  EXPECT_EQ(client_->Stat(kStatDemotedItems), 0U);
  ASSERT_NO_FATAL_FAILURE(Change("flash_item_max", "0"));
  ASSERT_NO_FATAL_FAILURE(FillUntilMore(kStatDemotedItems));
}

TEST_F(LiveSettingsTest, UnreadItemsOnceFlashIsFull) {
  ASSERT_NO_FATAL_FAILURE(FillUntilMore(kStatBatchesDropped));
  EXPECT_EQ(client_->Stat(kNotAdmitted), 0U);
  ASSERT_NO_FATAL_FAILURE(Change("flash_admit_unread", "no"));
  ASSERT_NO_FATAL_FAILURE(FillUntilMore(kNotAdmitted));
}

TEST_F(LiveSettingsTest, TheWriteBudgets) {
  for (const char* name : {"flash_write_rate", "flash_write_day"}) {
    ASSERT_NO_FATAL_FAILURE(Change(name, "1"));
    // What fills the window, and a batch that was begun before.
    const uint64_t written = client_->Stat(kStatFlashBytesWritten);
    for (int i = 0; i < 20; ++i) ASSERT_NO_FATAL_FAILURE(Fill());
    EXPECT_LT(client_->Stat(kStatFlashBytesWritten), written + (2U << 20)) << name;
    ASSERT_NO_FATAL_FAILURE(Change(name, "0"));
    for (int i = 0; i < 20; ++i) ASSERT_NO_FATAL_FAILURE(Fill());
    EXPECT_GT(client_->Stat(kStatFlashBytesWritten), written + (2U << 20)) << name;
  }
}

// --- Promotion, second chances --------------------------------------------------------------------------------------

TEST_F(LiveSettingsTest, PromotionOnTheNthHit) {
  ASSERT_NO_FATAL_FAILURE(Change("promote_hits", "0"));
  ASSERT_NO_FATAL_FAILURE(PutOnFlash("k", "value"));
  for (int i = 0; i < 5; ++i) ASSERT_EQ(client_->Get("k"), "value");
  EXPECT_EQ(client_->Stat(kStatPromotions), 0U);
  ASSERT_NO_FATAL_FAILURE(Change("promote_hits", "1000"));
  ASSERT_EQ(client_->Get("k"), "value");
  EXPECT_LE(client_->Stat(kStatPromotions), 1U);
  ASSERT_NO_FATAL_FAILURE(Change("promote_hits", "1"));
  ASSERT_NO_FATAL_FAILURE(PutOnFlash("other", "value"));
  const uint64_t before = client_->Stat(kStatPromotions);
  ASSERT_EQ(client_->Get("other"), "value");
  EXPECT_EQ(client_->Stat(kStatPromotions), before + 1);
}

TEST_F(LiveSettingsTest, SecondChances) {
  ASSERT_NO_FATAL_FAILURE(Change("promote_hits", "0"));
  ASSERT_NO_FATAL_FAILURE(Change("second_chance_pct", "0"));
  const auto fill_and_read = [this] {
    const int first = next_;
    ASSERT_NO_FATAL_FAILURE(Fill());
    ASSERT_NO_FATAL_FAILURE(DemoteAll());
    for (int i = first; i < next_; i += 10) client_->Get("fill" + std::to_string(i));
  };
  const uint64_t dropped = client_->Stat(kStatBatchesDropped);
  for (int i = 0; i < kRounds && client_->Stat(kStatBatchesDropped) < dropped + 3; ++i) {
    ASSERT_NO_FATAL_FAILURE(fill_and_read());
  }
  EXPECT_EQ(client_->Stat(kStatSecondChances), 0U);
  ASSERT_NO_FATAL_FAILURE(Change("second_chance_pct", "50"));
  for (int i = 0; i < kRounds && client_->Stat(kStatSecondChances) == 0; ++i) {
    ASSERT_NO_FATAL_FAILURE(fill_and_read());
  }
  EXPECT_GT(client_->Stat(kStatSecondChances), 0U);
}

// --- Waiting --------------------------------------------------------------------------------------------------------

TEST_F(LiveSettingsTest, TheWaitForTheDemoter) {
  ASSERT_NO_FATAL_FAILURE(Change("demotion_wait", "0"));
  ASSERT_EQ(Ask("debug delay demote_built 50\r\n"), "OK\r\n");
  for (int i = 0; i < 20; ++i) ASSERT_NO_FATAL_FAILURE(Fill());
  EXPECT_EQ(client_->Stat("flash_room_waits"), 0U);
  ASSERT_NO_FATAL_FAILURE(Change("demotion_wait", "5"));
  ASSERT_NO_FATAL_FAILURE(FillUntilMore("flash_room_waits"));
}

TEST_F(LiveSettingsTest, TheDeadlinesOfReads) {
  ASSERT_NO_FATAL_FAILURE(PutOnFlash("k", "5"));
  ASSERT_EQ(Ask("debug delay fill_read 300\r\n"), "OK\r\n");
  ASSERT_EQ(client_->Get("k"), "5");
  ASSERT_NO_FATAL_FAILURE(Change("flash_read_deadline", "1"));
  EXPECT_EQ(client_->Get("k"), "<miss>");
  EXPECT_EQ(client_->Stat(kStatReadsTimedOut), 1U);
  ASSERT_NO_FATAL_FAILURE(Change("flash_wait_deadline", "1"));
  EXPECT_EQ(Ask("incr k 1\r\n"), "SERVER_ERROR flash read failed\r\n");
  ASSERT_NO_FATAL_FAILURE(Change("flash_wait_deadline", "20000"));
  EXPECT_EQ(Ask("incr k 1\r\n"), "6\r\n");
}

TEST_F(LiveSettingsTest, TheReadersOfFlash) {
  EXPECT_EQ(Readers(), 4U);
  ASSERT_NO_FATAL_FAILURE(PutOnFlash("k", "value"));
  ASSERT_NO_FATAL_FAILURE(Change("flash_read_threads", "7"));
  EXPECT_EQ(Readers(), 7U);
  ASSERT_NO_FATAL_FAILURE(Change("flash_read_threads", "1"));
  for (int i = 0; i < 10'000 && Readers() > 1; ++i) EXPECT_EQ(client_->Get("absent"), "<miss>");
  EXPECT_EQ(Readers(), 1U);
  EXPECT_EQ(client_->Get("k"), "value");
}

}  // namespace
}  // namespace terraced::support
