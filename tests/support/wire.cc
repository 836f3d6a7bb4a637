#include "tests/support/wire.h"

#include <charconv>

#include "tests/support/binary.h"

namespace terraced::support {
namespace {

constexpr std::string_view kVersionRequest = "version\r\n";
constexpr std::string_view kLineEnd = "\r\n";
constexpr uint32_t kMarkOpaque = 0xfeed0000;  // no request of a generator has it
constexpr size_t kUniqueAt = 16;              // in the header of a packet
constexpr size_t kUniqueBytes = 8;

uint64_t Decimal(std::string_view digits) {
  uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

// What classic text and meta commands have in common.
class LineWire : public Wire {
 public:
  std::string BytesOf(const GeneratedRequest& request, uint64_t unique) const override {
    std::string text = request.text;
    if (!request.wants_unique) return text;
    return text.replace(text.find(kCasMark), kCasMark.size(), std::to_string(unique));
  }
  std::string EndRequest() const override { return std::string(kVersionRequest); }

 protected:
  bool IsEnd(const std::string& unit) const override { return unit.starts_with("VERSION "); }
};

class TextWire : public LineWire {
 public:
  Result<std::vector<std::string>> ReadReplies(
      Client& client, const std::vector<GeneratedRequest>& requests) const override;
  // Values are compared one by one, with their uniques.
  MaskedReply Mask(const std::string& reply) const override {
    return {.text = reply, .uniques = {}};
  }
  bool ShowsItem(const std::string& reply) const override { return reply.starts_with("VALUE "); }

 protected:
  Result<std::string> ReadUnit(Client& client) const override { return client.ReadLine(); }
  bool Answers(const std::string&, const std::vector<GeneratedRequest>&, size_t) const override {
    return false;
  }
};

Result<std::vector<std::string>> TextWire::ReadReplies(
    Client& client, const std::vector<GeneratedRequest>& requests) const {
  std::vector<std::string> replies;
  for (const GeneratedRequest& request : requests) {
    TERRACED_ASSIGN_OR_RETURN(std::string reply, client.ReadReply(request.shape));
    replies.push_back(std::move(reply));
  }
  TERRACED_ASSIGN_OR_RETURN(const std::string end, client.ReadLine());
  if (IsEnd(end)) return replies;
  return Status(StatusCode::kCorruption, "a reply that belongs to no request: " + end);
}

class MetaWire : public LineWire {
 public:
  Result<std::vector<std::string>> ReadReplies(
      Client& client, const std::vector<GeneratedRequest>& requests) const override {
    return ReadAndAssign(client, requests);
  }
  MaskedReply Mask(const std::string& reply) const override;
  bool ShowsItem(const std::string& reply) const override {
    return reply.starts_with("VA ") || reply.starts_with("HD");
  }

 protected:
  Result<std::string> ReadUnit(Client& client) const override;
  bool Answers(const std::string& unit, const std::vector<GeneratedRequest>& requests,
               size_t i) const override;
};

Result<std::string> MetaWire::ReadUnit(Client& client) const {
  TERRACED_ASSIGN_OR_RETURN(std::string unit, client.ReadLine());
  if (!unit.starts_with("VA ")) return unit;
  const size_t bytes = Decimal(std::string_view(unit).substr(3)) + kLineEnd.size();
  TERRACED_ASSIGN_OR_RETURN(const std::string data, client.ReadBytes(bytes));
  return unit + data;
}

bool MetaWire::Answers(const std::string& unit, const std::vector<GeneratedRequest>& requests,
                       size_t i) const {
  const std::string line = unit.substr(0, unit.find(kLineEnd)) + " ";
  const std::string& token = requests[i].token;
  if (!token.empty() && line.find(" " + token + " ") != std::string::npos) return true;
  // An error has no opaque; a quiet request that may have one is the last or followed by mn, which has none.
  const bool before_noop = i + 1 == requests.size() || requests[i + 1].text.starts_with("mn");
  return before_noop && line.starts_with("CLIENT_ERROR ");
}

MaskedReply MetaWire::Mask(const std::string& reply) const {
  MaskedReply masked;
  const size_t line_end = std::min(reply.find(kLineEnd), reply.size());
  size_t at = 0;
  while (at < line_end) {
    const size_t blank = std::min(reply.find(' ', at), line_end);
    std::string_view word = std::string_view(reply).substr(at, blank - at);
    // The first word is the reply's code, which no letter of a flag begins.
    if (at > 0 && word.starts_with('c')) {
      masked.uniques.push_back(Decimal(word.substr(1)));
      word = "c";
    }
    masked.text.append(at > 0 ? " " : "").append(word);
    at = blank + 1;
  }
  return {.text = masked.text + reply.substr(line_end), .uniques = std::move(masked.uniques)};
}

class BinaryWire : public Wire {
 public:
  std::string BytesOf(const GeneratedRequest& request, uint64_t unique) const override {
    std::string bytes = request.text;
    if (request.wants_unique)
      bytes.replace(kUniqueAt, kUniqueBytes, BigEndian(unique, kUniqueBytes));
    return bytes;
  }
  std::string EndRequest() const override {
    return BinaryRequest{.opcode = kNoopOp, .opaque = kMarkOpaque}.Bytes();
  }
  Result<std::vector<std::string>> ReadReplies(
      Client& client, const std::vector<GeneratedRequest>& requests) const override {
    return ReadAndAssign(client, requests);
  }
  MaskedReply Mask(const std::string& reply) const override {
    if (reply.empty()) return {};
    std::string text = reply;
    text.replace(kUniqueAt, kUniqueBytes, kUniqueBytes, '\0');
    return {.text = std::move(text), .uniques = {ParseResponse(reply).cas}};
  }
  bool ShowsItem(const std::string& reply) const override {
    return !reply.empty() && ParseResponse(reply).status == 0;
  }

 protected:
  Result<std::string> ReadUnit(Client& client) const override {
    Result<std::string> header = client.ReadBytes(kBinaryHeader);
    if (!header.ok()) return header;
    const std::string_view bytes = header.value();
    if (!bytes.starts_with('\x81')) {
      return Status(StatusCode::kCorruption, "a reply that is no packet");
    }
    Result<std::string> body = client.ReadBytes(NumberIn(bytes.substr(8, 4)));
    if (!body.ok()) return body;
    return header.value() + body.value();
  }
  bool IsEnd(const std::string& unit) const override {
    return ParseResponse(unit).opaque == kMarkOpaque;
  }
  bool Answers(const std::string& unit, const std::vector<GeneratedRequest>& requests,
               size_t i) const override {
    return BigEndian(ParseResponse(unit).opaque, 4) == requests[i].token;
  }
};

}  // namespace

std::unique_ptr<Wire> Wire::Create(Protocol protocol) {
  switch (protocol) {
    case Protocol::kMeta:
      return std::make_unique<MetaWire>();
    case Protocol::kBinary:
      return std::make_unique<BinaryWire>();
    case Protocol::kText:
      break;
  }
  return std::make_unique<TextWire>();
}

Wire::Rest Wire::ReadRest(Client& client) const {
  Rest rest;
  for (;;) {
    Result<std::string> unit = ReadUnit(client);
    if (!unit.ok()) {
      rest.silent = unit.status().code() == StatusCode::kUnavailable;
      rest.closed = !rest.silent;
      return rest;
    }
    if (IsEnd(unit.value())) return rest;
    rest.bytes += unit.value();
  }
}

Result<std::vector<std::string>> Wire::ReadAndAssign(
    Client& client, const std::vector<GeneratedRequest>& requests) const {
  std::vector<std::string> replies(requests.size());
  size_t next = 0;
  for (;;) {
    TERRACED_ASSIGN_OR_RETURN(std::string unit, ReadUnit(client));
    while (next < requests.size() && requests[next].quiet && !Answers(unit, requests, next)) ++next;
    if (IsEnd(unit)) {
      if (next == requests.size()) return replies;
      return Status(StatusCode::kCorruption, "no reply to " + requests[next].text);
    }
    if (next == requests.size()) {
      return Status(StatusCode::kCorruption, "a reply that belongs to no request: " + unit);
    }
    replies[next++] = std::move(unit);
  }
}

}  // namespace terraced::support
