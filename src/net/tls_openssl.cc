#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "src/net/tls.h"
#include "storage/base/check.h"
#include "storage/base/log.h"
#include "storage/base/mutex.h"

namespace terraced::server {
namespace {

// Ciphertext of one system call: several records of a large value.
constexpr size_t kReadAheadBytes = 64U << 10;

struct ContextDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<SSL_CTX, ContextDeleter>;
struct SessionDeleter {
  void operator()(SSL* session) const { SSL_free(session); }
};
using SessionPtr = std::unique_ptr<SSL, SessionDeleter>;

// The reason that OpenSSL gives for what has just failed; those behind it say where.
std::string Reason() {
  const unsigned long error = ERR_peek_error();
  ERR_clear_error();
  if (error == 0) return "unknown reason";
  if (ERR_SYSTEM_ERROR(error)) return std::strerror(static_cast<int>(ERR_GET_REASON(error)));
  const char* const reason = ERR_reason_error_string(error);
  return reason == nullptr ? "unknown reason" : reason;
}

Status Refuse(std::string_view option, const std::string& value) {
  return Status(StatusCode::kInvalidArgument,
                "-o " + std::string(option) + " " + value + ": " + Reason());
}

int VerifyFlags(uint32_t mode) {
  constexpr std::array<int, 4> kFlags = {
      SSL_VERIFY_NONE, SSL_VERIFY_PEER, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
      SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT | SSL_VERIFY_CLIENT_ONCE};
  return kFlags.at(mode);
}

int LeastVersion(uint32_t version) {
  constexpr std::array<int, 4> kVersions = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION,
                                            TLS1_3_VERSION};
  return kVersions.at(version);
}

// --- A session ------------------------------------------------------------------------------------

class TlsSession final : public Transport {
 public:
  TlsSession(SessionPtr session, uint32_t deadline_s, TlsScratch& scratch, WorkerCounters& counters)
      : session_(std::move(session)),
        deadline_s_(deadline_s),
        scratch_(scratch),
        counters_(counters) {}

  ssize_t Read(std::span<const iovec> pieces) override;
  ssize_t Write(std::span<const iovec> pieces) override;
  bool HasBuffered() const override {
    return !starved_ && (end_ != End::kNone || SSL_has_pending(session_.get()) != 0);
  }
  bool TakesMore() const override { return false; }
  bool ReadWantsWrite() const override { return read_wants_write_; }
  uint32_t DeadlineS() const override { return shaken_ ? 0 : deadline_s_; }
  void Finish() override;
  void Close(int fd) override;

 private:
  enum class End : uint8_t { kNone, kClosed, kFailed };

  bool Shake();
  void Explain(int result);
  ssize_t TellEnd();

