#include "src/auth/password_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "src/protocol/binary_codec.h"

namespace terraced::server {
namespace {

Status Refuse(std::string_view name, size_t line, std::string_view what) {
  return Status(StatusCode::kInvalidArgument, std::string(name) + ":" + std::to_string(line) +
                                                  ": " + std::string(what) +
                                                  ": give user:password");
}

// What is wrong with a line; empty: nothing.
std::string_view Fault(std::string_view line) {
  if (line.find(':') == std::string_view::npos) return "has no colon";
  if (line.find('\r') != std::string_view::npos) return "holds a carriage return";
  if (line.find('\0') != std::string_view::npos) return "holds a NUL byte";
  if (line.size() > kCredentialsBytesMax) return "is longer than a client may send";
  return {};
}

// All of `given` is looked at, and as much of `kept`, wherever they differ.
bool IsSame(std::string_view given, std::string_view kept) {
  volatile uint8_t difference = given.size() == kept.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const char other = kept.empty() ? '\0' : kept[i % kept.size()];
    difference = difference | static_cast<uint8_t>(given[i] ^ other);
  }
  return difference == 0;
}

Result<std::string> ReadAll(int fd, const std::string& path) {
  std::string text;
  std::array<char, 16384> part;
  for (;;) {
    const ssize_t got = ::read(fd, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status::FromErrno("cannot read " + path, errno);
    if (got == 0) return text;
    text.append(part.data(), static_cast<size_t>(got));
    if (text.size() > kPasswordFileBytesMax) {
      return Status(StatusCode::kInvalidArgument, path + " is over 64m: this is no password file");
    }
  }
}

}  // namespace

Result<PasswordFile> PasswordFile::Read(const std::string& path, Format format) {
  // A FIFO would be waited for.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return Status::FromErrno("cannot read " + path, errno);
  struct stat file {};
  if (::fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
    ::close(fd);
    return Status(StatusCode::kInvalidArgument, path + " is no file");
  }
  Result<std::string> text = ReadAll(fd, path);
  ::close(fd);
  if (!text.ok()) return text.status();
  return Parse(text.value(), path, format);
}

Result<PasswordFile> PasswordFile::Parse(std::string_view text, std::string_view name,
                                         Format format) {
  PasswordFile file;
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::string_view fault = Fault(line);
    if (!fault.empty() && format == Format::kLoose) continue;
    if (!fault.empty()) return Refuse(name, number, fault);
    const size_t colon = line.find(':');
    const std::string_view password = line.substr(colon + 1);
    file.passwords_.emplace(line.substr(0, colon), password);
    const size_t more = password.find(':');
    if (format == Format::kLoose && more != std::string_view::npos) {
      file.passwords_.emplace(line.substr(0, colon), password.substr(0, more));
    }
  }
  return file;
}

bool PasswordFile::Accepts(std::string_view user, std::string_view password) const {
  const auto [begin, end] = passwords_.equal_range(std::string(user));
  bool accepted = false;
  // Nobody's password: who asks should not learn from the time that there is no such user.
  if (begin == end) static_cast<void>(IsSame(password, user));
  for (auto kept = begin; kept != end; ++kept) {
    if (IsSame(password, kept->second)) accepted = true;
  }
  return accepted;
}

}  // namespace terraced::server
