#include "tests/e2e/hostile_fixture.h"

#include <atomic>
#include <map>
#include <utility>

namespace terraced::support {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr int kRounds = 3;
constexpr milliseconds kIdleRound{300};
constexpr milliseconds kTurnPause{5};
constexpr int kSlowdown = 10;
// malloc gives back what it likes, thread by thread, and stacks and tables grow a little.
constexpr uint64_t kMallocSlackBytes = 12ULL << 20;

milliseconds AttackedRound() {
  return milliseconds(NumberFromEnvironment("TERRACED_HOSTILE_MS", 600));
}

microseconds MedianP99(const std::vector<ProbeRound>& rounds) {
  std::vector<microseconds> all;
  for (const ProbeRound& round : rounds) all.push_back(round.p99);
  std::sort(all.begin(), all.end());
  return all.empty() ? microseconds(0) : all[all.size() / 2];
}

double Milliseconds(microseconds us) {
  return static_cast<double>(us.count()) / 1'000.0;
}

double Megabytes(uint64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(1ULL << 20);
}

}  // namespace

// --- Crowd ----------------------------------------------------------------------------------------

Crowd::Crowd(int port, CrowdShape shape) : port_(port), shape_(std::move(shape)) {
  for (size_t i = 0; i < shape_.clients; ++i) {
    members_.push_back(Join(i));
    GoOn(&members_.back());
  }
}

Crowd::~Crowd() {
  for (Member& member : members_) member.client.Leave(shape_.with_reset);
}

Crowd::Member Crowd::Join(size_t index) const {
  return {RudeClient(port_, shape_.socket), shape_.opening ? shape_.opening(index) : std::string()};
}

void Crowd::GoOn(Member* member) const {
  const std::string_view opening = member->opening;
  if (member->sent < opening.size()) {
    member->sent += member->client.Push(opening.substr(member->sent));
  } else if (!shape_.then.empty()) {
    size_t left = shape_.then_bytes;
    while (left > 0) {
      const size_t at = (member->sent - opening.size()) % shape_.then.size();
      const size_t sent =
          member->client.Push(std::string_view(shape_.then).substr(at).substr(0, left));
      if (sent == 0) break;
      member->sent += sent;
      left -= sent;
    }
  }
  if (shape_.sip_bytes > 0) member->client.Sip(shape_.sip_bytes);
}

void Crowd::Turn() {
  for (size_t i = 0; i < members_.size(); ++i) {
    GoOn(&members_[i]);
    if (shape_.comes_back && members_[i].client.IsClosed()) members_[i] = Join(i);
  }
  std::this_thread::sleep_for(kTurnPause);
}

// --- HostileFixture -------------------------------------------------------------------------------

