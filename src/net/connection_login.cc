// Logging in: by SASL (-S, binary protocol) or with a user and a password of the file of -Y.
#include <string_view>

#include "src/auth/authentication.h"
#include "src/net/connection.h"

namespace terraced::server {

// A login that begins anew makes a stranger of a client, until it succeeds.
void Connection::LogIn(const Request& request) {
  switch (request.command->verb) {
    case Verb::kSaslList:
      ListMechanisms(request);
      break;
    case Verb::kSaslAuth:
    case Verb::kSaslStep:
      codec_.LockBinary();
      StepSasl(request);
      break;
    case Verb::kRefused:  // its credentials are longer than any
      EndLogin(request, false);
      break;
    default:
      EndLogin(request,
               context_.authentication->Accepts(request.arguments[0], request.arguments[1]));
      break;
  }
}

// With a session of its own: a client that asks what there is has not begun anything yet, and loses nothing.
void Connection::ListMechanisms(const Request& request) {
  const std::unique_ptr<SaslSession> session = context_.authentication->NewSession();
  const std::string_view names = session == nullptr ? std::string_view() : session->Mechanisms();
  if (names.empty()) {
    host_.Replies().For(request).Answer(request, Reply::kLoginFailed);
  } else {
    host_.Replies().Binary().Mechanisms(request, names);
  }
}

void Connection::StepSasl(const Request& request) {
  const std::string_view mechanism = request.key.bytes;
  if (mechanism.size() > SaslSession::kMechanismBytesMax) {
    host_.Replies().For(request).Answer(request, Reply::kBadLine);
    return;
  }
  const bool begins = request.command->verb == Verb::kSaslAuth;
  if (begins) sasl_ = context_.authentication->NewSession();
  SaslSession::Outcome outcome = SaslSession::Outcome::kRefused;
  std::string_view challenge;
  if (sasl_ != nullptr && begins) {
    outcome = sasl_->Begin(mechanism, request.arguments[0], &challenge);
  } else if (sasl_ != nullptr) {
    outcome = sasl_->Continue(request.arguments[0], &challenge);
  }
  if (outcome == SaslSession::Outcome::kGoesOn) {
    host_.Replies().Binary().Challenge(request, challenge);
    return;
  }
  sasl_.reset();
  EndLogin(request, outcome == SaslSession::Outcome::kAccepted);
}

void Connection::EndLogin(const Request& request, bool accepted) {
  host_.Counters().auth_cmds.Add(1);
  if (accepted) {
    codec_.Unlock();
  } else {
    host_.Counters().auth_errors.Add(1);
  }
  host_.Replies().For(request).Answer(request, accepted ? Reply::kLoggedIn : Reply::kLoginFailed);
}

}  // namespace terraced::server
