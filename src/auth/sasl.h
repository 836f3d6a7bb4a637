// SaslServer: Cyrus SASL, started once for the process. SaslSession: one client's attempt to log in.
// Threads: SaslServer is made and destroyed by the main thread while no other uses SASL: only starting Cyrus is not
// thread-safe, so plugins are loaded there, and what they share later is behind mutexes that we give it. A session
// belongs to one thread. A step may block for as long as Cyrus waits for whom it asks (saslauthd, a database).
// Ownership: a session owns its sasl_conn_t and must not outlive the server. Challenges are views of it.
// Errors: SaslServer::Start says what the configuration lacks; a login that fails is an outcome.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "storage/base/status.h"

struct sasl_conn;  // Cyrus's sasl_conn_t

namespace terraced::server {

class SaslSession {
 public:
  enum class Outcome : uint8_t {
    kAccepted,
    kGoesOn,  // the client has to answer the challenge
    kRefused,
  };
  // Longer names are no mechanism's.
  static constexpr size_t kMechanismBytesMax = 32;

  ~SaslSession();
  SaslSession(const SaslSession&) = delete;
  SaslSession& operator=(const SaslSession&) = delete;

  // "PLAIN SCRAM-SHA-256"; empty: none, or Cyrus refuses to say.
  std::string_view Mechanisms();
  Outcome Begin(std::string_view mechanism, std::string_view credentials,
                std::string_view* challenge);
  // Of what Begin began.
  Outcome Continue(std::string_view credentials, std::string_view* challenge);

 private:
  friend class SaslServer;
  explicit SaslSession(sasl_conn* connection) : connection_(connection) {}

  sasl_conn* const connection_;
};

class SaslServer {
 public:
  // Of the application "memcached": memcached.conf in $SASL_CONF_PATH, or in /etc/sasl or /etc/sasl2. Where
  // $MEMCACHED_SASL_PWDB names a file of user:password, those are accepted too, and no memcached.conf has to be there.
  static Result<std::unique_ptr<SaslServer>> Start();
  ~SaslServer();
  SaslServer(const SaslServer&) = delete;
  SaslServer& operator=(const SaslServer&) = delete;

  std::unique_ptr<SaslSession> NewSession() const;  // nullptr: Cyrus has no memory for one

 private:
  SaslServer() = default;
  std::string realm_;  // of users who name none: this machine
};

}  // namespace terraced::server
