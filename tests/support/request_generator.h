// RequestGenerator: a random but repeatable stream of classic text requests for the differential test: every
// command, every error path that does not depend on the time of day, sizes from nothing to over the limit.
// What memcached 1.6.18 is known to answer wrongly or by chance is left out: client flags of 2^32, counting at
// 2^63 and above and on empty or blank values (it reads on into old bytes), exptimes of 2^31 and above, values
// within 1 KB of the item limit (the servers' headers differ in size).
// Threads: one at a time. Ownership: plain values.
#pragma once

#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "tests/support/client.h"

namespace terraced::support {

// What stands in a cas request where each server needs a unique of its own.
constexpr std::string_view kCasMark = "<cas>";

struct GeneratedRequest {
  std::string text;  // may hold kCasMark once
  ReplyShape shape = ReplyShape::kLine;
  bool malformed = false;         // the number of its reply lines is not known
  std::vector<std::string> keys;  // that it names, in order
  uint32_t reads = 0;             // keys it reads for the client
};

struct RequestMix {
  uint32_t key_count = 20'000;  // of ordinary values
  uint32_t number_key_count = 500;
  uint32_t large_key_count = 24;
  uint32_t value_bytes_max = 100'000;  // of ordinary values
  uint32_t large_value_bytes_min = 300'000;
  uint32_t large_value_bytes_max = 1'040'000;
  uint32_t large_per_million = 2'500;  // requests about large values
  uint32_t flush_per_million = 8;
  uint32_t malformed_per_million = 15'000;
};

class RequestGenerator {
 public:
  RequestGenerator(uint64_t seed, const RequestMix& mix) : random_(seed), mix_(mix) {}

  // One request, or two where the second is a quiet conditional one: the get before it shows whether both
  // servers still have the item, which the quiet one would hide.
  void Next(std::deque<GeneratedRequest>* requests);
  // A set of that key, from AllKeys(): to begin with full servers.
  GeneratedRequest Fill(const std::string& key);
  // Every key that was or may be used.
  std::vector<std::string> AllKeys() const;
  uint64_t Below(uint64_t bound) { return random_() % bound; }

 private:
  enum class Family : uint8_t { kValue, kNumber, kLarge };
  static std::string KeyName(Family family, uint64_t number);
  Family AnyFamily();
  std::string AnyKey(Family family);
  std::string AnyValue(Family family);
  std::string NumberText();
  std::string Bytes(size_t count);
  std::string AnyExptime();
  std::string AnyFlags();
  bool OneIn(uint64_t bound) { return Below(bound) == 0; }

  GeneratedRequest Read(bool may_be_many);
  GeneratedRequest StoreRequest(std::string_view verb, Family family, bool noreply);
  GeneratedRequest CountRequest(bool noreply);
  GeneratedRequest TouchRequest(bool noreply);
  GeneratedRequest DeleteRequest(bool noreply);
  GeneratedRequest LargeRequest();
  GeneratedRequest FlushRequest();
  GeneratedRequest MalformedRequest();

  std::mt19937_64 random_;
  const RequestMix mix_;
};

}  // namespace terraced::support
