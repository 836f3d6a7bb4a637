#include "tests/support/servers.h"

#include <cstdlib>

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

std::string ReferenceBinary() {
  return FromEnvironment("TERRACED_REFERENCE", "/usr/bin/memcached");
}

uint64_t Seed() {
  return NumberFromEnvironment("TERRACED_SEED", RandomU64() % 1'000'000'000);
}

}  // namespace terraced::support
