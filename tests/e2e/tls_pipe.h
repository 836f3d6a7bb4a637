// TlsPipe: a TLS client of the real OpenSSL on one side, a plain socket on the other: a Client that is adopted there
// speaks to a server's TLS port without knowing it.
// Threads: one of its own, which moves the bytes. Ownership: ends when either side does; the destructor waits for that.
// Errors: a handshake that fails is Error(), and the plain side is closed.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "storage/base/check.h"
#include "tests/support/client.h"

namespace terraced {

inline int ConnectPlain(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<uint16_t>(port));
  TERRACED_CHECK(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0);
  return fd;
}

struct TlsPipeSpec {
  int port = 0;
  std::string certificate = {};  // of the client; empty: none
  std::string key = {};
  int version_max = 0;             // 0: OpenSSL's
  SSL_SESSION* resumed = nullptr;  // borrowed
  bool renegotiates = false;       // asks for another handshake as soon as it has had the first
};

class TlsPipe {
 public:
  explicit TlsPipe(const TlsPipeSpec& spec) : context_(SSL_CTX_new(TLS_client_method())) {
    if (!spec.certificate.empty()) {
      TERRACED_CHECK(SSL_CTX_use_certificate_chain_file(context_, spec.certificate.c_str()) == 1 &&
                     SSL_CTX_use_PrivateKey_file(context_, spec.key.c_str(), SSL_FILETYPE_PEM) ==
                         1);
    }
    if (spec.version_max != 0) SSL_CTX_set_max_proto_version(context_, spec.version_max);
    session_ = SSL_new(context_);
    if (spec.resumed != nullptr) SSL_set_session(session_, spec.resumed);
    wire_ = ConnectPlain(spec.port);
    SSL_set_fd(session_, wire_);
    int pair[2];
    TERRACED_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    plain_ = pair[0];
    outside_ = pair[1];
    is_open_ = SSL_connect(session_) == 1;
    if (is_open_ && spec.renegotiates) {
      renegotiated_ = SSL_renegotiate(session_) == 1 && SSL_do_handshake(session_) == 1;
    }
    if (!is_open_) ::shutdown(plain_, SHUT_RDWR);
    ::fcntl(wire_, F_SETFL, ::fcntl(wire_, F_GETFL) | O_NONBLOCK);
    if (is_open_) mover_ = std::thread([this] { Move(); });
  }
  ~TlsPipe() {
    ::shutdown(plain_, SHUT_RDWR);
    if (mover_.joinable()) mover_.join();
    ERR_clear_error();
    SSL_free(session_);
    SSL_CTX_free(context_);
    ::close(plain_);
    ::close(wire_);
    if (outside_ >= 0) ::close(outside_);
  }
  TlsPipe(const TlsPipe&) = delete;
  TlsPipe& operator=(const TlsPipe&) = delete;

  bool IsOpen() const { return is_open_; }
  // Once.
  std::unique_ptr<support::Client> Adopt() {
    return support::Client::Adopt(std::exchange(outside_, -1));
  }
  bool WasResumed() const { return SSL_session_reused(session_) == 1; }
  bool WasRenegotiated() const { return renegotiated_; }
  std::string Version() const { return SSL_get_version(session_); }
  SSL_SESSION* Session() const { return SSL_get1_session(session_); }  // the caller frees it
  // The name in the server's certificate.
  std::string ServerName() const {
    X509* const certificate = SSL_get1_peer_certificate(session_);
    std::array<char, 256> name{};
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name.data(),
                              static_cast<int>(name.size()));
    X509_free(certificate);
    return name.data();
  }

 private:
  void Wait(short wire_events, bool with_plain) const {
    std::array<pollfd, 2> ends = {{{wire_, wire_events, 0}, {plain_, POLLIN, 0}}};
    poll(ends.data(), with_plain ? 2 : 1, 1'000);
  }
  // False: the server has gone.
  bool SendAll(std::string_view bytes) {
    while (!bytes.empty()) {
      size_t sent = 0;
      const int result = SSL_write_ex(session_, bytes.data(), bytes.size(), &sent);
      if (result == 1) {
        bytes.remove_prefix(sent);
        continue;
      }
      if (SSL_get_error(session_, result) != SSL_ERROR_WANT_WRITE) return false;
      // The server may be waiting for us to read.
      if (!Receive()) return false;
      Wait(POLLIN | POLLOUT, false);
    }
    return true;
  }
  bool Receive() {
    std::array<char, 64U << 10> buffer;
    while (true) {
      size_t got = 0;
      const int result = SSL_read_ex(session_, buffer.data(), buffer.size(), &got);
      if (result != 1) return SSL_get_error(session_, result) == SSL_ERROR_WANT_READ;
      for (size_t at = 0; at < got;) {
        const ssize_t sent = send(plain_, buffer.data() + at, got - at, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        at += static_cast<size_t>(sent);
      }
    }
  }
  void Move() {
    std::array<char, 64U << 10> buffer;
    while (true) {
      if (!Receive()) break;
      const ssize_t got = recv(plain_, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got == 0) break;
      if (got > 0) {
        if (!SendAll({buffer.data(), static_cast<size_t>(got)})) break;
        continue;
      }
      Wait(POLLIN, true);
    }
    ::shutdown(plain_, SHUT_RDWR);
    ::shutdown(wire_, SHUT_WR);
  }

  SSL_CTX* const context_;
  SSL* session_ = nullptr;
  int wire_ = -1;
  int plain_ = -1;
  int outside_ = -1;
  bool is_open_ = false;
  bool renegotiated_ = false;
  std::thread mover_;
};

}  // namespace terraced
