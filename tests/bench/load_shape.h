// LoadShape: what a load generator does to a server, read from words like "work=get" on its command line.
// Threads: plain data. Errors: Parse's Status names the word that is wrong.
// Sizes: a batch is what one write carries and whose replies are awaited together.
#pragma once

#include <cstdint>
#include <string_view>

#include "storage/base/status.h"

namespace terraced::bench {

enum class Work : uint8_t {
  kGet,    // gets of keys_per_get keys each
  kSet,    // sets
  kMix,    // get_pct percent gets, the rest sets
  kFill,   // sets of every key once, in order
  kSweep,  // gets of every key once, in order
  kOpen,   // single gets at a rate, whether or not the server keeps up, beside a stream of sets
};

enum class KeyChoice : uint8_t {
  kUniform,
  kZipf,
  kScan,  // Zipf, and each tenth batch of gets takes the next keys of a sweep over all of them
};

struct LoadShape {
  uint32_t port = 0;
  Work work = Work::kGet;
  KeyChoice choice = KeyChoice::kUniform;
  uint64_t connections = 1;
  uint64_t idle_connections = 0;  // opened besides, and never used
  uint64_t batch = 1;             // requests in one write
  uint64_t keys_per_get = 1;
  uint64_t get_pct = 90;      // kMix
  uint64_t keys = 1'000'000;  // numbered from first_key
  uint64_t first_key = 0;
  double zipf_theta = 0.99;
  uint64_t value_bytes = 100;
  bool compressible = true;  // half of a value is one letter, the other half is noise
  double seconds = 5;        // ends the load, whichever comes first
  uint64_t operations = 0;   // 0: no such end
  double rate = 0;           // kOpen: gets a second; others: operations a second, 0 = no pacing
  double set_mb_s = 0;       // kOpen: sets beside the gets, of new keys, 10^6 bytes a second
  uint64_t set_first_key = 1'000'000'000;  // kOpen: where their keys begin
  uint64_t set_value_bytes = 1'000;        // kOpen: their size
  uint64_t seed = 1;

  static Result<LoadShape> Parse(int count, const char* const* words);
};

// The keys and values of all loads: as tests/support/load.h has them.
constexpr uint64_t kKeyBytes = 29;
void WriteKey(uint64_t number, char* to);  // kKeyBytes
void WriteValue(uint64_t number, const LoadShape& shape, char* to);
// What the first 8 bytes of a value (or as many as it has) must be.
uint64_t ValueBegin(uint64_t number);

}  // namespace terraced::bench
