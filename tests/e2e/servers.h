// Where the end-to-end tests find the servers. Environment wins over what the build says:
//   TERRACED_DAEMON_PATH   the daemon under test     TERRACED_MUTANT_DAEMON_PATH   its faulty twin
//   TERRACED_REFERENCE     memcached                 TERRACED_SEED                 random seed
#pragma once

#include <cstdlib>
#include <string>

#include "storage/base/hash.h"
#include "tests/support/daemon.h"

namespace terraced::support {

inline std::string FromEnvironment(const char* name, const std::string& otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

inline uint64_t NumberFromEnvironment(const char* name, uint64_t otherwise) {
  const std::string text = FromEnvironment(name, "");
  return text.empty() ? otherwise : std::strtoull(text.c_str(), nullptr, 10);
}

inline std::string TerracedBinary() {
  return FromEnvironment("TERRACED_DAEMON_PATH", TERRACED_DAEMON);
}

inline std::string ReferenceBinary() {
  return FromEnvironment("TERRACED_REFERENCE", "/usr/bin/memcached");
}

// A test's random seed: repeat a failed run by giving the printed one.
inline uint64_t Seed() {
  return NumberFromEnvironment("TERRACED_SEED", RandomU64() % 1'000'000'000);
}

}  // namespace terraced::support
