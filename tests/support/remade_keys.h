// RemadeKeys: whose items memcached 1.6.18 has made anew out of older ones, or of nothing: by mg with N, append, prepend
// and ma. Of those it forgets bits that terraced keeps (src/README.md), until the key is stored whole or deleted.
// Threads: one at a time. Ownership: plain values. Errors: none.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "tests/support/request_generator.h"

namespace terraced::support {

enum class Remade : uint8_t { kNo, kMade, kCounted };

class RemadeKeys {
 public:
  // A meta request and what 1.6.18 answered; empty: nothing, as it was quiet.
  void Note(const GeneratedRequest& request, std::string_view reference);
  Remade How(const std::string& key) const;

 private:
  std::unordered_map<std::string, Remade> remade_;
};

}  // namespace terraced::support
