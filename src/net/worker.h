// Worker: one event loop with its connections, mailbox, timers and flash fills. A connection stays with its
// worker for life, so nothing of it is ever locked.
// Threads: everything runs on the worker's own thread except Create, Start, Adopt, Post, BeginStop, Join.
// Blocks on epoll and on shard mutexes, never on disk.
// Ownership: owns its connections; borrows what CommandContext names.
// Errors: Create's Status when the kernel gives no event loop or eventfd.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "src/net/address.h"
#include "src/net/connection.h"
#include "src/net/connection_listing.h"
#include "src/net/event_base.h"
#include "src/net/tls.h"
#include "src/net/udp_port.h"
#include "src/net/worker_counters.h"
#include "storage/base/executor.h"
#include "storage/base/mutex.h"
#include "tiering/fill.h"

namespace terraced::server {

class Worker final : public Executor, private ConnectionHost, private UdpHost, private WatcherHost {
 public:
  // `on_leave` is called (on the worker's thread) whenever a connection has gone.
  static Result<std::unique_ptr<Worker>> Create(const CommandContext& context,
                                                ConnectionCounters& connections,
                                                ReplyBudget& replies,
                                                std::function<void()> on_leave);
  ~Worker() override;

  // Before Start: connections begin with a handshake, but those of Unix sockets and of notls:.
  void UseTls(Tls& tls);
  // Before Start: a socket that all workers read, and that outlives them.
  void AddUdp(const ListeningSocket& socket);
  Status Start();
  // A non-blocking socket that came in at `origin` (which outlives it; nullptr: at none); counted in
  // ConnectionCounters::current already.
  void Adopt(int fd, const ListeningSocket* origin = nullptr);
  void Post(Completion* first) override;
  // Ends every connection; the thread ends once nothing of it is with a reader or the demoter any more.
  void BeginStop();
  void Join();
  const WorkerCounters& Counted() const { return counters_; }
  // On the worker's thread.
  void DescribeConnections(std::vector<ConnectionView>* views) const;

 private:
  struct Arrival;
  struct Demotion;
  struct Dump;
  struct Stop final : Completion {
    explicit Stop(Worker& of) : worker(of) {}
    void Run() override;
    Worker& worker;
  };

  struct Lines final : Completion {
    explicit Lines(Worker& of) : worker(of) {}
    void Run() override;
    Worker& worker;
  };

  Worker(const CommandContext& context, ConnectionCounters& connections, ReplyBudget& replies,
         std::function<void()> on_leave);
  Status Open();

  // ConnectionHost
  const CommandContext& Context() override { return context_; }
  BufferPool& Buffers() override { return buffers_; }
  WorkerCounters& Counters() override { return counters_; }
  WorkerScratch& Scratch() override { return scratch_; }
  ReplySinks& Replies() override { return replies_; }
  ReplyAccount& Account() override { return account_; }
  void SetInterest(Connection& connection, bool read, bool write) override;
  void RunSoon(Connection& connection) override;
  void RetryRoomSoon(Connection& connection) override;
  void Want(Suspended& suspended) override;
  void Cancel(Suspended& suspended) override;
  void Completed(Suspended& suspended) override;
  void Demote(Connection& connection) override;
  void ListConnections(Connection& connection) override;
  void AskDump(Connection& connection) override;
  WatcherHost& Watches(Connection& connection) override;
  void Closed(Connection& connection) override;
  // WatcherHost, called by the logger.
  void LinesReady() override;

  // UdpHost
  bool BeginExchange(UdpPort& port, const UdpPeer& peer, const UdpRequest& request) override;

  // Events
  static void OnSocket(int fd, short what, void* connection);
  static void OnGone(int fd, short what, void* connection);
  static void OnMailbox(int fd, short what, void* worker);
  static void OnReceived(int fd, short what, void* worker);
  static void OnCompleted(int fd, short what, void* worker);
  static void OnRoundEnd(int fd, short what, void* worker);
  static void OnTurns(int fd, short what, void* worker);
  static void OnRoomTimer(int fd, short what, void* worker);
  static void OnDeadlineTimer(int fd, short what, void* worker);
  static void OnIdleTimer(int fd, short what, void* worker);

  void Loop();
  void Add(int fd, const ListeningSocket* origin);
  void Keep(std::unique_ptr<Connection> connection);
  void DrainMailbox();
  void FinishCompleted();
  void FinishSome(bool large);
  void Received(Connection& connection);
  void RunReceived();
  void PrefetchKeys(size_t begin, size_t end);
  void EndRound();
  void RunTurns();
  void ShowBuffers();
  void RetryRooms();
  void ExpireFills();
  std::unique_ptr<Transport> MakeTransport(int fd, const ListeningSocket* origin);
  void KickIdle();
  void KickUnshaken();
  void CloseAll();
  void EndDump();
  void MaybeLeave();
  void WatchForEnd(Connection& connection);
  void ActivateRoundEnd();

  // Constant after construction.
  const CommandContext context_;
  ConnectionCounters& connections_count_;
  const std::function<void()> on_leave_;
  int mailbox_fd_ = -1;
  Tls* tls_ = nullptr;         // nullptr: plain text
  bool says_changes_ = false;  // of the event loop: an event can be had once for each change
  // Self-synchronised.
  WorkerCounters counters_;
  std::atomic<bool> lines_posted_{false};  // lines_ is on its way
  // The worker's thread only. Events go before their base.
  EventBasePtr base_;
  EventPtr mailbox_event_;
  EventPtr received_event_;
  EventPtr completed_event_;
  EventPtr round_end_;
  EventPtr turns_event_;
  EventPtr room_timer_;
  EventPtr deadline_timer_;
  EventPtr idle_timer_;
  BufferPool buffers_;
  ReplyAccount account_;
  WorkerScratch scratch_;
  ReplySinks replies_;
  TlsScratch tls_scratch_;
  tiering::FillQueue fills_;
  std::vector<std::unique_ptr<UdpPort>> udp_;  // outlives exchanges
  size_t udp_exchanges_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> closed_;  // destroyed at the end of the round
  std::vector<Connection*> received_;     // have read, and run when all others have read too
  std::vector<tiering::Key> first_keys_;  // scratch of PrefetchKeys
  std::vector<Connection*> run_soon_;     // gave way and wait for their turn
  std::vector<Connection*> turns_;        // those whose turn it is; empty but in RunTurns
  std::vector<Connection*> room_waiters_;
  std::vector<Connection*> retrying_;  // empty but in RetryRooms
  std::vector<Suspended*> completed_;  // their fills are back
  std::vector<Connection*> answered_;  // empty but in FinishCompleted
  std::vector<Demotion*> demotions_;
  std::unique_ptr<Dump> dump_;  // there is at most one in the daemon
  std::vector<Connection*> watching_;
  bool round_end_active_ = false;
  bool running_turns_ = false;
  bool stopping_ = false;
  Stop stop_;
  Lines lines_;
  std::thread thread_;
  // Guarded.
  Mutex mutex_;
  Completion* mail_first_ TERRACED_GUARDED_BY(mutex_) = nullptr;
  Completion* mail_last_ TERRACED_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace terraced::server
