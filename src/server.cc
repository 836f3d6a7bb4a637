#include "src/server.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <utility>

#include "src/auth/authentication.h"
#include "src/net/address.h"
#include "src/net/connection_listing.h"
#include "src/net/listener.h"
#include "src/net/worker.h"
#include "src/option_change.h"
#include "src/options.h"
#include "src/prefix_stats.h"
#include "src/stats.h"
#include "storage/base/log.h"
#include "tiering/administration.h"

namespace terraced::server {
namespace {

// As -vv says it in memcached.
const char* ProtocolName(BindingProtocol protocol) {
  switch (protocol) {
    case BindingProtocol::kAscii:
      return "ascii";
    case BindingProtocol::kBinary:
      return "binary";
    case BindingProtocol::kAuto:
      break;
  }
  return "auto-negotiate";
}

class TcpServer final : public Server, private ServerControl {
 public:
  TcpServer(const Options& options, std::vector<ListeningSocket> sockets,
            std::vector<ListeningSocket> udp_sockets, std::unique_ptr<Tls> tls)
      : options_(options),
        sockets_(std::move(sockets)),
        udp_sockets_(std::move(udp_sockets)),
        tls_(std::move(tls)),
        replies_(ReplyMemoryBytes(options)),
        prefixes_(options.server.prefix_delimiter.front(), options.server.detail_enabled) {
    for (const ListeningSocket& socket : sockets_) addresses_.push_back(socket.Name());
    for (const ListeningSocket& socket : udp_sockets_) addresses_.push_back(socket.Name());
  }
  ~TcpServer() override { Stop(); }

  Status LoadCredentials() override;
  Status Start(tiering::Cache& cache, Clock& clock, WatchHub& watch) override;
  void Stop() override;
  std::vector<std::string> Addresses() const override { return addresses_; }

 private:
  bool WriteStats(std::string_view group, ReplySink& sink) override;
  void ResetStats() override;
  Status ChangeSetting(std::string_view name, std::string_view value) override;
  void RequestStop(bool graceful) override;
  Status RefreshCertificates() override;
  ListingTours& Tours() override { return tours_; }
  void PrepareTours();
  ServerStats Collect() const;
  // As they are now: what was given at the start, and what was changed since.
  Options CurrentOptions() const;

