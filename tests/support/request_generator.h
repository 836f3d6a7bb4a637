// RequestGenerator: a random but repeatable stream of requests for the differential test, one kind for each protocol:
// every command, every error path that does not depend on the time of day, sizes from nothing to over the limit.
// What memcached 1.6.18 is known to answer wrongly or by chance is left out: client flags of 2^32, counting at
// 2^63 and above and on empty or blank values (it reads on into old bytes), exptimes of 2^31 and above, values
// within 1 KB of the item limit (the servers' headers differ in size).
// Threads: one at a time. Ownership: plain values.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/support/client.h"

namespace terraced::support {

enum class Protocol : uint8_t { kText, kMeta, kBinary };

// What stands in a text or meta request where each server needs a unique of its own.
constexpr std::string_view kCasMark = "<cas>";

struct GeneratedRequest {
  std::string text = {};
  ReplyShape shape = ReplyShape::kLine;  // of a classic text command
  bool malformed = false;                // the number of its replies is not known
  bool quiet = false;                    // it may have no reply
  bool wants_unique = false;             // the key's goes to kCasMark or into the header
  bool counts = false;                   // incr, decr and their kind
  bool flushes = false;
  std::string token = {};              // that its replies carry, the opaque; empty: none
  std::vector<std::string> keys = {};  // that it names, in order, as the server knows them
  uint32_t reads = 0;                  // keys it reads for the client
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
  static std::unique_ptr<RequestGenerator> Create(Protocol protocol, uint64_t seed,
                                                  const RequestMix& mix);
  virtual ~RequestGenerator() = default;
  RequestGenerator(const RequestGenerator&) = delete;
  RequestGenerator& operator=(const RequestGenerator&) = delete;

  // One request, or two where the first is a get that shows whether both servers still have the item, because
  // the second would hide it.
  virtual void Next(std::deque<GeneratedRequest>* requests) = 0;
  // A set of that key, from AllKeys(): to begin with full servers.
  virtual GeneratedRequest Fill(const std::string& key) = 0;
  // A request that shows all of an item.
  virtual GeneratedRequest Show(const std::string& key) = 0;
  // Every key that was or may be used.
  std::vector<std::string> AllKeys() const;
  uint64_t Below(uint64_t bound) { return random_() % bound; }

 protected:
  enum class Family : uint8_t { kValue, kNumber, kLarge };
  // any_bytes: some keys have bytes that a line cannot hold.
  RequestGenerator(uint64_t seed, const RequestMix& mix, bool any_bytes)
      : random_(seed), mix_(mix), any_bytes_(any_bytes) {}
  const RequestMix& Mix() const { return mix_; }
  bool OneIn(uint64_t bound) { return Below(bound) == 0; }
  static Family FamilyOf(const std::string& key);
  Family AnyFamily();
  std::string AnyKey(Family family);
  std::string AnyValue(Family family);
  std::string FirstValue(const std::string& key);  // of a full server
  // What is appended or prepended.
  std::string AnyPiece(Family family);
  std::string LargeValue();
  std::string TooLargeValue();
  std::string Bytes(size_t count);
  std::string AnyExptime();
  std::string AnyFlags();
  // Takes `share` off the die; whether it fell there.
  static bool Falls(uint64_t share, uint64_t* die);
  uint64_t MillionDie();

 private:
  std::string KeyName(Family family, uint64_t number) const;
  std::string NumberText();

  std::mt19937_64 random_;
  const RequestMix mix_;
  const bool any_bytes_;
};

std::unique_ptr<RequestGenerator> CreateTextRequests(uint64_t seed, const RequestMix& mix);
std::unique_ptr<RequestGenerator> CreateMetaRequests(uint64_t seed, const RequestMix& mix);
std::unique_ptr<RequestGenerator> CreateBinaryRequests(uint64_t seed, const RequestMix& mix);

}  // namespace terraced::support
