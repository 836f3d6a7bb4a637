#include "tests/bench/load_run.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <ctime>

namespace terraced::bench {
namespace {

constexpr double kSecondNs = 1e9;
constexpr uint64_t kSetsAtOnce =
    4;  // of the stream beside an open load: short, so that gets are sent in time
constexpr double kDrainNs = 5 * kSecondNs;  // how long an open load waits for its last replies

uint64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Load {
 public:
  explicit Load(const LoadShape& shape)
      : shape_(shape), set_shape_(shape), keys_(shape), random_(shape.seed + 1) {
    set_shape_.value_bytes = shape.set_value_bytes;
  }
  ~Load() {
    if (epoll_fd_ >= 0) close(epoll_fd_);
  }

  Status Open() {
    epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd_ < 0) return Status::FromErrno("epoll_create1", errno);
    const bool sets_beside = shape_.work == Work::kOpen && shape_.set_mb_s > 0;
    const uint64_t busy = shape_.connections + (sets_beside ? 1 : 0);
    for (uint64_t i = 0; i < busy + shape_.idle_connections; ++i) {
      const bool sets = sets_beside && i == shape_.connections;
      TERRACED_ASSIGN_OR_RETURN(auto connection,
                                LoadConnection::Connect(sets ? set_shape_ : shape_));
      connection->index = i;
      if (i < busy) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = connection.get();
        if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, connection->Fd(), &event) != 0) {
          return Status::FromErrno("epoll_ctl", errno);
        }
      }
      connections_.push_back(std::move(connection));
    }
    return Status();
  }

  LoadResult Run() {
    const double cpu_before = CpuSeconds();
    begun_ns_ = NowNs();
    end_ns_ = begun_ns_ + static_cast<uint64_t>(shape_.seconds * kSecondNs);
    if (shape_.work == Work::kOpen) {
      RunOpen();
    } else {
      RunLockstep();
    }
    result_.seconds = static_cast<double>(NowNs() - begun_ns_) / kSecondNs;
    result_.client_cpu_s = CpuSeconds() - cpu_before;
    return result_;
  }

 private:
  bool IsWholePass() const { return shape_.work == Work::kFill || shape_.work == Work::kSweep; }
  uint64_t OperationsLeft() const {
    const uint64_t limit = IsWholePass() ? shape_.keys : shape_.operations;
    return limit == 0 ? UINT64_MAX : limit - std::min(limit, asked_);
  }
  bool IsOver() const { return OperationsLeft() == 0 || (!IsWholePass() && NowNs() >= end_ns_); }

  // --- Lockstep ---

  void RunLockstep() {
    uint64_t running = 0;
    for (uint64_t i = 0; i < shape_.connections; ++i) running += Begin(*connections_[i]) ? 1 : 0;
    while (running > 0) {
      Poll(running > 0 ? -1 : 0, [&](LoadConnection& connection) {
        const bool idle = connection.Receive(
            &result_.counts, [&](uint64_t begun_ns) { batch_begun_ns_ = begun_ns; });
        if (!idle) return;
        result_.latency.Add(NowNs() - batch_begun_ns_);
        if (!Begin(connection)) --running;
      });
    }
  }

  // Sends the connection's next batch. False: the load is over.
  bool Begin(LoadConnection& connection) {
    if (IsOver()) return false;
    if (shape_.rate > 0) WaitForPace();
    const uint64_t now = NowNs();
    keys_.BeginBatch();
    for (uint64_t i = 0; i < shape_.batch && OperationsLeft() > 0; ++i) {
      const bool get = shape_.work == Work::kGet || shape_.work == Work::kSweep ||
                       (shape_.work == Work::kMix && RandomBelow(random_, 100) < shape_.get_pct);
      if (get) {
        const uint64_t count = std::min(shape_.keys_per_get, OperationsLeft());
        connection.AddGet(keys_, count, now);
        asked_ += count;
      } else {
        connection.AddSet(shape_.work == Work::kFill ? shape_.first_key + asked_ : keys_.Next(),
                          now);
        ++asked_;
      }
    }
    connection.Send();
    return true;
  }

  void WaitForPace() const {
    const double due_ns = static_cast<double>(asked_) / shape_.rate * kSecondNs;
    while (static_cast<double>(NowNs() - begun_ns_) < due_ns) {
    }
  }

  // --- Open ---

  void RunOpen() {
    const double set_bytes = static_cast<double>(kKeyBytes + shape_.set_value_bytes);
    const double set_gap_ns =
        shape_.set_mb_s > 0 ? kSetsAtOnce * set_bytes / (shape_.set_mb_s * 1e6) * kSecondNs : 0;
    auto next_get_ns = static_cast<double>(begun_ns_);
    auto next_set_ns = static_cast<double>(begun_ns_);
    uint64_t next_connection = 0;
    uint64_t set_number = shape_.set_first_key;
    LoadConnection* const setter =
        set_gap_ns > 0 ? connections_[shape_.connections].get() : nullptr;
    for (uint64_t now = begun_ns_; now < end_ns_; now = NowNs()) {
      while (next_get_ns <= static_cast<double>(now)) {
        LoadConnection& connection = *connections_[next_connection++ % shape_.connections];
        keys_.BeginBatch();
        connection.AddGet(keys_, 1, static_cast<uint64_t>(next_get_ns));
        connection.Send();
        next_get_ns += -std::log(1 - UniformReal(random_)) / shape_.rate * kSecondNs;
      }
      // A server that keeps up takes the stream as it comes; one that does not is not pushed under.
      if (setter != nullptr && next_set_ns <= static_cast<double>(now) && setter->IsIdle()) {
        for (uint64_t i = 0; i < kSetsAtOnce; ++i) setter->AddSet(set_number++, now);
        setter->Send();
        next_set_ns += set_gap_ns;
      }
      ReceiveOpen();
    }
    const auto give_up_ns = static_cast<double>(end_ns_) + kDrainNs;
    while (AnyWaiting() && static_cast<double>(NowNs()) < give_up_ns) ReceiveOpen();
  }

  void ReceiveOpen() {
    Poll(0, [&](LoadConnection& connection) {
      const bool gets = connection.index < shape_.connections;
      connection.Receive(&result_.counts, [&](uint64_t begun_ns) {
        if (gets) result_.latency.Add(NowNs() - begun_ns);
      });
    });
  }

  bool AnyWaiting() const {
    for (const auto& connection : connections_) {
      if (!connection->IsIdle()) return true;
    }
    return false;
  }

  template <typename Ready>
  void Poll(int timeout_ms, Ready ready) {
    std::array<epoll_event, 64> events;
    const int count =
        epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), timeout_ms);
    for (int i = 0; i < count; ++i) {
      ready(*static_cast<LoadConnection*>(events[static_cast<size_t>(i)].data.ptr));
    }
  }

  const LoadShape& shape_;
  LoadShape set_shape_;  // of the stream of sets beside an open load
  KeyPicker keys_;
  std::mt19937_64 random_;
  int epoll_fd_ = -1;
  std::vector<std::unique_ptr<LoadConnection>> connections_;
  uint64_t begun_ns_ = 0;
  uint64_t end_ns_ = 0;
  uint64_t asked_ = 0;
  uint64_t batch_begun_ns_ = 0;
  LoadResult result_;
};

}  // namespace

Result<LoadResult> RunLoad(const LoadShape& shape) {
  Load load(shape);
  TERRACED_RETURN_IF_ERROR(load.Open());
  return load.Run();
}

}  // namespace terraced::bench