  SessionPtr session_;
  const uint32_t deadline_s_;
  TlsScratch& scratch_;
  WorkerCounters& counters_;
  bool shaken_ = false;            // the handshake is over
  bool starved_ = true;            // what was read ahead is less than a record
  bool read_wants_write_ = false;  // of the handshake or of a key update
  End end_ = End::kNone;           // told by the next read
  int error_ = 0;                  // kFailed: its errno
};

// What a call that did not succeed leaves: something to wait for, or the end.
void TlsSession::Explain(int result) {
  const int error = errno;
  switch (SSL_get_error(session_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      starved_ = true;
      return;
    case SSL_ERROR_WANT_WRITE:
      starved_ = true;
      read_wants_write_ = true;
      return;
    case SSL_ERROR_ZERO_RETURN:
      end_ = End::kClosed;
      return;
    case SSL_ERROR_SYSCALL:
      end_ = End::kFailed;
      error_ = error == 0 || error == EAGAIN ? ECONNRESET : error;
      break;
    default:
      end_ = End::kFailed;
      error_ = EPROTO;
      if (shaken_) counters_.tls_protocol_errors.Add(1);
      break;
  }
  if (Log::On(LogLevel::kVerbose)) {
    Log::Write(LogLevel::kVerbose, "<%d TLS failed: %s", SSL_get_fd(session_.get()),
               Reason().c_str());
  }
  ERR_clear_error();
}

ssize_t TlsSession::TellEnd() {
  if (end_ == End::kClosed) return 0;
  errno = end_ == End::kFailed ? error_ : EAGAIN;
  return -1;
}

// A step of the handshake. True: it is over.
bool TlsSession::Shake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(session_.get());
  if (result == 1) {
    shaken_ = true;
    return true;
  }
  Explain(result);
  // Whoever hangs up in the middle has not shaken hands either.
  if (end_ != End::kNone) counters_.tls_handshake_errors.Add(1);
  return false;
}

ssize_t TlsSession::Read(std::span<const iovec> pieces) {
  if (end_ != End::kNone) return TellEnd();
  starved_ = false;
  read_wants_write_ = false;
  if (!shaken_ && !Shake()) return TellEnd();
  size_t total = 0;
  for (const iovec& piece : pieces) {
    size_t filled = 0;
    while (filled < piece.iov_len) {
      // Once something was read, only what is here already: another system call is another event's.
      if (total > 0 && SSL_has_pending(session_.get()) == 0) return static_cast<ssize_t>(total);
      ERR_clear_error();
      size_t got = 0;
      const int result = SSL_read_ex(session_.get(), static_cast<char*>(piece.iov_base) + filled,
                                     piece.iov_len - filled, &got);
      if (result != 1) {
        Explain(result);
        return total > 0 ? static_cast<ssize_t>(total) : TellEnd();
      }
      filled += got;
      total += got;
    }
  }
  return static_cast<ssize_t>(total);
}

// One record: either out of a large piece, or of small ones put together. What the kernel did not take of a record stays
// with OpenSSL, which wants at least the same bytes again: the reply queue's front never changes.
ssize_t TlsSession::Write(std::span<const iovec> pieces) {
  if (end_ != End::kNone || !shaken_) {
    errno = end_ == End::kNone ? EAGAIN : EPIPE;
    return -1;
  }
  const char* data = static_cast<const char*>(pieces[0].iov_base);
  size_t bytes = pieces[0].iov_len;
  if (pieces.size() > 1 && bytes < scratch_.size()) {
    bytes = 0;
    for (const iovec& piece : pieces) {
      const size_t taken = std::min(piece.iov_len, scratch_.size() - bytes);
      std::memcpy(scratch_.data() + bytes, piece.iov_base, taken);
      bytes += taken;
    }
    data = scratch_.data();
  }
  ERR_clear_error();
  size_t written = 0;
  const int result = SSL_write_ex(session_.get(), data, bytes, &written);
  if (result == 1) return static_cast<ssize_t>(written);
  if (SSL_get_error(session_.get(), result) == SSL_ERROR_WANT_WRITE) {
    errno = EAGAIN;
    return -1;
  }
  // Wanting to read first means that the client broke off inside a message about the session: nobody's who will go on.
  Explain(result);
  if (end_ == End::kNone) {
    end_ = End::kFailed;
    error_ = EPROTO;
    counters_.tls_protocol_errors.Add(1);
  }
  errno = EPIPE;
  return -1;
}

// So that the client knows that nothing was cut off. It need not answer.
void TlsSession::Finish() {
  if (!shaken_ || end_ == End::kFailed) return;
  ERR_clear_error();
  SSL_shutdown(session_.get());
  ERR_clear_error();
}

void TlsSession::Close(int fd) {
  session_.reset();
  ::close(fd);
}

// --- Certificates ---------------------------------------------------------------------------------

class OpenSslTls final : public Tls {
 public:
  explicit OpenSslTls(const TlsOptions& options) : options_(options) {}

  Status Refresh() override;
  std::unique_ptr<Transport> Accept(int fd, ListenTls mode, uint32_t deadline_s,
                                    TlsScratch& scratch, WorkerCounters& counters) override;
  uint64_t NewSessions() const override { return new_sessions_.load(); }

 private:
  Result<ContextPtr> MakeContext();
  Status LoadFiles(SSL_CTX* context) const;
  static int OnNewSession(SSL* session, SSL_SESSION* data);

