// UdpPort: a UDP socket as one worker reads it; all workers read the same. UdpExchange: a datagram that is a request, as
// the transport of a connection of its own: the connection reads it and then the end, and what it answers is sent when
// it is complete, because each datagram of a reply says how many there are.
// Threads: belongs to a worker, but for the socket, which all share. Ownership: borrows the socket; owns replies that the
// kernel did not take at once.
// Errors: a datagram that is no request, one too many, and a reply that is too large or cannot be sent are dropped; the
// last three are counted. Sizes: a reply of up to bytes_max, and all that is left of the ReplyBudget.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "src/net/client_socket.h"
#include "src/net/event_base.h"
#include "src/net/reply_budget.h"
#include "src/net/udp_frame.h"
#include "src/net/worker_counters.h"

namespace terraced::server {

struct UdpPeer {
  sockaddr_storage address{};
  socklen_t length = 0;
};

class UdpPort;

// What a UdpPort needs of its worker.
class UdpHost {
 public:
  // A request has come. False: there are too many.
  virtual bool BeginExchange(UdpPort& port, const UdpPeer& peer, const UdpRequest& request) = 0;
  virtual ReplyAccount& Account() = 0;
  virtual WorkerCounters& Counters() = 0;

 protected:
  ~UdpHost() = default;
};

class UdpPort {
 public:
  UdpPort(int fd, UdpHost& host) : fd_(fd), host_(host) {}
  ~UdpPort();
  UdpPort(const UdpPort&) = delete;
  UdpPort& operator=(const UdpPort&) = delete;

  void Watch(event_base* base);  // from here on it reads
  void StopReading();
  int Fd() const { return fd_; }
  UdpHost& Host() const { return host_; }
  // Bytes that are in the account already, and leave it when they are sent or dropped.
  void Reply(const UdpPeer& peer, uint16_t id, std::string bytes);

 private:
  struct Outgoing {
    UdpPeer peer;
    uint16_t id = 0;
    std::string bytes;
    size_t next = 0;  // datagram
  };

  static void OnReadable(int fd, short what, void* port);
  static void OnWritable(int fd, short what, void* port);
  void Receive();
  void SendQueued();
  // Up to a turn's worth of it. False: something is left.
  bool SendSome(Outgoing* outgoing);

  const int fd_;
  UdpHost& host_;
  EventPtr readable_;
  EventPtr writable_;
  std::deque<Outgoing> outgoing_;
};

class UdpExchange final : public Transport {
 public:
  UdpExchange(UdpPort& port, const UdpPeer& peer, const UdpRequest& request, uint64_t bytes_max)
      : port_(port),
        peer_(peer),
        id_(request.id),
        request_(request.payload),
        bytes_max_(bytes_max) {}
  ~UdpExchange() override;

  ssize_t Read(std::span<const iovec> pieces) override;
  ssize_t Write(std::span<const iovec> pieces) override;
  bool HasBuffered() const override { return !ended_; }
  bool TakesMore() const override { return true; }
  bool ReadWantsWrite() const override { return false; }
  bool IsExchange() const override { return true; }
  void Finish() override;
  void Close(int) override {}  // the socket is everybody's

 private:
  UdpPort& port_;
  const UdpPeer peer_;
  const uint16_t id_;
  const std::string request_;
  const uint64_t bytes_max_;
  size_t read_ = 0;     // of the request
  bool ended_ = false;  // and so has been told
  std::string reply_;
};

}  // namespace terraced::server
