// HostileFixture: the daemon under a siege of rude clients, beside a good one whose requests are timed with and without
// them. Crowd: rude clients that all do the same.
#pragma once

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/e2e/flash_fixture.h"
#include "tests/support/latency_probe.h"
#include "tests/support/rude_client.h"

namespace terraced::support {

// Sanitizers keep what was freed, and take their time: neither memory nor latency is judged with them.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// Rude clients at work, from its construction to its end.
class Siege {
 public:
  virtual ~Siege() = default;
  // Goes on with it and returns soon; called again and again by a thread of its own.
  virtual void Turn() = 0;
};

struct CrowdShape {
  size_t clients = 1;
  RudeShape socket = {};
  // What client i sends as soon as the server takes it, and what it repeats after that, so many bytes a turn.
  std::function<std::string(size_t)> opening = nullptr;
  std::string then = {};
  size_t then_bytes = 1;
  size_t sip_bytes = 0;     // what it reads in a turn
  bool comes_back = false;  // connects again when the server has closed
  bool with_reset = false;  // how it leaves
};

class Crowd final : public Siege {
 public:
  Crowd(int port, CrowdShape shape);
  ~Crowd() override;
  void Turn() override;

 private:
  struct Member {
    RudeClient client;
    std::string opening;
    size_t sent = 0;  // of the opening, and then of what is repeated
  };
  Member Join(size_t index) const;
  void GoOn(Member* member) const;

  const int port_;
  const CrowdShape shape_;
  std::vector<Member> members_;
};

class HostileFixture : public FlashFixture {
 protected:
  static constexpr uint64_t kMegabyte = 1ULL << 20;
  static constexpr size_t kWorkers = 2;  // of Spec()
  static constexpr std::chrono::milliseconds kSoon{10'000};

  // RAM only, and full: what an attack takes beside -m is seen at once.
  void StartFullRam(std::vector<std::string> more = {});
  // Times the good client with and without the siege, and sees that memory stays within the bound and all is
  // released afterwards. `during` runs while the siege is on.
  void Endure(
      const std::string& name, uint64_t bound_bytes,
      const std::function<std::unique_ptr<Siege>()>& begin,
      const std::function<void()>& during = [] {});
  // The same for what ends by itself: `attack` runs once, the good client is timed before and meanwhile.
  void EndureOnce(const std::string& name, uint64_t bound_bytes,
                  const std::function<void()>& attack);
  void Judge(const std::string& name, const std::vector<ProbeRound>& idle,
             const std::vector<ProbeRound>& attacked, uint64_t bound_bytes);
  void ExpectReleased();
  void TearDown() override;

  // src/README.md, "What a connection costs": beside -m, what so many connections may cost at most. `reply_bytes` is
  // the largest reply, or twice the largest value on flash.
  static uint64_t BoundBytes(size_t connections, uint64_t reply_bytes);

  ProbeShape probe_shape_;
  // How late the good client's p99 may be whatever it is when idle. What is looked for are clients that wait for an
  // attacker, which takes seconds, not that two processors have three programs to run.
  std::chrono::microseconds floor_{60'000};
  std::unique_ptr<LatencyProbe> probe_;

 private:
  ProcessUsage before_;
  uint64_t connections_before_ = 0;
  void Remember();
};

}  // namespace terraced::support
