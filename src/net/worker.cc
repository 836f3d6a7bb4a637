#include "src/net/worker.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "storage/base/log.h"
#include "storage/base/start_thread.h"

namespace terraced::server {
namespace {

constexpr size_t kConnectionsAtOnce = 32;        // whose first keys are prefetched together
constexpr timeval kNextPass = {0, 0};            // after epoll was asked again
constexpr uint64_t kFinishedBytes = 1U << 20;    // of large values from flash answered in one pass
constexpr timeval kRoomRetry = {0, 1'000};       // how soon a store command asks for room again
constexpr timeval kDeadlineCheck = {0, 50'000};  // how late a flash deadline may be noticed
constexpr timeval kIdleCheck = {1, 0};
constexpr size_t kUdpExchangesMax = 1'024;  // under way at the same time

}  // namespace

// A socket on its way from the listener.
struct Worker::Arrival final : Completion {
  Arrival(Worker& of, int socket, const ListeningSocket* from)
      : worker(of), fd(socket), origin(from) {}
  void Run() override {
    const std::unique_ptr<Arrival> self(this);
    worker.Add(fd, origin);
  }
  Worker& worker;
  const int fd;
  const ListeningSocket* const origin;
};

// `debug demote` under way. It outlives its connection if need be.
struct Worker::Demotion final : Completion {
  Demotion(Worker& of, Connection* by) : worker(of), connection(by) {}
  void Run() override {
    const std::unique_ptr<Demotion> self(this);
    std::erase(worker.demotions_, this);
    if (connection != nullptr) connection->DemoteDone();
  }
  Worker& worker;
  Connection* connection;
};

// `lru_crawler metadump` under way. It outlives its connection while a piece of it is being made.
struct Worker::Dump final : Completion {
  Dump(Worker& of, Connection* by) : worker(of), connection(by) {}
  void Run() override {
    asked = false;
    if (connection == nullptr) {
      worker.EndDump();
      return;
    }
    Connection& to = *connection;
    to.AddDumpPiece(piece);
    if (piece.last) worker.EndDump();
    to.FlushReplies();
  }
  Worker& worker;
  Connection* connection;
  tiering::DumpPiece piece;
  bool asked = false;
};

// One for all lines that came meanwhile. Connections that close are destroyed at the end of the round only.
void Worker::Lines::Run() {
  worker.lines_posted_.exchange(false);
  const std::vector<Connection*> watching = worker.watching_;
  for (Connection* const connection : watching) connection->SendLines();
}

void Worker::LinesReady() {
  if (!lines_posted_.exchange(true)) Post(&lines_);
}

WatcherHost& Worker::Watches(Connection& connection) {
  watching_.push_back(&connection);
  return *this;
}

void Worker::Stop::Run() {
  worker.stopping_ = true;
  for (const std::unique_ptr<UdpPort>& port : worker.udp_) port->StopReading();
  worker.CloseAll();
}

Result<std::unique_ptr<Worker>> Worker::Create(const CommandContext& context,
                                               ConnectionCounters& connections,
                                               ReplyBudget& replies,
                                               std::function<void()> on_leave) {
  std::unique_ptr<Worker> worker(new Worker(context, connections, replies, std::move(on_leave)));
  TERRACED_RETURN_IF_ERROR(worker->Open());
  return worker;
}

Worker::Worker(const CommandContext& context, ConnectionCounters& connections, ReplyBudget& replies,
               std::function<void()> on_leave)
    : context_(context),
      connections_count_(connections),
      on_leave_(std::move(on_leave)),
      account_(replies),
      replies_(context.clock),
      fills_(context.cache.Reader(), *this),
      stop_(*this),
      lines_(*this) {}

Status Worker::Open() {
  mailbox_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (mailbox_fd_ < 0) return Status::FromErrno("eventfd of a worker", errno);
  base_ = MakeEventBase();
  if (base_ == nullptr) return Status(StatusCode::kIoError, "no event loop for a worker");
  says_changes_ = (event_base_get_features(base_.get()) & EV_FEATURE_ET) != 0;
  mailbox_event_.reset(event_new(base_.get(), mailbox_fd_, EV_READ | EV_PERSIST, &OnMailbox, this));
  received_event_.reset(event_new(base_.get(), -1, 0, &OnReceived, this));
  completed_event_.reset(event_new(base_.get(), -1, 0, &OnCompleted, this));
  round_end_.reset(event_new(base_.get(), -1, 0, &OnRoundEnd, this));
  turns_event_.reset(event_new(base_.get(), -1, 0, &OnTurns, this));
  room_timer_.reset(event_new(base_.get(), -1, 0, &OnRoomTimer, this));
  deadline_timer_.reset(event_new(base_.get(), -1, 0, &OnDeadlineTimer, this));
  idle_timer_.reset(event_new(base_.get(), -1, EV_PERSIST, &OnIdleTimer, this));
  event_add(mailbox_event_.get(), nullptr);
  if (context_.options.idle_timeout_s > 0) event_add(idle_timer_.get(), &kIdleCheck);
  return Status();
}

Worker::~Worker() {
  TERRACED_CHECK(!thread_.joinable());
  if (mailbox_fd_ >= 0) ::close(mailbox_fd_);
}

void Worker::UseTls(Tls& tls) {
  tls_ = &tls;
  tls_scratch_.resize(context_.options.tls.write_buffer_bytes);
  event_add(idle_timer_.get(), &kIdleCheck);
}

void Worker::AddUdp(const ListeningSocket& socket) {
  udp_.push_back(std::make_unique<UdpPort>(socket.Fd(), static_cast<UdpHost&>(*this)));
  udp_.back()->Watch(base_.get());
}

Status Worker::Start() {
  TERRACED_ASSIGN_OR_RETURN(thread_, StartThread("worker", [this] { Loop(); }));
  return Status();
}

void Worker::Loop() {
  event_base_loop(base_.get(), EVLOOP_NO_EXIT_ON_EMPTY);
}

void Worker::Adopt(int fd, const ListeningSocket* origin) {
  Post(new Arrival(*this, fd, origin));
}

void Worker::BeginStop() {
  Post(&stop_);
}

void Worker::Join() {
  if (thread_.joinable()) thread_.join();
}

// --- Mailbox --------------------------------------------------------------------------------------

void Worker::Post(Completion* first) {
  Completion* last = first;
  while (last->next != nullptr) last = last->next;
  const MutexLock lock(mutex_);
  const bool was_empty = mail_first_ == nullptr;
  (was_empty ? mail_first_ : mail_last_->next) = first;
  mail_last_ = last;
  if (!was_empty) return;
  // Inside the lock, so that the worker cannot have ended in between. An eventfd that says its counter is
  // full wakes the worker just as well.
  const uint64_t one = 1;
  const ssize_t written = ::write(mailbox_fd_, &one, sizeof(one));
  static_cast<void>(written);
}

void Worker::OnMailbox(int fd, short, void* worker) {
  uint64_t posts = 0;
  const ssize_t bytes = ::read(fd, &posts, sizeof(posts));
  static_cast<void>(bytes);
  static_cast<Worker*>(worker)->DrainMailbox();
}

void Worker::DrainMailbox() {
  Completion* mail = nullptr;
  {
    const MutexLock lock(mutex_);
    mail = std::exchange(mail_first_, nullptr);
    mail_last_ = nullptr;
  }
  while (mail != nullptr) {
    Completion* const next = std::exchange(mail->next, nullptr);
    mail->Run();
    mail = next;
  }
  FinishCompleted();
  MaybeLeave();
}

// --- Connections ----------------------------------------------------------------------------------

void Worker::Add(int fd, const ListeningSocket* origin) {
  if (stopping_) {
    ::close(fd);
    connections_count_.current.fetch_sub(1);
    return;
  }
  auto connection = std::make_unique<Connection>(static_cast<ConnectionHost&>(*this), fd,
                                                 MakeTransport(fd, origin));
  connection->watch = event_new(base_.get(), fd, EV_READ | EV_PERSIST, &OnSocket, connection.get());
  TERRACED_CHECK(connection->watch != nullptr);
  event_add(connection->watch, nullptr);
  if (Log::On(LogLevel::kDebug)) {
    Log::Write(LogLevel::kDebug, "<%d new auto-negotiating client connection", fd);
  }
  connection->origin = origin;
  Keep(std::move(connection));
}

void Worker::Keep(std::unique_ptr<Connection> connection) {
  const ListeningSocket* const origin = connection->origin;
  connection->Speak(origin != nullptr ? origin->Protocol(context_.options)
                                      : context_.options.binding_protocol);
  connection->index = connections_.size();
  connections_.push_back(std::move(connection));
}

// A connection without events of its own: it reads all there is at once, and answers whenever it can.
bool Worker::BeginExchange(UdpPort& port, const UdpPeer& peer, const UdpRequest& request) {
  if (!IsAllowed(context_.options.allow, peer.address)) {
    connections_count_.rejected_by_address.fetch_add(1);
    return true;
  }
  if (udp_exchanges_ >= kUdpExchangesMax) return false;
  auto exchange =
      std::make_unique<UdpExchange>(port, peer, request, context_.options.reply_bytes_max);
  auto connection = std::make_unique<Connection>(static_cast<ConnectionHost&>(*this), port.Fd(),
                                                 std::move(exchange));
  connection->Speak(context_.options.binding_protocol);
  Connection& begun = *connection;
  ++udp_exchanges_;
  Keep(std::move(connection));
  begun.OnReadable();
  return true;
}

std::unique_ptr<Transport> Worker::MakeTransport(int fd, const ListeningSocket* origin) {
  if (tls_ == nullptr || origin == nullptr || origin->Family() == SocketFamily::kUnix)
    return nullptr;
  const ListenTls mode = origin->Traits().tls;
  if (mode == ListenTls::kOff) return nullptr;
  const uint32_t deadline_s = context_.clock.NowS() + context_.options.tls.handshake_timeout_s;
  return tls_->Accept(fd, mode, deadline_s, tls_scratch_, counters_);
}

void Worker::OnSocket(int, short what, void* argument) {
  auto& connection = *static_cast<Connection*>(argument);
  if ((what & EV_READ) != 0) {
    static_cast<Worker&>(connection.Host()).Received(connection);
  } else if ((what & EV_WRITE) != 0) {
    connection.OnWritable();
  }
}

// Requests of all connections that are readable in this pass are run behind each other, so that the keys of all can be
// prefetched before the first is looked up.
void Worker::Received(Connection& connection) {
  connection.Receive();
  if (connection.IsClosed()) return;
  if (received_.empty()) event_active(received_event_.get(), EV_TIMEOUT, 1);
  received_.push_back(&connection);
}

void Worker::OnReceived(int, short, void* worker) {
  static_cast<Worker*>(worker)->RunReceived();
}

void Worker::RunReceived() {
  for (size_t begin = 0; begin < received_.size(); begin += kConnectionsAtOnce) {
    const size_t end = std::min(begin + kConnectionsAtOnce, received_.size());
    if (end - begin > 1) PrefetchKeys(begin, end);
    for (size_t i = begin; i < end; ++i) {
      if (received_[i] != nullptr) received_[i]->RunReceived();
    }
  }
  received_.clear();
}

void Worker::PrefetchKeys(size_t begin, size_t end) {
  first_keys_.clear();
  for (size_t i = begin; i < end; ++i) {
    const std::string_view key =
        received_[i] == nullptr ? std::string_view() : received_[i]->NextKey();
    if (!key.empty()) first_keys_.push_back({key, context_.cache.HashOf(key)});
  }
  context_.cache.Prefetch(first_keys_);
}

void Worker::SetInterest(Connection& connection, bool read, bool write) {
  if (connection.watch == nullptr) return;  // an exchange over UDP
  event_del(connection.watch);
  const int wanted = (read ? EV_READ : 0) | (write ? EV_WRITE : 0);
  if (wanted == 0) {
    WatchForEnd(connection);
    return;
  }
  event_assign(connection.watch, base_.get(), connection.Fd(),
               static_cast<short>(wanted | EV_PERSIST), &OnSocket, &connection);
  event_add(connection.watch, nullptr);
}

// A connection that waits for flash is not read, and without this a client that has gone would be noticed when all is
// read that it asked for, and hold memory for it until then. Whatever its client sends says so once and not, like other
// events, until it has been read.
void Worker::WatchForEnd(Connection& connection) {
  if (connection.IsClosed() || !says_changes_) return;
  event_assign(connection.watch, base_.get(), connection.Fd(), EV_READ | EV_PERSIST | EV_ET,
               &OnGone, &connection);
  event_add(connection.watch, nullptr);
}

// Only an end of both directions counts: who will not send any more may still read what it asked for.
void Worker::OnGone(int fd, short, void* argument) {
  pollfd ends = {.fd = fd, .events = 0, .revents = 0};
  if (poll(&ends, 1, 0) == 1 && (ends.revents & (POLLERR | POLLHUP)) != 0) {
    static_cast<Connection*>(argument)->CloseFor(CloseReason::kError);
  }
}

void Worker::Closed(Connection& connection) {
  const bool is_exchange = connection.watch == nullptr;
  if (!is_exchange) event_free(std::exchange(connection.watch, nullptr));
  for (std::vector<Connection*>* list :
       {&received_, &run_soon_, &turns_, &room_waiters_, &retrying_}) {
    std::replace(list->begin(), list->end(), &connection, static_cast<Connection*>(nullptr));
  }
  for (Demotion* demotion : demotions_) {
    if (demotion->connection == &connection) demotion->connection = nullptr;
  }
  if (connection.WaitsForHost()) context_.control.Tours().Forget(connection);
  if (dump_ != nullptr && dump_->connection == &connection) {
    dump_->connection = nullptr;
    if (!dump_->asked) EndDump();
  }
  std::erase(watching_, &connection);
  const size_t index = connection.index;
  closed_.push_back(std::move(connections_[index]));
  if (index + 1 < connections_.size()) {
    connections_[index] = std::move(connections_.back());
    connections_[index]->index = index;
  }
  connections_.pop_back();
  ActivateRoundEnd();
  if (is_exchange) {
    --udp_exchanges_;
    return;
  }
  connections_count_.current.fetch_sub(1);
  on_leave_();
}

void Worker::CloseAll() {
  while (!connections_.empty()) connections_.back()->CloseFor(CloseReason::kShutdown);
}

void Worker::KickIdle() {
  const uint32_t now_s = context_.clock.NowS();
  std::vector<Connection*> idle;
  for (const std::unique_ptr<Connection>& connection : connections_) {
    const ListeningSocket* const origin = connection->origin;
    if (!connection->IsIdle()) continue;
    // As in memcached, whose clients on the same machine may be as quiet as they like.
    if (origin != nullptr && origin->Family() == SocketFamily::kUnix) continue;
    if (connection->LastHeardS() + context_.options.idle_timeout_s < now_s)
      idle.push_back(connection.get());
  }
  for (Connection* connection : idle) {
    counters_.idle_kicks.Add(1);
    connection->CloseFor(CloseReason::kIdleTimeout);
  }
}

void Worker::KickUnshaken() {
  const uint32_t now_s = context_.clock.NowS();
  std::vector<Connection*> late;
  for (const std::unique_ptr<Connection>& connection : connections_) {
    const uint32_t deadline_s = connection->DeadlineS();
    if (deadline_s != 0 && deadline_s < now_s) late.push_back(connection.get());
  }
  for (Connection* connection : late) {
    counters_.tls_handshake_errors.Add(1);
    connection->Close();
  }
}

void Worker::OnIdleTimer(int, short, void* argument) {
  auto& worker = *static_cast<Worker*>(argument);
  if (worker.context_.options.idle_timeout_s > 0) worker.KickIdle();
  if (worker.tls_ != nullptr) worker.KickUnshaken();
}

// --- The end of a round ---------------------------------------------------------------------------

// libevent runs an activated event after those that are active already: that is the end of the round.
void Worker::ActivateRoundEnd() {
  if (std::exchange(round_end_active_, true)) return;
  event_active(round_end_.get(), EV_TIMEOUT, 1);
}

void Worker::OnRoundEnd(int, short, void* worker) {
  static_cast<Worker*>(worker)->EndRound();
}

void Worker::EndRound() {
  round_end_active_ = false;
  fills_.Submit();
  closed_.clear();
  account_.Publish();
  ShowBuffers();
  MaybeLeave();
}

void Worker::ShowBuffers() {
  counters_.read_buf_count.Set(buffers_.Taken() + buffers_.Kept());
  counters_.read_buf_bytes.Set(buffers_.TakenBytes() + buffers_.Kept() * BufferPool::kBlockBytes);
}

// Those that give way have one more turn at the end of this round, and then one in each pass of the loop. libevent
// would run an event that is activated by its own callback before it asks epoll again, and whoever has only bytes
// in the kernel would wait for all that is buffered; a timer that is due at once comes after epoll.
void Worker::RunSoon(Connection& connection) {
  if (run_soon_.empty()) {
    if (running_turns_) {
      event_add(turns_event_.get(), &kNextPass);
    } else {
      event_active(turns_event_.get(), EV_TIMEOUT, 1);
    }
  }
  run_soon_.push_back(&connection);
}

void Worker::OnTurns(int, short, void* worker) {
  static_cast<Worker*>(worker)->RunTurns();
}

void Worker::RunTurns() {
  running_turns_ = true;
  turns_.swap(run_soon_);
  for (size_t i = 0; i < turns_.size(); ++i) {
    if (turns_[i] != nullptr) turns_[i]->Run();
  }
  turns_.clear();
  running_turns_ = false;
  ShowBuffers();
}

// --- Room for stores ------------------------------------------------------------------------------

void Worker::RetryRoomSoon(Connection& connection) {
  if (room_waiters_.empty()) event_add(room_timer_.get(), &kRoomRetry);
  room_waiters_.push_back(&connection);
}

void Worker::OnRoomTimer(int, short, void* worker) {
  static_cast<Worker*>(worker)->RetryRooms();
}

void Worker::RetryRooms() {
  // Those that wait again arm the timer again.
  retrying_.swap(room_waiters_);
  for (size_t i = 0; i < retrying_.size(); ++i) {
    if (retrying_[i] != nullptr) retrying_[i]->RetryRoom();
  }
  retrying_.clear();
}

// --- Flash ----------------------------------------------------------------------------------------

void Worker::Want(Suspended& suspended) {
  if (fills_.Waiting() == 0) event_add(deadline_timer_.get(), &kDeadlineCheck);
  fills_.Want(suspended.request.key, suspended.evidence.need, &suspended, suspended.deadline_us,
              &suspended.connection.Asker());
  ActivateRoundEnd();
}

void Worker::Cancel(Suspended& suspended) {
  fills_.Cancel(&suspended);
  std::replace(completed_.begin(), completed_.end(), &suspended, static_cast<Suspended*>(nullptr));
}

void Worker::Completed(Suspended& suspended) {
  completed_.push_back(&suspended);
}

void Worker::OnCompleted(int, short, void* worker) {
  static_cast<Worker*>(worker)->FinishCompleted();
}

// Commands run again outside the queue's own loops, and each connection sends once for all of its fills. Copying large
// values and sending them takes long, and the readers may bring many at once: others have their turn in between.
void Worker::FinishCompleted() {
  FinishSome(false);
  FinishSome(true);
  std::erase(completed_, nullptr);
  if (!completed_.empty()) event_add(completed_event_.get(), &kNextPass);
  for (Connection* connection : answered_) connection->FlushReplies();
  answered_.clear();
}

void Worker::FinishSome(bool large) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < completed_.size() && bytes < kFinishedBytes; ++i) {
    if (completed_[i] == nullptr) continue;
    const uint64_t value_bytes =
        completed_[i]->fill == nullptr ? 0 : completed_[i]->fill->ValueBytes();
    if (large != (value_bytes > tiering::kCopyBytesMax)) continue;
    if (large) bytes += value_bytes;
    Suspended& suspended = *std::exchange(completed_[i], nullptr);
    Connection& connection = suspended.connection;
    connection.FinishSuspended(suspended);
    if (std::find(answered_.begin(), answered_.end(), &connection) == answered_.end()) {
      answered_.push_back(&connection);
    }
  }
}

void Worker::OnDeadlineTimer(int, short, void* worker) {
  static_cast<Worker*>(worker)->ExpireFills();
}

void Worker::ExpireFills() {
  fills_.ExpireUntil(MonotonicUs());
  FinishCompleted();
  if (fills_.Waiting() > 0) event_add(deadline_timer_.get(), &kDeadlineCheck);
}

void Worker::Demote(Connection& connection) {
  auto* const demotion = new Demotion(*this, &connection);
  demotions_.push_back(demotion);
  context_.cache.DemoteAll(*this, demotion);
}

void Worker::ListConnections(Connection& connection) {
  context_.control.Tours().Ask(*this, connection);
}

void Worker::DescribeConnections(std::vector<ConnectionView>* views) const {
  const uint32_t now_s = context_.clock.NowS();
  for (const std::unique_ptr<Connection>& connection : connections_) {
    if (connection->watch == nullptr) continue;  // an exchange over UDP, under its socket's number
    const ListeningSocket* const origin = connection->origin;
    views->push_back({.fd = connection->Fd(),
                      .address = PeerStatsName(connection->Fd(), origin),
                      .listen_address = origin == nullptr ? "" : StatsName(*origin),
                      .state = connection->StateName(),
                      .idle_s = now_s - connection->LastHeardS(),
                      .is_udp = false});
  }
}

// --- The end --------------------------------------------------------------------------------------

void Worker::AskDump(Connection& connection) {
  if (dump_ == nullptr) dump_ = std::make_unique<Dump>(*this, &connection);
  dump_->asked = true;
  context_.cache.Admin().NextDumpPiece(&dump_->piece, *this, dump_.get());
}

void Worker::EndDump() {
  context_.cache.Admin().EndDump();
  dump_.reset();
}

// What readers and demoter still hold points into this worker: it leaves when the last of it has come back.
void Worker::MaybeLeave() {
  if (!stopping_) return;
  fills_.Submit();
  if (fills_.Idle() && demotions_.empty() && dump_ == nullptr) {
    closed_.clear();
    event_base_loopbreak(base_.get());
  }
}

}  // namespace terraced::server
