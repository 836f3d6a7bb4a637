#include "storage/base/status.h"

#include <cerrno>
#include <system_error>

namespace terraced {

Status Status::FromErrno(std::string_view what, int error) {
  const StatusCode code =
      error == ENOSPC || error == EDQUOT ? StatusCode::kNoSpace : StatusCode::kIoError;
  return Status(code, std::string(what) + ": " + std::generic_category().message(error));
}

Status Status::WithContext(std::string_view context) const {
  if (ok()) return *this;
  return Status(code(), std::string(context) + ": " + rep_->message);
}

}  // namespace terraced
