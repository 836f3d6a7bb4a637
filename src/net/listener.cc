#include "src/net/listener.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "storage/base/clock.h"
#include "storage/base/log.h"
#include "storage/base/start_thread.h"

namespace terraced::server {
namespace {

constexpr timeval kBackOff = {0, 100'000};
constexpr uint64_t kSayAgainUs = 60'000'000;
constexpr int kAcceptsPerEvent = 64;
constexpr std::string_view kTooMany = "ERROR Too many open connections\r\n";

bool IsShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

void SetOption(int fd, int level, int name) {
  const int on = 1;
  // A socket without it (it may be gone already) works all the same.
  static_cast<void>(setsockopt(fd, level, name, &on, sizeof(on)));
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::Create(const ServerOptions& options,
                                                   std::vector<ListeningSocket> sockets,
                                                   ConnectionCounters& counters) {
  std::unique_ptr<Listener> listener(new Listener(options, std::move(sockets), counters));
  TERRACED_RETURN_IF_ERROR(listener->Open());
  return listener;
}

Status Listener::Open() {
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd_ < 0) return Status::FromErrno("eventfd of the listener", errno);
  base_ = MakeEventBase();
  if (base_ == nullptr) return Status(StatusCode::kIoError, "no event loop for the listener");
  wake_event_.reset(event_new(base_.get(), wake_fd_, EV_READ | EV_PERSIST, &OnWake, this));
  back_off_timer_.reset(event_new(base_.get(), -1, 0, &OnBackOffOver, this));
  event_add(wake_event_.get(), nullptr);
  for (const ListeningSocket& socket : sockets_) {
    EventPtr event(event_new(base_.get(), socket.Fd(), EV_READ | EV_PERSIST, &OnSocket, this));
    event_add(event.get(), nullptr);
    events_.push_back(std::move(event));
  }
  return Status();
}

Listener::~Listener() {
  Stop();
  if (wake_fd_ >= 0) ::close(wake_fd_);
}

Status Listener::Start(std::function<void(int, const ListeningSocket&)> adopt) {
  adopt_ = std::move(adopt);
  TERRACED_ASSIGN_OR_RETURN(thread_, StartThread("listener", [this] {
                              event_base_loop(base_.get(), EVLOOP_NO_EXIT_ON_EMPTY);
                            }));
  return Status();
}

void Listener::Stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  Wake();
  thread_.join();
}

void Listener::Wake() {
  const uint64_t one = 1;
  const ssize_t written = ::write(wake_fd_, &one, sizeof(one));
  static_cast<void>(written);
}

void Listener::OnWake(int fd, short, void* argument) {
  auto& listener = *static_cast<Listener*>(argument);
  uint64_t wakes = 0;
  const ssize_t bytes = ::read(fd, &wakes, sizeof(wakes));
  static_cast<void>(bytes);
  if (listener.stopping_.load()) {
    event_base_loopbreak(listener.base_.get());
  } else if (!listener.IsFull() && !listener.backing_off_) {
    listener.SetAccepting(true);
  }
}

void Listener::OnBackOffOver(int, short, void* argument) {
  auto& listener = *static_cast<Listener*>(argument);
  listener.backing_off_ = false;
  if (!listener.IsFull()) listener.SetAccepting(true);
}

bool Listener::IsFull() const {
  return !options_.maxconns_fast && counters_.current.load() >= options_.connections_max;
}

void Listener::SetAccepting(bool accepting) {
  if (counters_.accepting.exchange(accepting) == accepting) return;
  for (const EventPtr& event : events_) {
    if (accepting) {
      event_add(event.get(), nullptr);
    } else {
      event_del(event.get());
    }
  }
  if (accepting) {
    counters_.listen_disabled_us.fetch_add(MonotonicUs() - disabled_since_us_);
  } else {
    disabled_since_us_ = MonotonicUs();
    counters_.listen_disabled.fetch_add(1);
    // Somebody may have left before `accepting` was taken back, and not seen it.
    Wake();
  }
}

void Listener::OnSocket(int fd, short, void* argument) {
  auto& listener = *static_cast<Listener*>(argument);
  for (const ListeningSocket& socket : listener.sockets_) {
    if (socket.Fd() == fd) listener.Accept(socket);
  }
}

void Listener::Accept(const ListeningSocket& socket) {
  for (int i = 0; i < kAcceptsPerEvent && counters_.accepting.load(); ++i) {
    if (IsFull()) {
      SetAccepting(false);
      return;
    }
    sockaddr_storage peer{};
    socklen_t length = sizeof(peer);
    const int fd = accept4(socket.Fd(), reinterpret_cast<sockaddr*>(&peer), &length,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0 && !IsAllowed(options_.allow, peer)) {
      counters_.rejected_by_address.fetch_add(1);
      ::close(fd);
      continue;
    }
    if (fd >= 0) {
      Take(fd, socket);
      continue;
    }
    const int error = errno;
    if (IsShortage(error)) BackOff(error);
    // Anything else (a client that has gone again, no more clients) is over with this event.
    if (error != EINTR && error != ECONNABORTED) return;
  }
}

void Listener::Take(int fd, const ListeningSocket& socket) {
  if (counters_.current.load() >= options_.connections_max) {
    counters_.rejected.fetch_add(1);
    const ssize_t sent = send(fd, kTooMany.data(), kTooMany.size(), MSG_NOSIGNAL);
    static_cast<void>(sent);
    ::close(fd);
    return;
  }
  if (socket.Family() != SocketFamily::kUnix) {
    SetOption(fd, IPPROTO_TCP, TCP_NODELAY);
    SetOption(fd, SOL_SOCKET, SO_KEEPALIVE);
  }
  counters_.current.fetch_add(1);
  counters_.total.fetch_add(1);
  adopt_(fd, socket);
}

void Listener::BackOff(int error) {
  const uint64_t now_us = MonotonicUs();
  if (said_us_ == 0 || now_us - said_us_ > kSayAgainUs) {
    said_us_ = now_us;
    Log::Write(LogLevel::kNotice, "cannot accept connections for now: %s", std::strerror(error));
  }
  backing_off_ = true;
  SetAccepting(false);
  event_add(back_off_timer_.get(), &kBackOff);
}

}  // namespace terraced::server
