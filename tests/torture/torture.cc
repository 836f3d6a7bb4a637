#include "tests/torture/torture.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

#include "storage/base/clock.h"
#include "tests/support/history_runner.h"
#include "tests/support/stat_names.h"
#include "tests/torture/torture_sweep.h"

namespace terraced::torture {
namespace {

using std::chrono::milliseconds;
using support::HistoryBook;
using support::HistoryLoad;
using support::HistoryReport;

constexpr int kKilled = 128 + SIGKILL;
constexpr support::HistoryKeys kKeys{.text_keys = 6'000, .number_keys = 200};
constexpr uint32_t kWriters = 2;
constexpr uint32_t kValueBytesMax = 1'000;
// Only what a life changed last is counted as kept or lost.
constexpr uint64_t kKeptForUs = 2'000'000;
// How many more batches may have been dropped at a life's death than its last sample knew of: at the rate of the
// samples before it, as many as in this time or in twice the time from that sample to the death, whichever is longer,
// and a few.
constexpr uint64_t kDropsUnseenUs = 500'000;
constexpr uint64_t kUnseenFactor = 2;
constexpr uint64_t kDropsUnseen = 2;
constexpr size_t kTextsMax = 5;
constexpr uint64_t kLivesPerAmbush = 6;
constexpr uint64_t kAmbushMs = 600;
// A growth that is killed should have something to lose.
constexpr uint64_t kFirstBatchesMs = 400;
constexpr uint64_t kEnoughToLose = 300;
constexpr milliseconds kStopPatience{60'000};
constexpr std::string_view kBeforeDrain = "stop_hot_listed";  // the one point of a stop that is

enum class LastStop : uint8_t {
  kDeath,
  kPerhapsClean,  // it died in a clean stop, or in a start that may have left a clean mark standing
  kClean,
};

// How a life ended.
struct End {
  int status = 0;
  bool as_planned = false;  // it died where it should
  bool drained = false;     // a clean stop had written everything to flash
  uint64_t stop_us = 0;     // when it was told to stop, or died
};

milliseconds PatienceFor(LoadShape shape) {
  switch (shape) {
    case LoadShape::kPlain:
      return milliseconds(4'000);
    case LoadShape::kFlushes:
    case LoadShape::kDelayedFlushes:
    case LoadShape::kGrows:
      return milliseconds(7'000);
    case LoadShape::kShifts:
    case LoadShape::kFills:
      return milliseconds(14'000);
  }
  return milliseconds(0);
}

std::string Describe(const Life& life) {
  std::string text(NameOf(life.death));
  if (life.point != nullptr) text.append(" (").append(life.point->name).append(")");
  return text;
}

class Torture {
 public:
  explicit Torture(const TortureOptions& options)
      : options_(options),
        random_(options.seed),
        has_twin_(!options.server.twin.empty()),
        plan_(options.seed, has_twin_, options.only_point),
        book_(kKeys, kWriters, kValueBytesMax, options.seed),
        server_(options.server) {}

  TortureReport Run();

 private:
  void Cycle(const Life& life);
  bool Prepare(const Life& life);
  bool DieStarting(std::string_view point);
  bool StartAndSweep(bool twin);
  void Live(const Life& life);
  HistoryLoad LoadFor(const Life& life);
  // It takes half a second, so not every life begins with one.
  bool Ambushes(const Life& life) const {
    return life.load == LoadShape::kPlain && cycle_ % kLivesPerAmbush == 0;
  }
  End EndLife(const Life& life, milliseconds delay);
  End EndAtPoint(const Life& life);
  End StopCleanly();
  void Note(const Life& life, const End& end, const HistoryReport& history);
  void NoteSweep(const SweepResult& sweep, bool warm);
  void NotePoint(const Life& life, bool died_there);
  uint64_t UndroppedFromUs(uint64_t death_us) const;
  void Problem(const std::string& text);
  bool Below(uint64_t part, uint64_t whole) { return random_() % whole < part; }
  bool Ends() const;

  const TortureOptions options_;
  std::mt19937_64 random_;
  const bool has_twin_;
  TorturePlan plan_;
  HistoryBook book_;
  TortureServer server_;
  TortureReport report_;
  std::set<std::string_view> tried_;
  const uint64_t begin_us_ = MonotonicUs();
  uint64_t cycle_ = 0;
  Life life_;
  Life last_life_;
  bool broken_ = false;  // it cannot go on
  LastStop last_stop_ = LastStop::kDeath;
  bool exists_ = false;       // there was a life
  bool expects_cold_ = true;  // the next start finds nothing that it may use
  Kept kept_;
  std::atomic<bool> load_over_{false};
  // The last sample of a life's counters.
  uint64_t sampled_gets_ = 0;
  uint64_t sampled_flash_hits_ = 0;
  uint64_t sampled_cancelled_ = 0;
  struct BatchSample {
    uint64_t at_us = 0;
    uint64_t begun = 0;  // batches that there were by then, those that the life found included
    uint64_t dropped = 0;
  };
  std::vector<BatchSample> batches_;
};

void Torture::Problem(const std::string& text) {
  if (report_.problems.size() >= kTextsMax) return;
  report_.problems.push_back("cycle " + std::to_string(cycle_) + ", to die " + Describe(life_) +
                             ", the last one " + Describe(last_life_) + ": " + text);
}

bool Torture::Ends() const {
  if (broken_ || report_.stale > 0) return true;
  if (options_.until_noticed && !report_.Fault(options_.server.arena).empty()) return true;
  const auto longest_us = std::chrono::microseconds(options_.longest).count();
  return MonotonicUs() - begin_us_ > static_cast<uint64_t>(longest_us);
}

// --- Before a life

// Leaves it dead, and in the state that this life wants to find.
bool Torture::Prepare(const Life& life) {
  if (life.before == Before::kStoppedCleanly && last_stop_ != LastStop::kClean) {
    if (!StartAndSweep(false)) return false;
    const End end = StopCleanly();
    if (end.status != 0) Problem("a clean stop ended with status " + std::to_string(end.status));
  }
  if (!exists_) return true;
  // What the last death left is looked at before it is thrown away, but by a reboot, which comes at once.
  const bool throws_away = life.before == Before::kColdTier || life.death == Death::kTwiceOpening;
  if (throws_away && life.death != Death::kReboot) {
    if (!StartAndSweep(false)) return false;
    (void)server_.Alive().Kill();
    server_.Forget();
  }
  if (life.before != Before::kColdTier) return true;
  // After a stop that may have been clean only a directory of its own is certain to be cold.
  if (last_stop_ != LastStop::kDeath || (life.death != Death::kReboot && Below(1, 2))) {
    server_.Wipe();
  } else {
    server_.LoseIndex(Below(1, 2));
  }
  expects_cold_ = true;
  kept_ = {};
  return true;
}

bool Torture::DieStarting(std::string_view point) {
  const int status = server_.StartAndDie(point, has_twin_ && Below(1, 4));
  ++report_.starts;
  if (status == kKilled) return true;
  Problem("a start that was to die at " + std::string(point) + " ended with status " +
          std::to_string(status));
  return false;
}

bool Torture::StartAndSweep(bool twin) {
  const Status started = server_.Start(twin);
  ++report_.starts;
  if (!started.ok()) {
    Problem("it did not start: " + std::string(started.message()));
    broken_ = true;
    return false;
  }
  const std::unique_ptr<support::Client> client = server_.Alive().Connect();
  const Result<SweepResult> sweep = Sweep(*client, kept_, &book_);
  if (!sweep.ok()) {
    Problem(std::string(sweep.status().message()) + "\n" + server_.Stderr());
    broken_ = true;
    return false;
  }
  const std::string text = client->Stats()[support::kStatFlashStart];
  const bool warm = text.starts_with("warm");
  if (!warm && !expects_cold_) Problem("the flash tier was lost: it is " + text);
  if (expects_cold_ && exists_ && warm) Problem("the flash tier should be cold: it is " + text);
  NoteSweep(sweep.value(), warm);
  expects_cold_ = false;
  exists_ = true;
  last_stop_ = LastStop::kDeath;
  return true;
}

void Torture::NoteSweep(const SweepResult& sweep, bool warm) {
  report_.gets += sweep.gets;
  report_.swept += sweep.gets;
  report_.hits += sweep.hits;
  report_.stale += sweep.stale.size();
  for (const std::string& text : sweep.stale) {
    if (report_.stale_texts.size() < kTextsMax) report_.stale_texts.push_back(text);
  }
  report_.flash_expected += sweep.flash_expected;
  report_.flash_kept += sweep.flash_kept;
  report_.ram_expected += sweep.ram_expected;
  report_.ram_kept += sweep.ram_kept;
  if (sweep.flash_expected >= kEnoughToLose) {
    ++report_.deaths_weighed;
    const double share =
        static_cast<double>(sweep.flash_kept) / static_cast<double>(sweep.flash_expected);
    if (share < report_.worst_flash_share) {
      report_.worst_flash_share = share;
      report_.worst_flash_life = Describe(last_life_) + ": " + std::to_string(sweep.flash_kept) +
                                 " of " + std::to_string(sweep.flash_expected);
    }
  }
  if (!warm || last_stop_ != LastStop::kDeath) return;
  report_.answer_us.push_back(server_.StartUs());
  if (sweep.first_hit_us != 0) {
    report_.hit_us.push_back(sweep.first_hit_us - server_.ExecAtUs());
  }
}

// --- A life

HistoryLoad Torture::LoadFor(const Life& life) {
  HistoryLoad load;
  load.port = server_.Port();
  load.seed = options_.seed * 100'000 + cycle_;
  load.book = &book_;
  load.duration = std::chrono::seconds(120);  // it ends with the daemon
  load.longest = load.duration;
  load.readers = 2;
  load.demotes = true;
  load.ambushes = Ambushes(life);
  load.flush_every = milliseconds(0);
  load.filler_keys_per_burst = 10;
  switch (life.load) {
    case LoadShape::kPlain:
      break;
    case LoadShape::kFlushes:
      load.flush_every = milliseconds(150);
      load.delayed_flush_pct = 20;
      break;
    case LoadShape::kDelayedFlushes:
      load.flush_every = milliseconds(100);
      load.delayed_flush_pct = 100;
      break;
    case LoadShape::kGrows:
      load.filler_keys_per_burst = 300;
      break;
    case LoadShape::kShifts:
      load.filler_keys_per_burst = 150;
      load.filler_shifts_every = milliseconds(1'200);
      break;
    case LoadShape::kFills:
      load.filler_keys_per_burst = 100;
      load.filler_bytes_min = 1'500;
      load.filler_bytes_max = 2'000;
      break;
  }
  load.watch = [this](support::Client& client) {
    const uint64_t asked_us = MonotonicUs();
    std::map<std::string, std::string> stats = client.Stats();
    const auto number = [&stats](const char* name) {
      return std::strtoull(stats[name].c_str(), nullptr, 10);
    };
    if (number(support::kStatCmdGet) == 0) return;  // it has just died
    batches_.push_back(
        {.at_us = asked_us,
         .begun = number(support::kStatBatches) + number(support::kStatBatchesDropped),
         .dropped = number(support::kStatBatchesDropped)});
    sampled_gets_ = number(support::kStatCmdGet);
    sampled_flash_hits_ = number(support::kStatGetHitsFlash);
    sampled_cancelled_ = number(support::kStatDemotionsCancelled);
  };
  return load;
}

// The oldest batches go first. What was changed when so many had been begun as have been dropped since, or more, is in
// a batch that was there at the death.
uint64_t Torture::UndroppedFromUs(uint64_t death_us) const {
  if (batches_.empty()) return UINT64_MAX;
  const BatchSample& last = batches_.back();
  const uint64_t unseen_us = death_us - std::min(death_us, last.at_us);
  const uint64_t as_in_us = std::max(kDropsUnseenUs, kUnseenFactor * unseen_us);
  const auto recent = std::find_if(batches_.begin(), batches_.end(), [&](const BatchSample& one) {
    return one.at_us + as_in_us >= last.at_us;
  });
  const uint64_t over_us = std::max<uint64_t>(last.at_us - recent->at_us, 1);
  const uint64_t unseen = (last.dropped - recent->dropped) * as_in_us / over_us + kDropsUnseen;
  const uint64_t dropped = last.dropped + unseen;
  const auto safe =
      std::find_if(batches_.begin(), batches_.end(),
                   [dropped](const BatchSample& one) { return one.begun >= dropped; });
  return safe == batches_.end() ? UINT64_MAX : safe->at_us;
}

void Torture::Live(const Life& life) {
  const bool waits_longer = life.load == LoadShape::kShifts || life.load == LoadShape::kFills;
  const milliseconds delay(random_() % (waits_longer ? 1'500 : 500) +
                           (Ambushes(life) ? kAmbushMs : 0) +
                           (life.load == LoadShape::kGrows ? kFirstBatchesMs : 0));
  const HistoryLoad load = LoadFor(life);
  const uint64_t from_us = MonotonicUs();
  sampled_gets_ = sampled_flash_hits_ = sampled_cancelled_ = 0;
  batches_.clear();
  load_over_ = false;
  End end;
  std::thread killer([&] { end = EndLife(life, delay); });
  const HistoryReport history = support::RunHistory(load);
  load_over_ = true;
  killer.join();
  const uint64_t recent_us = end.stop_us - std::min(end.stop_us, kKeptForUs);
  const uint64_t to_us = end.drained ? end.stop_us : history.demote_asked_us;
  kept_ = {.from_us = std::max({from_us, recent_us, std::min(UndroppedFromUs(end.stop_us), to_us)}),
           .to_us = to_us,
           .ram_to_us = end.stop_us};
  Note(life, end, history);
  server_.Forget();
}

End Torture::StopCleanly() {
  End end;
  end.stop_us = MonotonicUs();
  end.status = server_.Alive().Stop(SIGTERM, kStopPatience);
  end.drained = end.status == 0;
  end.as_planned = end.status == 0;
  last_stop_ = end.status == 0 ? LastStop::kClean : LastStop::kPerhapsClean;
  return end;
}

End Torture::EndAtPoint(const Life& life) {
  support::Daemon& daemon = server_.Alive();
  {
    Result<std::unique_ptr<support::Client>> client = support::Client::Connect(daemon.Port());
    const std::string request =
        "debug kill " + std::string(life.point->name) + " " + std::to_string(life.nth) + "\r\n";
    if (client.ok()) (void)client.value()->Ask(request);  // it may die before it answers
  }
  End end;
  milliseconds patience = PatienceFor(life.load);
  if (life.death == Death::kStopPoint) {
    last_stop_ = LastStop::kPerhapsClean;
    end.drained = life.point->name != kBeforeDrain;
    end.stop_us = MonotonicUs();
    daemon.Signal(SIGTERM);
    patience = kStopPatience;
  }
  // With a violation the load is over before the daemon is.
  std::optional<int> status;
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!status && std::chrono::steady_clock::now() < until &&
         !(load_over_ && life.death == Death::kPoint)) {
    status = daemon.WaitFor(milliseconds(20));
  }
  end.as_planned = status == kKilled;
  if (end.stop_us == 0) end.stop_us = MonotonicUs();
  end.status = status ? *status : daemon.Kill();
  return end;
}

// On a thread of its own, while the load runs.
End Torture::EndLife(const Life& life, milliseconds delay) {
  support::Daemon& daemon = server_.Alive();
  (void)daemon.WaitFor(delay);
  if (life.death == Death::kPoint || life.death == Death::kStopPoint) return EndAtPoint(life);
  if (life.death == Death::kCleanStop) return StopCleanly();
  End end;
  if (life.death == Death::kTermAndKill) {
    last_stop_ = LastStop::kPerhapsClean;
    daemon.Signal(SIGTERM);
    (void)daemon.WaitFor(milliseconds(delay.count() % 80));
  }
  end.stop_us = MonotonicUs();
  end.status = daemon.Kill();
  end.as_planned = end.status == kKilled || (life.death == Death::kTermAndKill && end.status == 0);
  return end;
}

// --- Counting

void Torture::NotePoint(const Life& life, bool died_there) {
  if (life.point == nullptr) return;
  tried_.insert(life.point->name);
  if (died_there) {
    ++report_.points[life.point->name];
  } else {
    plan_.Again(life);
  }
}

void Torture::Note(const Life& life, const End& end, const HistoryReport& history) {
  const bool dies_here = life.death == Death::kPoint || life.death == Death::kStopPoint;
  if (dies_here) NotePoint(life, end.as_planned);
  const bool stopped_instead = life.death == Death::kStopPoint && end.status == 0;
  if (end.status != kKilled && !end.as_planned && !stopped_instead) {
    Problem("a life that was to end " + std::string(NameOf(life.death)) + " ended with status " +
            std::to_string(end.status) + "\n" + server_.Stderr());
  }
  ++report_.deaths[dies_here && !end.as_planned ? Death::kRandom : life.death];
  report_.gets += history.gets;
  report_.hits += history.hits;
  report_.changes += history.changes;
  report_.flushes += history.flushes;
  report_.get_keys += sampled_gets_;
  report_.get_hits_flash += sampled_flash_hits_;
  report_.demotions_cancelled += sampled_cancelled_;
  report_.stale += history.violations.size();
  for (const std::string& text : history.violations) {
    if (report_.stale_texts.size() < kTextsMax) report_.stale_texts.push_back(text);
  }
  for (const std::string& text : history.errors) Problem(text);
}

void Torture::Cycle(const Life& life) {
  if (!Prepare(life)) return;
  if (life.death == Death::kStartPoint) {
    NotePoint(life, DieStarting(life.point->name));
    last_stop_ = LastStop::kPerhapsClean;
  }
  if (life.death == Death::kTwiceOpening) {
    for (const std::string_view point : {"start_opening", "start_store_open"}) {
      if (!exists_ || !DieStarting(point)) continue;
      expects_cold_ = true;
      kept_ = {};
    }
  }
  if (!StartAndSweep(life.point != nullptr && life.point->twin_only)) return;
  Live(life);
}

TortureReport Torture::Run() {
  constexpr uint64_t kPrintEvery = 25;
  for (; cycle_ < options_.cycles && !Ends(); ++cycle_) {
    last_life_ = life_;
    life_ = plan_.Next();
    Cycle(life_);
    ++report_.cycles;
    if (!options_.prints || report_.cycles % kPrintEvery != 0) continue;
    std::printf("%llu cycles, %llu stale, kept %.3f %%\n",
                static_cast<unsigned long long>(report_.cycles),
                static_cast<unsigned long long>(report_.stale), 100 * report_.FlashShare());
    std::fflush(stdout);
  }
  if (!broken_ && report_.stale == 0) (void)StartAndSweep(false);  // what the last death left
  for (const PointPlan& point : Points()) {
    if (point.twin_only && !has_twin_) continue;
    if (!report_.points.contains(point.name)) report_.never_passed.push_back(point.name);
  }
  report_.seconds = static_cast<double>(MonotonicUs() - begin_us_) / 1e6;
  return report_;
}

}  // namespace

TortureReport RunTorture(const TortureOptions& options) {
  return Torture(options).Run();
}

}  // namespace terraced::torture
