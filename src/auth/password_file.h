// PasswordFile: who may log in, from a text file with a line user:password for each. A user may stand in it more than
// once, and then has as many passwords: so one can be changed while clients still use the other.
// Threads: Read and Parse anywhere; what they return is immutable.
// Ownership: keeps its own copy of everything.
// Errors: one Status that names the file and the line; never a password.
// Sizes: a file of up to kPasswordFileBytesMax, lines of up to kCredentialsBytesMax, any number of users.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "storage/base/status.h"

namespace terraced::server {

constexpr size_t kPasswordFileBytesMax = 64U << 20;

class PasswordFile {
 public:
  enum class Format : uint8_t {
    kStrict,  // -Y: the password is all that follows the first colon; any other line spoils the file
    // $MEMCACHED_SASL_PWDB: the password may also end at a further colon, and a line that is none is skipped.
    kLoose,
  };

  static Result<PasswordFile> Read(const std::string& path, Format format);
  // `name`: what messages call the text.
  static Result<PasswordFile> Parse(std::string_view text, std::string_view name, Format format);

  // Takes as long for any password of the same length, whatever of it is right.
  bool Accepts(std::string_view user, std::string_view password) const;
  size_t Passwords() const { return passwords_.size(); }

 private:
  std::unordered_multimap<std::string, std::string> passwords_;  // by user
};

}  // namespace terraced::server
