// The administration commands: their replies beside memcached's, and what they do to a daemon that holds items in one
// tier, in the other, and in both.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "tests/e2e/flash_fixture.h"
#include "tests/support/eventually.h"

namespace terraced::support {
namespace {

using Lines = std::vector<std::string>;

const Lines kLru = {"lru",
                    "lru tune",
                    "lru foo",
                    "lru foo 1",
                    "lru mode",
                    "lru mode foo",
                    "lru mode flat",
                    "lru mode flat noreply",
                    "lru mode segmented junk",
                    "lru tune 10",
                    "lru tune 10 25 0.1",
                    "lru tune 10 25 0.1 2.0",
                    "lru tune 10 25 0.1 2.0 junk",
                    "lru tune 10 25 0.1 2.0 noreply",
                    "lru tune 40 40 0.1 2.0",
                    "lru tune 41 40 0.1 2.0",
                    "lru tune 0 0 1e-3 .5",
                    "lru tune 10 25 0 2.0",
                    "lru tune 10 25 0.1 -2.0",
                    "lru tune -1 25 0.1 2.0",
                    "lru tune a 25 0.1 2.0",
                    "lru tune 10 25 x 2.0",
                    "lru tune 10 25 0.1x 2.0",
                    "lru tune 20 40 0.2 2.0",
                    "lru temp_ttl",
                    "lru temp_ttl x",
                    "lru temp_ttl 61",
                    "lru temp_ttl 61 62",
                    "lru temp_ttl 61 noreply",
                    "lru temp_ttl -1"};
const Lines kCrawler = {"lru_crawler",
                        "lru_crawler enable",
                        "lru_crawler enable x",
                        "lru_crawler enable noreply",
                        "lru_crawler disable",
                        "lru_crawler disable",
                        "lru_crawler crawl all",
                        "lru_crawler crawl 99",
                        "lru_crawler metadump all",
                        "lru_crawler enable",
                        "lru_crawler sleep",
                        "lru_crawler sleep 10",
                        "lru_crawler sleep 10 noreply",
                        "lru_crawler sleep 1000000",
                        "lru_crawler sleep 1000001",
                        "lru_crawler sleep x",
                        "lru_crawler sleep -1",
                        "lru_crawler sleep 100",
                        "lru_crawler tocrawl",
                        "lru_crawler tocrawl 10",
                        "lru_crawler tocrawl x",
                        "lru_crawler tocrawl -1",
                        "lru_crawler tocrawl 0",
                        "lru_crawler crawl",
                        "lru_crawler crawl 0",
                        "lru_crawler crawl 64",
                        "lru_crawler crawl x",
                        "lru_crawler crawl 1,x",
                        "lru_crawler crawl 1,,2",
                        "lru_crawler crawl ,",
                        "lru_crawler crawl 1 2",
                        "lru_crawler crawl 63",
                        "lru_crawler crawl all",
                        "lru_crawler metadump",
                        "lru_crawler metadump 0",
                        "lru_crawler metadump 64",
                        "lru_crawler metadump x",
                        "lru_crawler metadump 1 2",
                        "lru_crawler foo",
                        "lru_crawler foo bar"};
const Lines kSlabs = {"slabs",
                      "slabs foo",
                      "slabs foo bar",
                      "slabs foo bar baz",
                      "slabs reassign",
                      "slabs reassign 1",
                      "slabs reassign 1 2",
                      "slabs reassign 1 2 3",
                      "slabs reassign 1 2 noreply",
                      "slabs reassign 1 1",
                      "slabs reassign -1 2",
                      "slabs reassign -1 -1",
                      "slabs reassign -2 1",
                      "slabs reassign 0 2",
                      "slabs reassign 2 0",
                      "slabs reassign 64 1",
                      "slabs reassign 1 64",
                      "slabs reassign 1 -2",
                      "slabs reassign x 1",
                      "slabs reassign 1 x",
                      "slabs automove",
                      "slabs automove 0",
                      "slabs automove 2",
                      "slabs automove 3",
                      "slabs automove -1",
                      "slabs automove x",
                      "slabs automove 1 2 3",
                      "slabs automove 1 noreply",
                      "slabs automove ratio",
                      "slabs automove ratio x",
                      "slabs automove ratio 2",
                      "slabs automove ratio -1",
                      "slabs automove ratio 0.8",
                      "slabs automove ratio 0.8 noreply",
                      "slabs automove freeratio",
                      "slabs automove window"};
const Lines kMemlimit = {"cache_memlimit",
                         "cache_memlimit 64",
                         "cache_memlimit 128",
                         "cache_memlimit 8",
                         "cache_memlimit 7",
                         "cache_memlimit 0",
                         "cache_memlimit x",
                         "cache_memlimit -1",
                         "cache_memlimit 64 junk",
                         "cache_memlimit 64 noreply",
                         "cache_memlimit 18446744073709551615",
                         "cache_memlimit 18446744073709551616",
                         "cache_memlimit 64"};
const Lines kStats = {
    "stats sizes",          "stats sizes x",        "stats sizes_enable",   "stats sizes",
    "stats sizes_disable",  "stats sizes",          "stats sizes_foo",      "stats detail",
    "stats detail foo",     "stats detail on",      "stats detail on x",    "stats detail dump",
    "stats detail dump x",  "stats detail off",     "stats cachedump",      "stats cachedump 1",
    "stats cachedump 1 x",  "stats cachedump x 2",  "stats cachedump 1 2",  "stats cachedump 1 2 3",
    "stats cachedump 0 2",  "stats cachedump 63 2", "stats cachedump 64 2", "stats cachedump -1 2",
    "stats cachedump 1 -2", "stats extstore",       "stats items",          "stats items x",
    "stats reset",          "stats reset x",        "stats resetx",         "stats foo"};

Lines AllLines() {
  Lines all;
  for (const Lines* lines : {&kLru, &kCrawler, &kSlabs, &kMemlimit, &kStats}) {
    all.insert(all.end(), lines->begin(), lines->end());
  }
  return all;
}

std::unique_ptr<Daemon> StartOne(const std::string& binary, const Lines& arguments) {
  Result<std::unique_ptr<Daemon>> daemon =
      Daemon::Start({.binary = binary, .arguments = arguments});
  EXPECT_TRUE(daemon.ok()) << daemon.status().message();
  return daemon.ok() ? std::move(daemon).value() : nullptr;
}

// All that is answered to the line; asked again where a thread of the server is still at the one before.
std::string RepliesTo(Client* client, const std::string& line) {
  constexpr std::string_view kMark = "VERSION 1.6.18\r\n";
  for (int round = 0; round < 1'000; ++round) {
    EXPECT_TRUE(client->Send(line + "\r\n").ok());
    EXPECT_TRUE(client->Send("version\r\n").ok());
    Result<std::string> text = client->ReadThrough(kMark);
    if (!text.ok()) return std::string(text.status().message());
    if (!text.value().starts_with("BUSY")) return text.value();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return "<always busy>";
}

struct DumpedKey {
  std::map<std::string, std::string> fields;
  bool OnFlash() const { return fields.contains("ext_page"); }
};
std::map<std::string, DumpedKey> ParseDump(const std::string& text) {
  std::map<std::string, DumpedKey> keys;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line == "END\r") break;
    std::istringstream words(line);
    DumpedKey key;
    for (std::string word; words >> word;) {
      key.fields[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
    }
    EXPECT_TRUE(keys.emplace(key.fields["key"], key).second) << "listed twice: " << line;
  }
  return keys;
}
std::string RawDump(Client* client, const std::string& which = "all") {
  EXPECT_TRUE(client->Send("lru_crawler metadump " + which + "\r\n").ok());
  std::string text;
  // A long one may take longer than a client has patience: it is only to go on.
  for (std::string line; line != "END\r\n"; text += line) {
    Result<std::string> read = client->ReadThrough("\n");
    if (!read.ok()) {
      ADD_FAILURE() << "after " << text.size() << " bytes: " << read.status().message();
      break;
    }
    line = std::move(read).value();
  }
  return text;
}

class AdministrationTest : public FlashFixture {
 protected:
  void Compare(const Lines& arguments, const Lines& lines) {
    const std::unique_ptr<Daemon> reference = StartOne(ReferenceBinary(), arguments);
    const std::unique_ptr<Daemon> ram_only = StartOne(TerracedBinary(), arguments);
    Lines with_flash = arguments;
    with_flash.insert(with_flash.end(),
                      {"-o", "flash_path=" + FlashPath() +
                                 ",flash_size=512m,flash_index_dir=" + directory_.Path()});
    const std::unique_ptr<Daemon> both = StartOne(TerracedBinary(), with_flash);
    ASSERT_TRUE(reference && ram_only && both);
    const std::unique_ptr<Client> expected = reference->Connect();
    const std::unique_ptr<Client> one = ram_only->Connect();
    const std::unique_ptr<Client> other = both->Connect();
    for (const std::string& line : lines) {
      const std::string reply = RepliesTo(expected.get(), line);
      EXPECT_EQ(RepliesTo(one.get(), line), reply) << line;
      if (line.starts_with("slabs automove freeratio")) continue;  // extstore's
      EXPECT_EQ(RepliesTo(other.get(), line), reply) << line;
    }
  }
  void SetMany(int first, int last, size_t bytes = 100) {
    for (int i = first; i < last; ++i) {
      const std::string key = "key" + std::to_string(i);
      ASSERT_EQ(client_->Set(key, ValueOf(key, bytes)), "STORED\r\n");
    }
  }
};

TEST_F(AdministrationTest, AnswersLikeMemcached) {
  Compare({"-m", "64"}, AllLines());
}

TEST_F(AdministrationTest, AnswersLikeMemcachedWhereThingsAreTurnedOff) {
  Compare({"-m", "64", "-X", "-o", "no_slab_reassign,no_lru_crawler,no_lru_maintainer"},
          {"stats cachedump 1 1",
           "stats cachedump",
           "stats cachedump 99 1",
           "stats detail on",
           "stats detail dump",
           "lru_crawler metadump all",
           "lru_crawler metadump 77",
           "lru_crawler metadump",
           "lru_crawler crawl all",
           "lru_crawler sleep 4",
           "lru_crawler disable",
           "lru_crawler enable",
           "lru_crawler metadump hash",
           "slabs reassign 1 2",
           "slabs reassign x 2",
           "slabs reassign 1",
           "slabs automove 1",
           "lru mode flat",
           "lru mode segmented",
           "lru tune 20 20 0.1 0.1",
           "lru temp_ttl 3",
           "stats items"});
  Compare({"-m", "64", "-X"}, {"lru_crawler metadump all", "lru_crawler metadump 77",
                               "lru_crawler metadump", "lru_crawler metadump hash"});
  Compare({"-m", "64", "-L"}, {"cache_memlimit 100", "cache_memlimit 8", "cache_memlimit 7"});
}

// Of versions after 1.6.18.
TEST_F(AdministrationTest, TheWindowOfAutomoveIsWithinItsBounds) {
  ASSERT_NO_FATAL_FAILURE(Start());
  for (const char* seconds : {"3", "1800", "30"}) {
    EXPECT_EQ(Ask("slabs automove window " + std::string(seconds) + "\r\n"), "OK\r\n");
    EXPECT_EQ(client_->Stats("settings")["slab_automove_window"], seconds);
  }
  for (const char* seconds : {"2", "1801", "-1", "x"}) {
    EXPECT_EQ(Ask("slabs automove window " + std::string(seconds) + "\r\n"), "ERROR\r\n")
        << seconds;
  }
  EXPECT_EQ(client_->Stats("settings")["slab_automove_window"], "30");
}

TEST_F(AdministrationTest, DetailCountsLikeMemcached) {
  Compare({"-D", "/"}, {"stats detail dump",
                        "set a/b/c 0 0 1\r\n1",
                        "get a/b/c a/x q n",
                        "delete a/zz",
                        "gat 0 a/b/c a/no",
                        "touch a/b/c 0",
                        "incr a/b/c 1",
                        "add a/b/c 0 0 1\r\n1",
                        "cas a/b/c 0 0 1 99\r\n1",
                        "append a/b/c 0 0 1\r\n1",
                        "set a/bad 0 0 1\r\n234",
                        "stats detail dump",
                        "stats detail off",
                        "get a/b/c",
                        "stats detail dump",
                        "stats reset",
                        "stats detail dump",
                        "stats detail on",
                        "get /x",
                        "stats detail dump"});
}

TEST_F(AdministrationTest, SizesAndColdItemsAreListedLikeMemcached) {
  const std::unique_ptr<Daemon> reference =
      StartOne(ReferenceBinary(), {"-o", "track_sizes,no_lru_maintainer"});
  const std::unique_ptr<Daemon> daemon =
      StartOne(TerracedBinary(), {"-o", "track_sizes,no_lru_maintainer"});
  ASSERT_TRUE(reference && daemon);
  const std::unique_ptr<Client> expected = reference->Connect();
  const std::unique_ptr<Client> client = daemon->Connect();
  const auto cold = [](Client* of, int slab_class) {
    std::set<std::string> items;
    EXPECT_TRUE(of->Send("stats cachedump " + std::to_string(slab_class) + " 0\r\n").ok());
    std::istringstream lines(of->ReadThrough("END\r\n").value());
    for (std::string line; std::getline(lines, line);) items.insert(line);
    return items;
  };
  for (Client* of : {expected.get(), client.get()}) {
    for (int i = 0; i < 10; ++i) {
      ASSERT_EQ(of->Set("key" + std::to_string(i), std::string(100, 'v'), 0, 100), "STORED\r\n");
    }
    ASSERT_EQ(of->Ask("delete key3\r\n"), "DELETED\r\n");
    uint64_t counted = 0;
    for (const auto& [bytes, count] : of->Stats("sizes")) counted += std::stoul(count);
    EXPECT_EQ(counted, 9U);
  }
  // Class numbers are not the same: the table below 1 KiB is finer.
  std::map<std::string, std::string> items = expected->Stats("items");
  const int theirs = std::atoi(items.begin()->first.c_str() + std::strlen("items:"));
  items = client->Stats("items");
  const int ours = std::atoi(items.begin()->first.c_str() + std::strlen("items:"));
  const auto of_reference = cold(expected.get(), theirs);
  const auto of_daemon = cold(client.get(), ours);
  EXPECT_EQ(of_reference.size(), 10U);  // and END
  EXPECT_EQ(of_daemon.size(), of_reference.size());
  for (const std::string& line : of_daemon) {
    const std::string start = line.substr(0, line.find(';'));
    EXPECT_EQ(of_reference.lower_bound(start)->substr(0, start.size()), start) << line;
  }
}

TEST_F(AdministrationTest, NamesOfItemsAndSlabsAreMemcacheds) {
  const std::unique_ptr<Daemon> reference = StartOne(ReferenceBinary(), {});
  ASSERT_TRUE(reference != nullptr);
  const std::unique_ptr<Client> expected = reference->Connect();
  ASSERT_NO_FATAL_FAILURE(Start());
  const auto names = [](Client* of, const std::string& group) {
    std::set<std::string> found;
    for (const auto& [name, value] : of->Stats(group)) {
      found.insert(name.substr(name.rfind(':') + 1));
      EXPECT_EQ(value.find_first_not_of("0123456789"), std::string::npos) << name;
    }
    return found;
  };
  for (Client* of : {expected.get(), client_.get()}) {
    ASSERT_EQ(of->Set("key", "value"), "STORED\r\n");
    ASSERT_EQ(of->Ask("lru temp_ttl 60\r\n"), "OK\r\n");
  }
  EXPECT_EQ(names(client_.get(), "items"), names(expected.get(), "items"));
  EXPECT_EQ(names(client_.get(), "slabs"), names(expected.get(), "slabs"));
}

TEST_F(AdministrationTest, ADumpSaysOfEachKeyWhatMemcachedSays) {
  const std::unique_ptr<Daemon> reference = StartOne(ReferenceBinary(), {});
  const std::unique_ptr<Daemon> ram_only = StartOne(TerracedBinary(), {});
  ASSERT_TRUE(reference && ram_only);
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::unique_ptr<Client> expected = reference->Connect();
  const std::unique_ptr<Client> other = ram_only->Connect();
  std::map<Client*, std::map<std::string, DumpedKey>> dumps;
  for (Client* of : {expected.get(), other.get(), client_.get()}) {
    ASSERT_EQ(of->Set("a:1/%", "abc", 5), "STORED\r\n");
    ASSERT_EQ(of->Set("brief", "x", 0, 100), "STORED\r\n");
    ASSERT_EQ(of->Set("gone", "x", 0, -1), "STORED\r\n");
    ASSERT_EQ(of->Set("read", "x"), "STORED\r\n");
    ASSERT_EQ(of->Get("read"), "x");
    if (of == client_.get()) {
      ASSERT_NO_FATAL_FAILURE(DemoteAll());
      ASSERT_EQ(of->Set("inram", "x"), "STORED\r\n");
    } else {
      ASSERT_EQ(of->Set("inram", "x"), "STORED\r\n");
    }
    dumps[of] = ParseDump(RawDump(of));
    EXPECT_EQ(ParseDump(RawDump(of, "hash")).size(), 4U);
    EXPECT_EQ(of->Get("read"), "x");  // the connection goes on
  }
  const auto& theirs = dumps[expected.get()];
  ASSERT_EQ(theirs.size(), 4U);
  for (Client* of : {other.get(), client_.get()}) {
    auto& ours = dumps[of];
    ASSERT_EQ(ours.size(), theirs.size());
    for (const auto& [key, dumped] : theirs) {
      ASSERT_TRUE(ours.contains(key)) << key;
      std::map<std::string, std::string> fields = ours[key].fields;
      EXPECT_EQ(ours[key].OnFlash(), of == client_.get() && key != "inram") << key;
      fields.erase("ext_page");
      ASSERT_EQ(fields.size(), dumped.fields.size()) << key;
      for (const auto& [name, value] : dumped.fields) {
        if (name == "cas" || name == "size" || name == "cls") {
          EXPECT_GT(std::stoull(fields[name]), 0U) << key << " " << name;
        } else if (name == "la" || (name == "exp" && value != "-1")) {
          EXPECT_NEAR(std::stod(fields[name]), std::stod(value), 5) << key << " " << name;
        } else {
          EXPECT_EQ(fields[name], value) << key << " " << name;
        }
      }
    }
  }
  EXPECT_EQ(dumps[client_.get()]["brief"].fields["cas"], client_->Gets("brief").cas_unique);
  ASSERT_TRUE(client_->Send("lru_crawler mgdump all\r\n").ok());
  const Result<std::string> keys = client_->ReadThrough("EN\r\n");
  ASSERT_TRUE(keys.ok());
  EXPECT_NE(keys.value().find("mg a:1/%\r\n"), std::string::npos);
  EXPECT_NE(keys.value().find("mg inram\r\n"), std::string::npos);
}

// Everything moves between the tiers meanwhile, in a RAM tier that holds a tenth of it.
TEST_F(AdministrationTest, ADumpUnderLoadListsWhatStaysOnceAndNothingThatIsGone) {
  constexpr int kKeys = 60'000;
  DaemonSpec spec = Spec();
  spec.arguments.insert(spec.arguments.end(), {"-m", "8"});
  Result<std::unique_ptr<Daemon>> started = Daemon::Start(spec);
  ASSERT_TRUE(started.ok()) << started.status().message();
  daemon_ = std::move(started).value();
  client_ = daemon_->Connect();
  ASSERT_NO_FATAL_FAILURE(SetMany(0, kKeys, 500));
  uint64_t gone = 0;
  for (int i = 0; i < 1'000; ++i) {
    if (Ask("delete key" + std::to_string(i) + "\r\n") != "DELETED\r\n") ++gone;
  }
  ASSERT_EQ(client_->Stat("evictions"), 0U);
  const uint64_t lost = client_->Stat("flash_index_collisions");
  EXPECT_LE(gone, lost);
  std::atomic<bool> stop{false};
  std::thread load([&] {
    const std::unique_ptr<Client> other = daemon_->Connect();
    for (uint64_t i = 0; !stop.load(); ++i) {
      const std::string key = "other" + std::to_string(i % 20'000);
      EXPECT_EQ(other->Set(key, ValueOf(key, 500)), "STORED\r\n");
      other->Get("key" + std::to_string(1'000 + i * 7 % (kKeys - 1'000)));
      if (i % 1'000 != 999) continue;
      EXPECT_EQ(other->Ask("debug demote\r\n"), "OK\r\n");
    }
  });
  for (int round = 0; round < 3; ++round) {
    const std::map<std::string, DumpedKey> dumped = ParseDump(RawDump(client_.get()));
    uint64_t missing = 0;
    for (int i = 0; i < kKeys; ++i) {
      const bool there = dumped.contains("key" + std::to_string(i));
      if (i < 1'000) {
        EXPECT_FALSE(there) << i;
      } else if (!there) {
        ++missing;
      }
    }
    const uint64_t collisions = client_->Stat("flash_index_collisions");
    ASSERT_GE(collisions, lost);
    EXPECT_LE(missing, 2 * (collisions - lost) + 5);
  }
  stop.store(true);
  load.join();
  EXPECT_EQ(client_->Stat("evictions"), 0U);
}

TEST_F(AdministrationTest, AClientThatDoesNotReadItsDumpCostsNobodyAnything) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(SetMany(0, 100'000, 10));
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  ASSERT_NO_FATAL_FAILURE(SetMany(100'000, 150'000, 10));
  const std::unique_ptr<Client> sleeper = daemon_->Connect();
  ASSERT_TRUE(sleeper->Send("lru_crawler metadump all\r\nversion\r\n").ok());
  const std::string first = sleeper->ReadBytes(1).value();
  ASSERT_EQ(Ask("lru_crawler metadump all\r\n"), "BUSY currently processing crawler request\r\n");
  ASSERT_NO_FATAL_FAILURE(SetMany(0, 20'000, 10));
  EXPECT_LT(client_->Stat("reply_buf_bytes"), 1U << 20);
  // It wakes up, and gets all of it, and then what it asked for after that.
  const Result<std::string> text = sleeper->ReadThrough("END\r\nVERSION 1.6.18\r\n");
  ASSERT_TRUE(text.ok()) << text.status().message();
  EXPECT_GE(ParseDump(first + text.value()).size(), 125'000U);
}

TEST_F(AdministrationTest, ADumpEndsWithItsClient) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(SetMany(0, 100'000, 10));
  for (const bool with_reset : {false, true}) {
    const std::unique_ptr<Client> leaver = daemon_->Connect();
    ASSERT_TRUE(leaver->Send("lru_crawler metadump all\r\n").ok());
    ASSERT_TRUE(leaver->ReadBytes(1).ok());
    leaver->CloseNow(with_reset);
    std::string reply;
    EXPECT_TRUE(support::Eventually([&] {
      EXPECT_TRUE(client_->Send("lru_crawler metadump 63\r\nversion\r\n").ok());
      reply = client_->ReadThrough("VERSION 1.6.18\r\n").value();
      return !reply.starts_with("BUSY");
    }));
    EXPECT_EQ(reply, "END\r\nVERSION 1.6.18\r\n");
  }
  // And a stop does not wait for one that is under way.
  const std::unique_ptr<Client> sleeper = daemon_->Connect();
  ASSERT_TRUE(sleeper->Send("lru_crawler metadump all\r\n").ok());
  ASSERT_TRUE(sleeper->ReadBytes(1).ok());
  ASSERT_NO_FATAL_FAILURE(StopCleanly());
}

TEST_F(AdministrationTest, TheMemoryLimitFollowsCacheMemlimit) {
  for (const bool with_flash : {false, true}) {
    DaemonSpec spec = Spec();
    if (!with_flash) spec.arguments.resize(4);
    spec.arguments.insert(spec.arguments.end(), {"-m", "16"});
    Result<std::unique_ptr<Daemon>> started = Daemon::Start(spec);
    ASSERT_TRUE(started.ok()) << started.status().message();
    daemon_ = std::move(started).value();
    client_ = daemon_->Connect();
    ASSERT_EQ(Ask("cache_memlimit 64\r\n"), "OK\r\n");
    EXPECT_EQ(client_->Stat("limit_maxbytes"), 64U << 20);
    EXPECT_EQ(client_->Stats("settings")["maxbytes"], std::to_string(64U << 20));
    ASSERT_NO_FATAL_FAILURE(SetMany(0, 30'000, 1'000));
    EXPECT_EQ(client_->Stat("evictions"), 0U);
    EXPECT_GT(client_->Stat("bytes"), 20U << 20);
    ASSERT_EQ(Ask("cache_memlimit 16\r\n"), "OK\r\n");
    const auto pages = [this] { return std::stoull(client_->Stats("slabs")["total_malloced"]); };
    EXPECT_TRUE(support::Eventually([&] { return pages() <= (16U << 20); }));
    if (with_flash) {
      EXPECT_EQ(client_->Stat("evictions"), 0U);  // it went to flash
      EXPECT_GE(client_->Stat("curr_items") + client_->Stat("flash_index_collisions"), 30'000U);
    } else {
      EXPECT_GT(client_->Stat("curr_items"), 8'000U);
    }
  }
}

TEST_F(AdministrationTest, APageMovesByOrder) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(SetMany(0, 5'000, 1'000));
  const std::map<std::string, std::string> before = client_->Stats("slabs");
  std::string from;
  for (const auto& [name, value] : before) {
    if (name.ends_with(":total_pages") && std::stoi(value) > 2)
      from = name.substr(0, name.find(':'));
  }
  ASSERT_FALSE(from.empty());
  ASSERT_EQ(Ask("slabs reassign " + from + " 1\r\n"), "OK\r\n");
  EXPECT_TRUE(support::Eventually([this] { return client_->Stat("slabs_moved") != 0; }));
  EXPECT_EQ(client_->Stat("slabs_moved"), 1U);
  EXPECT_EQ(client_->Stats("slabs")["1:total_pages"], "1");
  for (int i = 0; i < 5'000; i += 100) {
    const std::string key = "key" + std::to_string(i);
    EXPECT_EQ(client_->Get(key), ValueOf(key, 1'000));
  }
}

// The scripts that operators use.
TEST_F(AdministrationTest, MemcachedToolWorks) {
  const std::string tool = "/usr/share/memcached/scripts/memcached-tool";
  ASSERT_NO_FATAL_FAILURE(Start(",track_sizes"));
  ASSERT_NO_FATAL_FAILURE(SetMany(0, 100));
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  ASSERT_NO_FATAL_FAILURE(SetMany(100, 200));
  const auto run = [&](const std::string& mode) {
    const std::string out = directory_.Sub("tool");
    const std::string command = "perl " + tool + " 127.0.0.1:" + std::to_string(daemon_->Port()) +
                                " " + mode + " > " + out + " 2> " + out + ".err";
    EXPECT_EQ(std::system(command.c_str()), 0) << mode << ReadTextFile(out + ".err");
    return ReadTextFile(out);
  };
  const auto lines = [](const std::string& text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  };
  EXPECT_GE(lines(run("display")), 2U);
  EXPECT_NE(run("stats").find("curr_items"), std::string::npos);
  EXPECT_NE(run("settings").find("maxbytes"), std::string::npos);
  EXPECT_NE(run("sizes").find("160"), std::string::npos);
  EXPECT_NE(run("keys").find("key=key150 "), std::string::npos);
  const std::string dump = run("dump");
  for (int i = 0; i < 200; ++i) {
    const std::string key = "key" + std::to_string(i);
    EXPECT_NE(dump.find(ValueOf(key, 100)), std::string::npos) << key;
  }
}

}  // namespace
}  // namespace terraced::support
