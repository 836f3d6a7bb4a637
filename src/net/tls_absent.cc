// Tls in a daemon that is built without OpenSSL.
#include "src/net/tls.h"

namespace terraced::server {

Result<std::unique_ptr<Tls>> Tls::Create(const TlsOptions&) {
  return Status(StatusCode::kUnavailable,
                "-Z: this daemon is built without TLS: build it with OpenSSL (TERRACED_TLS)");
}

}  // namespace terraced::server
