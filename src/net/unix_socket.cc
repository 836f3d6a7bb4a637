// The Unix socket of -s: its file, and who may open it.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "src/net/address.h"

namespace terraced::server {
namespace {

constexpr mode_t kPermissions = 0777;

// Whatever an earlier daemon left, and nothing else.
Status RemoveOldSocket(const std::string& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0) return Status();  // bind() says what else is wrong
  if (!S_ISSOCK(status.st_mode)) {
    return Status(StatusCode::kBusy,
                  "-s " + path + " is there and no socket: remove it or give another path");
  }
  if (::unlink(path.c_str()) == 0) return Status();
  return Status::FromErrno("-s: cannot remove the old socket " + path, errno);
}

}  // namespace

SocketFile::SocketFile(std::string path) : path_(std::move(path)) {
  struct stat status;
  if (::lstat(path_.c_str(), &status) != 0) return;
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

SocketFile::~SocketFile() {
  struct stat status;
  if (inode_ == 0 || ::lstat(path_.c_str(), &status) != 0) return;
  // A user that was become since may not be allowed to: the next start removes it.
  if (status.st_dev == device_ && status.st_ino == inode_) ::unlink(path_.c_str());
}

Result<ListeningSocket> BindUnix(const ServerOptions& options) {
  const std::string& path = options.unix_socket;
  sockaddr_un address{};
  if (path.size() >= sizeof(address.sun_path)) {
    return Status(StatusCode::kInvalidArgument, "-s " + path + " is too long: give at most " +
                                                    std::to_string(sizeof(address.sun_path) - 1) +
                                                    " bytes");
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  TERRACED_RETURN_IF_ERROR(RemoveOldSocket(path));
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Status::FromErrno("-s: no socket", errno);
  ListeningSocket listening(fd, SocketFamily::kUnix, {});
  // The file never has more permissions than it ends with.
  const mode_t before = ::umask(~static_cast<mode_t>(options.unix_mask) & kPermissions);
  const int bound = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = errno;
  ::umask(before);
  if (bound != 0) return Status::FromErrno("-s: cannot listen on " + path, error);
  listening.Keep(std::make_unique<SocketFile>(path));
  if (listen(fd, static_cast<int>(options.backlog)) != 0) {
    return Status::FromErrno("-s: cannot listen on " + path, errno);
  }
  listening.SetName("unix:" + path);
  return listening;
}

}  // namespace terraced::server
