// HolderOfPort: who listens on a port, from /proc: the socket's inode in net/tcp, then the process that has it
// among its descriptors. Other users' descriptors are hidden from us unless we are root.
#include <dirent.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>

#include "src/net/address.h"

namespace terraced::server {
namespace {

constexpr std::string_view kListening = "0A";

// Lines look like "0: 0100007F:2BCB 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 ...":
// local address, remote address, state; the inode is the tenth field.
std::string InodeIn(const char* path, uint16_t port) {
  std::array<char, 8> wanted{};
  std::snprintf(wanted.data(), wanted.size(), ":%04X", port);
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string number, local, remote, state, queues, timer, retransmits, uid, unused, inode;
    fields >> number >> local >> remote >> state >> queues >> timer >> retransmits >> uid >>
        unused >> inode;
    if (state == kListening && local.ends_with(wanted.data())) return inode;
  }
  return "";
}

struct DirectoryCloser {
  void operator()(DIR* directory) const { closedir(directory); }
};
using Directory = std::unique_ptr<DIR, DirectoryCloser>;

bool HasSocket(const std::string& descriptors, const std::string& link) {
  const Directory directory(opendir(descriptors.c_str()));
  if (directory == nullptr) return false;
  while (const dirent* entry = readdir(directory.get())) {
    std::array<char, 64> target{};
    const std::string path = descriptors + "/" + entry->d_name;
    const ssize_t length = readlink(path.c_str(), target.data(), target.size());
    if (length > 0 && std::string_view(target.data(), static_cast<size_t>(length)) == link)
      return true;
  }
  return false;
}

std::string NameOf(const std::string& process) {
  std::ifstream file(process + "/comm");
  std::string name;
  std::getline(file, name);
  return name;
}

}  // namespace

std::string HolderOfPort(uint16_t port) {
  std::string inode = InodeIn("/proc/net/tcp", port);
  if (inode.empty()) inode = InodeIn("/proc/net/tcp6", port);
  const Directory directory(opendir("/proc"));
  if (inode.empty() || directory == nullptr) return "";
  const std::string link = "socket:[" + inode + "]";
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view pid = entry->d_name;
    if (pid.find_first_not_of("0123456789") != std::string_view::npos) continue;
    const std::string process = "/proc/" + std::string(pid);
    if (HasSocket(process + "/fd", link))
      return NameOf(process) + " (pid " + std::string(pid) + ")";
  }
  return "";
}

}  // namespace terraced::server
