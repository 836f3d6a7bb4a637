// Where terraced may answer otherwise than memcached 1.6.18: the whole list, each class with the exact rule that a pair
// of replies must meet. What meets none fails the differential test.
// Threads: pure functions. Ownership: the list is static; a Difference borrows. Errors: none.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "tests/support/remade_keys.h"
#include "tests/support/request_generator.h"

namespace terraced::support {

// The replies to one request; CAS uniques are already taken out (Wire::Mask). Empty: it had none.
struct Difference {
  Protocol protocol;
  const GeneratedRequest& request;
  std::string_view reference;
  std::string_view tested;
  Remade remade;  // the item of a meta request's key, as of this request
};

struct KnownDifference {
  const char* name;
  const char* reason;
  // The item is gone in the server under test: until it is deleted in both, replies about its key say nothing.
  bool loses_item;
  bool (*matches)(const Difference& difference);
};

constexpr size_t kKnownDifferencesMax = 10;
std::span<const KnownDifference> KnownDifferences();
// Of the class of cache misses.
constexpr size_t kMissClass = 0;
// Of hits that flash answered.
constexpr size_t kFlashHitClass = 5;
// Of marks that two keys share, which have to be as rare as two keys of one identity.
constexpr size_t kSharedMarkClass = 7;
// Which class it is; the number of classes: none.
size_t ClassOf(const Difference& difference);

}  // namespace terraced::support
