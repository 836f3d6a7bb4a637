#include "tests/support/servers.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "storage/base/hash.h"

namespace terraced::support {

std::string FromEnvironment(const char* name, const std::string& otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

uint64_t NumberFromEnvironment(const char* name, uint64_t otherwise) {
  const std::string text = FromEnvironment(name, "");
  return text.empty() ? otherwise : std::strtoull(text.c_str(), nullptr, 10);
}

std::string TerracedBinary() {
  return FromEnvironment("TERRACED_DAEMON_PATH", TERRACED_DAEMON);
}

std::string TerracedAfter(const std::string& directory, const std::string& shell,
                          const std::string& redirections) {
  const std::string path = directory + "/terraced.sh";
  std::ofstream(path) << "#!/bin/sh\nset -e\n"
                      << shell << "\nexec '" << TerracedBinary() << "' \"$@\" " << redirections
                      << "\n";
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

std::string ReferenceBinary() {
  return FromEnvironment("TERRACED_REFERENCE", "/usr/bin/memcached");
}

uint64_t Seed() {
  return NumberFromEnvironment("TERRACED_SEED", RandomU64() % 1'000'000'000);
}

}  // namespace terraced::support