void HostileFixture::StartFullRam(std::vector<std::string> more) {
  DaemonSpec spec{.binary = TerracedBinary(), .arguments = {"-m", "64", "-t", "2"}};
  spec.arguments.insert(spec.arguments.end(), more.begin(), more.end());
  Result<std::unique_ptr<Daemon>> daemon = Daemon::Start(spec);
  ASSERT_TRUE(daemon.ok()) << daemon.status().message();
  daemon_ = std::move(daemon).value();
  client_ = daemon_->Connect();
  constexpr uint64_t kItems = 20'000;
  ASSERT_EQ(SetItems(*client_, probe_shape_.keys, kItems, {.value_bytes = 5'000}),
            kItems - probe_shape_.keys);
  ASSERT_GT(client_->Stat(kStatEvictions), 0U);
}

uint64_t HostileFixture::BoundBytes(size_t connections, uint64_t reply_bytes) {
  constexpr uint64_t kReplyMemory = 16 * kMegabyte;
  constexpr uint64_t kWorkerBytes = (2 + 4) * kMegabyte;  // a batch of replies, free blocks
  constexpr uint64_t kConnectionBytes = (64U + 16U + 16U) << 10;
  return kReplyMemory + kWorkers * kWorkerBytes + connections * (kConnectionBytes + reply_bytes);
}

void HostileFixture::Remember() {
  if (!probe_) probe_ = std::make_unique<LatencyProbe>(*daemon_, probe_shape_);
  (void)probe_->Measure(milliseconds(100));
  connections_before_ = client_->Stat(kStatCurrConnections);
  before_ = daemon_->Usage();
}

void HostileFixture::Endure(const std::string& name, uint64_t bound_bytes,
                            const std::function<std::unique_ptr<Siege>()>& begin,
                            const std::function<void()>& during) {
  Remember();
  std::vector<ProbeRound> idle;
  std::vector<ProbeRound> attacked;
  for (int i = 0; i < kRounds; ++i) {
    idle.push_back(probe_->Measure(kIdleRound));
    {
      const std::unique_ptr<Siege> siege = begin();
      const std::jthread turns([&siege](const std::stop_token& stop) {
        while (!stop.stop_requested()) siege->Turn();
      });
      attacked.push_back(probe_->Measure(AttackedRound()));
      during();
    }
    ExpectReleased();
  }
  Judge(name, idle, attacked, bound_bytes);
}

void HostileFixture::EndureOnce(const std::string& name, uint64_t bound_bytes,
                                const std::function<void()>& attack) {
  Remember();
  std::vector<ProbeRound> idle;
  std::vector<ProbeRound> attacked;
  for (int i = 0; i < kRounds; ++i) idle.push_back(probe_->Measure(kIdleRound));
  std::atomic<bool> over = false;
  {
    const std::jthread attacker([&] {
      attack();
      over = true;
    });
    while (!over) attacked.push_back(probe_->Measure(AttackedRound()));
  }
  ExpectReleased();
  Judge(name, idle, attacked, bound_bytes);
}

void HostileFixture::Judge(const std::string& name, const std::vector<ProbeRound>& idle,
                           const std::vector<ProbeRound>& attacked, uint64_t bound_bytes) {
  microseconds longest{0};
  for (const std::vector<ProbeRound>* rounds : {&idle, &attacked}) {
    for (const ProbeRound& round : *rounds) {
      EXPECT_EQ(round.failed, 0U) << name << ": " << round.first_failure;
      EXPECT_GT(round.requests, 0U) << name;
    }
  }
  for (const ProbeRound& round : attacked) longest = std::max(longest, round.longest);
  const microseconds idle_p99 = MedianP99(idle);
  const microseconds attacked_p99 = MedianP99(attacked);
  const ProcessUsage usage = daemon_->Usage();
  const uint64_t peak = usage.peak_rss_bytes - std::min(usage.peak_rss_bytes, before_.rss_bytes);
  const uint64_t kept = usage.rss_bytes - std::min(usage.rss_bytes, before_.rss_bytes);
  std::printf(
      "[ MEASURED ] %s: p99 %.2f ms, under attack %.2f ms, longest %.1f ms; memory +%.1f MiB of "
      "%.1f, afterwards +%.1f\n",
      name.c_str(), Milliseconds(idle_p99), Milliseconds(attacked_p99), Milliseconds(longest),
      Megabytes(peak), Megabytes(bound_bytes), Megabytes(kept));
  if (kSanitized) return;
  EXPECT_LE(attacked_p99.count(), std::max(idle_p99 * kSlowdown, floor_).count()) << name;
  EXPECT_LE(peak, bound_bytes + kMallocSlackBytes) << name;
}

// Connections and descriptors as before, and no memory held for clients that have gone.
void HostileFixture::ExpectReleased() {
  constexpr uint64_t kOwnReply = 64U << 10;
  constexpr uint64_t kKeptBytes = kWorkers * 4 * kMegabyte;
  const auto released = [this] {
    std::map<std::string, std::string> stats = client_->Stats();
    const auto number = [&stats](const char* stat) {
      return std::strtoull(stats[stat].c_str(), nullptr, 10);
    };
    return number(kStatCurrConnections) <= connections_before_ &&
           number("reply_buf_bytes") <= kOwnReply &&
           number("read_buf_bytes") <= kKeptBytes + kOwnReply &&
           daemon_->Usage().sockets <= before_.sockets;
  };
  const auto end = std::chrono::steady_clock::now() + kSoon;
  while (!released() && std::chrono::steady_clock::now() < end) {
  }
  EXPECT_LE(client_->Stat(kStatCurrConnections), connections_before_);
  EXPECT_LE(client_->Stat("reply_buf_bytes"), kOwnReply);
  EXPECT_LE(client_->Stat("read_buf_bytes"), kKeptBytes + kOwnReply);
  EXPECT_LE(daemon_->Usage().sockets, before_.sockets);
}

void HostileFixture::TearDown() {
  if (!daemon_ || !client_) return;
  EXPECT_TRUE(daemon_->Running());
  EXPECT_EQ(client_->Set("afterwards", std::string(900'000, 'a')), "STORED\r\n");
  EXPECT_EQ(client_->Get("afterwards"), std::string(900'000, 'a'));
  probe_.reset();
  client_.reset();
  EXPECT_EQ(daemon_->Stop(SIGTERM), 0) << daemon_->Stderr();
}

}  // namespace terraced::support
