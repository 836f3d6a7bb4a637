// Files that rot while the daemon is down: whatever byte of them is another one, the next start serves right values or
// misses, or refuses with one line, and never crashes. Of each file some seeded positions, or as many as
// TERRACED_CORRUPT_POSITIONS says.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>

#include "tests/faults/fault_fixture.h"

namespace terraced::support {
namespace {

namespace fs = std::filesystem;

struct Rotten {
  const char* name;
  const char* folder;  // below the test's directory
  const char* begin;   // of the file's name
  const char* end;
  bool after_kill;  // else after a clean stop
  bool is_memory;   // no check sums: a byte of a value is as it is
};

void PrintTo(const Rotten& rotten, std::ostream* out) {
  *out << rotten.name;
}

constexpr Rotten kRotten[] = {
    {"Sst", "flash/db", "", ".sst", false, false},
    {"Manifest", "flash/db", "MANIFEST-", "", false, false},
    {"Current", "flash/db", "CURRENT", "", false, false},
    {"HashList", "flash/hashes", "", ".h", false, false},
    {"State", "flash", "STATE", "", false, false},
    {"Clean", "flash", "CLEAN", "", false, false},
    {"Index", "flash", "INDEX", "", false, false},
    {"HotList", "flash", "HOT", "", false, false},
    {"Format", "flash", "FORMAT", "", false, false},
    {"SstAfterKill", "flash/db", "", ".sst", true, false},
    {"ManifestAfterKill", "flash/db", "MANIFEST-", "", true, false},
    {"StateAfterKill", "flash", "STATE", "", true, false},
    {"OpeningAfterKill", "flash", "OPENING", "", true, false},
    {"SharedIndex", "", "terraced-", ".index", true, true},
    {"MemoryFile", "", "memory", "", true, true},
};

class CorruptionTest : public FaultFixture, public ::testing::WithParamInterface<Rotten> {
 protected:
  struct Outcome {
    size_t refused = 0;
    size_t emptied = 0;
    size_t missed = 0;  // starts that missed a key though the tier was not emptied
    size_t wrong = 0;
  };

  std::vector<std::string> Memory() const {
    if (GetParam().name != std::string("MemoryFile")) return {};
    return {"-e", directory_.Sub("memory")};
  }
  void StartWith() {
    DaemonSpec spec = Spec();
    const std::vector<std::string> memory = Memory();
    spec.arguments.insert(spec.arguments.begin(), memory.begin(), memory.end());
    Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(spec);
    start_ = daemon.status();
    if (!daemon.ok()) return;
    daemon_ = std::move(daemon).value();
    client_ = daemon_->Connect();
  }
  // Batches that hold older values of the same keys, so that an old one would be met.
  void Populate() {
    StartWith();
    ASSERT_TRUE(start_.ok()) << start_.message();
    ASSERT_NO_FATAL_FAILURE(FillFlash());
    for (int i = 0; i < 3; ++i) ChangeSome();
    if (!Memory().empty()) {
      for (int i = 0; i < 200; ++i) book_.Set(*client_, "key" + std::to_string(i));
    }
    if (!GetParam().after_kill) {
      ASSERT_NO_FATAL_FAILURE(StopCleanly());
    } else {
      ASSERT_NO_FATAL_FAILURE(Kill());
    }
    Copy(directory_.Path(), pristine_.Path());
  }
  static void Copy(const std::string& from, const std::string& to) {
    for (const auto& entry : fs::directory_iterator(to)) fs::remove_all(entry.path());
    fs::copy(from, to, fs::copy_options::recursive);
  }
  std::vector<std::string> Files() const {
    const Rotten& rotten = GetParam();
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(directory_.Sub(rotten.folder))) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(rotten.begin) && name.ends_with(rotten.end) && entry.is_regular_file() &&
          entry.file_size() > 0) {
        files.push_back(entry.path().string());
      }
    }
    std::sort(files.begin(), files.end());
    return files;
  }
  // Another byte at a random place: near an end of the file, in what is in use of it, or anywhere.
  void Flip(const std::string& path, std::mt19937_64* random) {
    std::string bytes = ReadTextFile(path);
    ASSERT_FALSE(bytes.empty());
    const size_t kinds = (*random)() % 4;
    size_t at = (*random)() % bytes.size();
    const size_t edge = std::min<size_t>(bytes.size(), 160);
    if (kinds == 0) at = (*random)() % edge;
    if (kinds == 1) at = bytes.size() - 1 - (*random)() % edge;
    for (int i = 0; kinds == 2 && i < 1'000 && bytes[at] == '\0'; ++i) {
      at = (*random)() % bytes.size();
    }
    bytes[at] = static_cast<char>(bytes[at] ^ static_cast<char>(1 + (*random)() % 255));
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(bytes[at]);
    flipped_ = path + " at " + std::to_string(at);
  }
  void StartAndJudge(Outcome* outcome) {
    StartWith();
    if (!start_.ok()) {
      ++outcome->refused;
      EXPECT_NE(start_.message().find("ended with status 1: "), std::string::npos)
          << flipped_ << ": " << start_.message();
      return;
    }
    const bool emptied = client_->Stats()[kStatFlashStart].starts_with("emptied");
    outcome->emptied += emptied ? 1 : 0;
    const ValueBook::Seen seen = book_.Judge(*client_, GetParam().is_memory ? 1 : 0);
    outcome->missed += !emptied && seen.hits < book_.Living() ? 1 : 0;
    outcome->wrong += seen.wrong;
    // It takes changes like any other.
    book_.Set(*client_, "key1");
    EXPECT_EQ(Ask("debug demote\r\n"), "OK\r\n");
    book_.JudgeThere(*client_, {"key1"});
    EXPECT_LE(LogLines(), 8U) << flipped_ << "\n" << Log();
    EXPECT_FALSE(HasFailure()) << flipped_ << "\n" << Log();
    client_.reset();
    EXPECT_EQ(daemon_->Kill(), 128 + SIGKILL) << flipped_;
  }

  TempDirectory pristine_;
  Status start_;
  std::string flipped_;
};

TEST_P(CorruptionTest, AnotherByteAnywhereIsAMissOrAColdStart) {
  const uint64_t positions = NumberFromEnvironment("TERRACED_CORRUPT_POSITIONS", 12);
  const uint64_t seed = Seed();
  std::mt19937_64 random(seed);
  ASSERT_NO_FATAL_FAILURE(Populate());
  const ValueBook book = book_;
  Outcome outcome;
  for (uint64_t i = 0; i < positions && !HasFailure(); ++i) {
    Copy(pristine_.Path(), directory_.Path());
    book_ = book;
    const std::vector<std::string> files = Files();
    ASSERT_FALSE(files.empty());
    ASSERT_NO_FATAL_FAILURE(Flip(files[random() % files.size()], &random));
    ASSERT_NO_FATAL_FAILURE(StartAndJudge(&outcome)) << flipped_;
  }
  std::cout << "[ MEASURED ] seed " << seed << ", " << positions
            << " positions: " << outcome.refused << " starts refused, " << outcome.emptied
            << " emptied, " << outcome.missed << " with misses, " << outcome.wrong
            << " values of memory changed\n";
}

INSTANTIATE_TEST_SUITE_P(Every, CorruptionTest, ::testing::ValuesIn(kRotten),
                         [](const auto& rotten) { return std::string(rotten.param.name); });

}  // namespace
}  // namespace terraced::support
