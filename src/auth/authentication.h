// Authentication: whom -S and -Y let in. With neither of them there is none, and everybody is.
// Threads: Create and Reload by the main thread; Accepts and NewSession by any worker.
// Ownership: owns Cyrus's state, so it outlives every SaslSession.
// Errors: Create's and Reload's Status is one line that names the option; after a failed Reload what was read before
// holds on.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "src/auth/password_file.h"
#include "src/auth/sasl.h"
#include "src/server_options.h"
#include "storage/base/mutex.h"
#include "storage/base/status.h"

namespace terraced::server {

class Authentication {
 public:
  // As the user that the daemon runs as, because the file is read again later.
  static Result<std::unique_ptr<Authentication>> Create(const ServerOptions& options);

  // The file of -Y again; without it nothing.
  Status Reload();
  // By the file of -Y.
  bool Accepts(std::string_view user, std::string_view password) const;
  // nullptr: Cyrus has no memory for one.
  std::unique_ptr<SaslSession> NewSession() const { return sasl_->NewSession(); }

 private:
  explicit Authentication(std::string path) : path_(std::move(path)) {}

  // Constant after Create.
  const std::string path_;            // of -Y; empty: none
  std::unique_ptr<SaslServer> sasl_;  // nullptr without -S
  // Guarded. Shared with a worker that looks something up while it is replaced.
  mutable Mutex mutex_;
  std::shared_ptr<const PasswordFile> file_ TERRACED_GUARDED_BY(mutex_);
};

}  // namespace terraced::server
