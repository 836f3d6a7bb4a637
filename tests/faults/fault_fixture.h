// FaultFixture: a daemon under the fault library, and a book of what each of its keys holds, so that no fault goes by
// with a wrong or an old value unseen.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "tests/e2e/flash_fixture.h"
#include "tests/faults/fault_switch.h"

namespace terraced::support {

// What the keys hold; the newest value of each, and how often it was changed.
class ValueBook {
 public:
  struct Seen {
    size_t hits = 0;
    size_t misses = 0;
    size_t wrong = 0;
  };

  void Set(Client& client, const std::string& key);
  void Delete(Client& client, const std::string& key);
  // Gets every key: what is answered must be the newest value, and nothing where it was deleted; but for so many that
  // may be wrong, where a byte of memory was changed.
  Seen Judge(Client& client, size_t wrong_max = 0) const;
  // The same for some; each of them must be answered.
  void JudgeThere(Client& client, const std::set<std::string>& keys) const;
  size_t Living() const;

 private:
  struct Page {
    std::string value;
    uint64_t changes = 0;
    bool deleted = false;
  };
  std::map<std::string, Page> pages_;
};

class FaultFixture : public FlashFixture {
 protected:
  static constexpr size_t kKeys = 900;
  static constexpr std::chrono::milliseconds kPatience{30'000};
  static constexpr uint64_t kCollidedMax = 2;  // more in one test are no accident

  // With the fault library, where a build has it.
  void StartUnderFaults(const std::string& more = "",
                        const std::vector<std::string>& arguments = {});
  DaemonSpec FaultySpec(const std::string& more = "",
                        const std::vector<std::string>& arguments = {});
  // Those of FlashFixture, which remember what the process had counted.
  void StopCleanly();
  void Kill();
  // Sets kKeys keys and moves them to flash.
  void FillFlash();
  // Sets some of the keys on flash anew and deletes others; then asks for a demotion. Which ones differs from round
  // to round. Returns what was set.
  std::set<std::string> ChangeSome();
  // How many of the book are not answered, but for what changes took along that share their identity in the index: the
  // daemon counts those.
  uint64_t MissingUncounted();
  void ExpectAll() { EXPECT_EQ(MissingUncounted(), 0U) << Log(); }
  // Until it is so; false: not in time, or the daemon has ended. It never sleeps longer than a few milliseconds.
  bool Await(const std::function<bool()>& is_so, std::chrono::milliseconds patience = kPatience);
  bool AwaitOnline() {
    return Await([this] { return client_->Stat("flash_online") == 1; });
  }
  // Changes and demotes until the tier is turned off.
  bool WorkUntilOffline();
  // How many lines of the daemon's log hold `words`.
  size_t LogLines(const std::string& words = "") const;
  std::string Log() const { return daemon_->Stderr(); }

  ValueBook book_;
  FaultSwitch faults_{directory_.Path(), directory_.Sub("flash")};
  uint64_t round_ = 0;

 private:
  uint64_t Collided();
  uint64_t collided_before_ = 0;  // as the processes before this one had counted
};

// A small tmpfs on a directory of the test, seen by this process and its children only.
class SmallTmpfs {
 public:
  // nullptr: this user may not mount.
  static std::unique_ptr<SmallTmpfs> Mount(const std::string& path, const std::string& size);
  ~SmallTmpfs();
  SmallTmpfs(const SmallTmpfs&) = delete;
  SmallTmpfs& operator=(const SmallTmpfs&) = delete;

  // Takes what is free but for `spare_bytes`; Release() gives it back.
  void FillUp(uint64_t spare_bytes = 0) const;
  void Release() const;
  uint64_t FreeBytes() const;

 private:
  explicit SmallTmpfs(std::string path) : path_(std::move(path)) {}
  const std::string path_;
};

}  // namespace terraced::support
