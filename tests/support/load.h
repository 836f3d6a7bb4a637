// Load: fills a server with numbered items and reads them back, in lockstep: a connection sends a batch of
// requests in one write, waits for every reply, sends the next. For measurements and large tests.
// Threads: one at a time. Ownership: borrows the clients.
// Errors: CHECKs that the server answers at all; what it answers is counted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/client.h"

namespace terraced::support {

struct ItemShape {
  size_t value_bytes = 100;
  bool compressible = false;  // the second half of the value repeats one byte
};

constexpr size_t kLoadKeyBytes = 29;
constexpr size_t kLoadBatch = 32;
std::string LoadKey(uint64_t number);
std::string LoadValue(uint64_t number, const ItemShape& shape);

// Sets items [first, last); returns how many were answered by STORED.
uint64_t SetItems(Client& client, uint64_t first, uint64_t last, const ItemShape& shape);
// The same over several connections at once, each with its own batch under way.
uint64_t SetItems(const std::vector<Client*>& clients, uint64_t first, uint64_t last,
                  const ItemShape& shape);

struct ReadBack {
  uint64_t hits = 0;
  uint64_t wrong = 0;  // hits with another value
};
// Multi-gets of [first, last), every value compared.
ReadBack GetItems(Client& client, uint64_t first, uint64_t last, const ItemShape& shape);
// Gets of these items, one request each, a batch on every connection at once.
ReadBack GetNumbers(const std::vector<Client*>& clients, const std::vector<uint64_t>& numbers,
                    const ItemShape& shape);

}  // namespace terraced::support
