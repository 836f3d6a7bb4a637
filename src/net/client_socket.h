// ClientSocket: what a connection reads from and writes to: a socket, and where its bytes are not what goes over the
// wire a Transport between them (TLS, an exchange over UDP). Without one each call is one system call.
// Threads: belongs to a connection's worker. Ownership: owns the transport, which says what becomes of the descriptor;
// without one Close() closes it. Nothing is closed by the destructor.
// Errors: as the system calls: -1 and errno, EAGAIN where nothing can be done now.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

namespace terraced::server {

class Transport {
 public:
  virtual ~Transport() = default;
  // As readv and sendmsg of a non-blocking socket; a read of 0 bytes is the end of what the client sends.
  virtual ssize_t Read(std::span<const iovec> pieces) = 0;
  virtual ssize_t Write(std::span<const iovec> pieces) = 0;
  // There is something to read for which the socket need not become readable any more.
  virtual bool HasBuffered() const = 0;
  // It takes what is written whenever that is, and no event says so.
  virtual bool TakesMore() const = 0;
  // Reading goes on when the socket is writable, and not before.
  virtual bool ReadWantsWrite() const = 0;
  // A client that has not got so far by then that it can ask for anything is hung up on. 0: it has.
  virtual uint32_t DeadlineS() const { return 0; }
  // A datagram that is answered once: no client is connected.
  virtual bool IsExchange() const { return false; }
  // Everything was answered; Close() comes next.
  virtual void Finish() = 0;
  virtual void Close(int fd) = 0;
};

class ClientSocket {
 public:
  explicit ClientSocket(int fd, std::unique_ptr<Transport> transport = nullptr)
      : fd_(fd), transport_(std::move(transport)) {}
  ClientSocket(ClientSocket&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), transport_(std::move(other.transport_)) {}
  ClientSocket& operator=(ClientSocket&&) = delete;

  int Fd() const { return fd_; }
  bool IsClosed() const { return fd_ < 0; }

  ssize_t Read(std::span<const iovec> pieces) {
    if (transport_ != nullptr) [[unlikely]]
      return transport_->Read(pieces);
    return pieces.size() == 1 ? recv(fd_, pieces[0].iov_base, pieces[0].iov_len, 0)
                              : readv(fd_, pieces.data(), static_cast<int>(pieces.size()));
  }
  ssize_t Write(std::span<const iovec> pieces) {
    if (transport_ != nullptr) [[unlikely]]
      return transport_->Write(pieces);
    return SendPieces(fd_, pieces);
  }
  bool HasBuffered() const { return transport_ != nullptr && transport_->HasBuffered(); }
  bool TakesMore() const { return transport_ != nullptr && transport_->TakesMore(); }
  bool ReadWantsWrite() const { return transport_ != nullptr && transport_->ReadWantsWrite(); }
  bool IsExchange() const { return transport_ != nullptr && transport_->IsExchange(); }
  uint32_t DeadlineS() const { return transport_ == nullptr ? 0 : transport_->DeadlineS(); }
  void Finish() {
    if (transport_ != nullptr) transport_->Finish();
  }
  void Close() {
    const int fd = std::exchange(fd_, -1);
    if (transport_ == nullptr) {
      ::close(fd);
    } else {
      transport_->Close(fd);
    }
  }

 private:
  // One piece is the rule, and costs the kernel less as such.
  static ssize_t SendPieces(int fd, std::span<const iovec> pieces) {
    if (pieces.size() == 1) return send(fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());
    message.msg_iovlen = pieces.size();
    return sendmsg(fd, &message, MSG_NOSIGNAL);
  }

  int fd_;
  std::unique_ptr<Transport> transport_;
};

}  // namespace terraced::server
