// Where the end-to-end tests find the servers. Environment wins over what the build says:
//   TERRACED_DAEMON_PATH   the daemon under test     TERRACED_MUTANT_DAEMON_PATH   its faulty twin
//   TERRACED_REFERENCE     memcached                 TERRACED_SEED                 random seed
#pragma once

#include <cstdint>
#include <string>

namespace terraced::support {

// The variable's value, or `otherwise` where it is unset or empty.
std::string FromEnvironment(const char* name, const std::string& otherwise);
uint64_t NumberFromEnvironment(const char* name, uint64_t otherwise);

std::string TerracedBinary();
std::string ReferenceBinary();
// A program in `directory` that runs `shell` ("ulimit -f 600") and then becomes terraced, with these redirections.
std::string TerracedAfter(const std::string& directory, const std::string& shell,
                          const std::string& redirections = "");

// A test's random seed: repeat a failed run by giving the printed one.
uint64_t Seed();

}  // namespace terraced::support
