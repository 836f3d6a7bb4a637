#include "tests/faults/fault_fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace terraced::support {
namespace {

constexpr size_t kValueBytes = 1'000;
constexpr size_t kKeysAtOnce = 50;

std::string KeyName(size_t number) {
  return "key" + std::to_string(number);
}

}  // namespace

void ValueBook::Set(Client& client, const std::string& key) {
  Page& page = pages_[key];
  page.value = ValueOf(key, kValueBytes, ++page.changes);
  page.deleted = false;
  ASSERT_EQ(client.Set(key, page.value), "STORED\r\n") << key;
}

void ValueBook::Delete(Client& client, const std::string& key) {
  Page& page = pages_[key];
  ++page.changes;
  page.deleted = true;
  const std::string reply = client.Ask("delete " + key + "\r\n");
  // What has been evicted, or cannot be read, may be gone before.
  ASSERT_TRUE(reply == "DELETED\r\n" || reply == "NOT_FOUND\r\n" ||
              reply.starts_with("SERVER_ERROR"))
      << key << ": " << reply;
}

ValueBook::Seen ValueBook::Judge(Client& client, size_t wrong_max) const {
  Seen seen;
  for (auto page = pages_.begin(); page != pages_.end();) {
    std::string request = "get";
    for (size_t i = 0; i < kKeysAtOnce && page != pages_.end(); ++i, ++page) {
      request += " " + page->first;
      ++seen.misses;
    }
    const std::string reply = client.Ask(request + "\r\n");
    EXPECT_TRUE(reply.ends_with("END\r\n")) << reply.substr(0, 200);
    for (const ValueBlock& block : ParseValues(reply)) {
      const auto known = pages_.find(block.key);
      if (known == pages_.end()) {
        ADD_FAILURE() << "nobody asked for " << block.key;
        continue;
      }
      if (known->second.deleted || block.data != known->second.value) ++seen.wrong;
      EXPECT_TRUE(seen.wrong <= wrong_max || !known->second.deleted) << block.key << " was deleted";
      EXPECT_TRUE(seen.wrong <= wrong_max || block.data == known->second.value)
          << block.key << " was changed " << known->second.changes << " times, and is "
          << block.data.substr(0, 40);
      ++seen.hits;
      --seen.misses;
    }
  }
  return seen;
}

void ValueBook::JudgeThere(Client& client, const std::set<std::string>& keys) const {
  for (const std::string& key : keys) {
    ASSERT_TRUE(client.Get(key) == pages_.at(key).value)
        << key << ": " << client.Get(key).substr(0, 60);
  }
}

size_t ValueBook::Living() const {
  return static_cast<size_t>(std::count_if(pages_.begin(), pages_.end(),
                                           [](const auto& page) { return !page.second.deleted; }));
}

DaemonSpec FaultFixture::FaultySpec(const std::string& more,
                                    const std::vector<std::string>& arguments) {
  DaemonSpec spec = Spec(more);
  spec.binary = TerracedAfter(directory_.Path(), faults_.Shell());
  spec.arguments.insert(spec.arguments.begin(), arguments.begin(), arguments.end());
  return spec;
}

void FaultFixture::StartUnderFaults(const std::string& more,
                                    const std::vector<std::string>& arguments) {
  Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(FaultySpec(more, arguments));
  ASSERT_TRUE(daemon.ok()) << daemon.status().message();
  daemon_ = std::move(daemon).value();
  client_ = daemon_->Connect();
}

uint64_t FaultFixture::Collided() {
  return client_->Stat(kStatIndexCollisions) + client_->Stat(kStatRemovalsUnverified) +
         client_->Stat(kStatRemovalsNotVerified);
}

void FaultFixture::StopCleanly() {
  collided_before_ += Collided();
  FlashFixture::StopCleanly();
}

void FaultFixture::Kill() {
  collided_before_ += Collided();
  FlashFixture::Kill();
}

uint64_t FaultFixture::MissingUncounted() {
  const uint64_t missing = book_.Living() - book_.Judge(*client_).hits;
  return missing - std::min({missing, collided_before_ + Collided(), kCollidedMax});
}

void FaultFixture::FillFlash() {
  for (size_t i = 0; i < kKeys; ++i) ASSERT_NO_FATAL_FAILURE(book_.Set(*client_, KeyName(i)));
  ASSERT_NO_FATAL_FAILURE(DemoteAll());
  ASSERT_GE(client_->Stat(kStatFlashItems), kKeys * 9 / 10) << Log();
}

std::set<std::string> FaultFixture::ChangeSome() {
  std::set<std::string> changed;
  ++round_;
  for (size_t i = round_ % 9; i < kKeys; i += 9) {
    book_.Set(*client_, KeyName(i));
    changed.insert(KeyName(i));
    if (i + 1 < kKeys) book_.Delete(*client_, KeyName(i + 1));
  }
  EXPECT_EQ(Ask("debug demote\r\n"), "OK\r\n");
  return changed;
}

bool FaultFixture::Await(const std::function<bool()>& is_so, std::chrono::milliseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!is_so()) {
    // Waiting for the daemon's end is the pause between two looks.
    if (daemon_->WaitFor(std::chrono::milliseconds(5)).has_value()) return false;
    if (std::chrono::steady_clock::now() > end) return false;
  }
  return true;
}

bool FaultFixture::WorkUntilOffline() {
  return Await([this] {
    ChangeSome();
    return ::testing::Test::HasFailure() || client_->Stat("flash_online") == 0;
  });
}

size_t FaultFixture::LogLines(const std::string& words) const {
  const std::string log = Log();
  size_t lines = 0;
  for (size_t at = 0; at < log.size();) {
    const size_t end = std::min(log.find('\n', at), log.size());
    lines += log.substr(at, end - at).find(words) != std::string::npos ? 1 : 0;
    at = end + 1;
  }
  return lines;
}

std::unique_ptr<SmallTmpfs> SmallTmpfs::Mount(const std::string& path, const std::string& size) {
  if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0) return nullptr;
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return nullptr;
  if (mkdir(path.c_str(), 0700) != 0) return nullptr;
  const std::string options = "mode=0700,size=" + size;
  if (mount("terraced-test", path.c_str(), "tmpfs", 0, options.c_str()) != 0) return nullptr;
  return std::unique_ptr<SmallTmpfs>(new SmallTmpfs(path));
}

SmallTmpfs::~SmallTmpfs() {
  umount2(path_.c_str(), MNT_DETACH);
}

uint64_t SmallTmpfs::FreeBytes() const {
  struct statvfs info = {};
  if (statvfs(path_.c_str(), &info) != 0) return 0;
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

void SmallTmpfs::FillUp(uint64_t spare_bytes) const {
  const std::string name = path_ + "/ballast";
  const int fd = open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  const std::string block(4'096, 'b');
  while (FreeBytes() > spare_bytes && write(fd, block.data(), block.size()) > 0) {
  }
  close(fd);
}

void SmallTmpfs::Release() const {
  ASSERT_EQ(unlink((path_ + "/ballast").c_str()), 0);
}

}  // namespace terraced::support
