#include "storage/base/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace terraced::storage {
namespace {

Status Failed(std::string_view verb, std::string_view name, int error) {
  std::string what(verb);
  what.append(" '").append(name).append("'");
  if (error == ENOENT) return Status(StatusCode::kNotFound, what + ": no such file");
  return Status::FromErrno(what, error);
}

}  // namespace

void FileDescriptor::Reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<FileDescriptor> OpenDirectory(const std::string& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.Get() < 0) return Failed("open directory", path, errno);
  return fd;
}

Status CheckIsAt(int fd, const std::string& path) {
  struct stat at_path = {};
  struct stat opened = {};
  if (::stat(path.c_str(), &at_path) != 0) return Failed("find", path, errno);
  if (::fstat(fd, &opened) != 0) return Failed("stat", path, errno);
  if (at_path.st_ino == opened.st_ino && at_path.st_dev == opened.st_dev) return Status();
  return Status(StatusCode::kUnavailable, "'" + path + "' is another one by now");
}

Result<FileDescriptor> OpenOwnFile(int directory_fd, const std::string& name, int flags) {
  // O_NONBLOCK: a named pipe put in the place of a file would otherwise hold the open() for ever.
  FileDescriptor fd(::openat(directory_fd, name.c_str(),
                             flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, S_IRUSR | S_IWUSR));
  if (fd.Get() < 0) return Failed("open", name, errno);
  struct stat info = {};
  if (::fstat(fd.Get(), &info) != 0) return Failed("stat", name, errno);
  if (!S_ISREG(info.st_mode)) {
    return Status(StatusCode::kInvalidArgument, "'" + name + "' is not a regular file");
  }
  if (info.st_uid != ::geteuid()) {
    return Status(StatusCode::kInvalidArgument, "'" + name + "' belongs to user " +
                                                    std::to_string(info.st_uid) + ", not to user " +
                                                    std::to_string(::geteuid()));
  }
  return fd;
}

Status WriteAt(int fd, uint64_t offset, std::string_view bytes, std::string_view name) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Failed("write", name, written < 0 ? errno : EIO);
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return Status();
}

Result<size_t> ReadAt(int fd, uint64_t offset, std::span<char> buffer, std::string_view name) {
  size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t got =
        ::pread(fd, buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Failed("read", name, errno);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

Result<uint64_t> FileBytes(int fd, std::string_view name) {
  struct stat info = {};
  if (::fstat(fd, &info) != 0) return Failed("stat", name, errno);
  return static_cast<uint64_t>(info.st_size);
}

Status SyncFile(int fd, std::string_view name) {
  if (::fdatasync(fd) != 0) return Failed("fdatasync", name, errno);
  return Status();
}

Status SyncDirectory(int directory_fd, std::string_view name) {
  if (::fsync(directory_fd) != 0) return Failed("fsync directory", name, errno);
  return Status();
}

Result<std::string> ReadSmallFile(int directory_fd, const std::string& name, size_t bytes_max) {
  TERRACED_ASSIGN_OR_RETURN(const FileDescriptor fd, OpenOwnFile(directory_fd, name, O_RDONLY));
  std::string bytes(bytes_max + 1, '\0');
  TERRACED_ASSIGN_OR_RETURN(const size_t got,
                            ReadAt(fd.Get(), 0, std::span<char>(bytes.data(), bytes.size()), name));
  if (got > bytes_max) {
    return Status(StatusCode::kCorruption, "'" + name + "' is longer than it can be");
  }
  bytes.resize(got);
  return bytes;
}

std::string TemporaryName(const std::string& name) {
  return name + ".new";
}

Status RenameInto(int directory_fd, const std::string& from, const std::string& to) {
  if (::renameat(directory_fd, from.c_str(), directory_fd, to.c_str()) != 0) {
    return Failed("rename", from, errno);
  }
  return SyncDirectory(directory_fd, ".");
}

Status ReplaceFile(int directory_fd, const std::string& name, std::string_view bytes) {
  const std::string temporary = TemporaryName(name);
  {
    TERRACED_ASSIGN_OR_RETURN(const FileDescriptor fd,
                              OpenOwnFile(directory_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC));
    TERRACED_RETURN_IF_ERROR(WriteAt(fd.Get(), 0, bytes, temporary));
    TERRACED_RETURN_IF_ERROR(SyncFile(fd.Get(), temporary));
  }
  return RenameInto(directory_fd, temporary, name);
}

Status RemoveFile(int directory_fd, const std::string& name) {
  if (::unlinkat(directory_fd, name.c_str(), 0) != 0 && errno != ENOENT) {
    return Failed("remove", name, errno);
  }
  return Status();
}

Status MakeDirectory(int directory_fd, const std::string& name) {
  if (::mkdirat(directory_fd, name.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
    return Failed("make directory", name, errno);
  }
  return Status();
}

}  // namespace terraced::storage
