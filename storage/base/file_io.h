// file_io: the few system calls that our own files need, with errors that name the
// file. Everything that must survive a crash goes through ReplaceFile: write beside, fsync, rename,
// fsync the directory. Every file is opened without following links and must be a regular file of
// our own user. Threads: pure functions over descriptors; FileDescriptor is a plain value.
// Ownership: FileDescriptor closes what it holds.
// Errors: a Status with the file's name and the system's words; kNotFound only for ENOENT.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "storage/base/status.h"

namespace terraced::storage {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~FileDescriptor() { Reset(); }

  int Get() const { return fd_; }
  void Reset();

 private:
  int fd_ = -1;
};

Result<FileDescriptor> OpenDirectory(const std::string& path);
// Whether the path still leads to what was opened there. kNotFound: to nothing, kUnavailable: to something else.
Status CheckIsAt(int fd, const std::string& path);
// `flags` of open(2); O_NOFOLLOW and O_CLOEXEC are added, a created file gets 0600.
Result<FileDescriptor> OpenOwnFile(int directory_fd, const std::string& name, int flags);

Status WriteAt(int fd, uint64_t offset, std::string_view bytes, std::string_view name);
// Reads up to buffer.size() bytes; fewer only at the end of the file.
Result<size_t> ReadAt(int fd, uint64_t offset, std::span<char> buffer, std::string_view name);
Result<uint64_t> FileBytes(int fd, std::string_view name);
Status SyncFile(int fd, std::string_view name);
Status SyncDirectory(int directory_fd, std::string_view name);

// The whole of a small file; one of more than `bytes_max` is kCorruption.
Result<std::string> ReadSmallFile(int directory_fd, const std::string& name, size_t bytes_max);
// Either the old or the new content is there after a crash at any moment.
Status ReplaceFile(int directory_fd, const std::string& name, std::string_view bytes);
// The temporary that ReplaceFile (or a caller that writes a large file in pieces) renames.
std::string TemporaryName(const std::string& name);
Status RenameInto(int directory_fd, const std::string& from, const std::string& to);
// Gone afterwards, whether or not it was there.
Status RemoveFile(int directory_fd, const std::string& name);
// A directory of 0700, or one that is there already.
Status MakeDirectory(int directory_fd, const std::string& name);

}  // namespace terraced::storage
