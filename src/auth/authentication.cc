#include "src/auth/authentication.h"

#include <utility>

namespace terraced::server {

Result<std::unique_ptr<Authentication>> Authentication::Create(const ServerOptions& options) {
  std::unique_ptr<Authentication> made(new Authentication(options.auth_file));
  if (options.sasl) {
    TERRACED_ASSIGN_OR_RETURN(made->sasl_, SaslServer::Start());
  }
  TERRACED_RETURN_IF_ERROR(made->Reload());
  return made;
}

Status Authentication::Reload() {
  if (path_.empty()) return Status();
  Result<PasswordFile> read = PasswordFile::Read(path_, PasswordFile::Format::kStrict);
  if (!read.ok()) {
    return Status(read.status().code(), "-Y: " + std::string(read.status().message()));
  }
  auto file = std::make_shared<const PasswordFile>(std::move(read).value());
  const MutexLock lock(mutex_);
  file_.swap(file);
  return Status();
}

bool Authentication::Accepts(std::string_view user, std::string_view password) const {
  std::shared_ptr<const PasswordFile> file;
  {
    const MutexLock lock(mutex_);
    file = file_;
  }
  return file != nullptr && file->Accepts(user, password);
}

}  // namespace terraced::server