  const Options& options_;
  std::vector<ListeningSocket> sockets_;
  std::vector<ListeningSocket> udp_sockets_;  // all workers read them
  std::vector<std::string> addresses_;
  const std::unique_ptr<Tls> tls_;
  std::atomic<uint32_t> refreshed_s_{0};  // when the certificates were read last
  ConnectionCounters connections_;
  ReplyBudget replies_;
  PrefixStats prefixes_;
  std::unique_ptr<Authentication> authentication_;  // with -S or -Y; outlives the workers
  tiering::Cache* cache_ = nullptr;
  const Clock* clock_ = nullptr;
  ListingTours tours_;  // outlives the workers, which hold its listings
  WatchHub* watch_ = nullptr;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Listener> listener_;
  size_t next_worker_ = 0;  // the listener's thread only
  // What the counters stood at when they were last reset. Workers never write another's counter, so a reset
  // only remembers.
  mutable Mutex mutex_;
  ServerStats reset_ TERRACED_GUARDED_BY(mutex_);
  Mutex change_mutex_;  // one change at a time
};

Status TcpServer::LoadCredentials() {
  if (authentication_ != nullptr) return authentication_->Reload();
  if (!options_.server.NeedsLogin()) return Status();
  TERRACED_ASSIGN_OR_RETURN(authentication_, Authentication::Create(options_.server));
  return Status();
}

Status TcpServer::Start(tiering::Cache& cache, Clock& clock, WatchHub& watch) {
  TERRACED_CHECK(authentication_ != nullptr || !options_.server.NeedsLogin());
  cache_ = &cache;
  clock_ = &clock;
  refreshed_s_.store(clock.NowS());
  watch_ = &watch;
  const CommandContext context{cache,     clock, options_.server,      *this,
                               prefixes_, watch, authentication_.get()};
  tiering::AdminSettings& admin = cache.Admin().Settings();
  admin.lru_crawler_tocrawl.Set(options_.accepted.lru_crawler_tocrawl);
  admin.slab_automove_freeratio.Set(options_.accepted.slab_automove_freeratio);
  for (const ListeningSocket& socket : sockets_) {
    if (Log::On(LogLevel::kDebug)) {
      Log::Write(LogLevel::kDebug, "<%d server listening (%s)", socket.Fd(),
                 ProtocolName(socket.Protocol(options_.server)));
    }
  }
  TERRACED_ASSIGN_OR_RETURN(listener_,
                            Listener::Create(options_.server, std::move(sockets_), connections_));
  Listener* const listener = listener_.get();
  const auto on_leave = [this, listener] {
    if (!connections_.accepting.load()) listener->Wake();
  };
  for (uint32_t i = 0; i < options_.server.worker_threads; ++i) {
    TERRACED_ASSIGN_OR_RETURN(std::unique_ptr<Worker> worker,
                              Worker::Create(context, connections_, replies_, on_leave));
    if (tls_ != nullptr) worker->UseTls(*tls_);
    for (const ListeningSocket& socket : udp_sockets_) worker->AddUdp(socket);
    workers_.push_back(std::move(worker));
  }
  PrepareTours();
  for (const std::unique_ptr<Worker>& worker : workers_) {
    TERRACED_RETURN_IF_ERROR(worker->Start());
  }
  return listener_->Start([this](int fd, const ListeningSocket& origin) {
    workers_[next_worker_]->Adopt(fd, &origin);
    next_worker_ = (next_worker_ + 1) % workers_.size();
  });
}

void TcpServer::PrepareTours() {
  std::vector<ListingTours::Stop> stops;
  for (const std::unique_ptr<Worker>& worker : workers_) {
    stops.push_back({worker.get(), [&worker = *worker](std::vector<ConnectionView>* views) {
                       worker.DescribeConnections(views);
                     }});
  }
  tours_.Prepare(std::move(stops), [this] {
    std::vector<ConnectionView> views;
    for (const ListeningSocket& socket : listener_->Sockets()) {
      views.push_back({.fd = socket.Fd(),
                       .address = StatsName(socket),
                       .listen_address = "",
                       .state = "conn_listening",
                       .idle_s = clock_->UptimeS(),
                       .is_udp = false});
    }
    for (const ListeningSocket& socket : udp_sockets_) {
      views.push_back({.fd = socket.Fd(),
                       .address = StatsName(socket),
                       .listen_address = "",
                       .state = "conn_read",
                       .idle_s = clock_->UptimeS(),
                       .is_udp = true});
    }
    return views;
  });
}

void TcpServer::RequestStop(bool graceful) {
  // The main thread takes it, as if it came from outside.
  ::kill(::getpid(), graceful ? SIGUSR1 : SIGINT);
}

// Reads a few small files on the thread of a worker, at an operator's word.
Status TcpServer::RefreshCertificates() {
  if (tls_ == nullptr) return Status(StatusCode::kUnavailable, "TLS is not enabled");
  const Status status = tls_->Refresh();
  if (!status.ok()) {
    Log::Write(LogLevel::kNotice, "the old certificates stay: %s",
               std::string(status.message()).c_str());
    return status;
  }
  refreshed_s_.store(clock_->NowS());
  Log::Write(LogLevel::kVerbose, "certificates were read again");
  return Status();
}

void TcpServer::Stop() {
  if (listener_ != nullptr) listener_->Stop();
  for (const std::unique_ptr<Worker>& worker : workers_) worker->BeginStop();
  for (const std::unique_ptr<Worker>& worker : workers_) worker->Join();
  if (watch_ != nullptr) watch_->Stop();  // it may still call workers
  workers_.clear();
  listener_.reset();
  sockets_.clear();
}

ServerStats TcpServer::Collect() const {
  ServerStats stats;
  stats.curr_connections = connections_.current.load();
  stats.total_connections = connections_.total.load();
  stats.rejected_connections = connections_.rejected.load();
  stats.rejected_by_address = connections_.rejected_by_address.load();
  stats.listen_disabled_num = connections_.listen_disabled.load();
  stats.time_in_listen_disabled_us = connections_.listen_disabled_us.load();
  stats.accepting_conns = connections_.accepting.load();
  stats.reply_buf_bytes = replies_.HeldBytes();
  stats.reply_buf_limit_bytes = replies_.BytesMax();
  if (tls_ != nullptr) {
    stats.ssl_new_sessions = tls_->NewSessions();
    stats.time_since_server_cert_refresh = clock_->NowS() - refreshed_s_.load();
  }
  if (watch_ != nullptr) stats.watch = watch_->Stats();
  for (const std::unique_ptr<Worker>& worker : workers_) {
    const WorkerCounters& counted = worker->Counted();
    stats.bytes_read += counted.bytes_read.Get();
    stats.bytes_written += counted.bytes_written.Get();
    stats.conn_yields += counted.conn_yields.Get();
    stats.idle_kicks += counted.idle_kicks.Get();
    stats.auth_cmds += counted.auth_cmds.Get();
    stats.auth_errors += counted.auth_errors.Get();
    stats.flash_waits += counted.flash_waits.Get();
    stats.room_waits += counted.room_waits.Get();
    stats.reply_pauses += counted.reply_pauses.Get();
    stats.udp_requests_dropped += counted.udp_requests_dropped.Get();
    stats.udp_replies_dropped += counted.udp_replies_dropped.Get();
    stats.ssl_handshake_errors += counted.tls_handshake_errors.Get();
    stats.ssl_proto_errors += counted.tls_protocol_errors.Get();
    stats.read_buf_count += counted.read_buf_count.Get();
    stats.read_buf_bytes += counted.read_buf_bytes.Get();
  }
  return stats;
}

bool TcpServer::WriteStats(std::string_view group, ReplySink& sink) {
  ServerStats stats = Collect();
  {
    const MutexLock lock(mutex_);
    stats.total_connections -= reset_.total_connections;
    stats.rejected_connections -= reset_.rejected_connections;
    stats.rejected_by_address -= reset_.rejected_by_address;
    stats.listen_disabled_num -= reset_.listen_disabled_num;
    stats.time_in_listen_disabled_us -= reset_.time_in_listen_disabled_us;
    stats.bytes_read -= reset_.bytes_read;
    stats.bytes_written -= reset_.bytes_written;
    stats.conn_yields -= reset_.conn_yields;
    stats.idle_kicks -= reset_.idle_kicks;
    stats.auth_cmds -= reset_.auth_cmds;
    stats.auth_errors -= reset_.auth_errors;
    stats.flash_waits -= reset_.flash_waits;
    stats.room_waits -= reset_.room_waits;
    stats.reply_pauses -= reset_.reply_pauses;
    stats.udp_requests_dropped -= reset_.udp_requests_dropped;
    stats.udp_replies_dropped -= reset_.udp_replies_dropped;
    stats.ssl_handshake_errors -= reset_.ssl_handshake_errors;
    stats.ssl_proto_errors -= reset_.ssl_proto_errors;
    stats.ssl_new_sessions -= reset_.ssl_new_sessions;
    stats.watch.written -= reset_.watch.written;
    stats.watch.dropped -= reset_.watch.dropped;
    stats.watch.sent -= reset_.watch.sent;
    stats.watch.skipped -= reset_.watch.skipped;
  }
  Options options = CurrentOptions();
  const tiering::CacheStats cache = cache_->Stats();
  options.cache.slabs.limit_bytes = cache.limit_maxbytes;
  return WriteStatGroup(group, StatsInput{cache, stats, options, *clock_}, sink);
}

Options TcpServer::CurrentOptions() const {
  Options options = options_;
  cache_->Live().CopyTo(&options.cache);
  const tiering::AdminSettings& admin = cache_->Admin().Settings();
  admin.CopyTo(&options.cache);
  options.accepted.lru_crawler_tocrawl = admin.lru_crawler_tocrawl.Get();
  options.accepted.slab_automove_freeratio = admin.slab_automove_freeratio.Get();
  options.cache.track_sizes = cache_->Admin().TracksSizes();
  options.server.detail_enabled = prefixes_.IsOn();
  return options;
}

Status TcpServer::ChangeSetting(std::string_view name, std::string_view value) {
  const MutexLock lock(change_mutex_);
  Options options = CurrentOptions();
  TERRACED_RETURN_IF_ERROR(ChangeOption(name, value, &options));
  TERRACED_RETURN_IF_ERROR(cache_->ChangeSettings(options.cache));
  Log::Write(LogLevel::kVerbose, "setting changed: %s %s", std::string(name).c_str(),
             std::string(value).c_str());
  return Status();
}

void TcpServer::ResetStats() {
  cache_->ResetStats();
  const MutexLock lock(mutex_);
  reset_ = Collect();
}

}  // namespace

Result<std::unique_ptr<Server>> Server::Bind(const Options& options, std::unique_ptr<Tls> tls) {
  TERRACED_ASSIGN_OR_RETURN(std::vector<ListeningSocket> sockets, BindAll(options.server));
  TERRACED_ASSIGN_OR_RETURN(std::vector<ListeningSocket> udp_sockets, BindUdp(options.server));
  return std::unique_ptr<Server>(
      new TcpServer(options, std::move(sockets), std::move(udp_sockets), std::move(tls)));
}

}  // namespace terraced::server
