#include "tests/support/history_runner.h"

#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <thread>

#include "storage/base/sync_point.h"
#include "tests/support/history.h"
#include "tests/support/history_writer.h"

namespace terraced::support {
namespace {

constexpr size_t kKeptViolations = 5;
constexpr uint32_t kWindowKeys = 200;  // where a quarter of all traffic meets
constexpr uint64_t kWindowMoveUs = 100'000;
constexpr auto kStartedAgain = std::chrono::milliseconds(50);
constexpr uint64_t kAbsent = ~uint64_t{0};
constexpr int kColdTries = 8;
constexpr int kColdWaits = 10;  // of a millisecond

// Sync points that a thread passes once a record, not once a batch: long delays there would stop the show.
bool IsPerRecord(SyncPoint point) {
  return point == SyncPoint::kFillRead || point == SyncPoint::kSecondChanceRead;
}

class HistoryRun {
 public:
  explicit HistoryRun(const HistoryLoad& load)
      : load_(load),
        own_book_(load.book != nullptr ? nullptr
                                       : std::make_unique<HistoryBook>(
                                             HistoryKeys{.text_keys = load.text_keys,
                                                         .number_keys = load.number_keys},
                                             load.writers, load.value_bytes_max, load.seed)),
        book_(load.book != nullptr ? *load.book : *own_book_),
        last_use_(book_.keys.Count()) {}

  HistoryReport Run();

 private:
  using Random = std::mt19937_64;

  void Writer(uint32_t index, Client& client);
  void Reader(uint32_t index, Client& client);
  void Demoter(Client& client);
  void Flusher(Client& client);
  void Filler(Client& client);
  size_t FillerBytes(Random& random) const;
  void Supervise(Client& client);
  void Ambush();
  bool SpringAmbush(Client& client);

  bool GetOnce(Random& random, Client& client);
  bool ShiftDelay(Random& random, Client& client);
  size_t AnyKey(Random& random) const;
  // A key that should be on flash and nowhere else; any key where no such is at hand.
  size_t ColdKey(Random& random) const;
  // Runs `body` on a thread with a connection of its own.
  void StartThread(const std::function<void(Client&)>& body);
  // Waits in small steps, so that the end of the run is noticed.
  void Pause(std::chrono::milliseconds pause) const;
  bool Judge(Violation violation);
  void Error(const std::string& text);
  // A request that was not answered as it should be: where the server may die, its end is the run's.
  void BadReply(const std::string& request, const std::string& reply);
  bool FlushOnce(Random& random, Client& client);
  bool ServerMayDie() const { return load_.book != nullptr; }
  bool Over() const { return over_.load(std::memory_order_relaxed); }

