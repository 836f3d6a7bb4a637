#include "tests/support/load.h"

#include <algorithm>
#include <cstdio>

#include "storage/base/check.h"

namespace terraced::support {
namespace {

constexpr std::string_view kStored = "STORED\r\n";
constexpr size_t kKeysAtOnce = 100;

void AppendSet(uint64_t number, const ItemShape& shape, std::string* request) {
  request->append("set ").append(LoadKey(number)).append(" 0 0 ");
  request->append(std::to_string(shape.value_bytes)).append("\r\n");
  request->append(LoadValue(number, shape)).append("\r\n");
}

uint64_t CountStored(Client& client, uint64_t count) {
  uint64_t stored = 0;
  for (uint64_t i = 0; i < count; ++i) {
    Result<std::string> reply = client.ReadReply(ReplyShape::kLine);
    TERRACED_CHECK(reply.ok());
    stored += reply.value() == kStored ? 1 : 0;
  }
  return stored;
}

std::string BlockOf(uint64_t number, const ItemShape& shape) {
  return "VALUE " + LoadKey(number) + " 0 " + std::to_string(shape.value_bytes) + "\r\n" +
         LoadValue(number, shape) + "\r\n";
}

}  // namespace

std::string LoadKey(uint64_t number) {
  char key[kLoadKeyBytes + 1];
  std::snprintf(key, sizeof(key), "item-%024llu", static_cast<unsigned long long>(number));
  return key;
}

std::string LoadValue(uint64_t number, const ItemShape& shape) {
  std::string value(shape.value_bytes, 'x');
  const size_t random_bytes = shape.compressible ? shape.value_bytes / 2 : shape.value_bytes;
  uint64_t word = number * 0x9e3779b97f4a7c15ULL + 1;
  for (size_t i = 0; i < random_bytes; i += sizeof(word)) {
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
    value.replace(i, std::min(sizeof(word), random_bytes - i), reinterpret_cast<const char*>(&word),
                  std::min(sizeof(word), random_bytes - i));
  }
  return value;
}

uint64_t SetItems(Client& client, uint64_t first, uint64_t last, const ItemShape& shape) {
  return SetItems(std::vector<Client*>{&client}, first, last, shape);
}

uint64_t SetItems(const std::vector<Client*>& clients, uint64_t first, uint64_t last,
                  const ItemShape& shape) {
  uint64_t stored = 0;
  std::vector<uint64_t> asked(clients.size());
  std::string request;
  while (first < last) {
    for (size_t i = 0; i < clients.size(); ++i) {
      asked[i] = std::min<uint64_t>(kLoadBatch, last - first);
      request.clear();
      for (uint64_t j = 0; j < asked[i]; ++j) AppendSet(first++, shape, &request);
      TERRACED_CHECK(clients[i]->Send(request).ok());
    }
    for (size_t i = 0; i < clients.size(); ++i) stored += CountStored(*clients[i], asked[i]);
  }
  return stored;
}

ReadBack GetItems(Client& client, uint64_t first, uint64_t last, const ItemShape& shape) {
  ReadBack back;
  for (; first < last; first += kKeysAtOnce) {
    std::string request = "get";
    const uint64_t end = std::min<uint64_t>(first + kKeysAtOnce, last);
    for (uint64_t number = first; number < end; ++number)
      request.append(" ").append(LoadKey(number));
    const std::string reply = client.Ask(request + "\r\n");
    TERRACED_CHECK(reply.ends_with("END\r\n"));
    size_t at = 0;
    for (uint64_t number = first; number < end; ++number) {
      const std::string block = BlockOf(number, shape);
      const size_t header_bytes = block.find('\n') + 1;
      if (reply.compare(at, header_bytes, block, 0, header_bytes) != 0) continue;
      ++back.hits;
      back.wrong += reply.compare(at, block.size(), block) != 0 ? 1 : 0;
      at += block.size();
    }
  }
  return back;
}

ReadBack GetNumbers(const std::vector<Client*>& clients, const std::vector<uint64_t>& numbers,
                    const ItemShape& shape) {
  ReadBack back;
  std::vector<std::vector<uint64_t>> asked(clients.size());
  size_t next = 0;
  while (next < numbers.size()) {
    for (size_t i = 0; i < clients.size(); ++i) {
      asked[i].clear();
      std::string request;
      for (size_t j = 0; j < kLoadBatch && next < numbers.size(); ++j) {
        asked[i].push_back(numbers[next]);
        request.append("get ").append(LoadKey(numbers[next++])).append("\r\n");
      }
      TERRACED_CHECK(clients[i]->Send(request).ok());
    }
    for (size_t i = 0; i < clients.size(); ++i) {
      for (const uint64_t number : asked[i]) {
        Result<std::string> reply = clients[i]->ReadReply(ReplyShape::kValues);
        TERRACED_CHECK(reply.ok());
        if (reply.value() == "END\r\n") continue;
        ++back.hits;
        // Comparing every value would measure the client: a look at its end must do.
        const std::string_view text = reply.value();
        const bool long_enough = text.size() > shape.value_bytes + sizeof("\r\nEND\r\n");
        back.wrong += long_enough && text.find(LoadKey(number)) == 6 ? 0 : 1;
      }
    }
  }
  return back;
}

}  // namespace terraced::support