  const TlsOptions options_;
  std::atomic<uint64_t> new_sessions_{0};
  Mutex mutex_;
  ContextPtr context_ TERRACED_GUARDED_BY(mutex_);
};

Status OpenSslTls::LoadFiles(SSL_CTX* context) const {
  if (SSL_CTX_use_certificate_chain_file(context, options_.chain_cert.c_str()) != 1) {
    return Refuse("ssl_chain_cert", options_.chain_cert);
  }
  const int format = options_.key_format == "DER" ? SSL_FILETYPE_ASN1 : SSL_FILETYPE_PEM;
  if (SSL_CTX_use_PrivateKey_file(context, options_.key.c_str(), format) != 1) {
    return Refuse("ssl_key", options_.key);
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    return Refuse("ssl_key", options_.key + " is not the key of " + options_.chain_cert);
  }
  if (options_.ca_cert.empty()) return Status();
  if (SSL_CTX_load_verify_locations(context, options_.ca_cert.c_str(), nullptr) != 1) {
    return Refuse("ssl_ca_cert", options_.ca_cert);
  }
  STACK_OF(X509_NAME)* const names = SSL_load_client_CA_file(options_.ca_cert.c_str());
  if (names == nullptr) return Refuse("ssl_ca_cert", options_.ca_cert);
  SSL_CTX_set_client_CA_list(context, names);
  return Status();
}

Result<ContextPtr> OpenSslTls::MakeContext() {
  ERR_clear_error();
  ContextPtr owned(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* const context = owned.get();
  if (context == nullptr) return Status(StatusCode::kUnavailable, "-Z: " + Reason());
  SSL_CTX_set_min_proto_version(context, LeastVersion(options_.min_version));
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
  // A key with a pass phrase is refused: nobody is there to be asked for it.
  SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return -1; });
  TERRACED_RETURN_IF_ERROR(LoadFiles(context));
  if (!options_.ciphers.empty() &&
      SSL_CTX_set_cipher_list(context, options_.ciphers.c_str()) != 1) {
    return Refuse("ssl_ciphers", options_.ciphers);
  }
  SSL_CTX_set_verify(context, VerifyFlags(options_.verify_mode), nullptr);
  // Sessions are kept here or nowhere: a ticket that carries one outlives the certificates that it came of.
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  if (options_.session_cache) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER);
    SSL_CTX_set_app_data(context, &new_sessions_);
    SSL_CTX_sess_set_new_cb(context, &OnNewSession);
  } else {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
  }
  if (options_.kernel_tls) {
    SSL_CTX_set_options(context, SSL_OP_ENABLE_KTLS);
  } else {
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, kReadAheadBytes);
  }
  return owned;
}

int OpenSslTls::OnNewSession(SSL* session, SSL_SESSION*) {
  auto* const count =
      static_cast<std::atomic<uint64_t>*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(session)));
  count->fetch_add(1);
  return 0;  // the cache holds it, we do not
}

Status OpenSslTls::Refresh() {
  TERRACED_ASSIGN_OR_RETURN(ContextPtr context, MakeContext());
  const MutexLock lock(mutex_);
  context_ = std::move(context);
  return Status();
}

std::unique_ptr<Transport> OpenSslTls::Accept(int fd, ListenTls mode, uint32_t deadline_s,
                                              TlsScratch& scratch, WorkerCounters& counters) {
  TERRACED_DCHECK(mode != ListenTls::kOff);
  SessionPtr session;
  {
    const MutexLock lock(mutex_);
    session.reset(SSL_new(context_.get()));
  }
  // As everywhere: a daemon without memory for a connection has ended.
  TERRACED_CHECK(session != nullptr && SSL_set_fd(session.get(), fd) == 1);
  if (mode == ListenTls::kBasic) SSL_set_verify(session.get(), SSL_VERIFY_NONE, nullptr);
  if (mode == ListenTls::kMutual) SSL_set_verify(session.get(), VerifyFlags(2), nullptr);
  // A session is resumed without its client's certificate being asked for again: only where the same was asked before.
  const auto context_id = static_cast<unsigned char>(mode);
  SSL_set_session_id_context(session.get(), &context_id, sizeof(context_id));
  SSL_set_accept_state(session.get());
  return std::make_unique<TlsSession>(std::move(session), deadline_s, scratch, counters);
}

}  // namespace

Result<std::unique_ptr<Tls>> Tls::Create(const TlsOptions& options) {
  std::unique_ptr<Tls> tls = std::make_unique<OpenSslTls>(options);
  TERRACED_RETURN_IF_ERROR(tls->Refresh());
  return tls;
}

}  // namespace terraced::server