  const HistoryLoad load_;
  const std::unique_ptr<HistoryBook> own_book_;
  HistoryBook& book_;
  const uint64_t begin_us_ = Moment::Now().us;
  std::vector<std::thread> threads_;
  std::atomic<bool> over_{false};
  std::atomic<uint64_t> gets_{0};
  std::atomic<uint64_t> hits_{0};
  std::atomic<uint64_t> changes_{0};
  std::atomic<uint64_t> flushes_{0};
  std::atomic<uint64_t> demotes_{0};
  std::atomic<uint64_t> demote_asked_us_{0};
  // Those that have set all their keys since the last flush.
  std::atomic<uint32_t> filled_writers_{0};
  std::atomic<bool> may_flush_{true};
  // By key: demotes_ when it was last changed or got; kAbsent after a get that missed.
  std::vector<std::atomic<uint64_t>> last_use_;
  Mutex mutex_;
  std::vector<std::string> violations_ TERRACED_GUARDED_BY(mutex_);
  std::vector<std::string> errors_ TERRACED_GUARDED_BY(mutex_);
  bool enough_ = true;  // by Supervise only
};

bool HistoryRun::Judge(Violation violation) {
  if (!violation.has_value()) return true;
  MutexLock lock(mutex_);
  if (violations_.size() < kKeptViolations) violations_.push_back(std::move(*violation));
  over_ = true;
  return false;
}

void HistoryRun::Error(const std::string& text) {
  MutexLock lock(mutex_);
  errors_.push_back(text);
  over_ = true;
}

void HistoryRun::BadReply(const std::string& request, const std::string& reply) {
  if (Over()) return;
  const bool broke = reply.starts_with('<') && reply != Client::kNoAnswerInTime;
  if (ServerMayDie() && broke) {
    over_ = true;
    return;
  }
  Error("'" + request.substr(0, request.find('\r')) + "' was answered by '" + reply.substr(0, 200) +
        "'");
}

void HistoryRun::Pause(std::chrono::milliseconds pause) const {
  const auto end = std::chrono::steady_clock::now() + pause;
  while (!Over() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(
        std::min<std::chrono::milliseconds>(pause, std::chrono::milliseconds(20)));
  }
}

size_t HistoryRun::AnyKey(Random& random) const {
  const uint64_t die = random();
  const uint32_t count = book_.keys.Count();
  if ((die & 3) != 0) return (die >> 8) % count;
  const uint64_t window = Moment::Now().us / kWindowMoveUs * 37;
  return (window + (die >> 8) % kWindowKeys) % count;
}

size_t HistoryRun::ColdKey(Random& random) const {
  if (!load_.demotes) return AnyKey(random);
  // Clients outrun the demoter: then they wait for it, or most gets would be answered from RAM.
  for (int wait = 0; wait < kColdWaits && !Over(); ++wait) {
    const uint64_t demotes = demotes_.load(std::memory_order_relaxed);
    for (int i = 0; i < kColdTries; ++i) {
      const size_t key = random() % book_.keys.Count();
      const uint64_t used = last_use_[key].load(std::memory_order_relaxed);
      // The demote that was under way at its last use may have missed it, the next one has not.
      if (used != kAbsent && used + 2 <= demotes) return key;
    }
    Pause(std::chrono::milliseconds(1));
  }
  return AnyKey(random);
}

void HistoryRun::Writer(uint32_t index, Client& client) {
  Random random(load_.seed * 1'000 + index);
  const auto writers = static_cast<uint32_t>(book_.writers.size());
  HistoryWriter& writer = *book_.writers[index];
  writer.Use(client);
  size_t& fill = book_.fills[index];  // the next of our keys to be filled after the last flush
  uint64_t filled_after = 0;
  bool reported = false;
  while (!Over()) {
    Violation violation;
    Status status;
    size_t key = 0;
    if (filled_after != flushes_) {
      filled_after = flushes_;
      fill = index;
      reported = false;
    }
    if (fill >= book_.keys.Count() && !reported) {
      filled_writers_.fetch_add(1);
      reported = true;
    }
    if (fill >= book_.keys.Count() && ServerMayDie()) fill = index;
    if (fill < book_.keys.Count() && random() % 4 != 0) {
      key = fill;
      fill += writers;
      status = writer.FillOnce(key, &violation);
    } else {
      // Each key has one writer: the next one that is ours.
      const size_t any = AnyKey(random);
      key = any - any % writers + index;
      if (key >= book_.keys.Count()) continue;
      status = writer.ChangeOnce(key, &violation);
    }
    last_use_[key].store(demotes_, std::memory_order_relaxed);
    changes_.fetch_add(1, std::memory_order_relaxed);
    if (status.code() == StatusCode::kUnavailable && ServerMayDie()) {
      over_ = true;
      return;
    }
    if (!status.ok() && !Over()) return Error("writer: " + std::string(status.message()));
    if (!Judge(std::move(violation))) return;
  }
}

bool HistoryRun::GetOnce(Random& random, Client& client) {
  std::array<size_t, 24> asked = {};
  const size_t count = random() % 3 == 0 ? 2 + random() % (asked.size() - 1) : 1;
  std::string request = random() % 4 == 0 ? "gets" : "get";
  for (size_t i = 0; i < count; ++i) {
    asked[i] = random() % 2 == 0 ? ColdKey(random) : AnyKey(random);
    request.append(" ").append(HistoryKeys::Name(asked[i]));
  }
  request.append("\r\n");
  const Moment begin = Moment::Now();
  const std::string reply = client.Ask(request);
  const Moment end = Moment::Now();
  if (!reply.ends_with("END\r\n")) {
    BadReply(request, reply);
    return false;
  }
  gets_.fetch_add(count, std::memory_order_relaxed);
  size_t at = 0;  // hits come in the order of the keys
  for (size_t i = 0; i < count; ++i) last_use_[asked[i]].store(kAbsent, std::memory_order_relaxed);
  for (const ValueBlock& block : ParseValues(reply)) {
    while (at < count && HistoryKeys::Name(asked[at]) != block.key) ++at;
    if (at == count) {
      Error("reader: an unasked value of '" + block.key + "'");
      return false;
    }
    hits_.fetch_add(1, std::memory_order_relaxed);
    last_use_[asked[at]].store(demotes_, std::memory_order_relaxed);
    if (!Judge(book_.history.JudgeHit(asked[at++], block.data, begin, end))) return false;
  }
  return true;
}

void HistoryRun::Reader(uint32_t index, Client& client) {
  Random random(load_.seed * 3'000 + index);
  while (!Over() && GetOnce(random, client)) {
  }
}

bool HistoryRun::ShiftDelay(Random& random, Client& client) {
  constexpr std::array<uint32_t, 5> kBatchDelaysMs = {0, 0, 1, 4, 15};
  constexpr std::array<uint32_t, 5> kRecordDelaysMs = {0, 0, 1, 3, 10};
  const SyncPoint point = static_cast<SyncPoint>(random() % kSyncPointNames.size());
  const uint32_t delay_ms = IsPerRecord(point) ? kRecordDelaysMs[random() % kRecordDelaysMs.size()]
                                               : kBatchDelaysMs[random() % kBatchDelaysMs.size()];
  const std::string request = "debug delay " +
                              std::string(kSyncPointNames[static_cast<size_t>(point)]) + " " +
                              std::to_string(delay_ms) + "\r\n";
  const std::string reply = client.Ask(request);
  if (reply == "OK\r\n") return true;
  BadReply(request, reply);
  return false;
}

void HistoryRun::Demoter(Client& client) {
  Random random(load_.seed * 5'000);
  while (!Over()) {
    if (!ShiftDelay(random, client)) return;
    const uint64_t asked_us = Moment::Now().us;
    const std::string reply = client.Ask("debug demote\r\n");
    if (reply != "OK\r\n") return BadReply("debug demote", reply);
    demote_asked_us_ = asked_us;
    demotes_.fetch_add(1, std::memory_order_relaxed);
    Pause(std::chrono::milliseconds(random() % 30));
  }
}

bool HistoryRun::FlushOnce(Random& random, Client& client) {
  // Servers keep one delayed flush: a second one would take the place of the first.
  const bool delayed =
      random() % 100 < load_.delayed_flush_pct && book_.flush_due.us < Moment::Now().us;
  // An immediate one would cancel it.
  if (!delayed && load_.delayed_flush_pct == 100) return true;
  const std::string request = delayed ? "flush_all 1\r\n" : "flush_all\r\n";
  const size_t flush = book_.history.BeginFlush(Moment::Now());
  const std::string reply = client.Ask(request);
  Moment end = Moment::Now();
  if (delayed) {
    end.us += static_cast<uint64_t>(1 + kExpirySlackS) * 1'000'000;
    book_.flush_due = end;
  }
  if (reply == "OK\r\n") {
    book_.history.EndFlush(flush, end);
    flushes_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  book_.history.BreakOffFlush(flush, end);
  BadReply(request, reply);
  return false;
}

void HistoryRun::Flusher(Client& client) {
  Random random(load_.seed * 6'000);
  while (!Over()) {
    Pause(load_.flush_every);
    // A flush before the keys are back would leave little to get, and nothing to get from flash.
    while (!Over() && !ServerMayDie() && filled_writers_ < book_.writers.size())
      Pause(kStartedAgain);
    if (Over() || (!may_flush_ && flushes_ > 0)) return;
    filled_writers_ = 0;
    if (!FlushOnce(random, client)) return;
  }
}

size_t HistoryRun::FillerBytes(Random& random) const {
  const auto every_us = static_cast<uint64_t>(load_.filler_shifts_every.count()) * 1'000;
  if (every_us == 0) {
    return load_.filler_bytes_min + random() % (load_.filler_bytes_max - load_.filler_bytes_min);
  }
  const bool large = (Moment::Now().us - begin_us_) / every_us % 2 == 1;
  return large ? 1'500 + random() % 500 : 20 + random() % 100;
}

void HistoryRun::Filler(Client& client) {
  Random random(load_.seed * 7'000);
  uint64_t next = 0;
  while (!Over()) {
    std::string burst;
    for (uint32_t i = 0; i < load_.filler_keys_per_burst; ++i) {
      std::string data;
      AppendNoise(random, FillerBytes(random), &data);
      burst += "set filler" + std::to_string(next++) + " 0 0 " + std::to_string(data.size()) +
               " noreply\r\n" + data + "\r\n";
    }
    const Status sent = client.Send(burst);
    const std::string reply =
        sent.ok() ? client.Ask("version\r\n") : "<" + std::string(sent.message()) + ">";
    if (!reply.starts_with("VERSION ")) return BadReply("version", reply);
    Pause(std::chrono::milliseconds(5));
  }
}

void HistoryRun::Supervise(Client& client) {
  const auto begin = std::chrono::steady_clock::now();
  while (!Over() && std::chrono::steady_clock::now() - begin < load_.duration) {
    if (load_.watch) load_.watch(client);
    Pause(kStartedAgain);
  }
  // What is still missing then is traffic on flash, second chances for one: they take a tier that fills up. Where all
  // is so slow that the keys are not back yet, it may be the first flush, which then is the last.
  may_flush_ = false;
  while (!Over() && load_.enough && !(enough_ = load_.enough(client)) &&
         std::chrono::steady_clock::now() - begin < load_.longest) {
    Pause(std::chrono::milliseconds(1'000));
  }
  over_ = true;
}

void HistoryRun::StartThread(const std::function<void(Client&)>& body) {
  threads_.emplace_back([this, body] {
    Result<std::unique_ptr<Client>> client = Client::Connect(load_.port);
    if (!client.ok())
      return BadReply("connect", "<" + std::string(client.status().message()) + ">");
    body(*client.value());
  });
}

// The race that traffic alone seldom meets, once, before anybody else is there: a fill is held with its record
// read, its key is stored over and demoted again, and gets that come after that find the fill under way. They
// may not be answered from it.
void HistoryRun::Ambush() {
  Result<std::unique_ptr<Client>> client = Client::Connect(load_.port);
  if (client.ok() && SpringAmbush(*client.value())) return;
  if (!ServerMayDie()) return Error("the ambush did not come about");
  over_ = true;
}

bool HistoryRun::SpringAmbush(Client& client) {
  constexpr size_t kGets = 4;  // early and late ones meet on every worker
  const size_t key = book_.AmbushKey();
  const std::string get = "get " + HistoryKeys::Name(key) + "\r\n";
  std::array<std::unique_ptr<Client>, 2 * kGets> getters;
  for (std::unique_ptr<Client>& getter : getters) {
    Result<std::unique_ptr<Client>> connected = Client::Connect(load_.port);
    if (!connected.ok()) return false;
    getter = std::move(connected).value();
  }
  std::array<Moment, 2 * kGets> begins;
  for (uint64_t version = 1; version <= 2; ++version) {
    const std::string value = "ambush" + std::to_string(load_.seed) + "-" + std::to_string(version);
    book_.history.BeginChange(key, {.version = version, .value = value}, Moment::Now());
    const std::string stored = client.Ask("set " + HistoryKeys::Name(key) + " 0 0 " +
                                          std::to_string(value.size()) + "\r\n" + value + "\r\n");
    if (stored != "STORED\r\n") {
      book_.history.BreakOffChange(key, Moment::Now());
      return false;
    }
    if (!Judge(book_.history.EndChange(key, Applied::kYes, Moment::Now()))) return true;
    if (client.Ask("debug demote\r\n") != "OK\r\n") return false;
    if (version == 1 && client.Ask("debug delay fill_read 400\r\n") != "OK\r\n") return false;
    for (size_t i = (version - 1) * kGets; i < version * kGets; ++i) {
      begins[i] = Moment::Now();
      if (!getters[i]->Send(get).ok()) return false;
    }
    // The early gets have begun their reads before the key changes.
    if (version == 1) Pause(std::chrono::milliseconds(40));
  }
  if (client.Ask("debug delay fill_read 0\r\n") != "OK\r\n") return false;
  for (size_t i = 0; i < getters.size(); ++i) {
    Result<std::string> reply = getters[i]->ReadThrough("END\r\n");
    if (!reply.ok()) return false;
    for (const ValueBlock& block : ParseValues(reply.value())) {
      if (!Judge(book_.history.JudgeHit(key, block.data, begins[i], Moment::Now()))) return true;
    }
  }
  return true;
}

HistoryReport HistoryRun::Run() {
  const auto begin = std::chrono::steady_clock::now();
  if (load_.demotes && load_.ambushes) Ambush();
  for (uint32_t i = 0; i < book_.writers.size(); ++i) {
    StartThread([this, i](Client& client) { Writer(i, client); });
  }
  for (uint32_t i = 0; i < load_.readers; ++i) {
    StartThread([this, i](Client& client) { Reader(i, client); });
  }
  if (load_.demotes) StartThread([this](Client& client) { Demoter(client); });
  if (load_.flush_every.count() > 0) StartThread([this](Client& client) { Flusher(client); });
  if (load_.filler_keys_per_burst > 0) StartThread([this](Client& client) { Filler(client); });
  StartThread([this](Client& client) { Supervise(client); });
  for (std::thread& thread : threads_) thread.join();
  HistoryReport report;
  report.gets = gets_;
  report.hits = hits_;
  report.changes = changes_;
  report.flushes = flushes_;
  report.demotes = demotes_;
  report.enough = enough_;
  report.demote_asked_us = demote_asked_us_;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  MutexLock lock(mutex_);
  report.violations = violations_;
  report.errors = errors_;
  return report;
}

}  // namespace

std::string HistoryReport::Summary() const {
  std::string text = std::to_string(seconds) + " s: " + std::to_string(gets) + " gets, " +
                     std::to_string(hits) + " hits, " + std::to_string(changes) + " changes, " +
                     std::to_string(flushes) + " flushes, " + std::to_string(demotes) + " demotes";
  for (const std::string& violation : violations) text += "\nviolation: " + violation;
  for (const std::string& error : errors) text += "\nerror: " + error;
  return text;
}

HistoryReport RunHistory(const HistoryLoad& load) {
  return HistoryRun(load).Run();
}

}  // namespace terraced::support
