// Clients that misbehave and bytes that rot: a clear error or a miss, counted, nothing else lost, no crash.
#include <sys/socket.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>

#include "tests/e2e/flash_fixture.h"

namespace terraced::support {
namespace {

constexpr std::chrono::milliseconds kSoon{10'000};

class BadInputTest : public FlashFixture {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_EQ(client_->Set("witness", "unharmed"), "STORED\r\n");
  }
  void TearDown() override {
    if (!daemon_ || !client_) return;
    EXPECT_EQ(client_->Get("witness"), "unharmed");
    EXPECT_TRUE(daemon_->Running());
    client_.reset();
    EXPECT_EQ(daemon_->Stop(SIGTERM), 0) << daemon_->Stderr();
  }
  // Runs `body`, which opens `opened` connections and closes them; as many must be open then as before. The
  // server learns of both only by and by: of a connection that it has not yet accepted, nobody knows.
  void ExpectAllClosed(uint64_t opened, const std::function<void()>& body) {
    const uint64_t total = client_->Stat(kStatTotalConnections) + opened;
    const uint64_t before = client_->Stat(kStatCurrConnections);
    ASSERT_NO_FATAL_FAILURE(body());
    const auto end = std::chrono::steady_clock::now() + kSoon;
    const auto closed = [&] {
      return client_->Stat(kStatTotalConnections) >= total &&
             client_->Stat(kStatCurrConnections) <= before;
    };
    while (!closed() && std::chrono::steady_clock::now() < end) {
    }
    EXPECT_GE(client_->Stat(kStatTotalConnections), total);
    EXPECT_LE(client_->Stat(kStatCurrConnections), before);
  }
  // Sends without ever reading; stops when the server takes no more for a while.
  static size_t PushWithoutReading(Client& client, const std::string& request, size_t bytes_max) {
    size_t sent = 0;
    auto last = std::chrono::steady_clock::now();
    while (sent < bytes_max && std::chrono::steady_clock::now() - last < std::chrono::seconds(1)) {
      const size_t at = sent % request.size();
      const ssize_t count = send(client.Descriptor(), request.data() + at, request.size() - at,
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count <= 0) continue;
      sent += static_cast<size_t>(count);
      last = std::chrono::steady_clock::now();
    }
    return sent;
  }
};

TEST_F(BadInputTest, AClientThatVanishesInAValueLeavesTheOldOne) {
  ASSERT_EQ(client_->Set("k", "old"), "STORED\r\n");
  ExpectAllClosed(300, [this] {
    for (int i = 0; i < 300; ++i) {
      const std::unique_ptr<Client> other = daemon_->Connect();
      const size_t announced = i % 3 == 0 ? 900'000 : 10'000;
      const std::string part(static_cast<size_t>(i) * 30, 'x');
      ASSERT_TRUE(other->Send("set k 0 0 " + std::to_string(announced) + "\r\n" + part).ok());
      other->CloseNow(i % 2 == 0);
    }
  });
  EXPECT_EQ(client_->Get("k"), "old");
}

TEST_F(BadInputTest, AnUploadThatIsCutOffEndsItsConnectionOnly) {
  ASSERT_EQ(client_->Set("k", "old"), "STORED\r\n");
  const std::unique_ptr<Client> other = daemon_->Connect();
  ASSERT_TRUE(other->Send("set k 0 0 100\r\nshort").ok());
  ASSERT_EQ(shutdown(other->Descriptor(), SHUT_WR), 0);
  EXPECT_TRUE(other->ServerCloses(kSoon));
  EXPECT_EQ(client_->Get("k"), "old");
}

TEST_F(BadInputTest, AClientThatVanishesWhileFlashIsReadHurtsNobody) {
  for (int i = 0; i < 100; ++i) {
    const std::string key = "f" + std::to_string(i);
    ASSERT_EQ(client_->Set(key, ValueOf(key, 1'000)), "STORED\r\n");
  }
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  ASSERT_EQ(Ask("debug delay fill_read 5\r\n"), "OK\r\n");
  ExpectAllClosed(60, [this] {
    for (int i = 0; i < 60; ++i) {
      const std::unique_ptr<Client> other = daemon_->Connect();
      const std::string key = "f" + std::to_string(i);
      ASSERT_TRUE(other
                      ->Send("get " + key + " f1 f2 f3\r\nincr " + key + " 1\r\ngets " + key +
                             "\r\ntouch " + key + " 0\r\n")
                      .ok());
      other->CloseNow(i % 2 == 0);
    }
    ASSERT_EQ(Ask("debug delay fill_read 0\r\n"), "OK\r\n");
  });
  for (int i = 0; i < 100; ++i) {
    const std::string key = "f" + std::to_string(i);
    ASSERT_EQ(client_->Get(key), ValueOf(key, 1'000));
  }
}

TEST_F(BadInputTest, BinaryGarbageHurtsNobody) {
  const uint64_t seed = Seed();
  std::mt19937_64 random(seed);
  ExpectAllClosed(200, [&] {
    for (int i = 0; i < 200; ++i) {
      const std::unique_ptr<Client> other = daemon_->Connect();
      std::string garbage(1 + random() % 20'000, '\0');
      for (char& byte : garbage) byte = static_cast<char>(random() & 0xff);
      if (i % 4 == 0) garbage[0] = '\x80';  // the binary protocol's magic
      (void)other->Send(garbage);           // the server may close at any byte
      other->CloseNow(i % 2 == 0);
      ASSERT_EQ(client_->Get("witness"), "unharmed") << "seed " << seed << ", connection " << i;
    }
  });
}

TEST_F(BadInputTest, ALineWithoutEndClosesTheConnection) {
  const std::unique_ptr<Client> other = daemon_->Connect();
  ASSERT_TRUE(other->Send(std::string(4'096, 'x')).ok());
  EXPECT_TRUE(other->ServerCloses(kSoon));
}

TEST_F(BadInputTest, AGetLineOfManyKeysIsAnsweredAndAnEndlessOneIsNotStored) {
  std::string request = "get";
  for (int i = 0; i < 5'000; ++i) request += " absent" + std::to_string(i);
  EXPECT_EQ(Ask(request + " witness\r\n"), "VALUE witness 0 8\r\nunharmed\r\nEND\r\n");
  const uint64_t rss_before = daemon_->Usage().rss_bytes;
  const std::unique_ptr<Client> other = daemon_->Connect();
  ASSERT_GT(send(other->Descriptor(), "get ", 4, MSG_NOSIGNAL), 0);
  std::string keys;
  for (int i = 0; i < 20'000; ++i) keys += "kkkkkkkk ";
  (void)PushWithoutReading(*other, keys, 256U << 20);
  EXPECT_LT(daemon_->Usage().rss_bytes, rss_before + (96ULL << 20));
}

TEST_F(BadInputTest, ErrorsSayWhatIsWrongAndTheConnectionGoesOn) {
  EXPECT_EQ(Ask("frobnicate\r\n"), "ERROR\r\n");
  EXPECT_EQ(Ask("set k 0 0 -1\r\n"), "CLIENT_ERROR bad command line format\r\n");
  EXPECT_EQ(Ask("delete " + std::string(251, 'k') + "\r\n"),
            "CLIENT_ERROR bad command line format\r\n");
  EXPECT_EQ(Ask("set k 0 0 3\r\nabcde"), "CLIENT_ERROR bad data chunk\r\n");
  EXPECT_EQ(client_->Set("k", std::string(3U << 20, 'x')),
            "SERVER_ERROR object too large for cache\r\n");
  EXPECT_EQ(client_->Get("k"), "<miss>");
}

TEST_F(BadInputTest, SlowReadersShareOneBudgetAndOthersGoOnBehindThem) {
  constexpr size_t kSlow = 40;
  constexpr size_t kBytes = 10'000;
  const std::string value = ValueOf("k", kBytes);
  ASSERT_EQ(client_->Set("k", value), "STORED\r\n");
  const uint64_t rss_before = daemon_->Usage().rss_bytes;
  std::string requests;
  for (int i = 0; i < 1'500; ++i) requests += "get k\r\n";
  std::vector<std::unique_ptr<Client>> slow;
  for (size_t i = 0; i < kSlow; ++i) {
    slow.push_back(daemon_->Connect());
    const int small = 4'096;
    ASSERT_EQ(setsockopt(slow.back()->Descriptor(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)),
              0);
    ASSERT_EQ(send(slow.back()->Descriptor(), requests.data(), requests.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(requests.size()));
  }
  // They are all held back once they have been counted so; some are again and again as the kernel takes more.
  const auto end = std::chrono::steady_clock::now() + kSoon;
  while (client_->Stat("reply_pauses") < kSlow && std::chrono::steady_clock::now() < end) {
  }
  EXPECT_GE(client_->Stat("reply_pauses"), kSlow);
  EXPECT_EQ(client_->Get("witness"), "unharmed");
  // A pipeline whose replies are larger than what is left goes through.
  const std::unique_ptr<Client> fast = daemon_->Connect();
  ASSERT_TRUE(fast->Send(requests).ok());
  for (int i = 0; i < 1'500; ++i) {
    Result<std::string> reply = fast->ReadReply(ReplyShape::kValues);
    ASSERT_TRUE(reply.ok()) << reply.status().message();
    ASSERT_TRUE(reply.value() == "VALUE k 0 10000\r\n" + value + "\r\nEND\r\n") << i;
  }
  const uint64_t limit = client_->Stat("reply_buf_limit_bytes");
  EXPECT_EQ(limit, 16ULL << 20);
  // Beside the limit a batch of each worker, and a block and one reply of each connection.
  EXPECT_LE(client_->Stat("reply_buf_bytes"), limit + (2 * 2ULL << 20) + kSlow * (48ULL << 10));
  EXPECT_LT(daemon_->Usage().rss_bytes, rss_before + (96ULL << 20));
  slow.clear();
}

TEST_F(BadInputTest, SlowReadersOfFlashHoldNoMoreThanAValueOrTwoBesideTheBudget) {
  constexpr size_t kSlow = 20;
  constexpr size_t kBytes = 900'000;
  // Many of them wait for their turn at the disk for long where the machine is busy.
  ASSERT_EQ(Ask("extstore flash_wait_deadline 60000\r\n"), "OK\r\n");
  ASSERT_EQ(Ask("extstore flash_read_deadline 60000\r\n"), "OK\r\n");
  std::string request = "get";
  for (int i = 0; i < 20; ++i) {
    const std::string key = "f" + std::to_string(i);
    ASSERT_EQ(client_->Set(key, ValueOf(key, kBytes)), "STORED\r\n");
    request += " " + key;
  }
  request += "\r\n";
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  std::vector<std::unique_ptr<Client>> slow;
  for (size_t i = 0; i < kSlow; ++i) {
    slow.push_back(daemon_->Connect());
    ASSERT_TRUE(slow.back()->Send(request).ok());
  }
  const auto end = std::chrono::steady_clock::now() + kSoon;
  while (client_->Stat("reply_pauses") < kSlow && std::chrono::steady_clock::now() < end) {
  }
  EXPECT_GE(client_->Stat("reply_pauses"), kSlow);
  const uint64_t limit = client_->Stat("reply_buf_limit_bytes");
  EXPECT_LE(client_->Stat("reply_buf_bytes"), limit + kSlow * 2 * (kBytes + 1'000));
  // Whoever reads after all gets everything, in order.
  for (const size_t one : {size_t{0}, kSlow - 1}) {
    Result<std::string> reply = slow[one]->ReadReply(ReplyShape::kValues);
    ASSERT_TRUE(reply.ok()) << reply.status().message();
    const std::vector<ValueBlock> values = ParseValues(reply.value());
    ASSERT_EQ(values.size(), 20U);
    for (int i = 0; i < 20; ++i) {
      const std::string key = "f" + std::to_string(i);
      ASSERT_EQ(values[static_cast<size_t>(i)].key, key);
      ASSERT_TRUE(values[static_cast<size_t>(i)].data == ValueOf(key, kBytes)) << key;
    }
  }
}

TEST_F(BadInputTest, ASlowReaderCostsBoundedMemoryAndNobodyElseTime) {
  const std::string value = ValueOf("big", 900'000);
  ASSERT_EQ(client_->Set("big", value), "STORED\r\n");
  ASSERT_EQ(client_->Set("flash", value), "STORED\r\n");
  ASSERT_EQ(client_->Get("flash"), value);
  const uint64_t rss_before = daemon_->Usage().rss_bytes;
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 8; ++i) {
    slow.push_back(daemon_->Connect());
    (void)PushWithoutReading(*slow.back(), i % 2 == 0 ? "get big\r\n" : "get flash big\r\n",
                             1U << 20);
    if (i == 3) {
      ASSERT_NO_FATAL_FAILURE(DemoteAll());  // from here on the replies come from flash
    }
  }
  // They never read, so nobody who waits for one of them is ever answered.
  EXPECT_EQ(client_->Get("witness"), "unharmed");
  // What is in RAM is sent from the arena; of what is on flash each holds two values at most beside the budget.
  const uint64_t limit = client_->Stat("reply_buf_limit_bytes");
  EXPECT_LE(client_->Stat("reply_buf_bytes"), limit + slow.size() * 2 * (value.size() + 1'000));
  EXPECT_LT(daemon_->Usage().rss_bytes, rss_before + (96ULL << 20));
  slow.clear();
  EXPECT_EQ(client_->Get("big"), value);
}

TEST_F(BadInputTest, ASlowReaderThatWakesUpGetsEveryReplyInOrder) {
  const std::string value = ValueOf("big", 500'000);
  ASSERT_EQ(client_->Set("big", value), "STORED\r\n");
  const std::unique_ptr<Client> slow = daemon_->Connect();
  const size_t asked = PushWithoutReading(*slow, "get big\r\n", 9 * 200) / 9;
  ASSERT_EQ(asked, 200U);
  for (size_t i = 0; i < asked; ++i) {
    Result<std::string> reply = slow->ReadReply(ReplyShape::kValues);
    ASSERT_TRUE(reply.ok()) << reply.status().message();
    ASSERT_TRUE(reply.value() == "VALUE big 0 500000\r\n" + value + "\r\nEND\r\n") << i;
  }
}

TEST_F(BadInputTest, CorruptedFilesBecomeCountedMissesAndNeverWrongValues) {
  constexpr int kItems = 4'000;
  for (int i = 0; i < kItems; ++i) {
    const std::string key = "rot" + std::to_string(i);
    ASSERT_EQ(client_->Set(key, ValueOf(key, 1'000)), "STORED\r\n");
  }
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
  const uint64_t seed = Seed();
  std::mt19937_64 random(seed);
  int files = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(FlashPath())) {
    if (file.path().extension() != ".sst") continue;
    ++files;
    const uint64_t size = file.file_size();
    std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    // Among the records; what RocksDB keeps at the end of the file stays whole.
    for (int flips = 0; flips < 40; ++flips) {
      const auto at = static_cast<std::streamoff>(random() % (size * 8 / 10));
      bytes.seekg(at);
      const int old = bytes.get();
      bytes.seekp(at);
      bytes.put(static_cast<char>(old ^ (1 + static_cast<int>(random() % 255))));
    }
  }
  ASSERT_GT(files, 0);
  ASSERT_NO_FATAL_FAILURE(Start());
  uint64_t misses = 0;
  for (int i = 0; i < kItems; ++i) {
    const std::string key = "rot" + std::to_string(i);
    const std::string value = client_->Get(key);
    ASSERT_TRUE(value == "<miss>" || value == ValueOf(key, 1'000))
        << "seed " << seed << ", " << key;
    misses += value == "<miss>" ? 1 : 0;
  }
  EXPECT_GT(misses, 0U) << "seed " << seed;
  EXPECT_LT(misses, static_cast<uint64_t>(kItems)) << "seed " << seed;
  EXPECT_GT(client_->Stat(kStatRecordsCorrupt), 0U) << "seed " << seed;
  // The witness may have rotted too; TearDown asks for it.
  ASSERT_EQ(client_->Set("witness", "unharmed"), "STORED\r\n");
}

class ConnectionLimitTest : public FlashFixture {};

TEST_F(ConnectionLimitTest, RefusesThoseBeyondTheLimitAndTakesNewOnesWhenOldOnesLeave) {
  constexpr size_t kLimit = 20;
  DaemonSpec spec = Spec();
  spec.arguments.insert(spec.arguments.begin(), {"-c", std::to_string(kLimit)});
  Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(spec);
  ASSERT_TRUE(daemon.ok()) << daemon.status().message();
  std::vector<std::unique_ptr<Client>> clients;
  size_t refused = 0;
  for (size_t i = 0; i < 2 * kLimit; ++i) {
    std::unique_ptr<Client> client = daemon.value()->Connect();
    const std::string reply = client->Ask("version\r\n");
    if (reply.starts_with("VERSION ")) {
      clients.push_back(std::move(client));
      continue;
    }
    ++refused;
    // The refusal may be cut off by the reset that our request behind it provokes; but nobody hangs.
    EXPECT_TRUE(reply == "ERROR Too many open connections\r\n" ||
                (reply[0] == '<' && reply != "<no answer in time>"))
        << reply;
  }
  // The first look of Daemon::Start may still count for a moment.
  EXPECT_GE(clients.size(), kLimit - 1);
  EXPECT_LE(clients.size(), kLimit);
  EXPECT_GE(clients[0]->Stat(kStatRejectedConnections), refused);
  clients.resize(kLimit / 2);
  const auto end = std::chrono::steady_clock::now() + kSoon;
  bool taken = false;
  while (!taken && std::chrono::steady_clock::now() < end) {
    taken = daemon.value()->Connect()->Ask("version\r\n").starts_with("VERSION ");
  }
  EXPECT_TRUE(taken);
  EXPECT_EQ(daemon.value()->Stop(SIGTERM), 0) << daemon.value()->Stderr();
}

}  // namespace
}  // namespace terraced::support
