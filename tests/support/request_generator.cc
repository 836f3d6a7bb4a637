#include "tests/support/request_generator.h"

#include <array>

#include "storage/base/check.h"

namespace terraced::support {
namespace {

constexpr uint64_t kMillion = 1'000'000;
constexpr size_t kKeyBytesMax = 250;
constexpr size_t kOverTheLimitBytes = (1U << 20) + 1;

GeneratedRequest Malformed(std::string text) {
  return {.text = std::move(text),
          .shape = ReplyShape::kLine,
          .malformed = true,
          .keys = {},
          .reads = 0};
}

std::string StoreText(std::string_view verb, const std::string& key, const std::string& middle,
                      size_t bytes, std::string_view tail, std::string_view data) {
  std::string text(verb);
  text.append(" ").append(key).append(" ").append(middle).append(" ").append(std::to_string(bytes));
  text.append(tail).append("\r\n").append(data).append("\r\n");
  return text;
}

}  // namespace

std::string RequestGenerator::KeyName(Family family, uint64_t number) {
  const char* const prefix = family == Family::kValue ? "v" : family == Family::kNumber ? "n" : "l";
  std::string name = prefix + std::to_string(number);
  if (family != Family::kValue) return name;
  // Lengths up to the limit, and bytes that are unusual but legal in a key.
  if (number % 16 == 3) name.append(":user-session-object");
  if (number % 64 == 7) name.append("\x01\t\x7f\xc3\xa9");
  if (number % 256 == 9) name.append(kKeyBytesMax - name.size(), 'k');
  return name;
}

std::vector<std::string> RequestGenerator::AllKeys() const {
  std::vector<std::string> keys;
  for (uint64_t i = 0; i < mix_.key_count; ++i) keys.push_back(KeyName(Family::kValue, i));
  for (uint64_t i = 0; i < mix_.number_key_count; ++i) keys.push_back(KeyName(Family::kNumber, i));
  for (uint64_t i = 0; i < mix_.large_key_count; ++i) keys.push_back(KeyName(Family::kLarge, i));
  return keys;
}

RequestGenerator::Family RequestGenerator::AnyFamily() {
  return OneIn(8) ? Family::kNumber : Family::kValue;
}

std::string RequestGenerator::AnyKey(Family family) {
  switch (family) {
    case Family::kNumber:
      return KeyName(family, Below(mix_.number_key_count));
    case Family::kLarge:
      return KeyName(family, Below(mix_.large_key_count));
    case Family::kValue:
      break;
  }
  // A sixth of the traffic goes to a few keys, so that commands meet on them.
  return KeyName(family, OneIn(6) ? Below(64) : Below(mix_.key_count));
}

std::string RequestGenerator::Bytes(size_t count) {
  std::string bytes(count, ' ');
  const bool compressible = OneIn(2);
  for (size_t i = 0; i < count; i += 8) {
    uint64_t word = random_();
    if (compressible && i >= 8) word = 0x6162636465666768ULL + (word & 1);
    for (size_t j = i; j < std::min(i + 8, count); ++j, word >>= 8) {
      bytes[j] = static_cast<char>(word & 0xff);
    }
  }
  // Bytes that would confuse a parser that looked into data.
  if (count >= 24 && OneIn(4)) bytes.replace(4, 17, "\r\nEND\r\nget v1\r\n0 ");
  return bytes;
}

std::string RequestGenerator::NumberText() {
  switch (Below(12)) {
    case 0:
      return "a text that is no number, and longer than any";
    case 1:
      return "12abc";
    case 2:
      return " 17 ";
    case 3:
      return "-5";
    case 4:
      return "18446744073709551616";
    case 5:
      return "0";
    default:
      return std::to_string(Below(1ULL << (4 + Below(30))));
  }
}

std::string RequestGenerator::AnyValue(Family family) {
  if (family == Family::kNumber) return NumberText();
  const uint64_t die = Below(100);
  size_t bytes = Below(200);
  if (die >= 60) bytes = 200 + Below(1'800);
  if (die >= 90) bytes = 2'000 + Below(14'000);
  if (die >= 99) bytes = Below(mix_.value_bytes_max);
  return Bytes(std::min<size_t>(bytes, mix_.value_bytes_max));
}

std::string RequestGenerator::AnyExptime() {
  constexpr std::array<const char*, 8> kNever = {"0",      "0",       "0",          "0",
                                                 "100000", "2592000", "2000000000", "-1"};
  if (OneIn(100)) return "2592001";  // an absolute time in 1970
  return kNever[OneIn(25) ? 7 : Below(7)];
}

std::string RequestGenerator::AnyFlags() {
  if (OneIn(50)) return "4294967295";
  return std::to_string(OneIn(2) ? 0 : Below(65536));
}

GeneratedRequest RequestGenerator::Read(bool may_be_many) {
  constexpr std::array<const char*, 4> kVerbs = {"get", "gets", "gat", "gats"};
  const uint64_t die = Below(100);
  const size_t verb = die < 70 ? 0 : die < 85 ? 1 : die < 93 ? 2 : 3;
  GeneratedRequest request;
  request.text = kVerbs[verb];
  request.shape = ReplyShape::kValues;
  if (verb >= 2) request.text.append(" ").append(AnyExptime());
  uint64_t count = 1;
  if (may_be_many && OneIn(4)) count = 2 + Below(OneIn(8) ? 120 : 12);
  for (uint64_t i = 0; i < count; ++i) {
    request.keys.push_back(i > 0 && OneIn(16) ? request.keys.back() : AnyKey(AnyFamily()));
    request.text.append(" ").append(request.keys.back());
    // Only get and gets may have lines over 2,048 bytes.
    if (verb >= 2 && request.text.size() > 1'700) break;
  }
  request.reads = static_cast<uint32_t>(request.keys.size());
  request.text.append("\r\n");
  return request;
}

GeneratedRequest RequestGenerator::StoreRequest(std::string_view verb, Family family,
                                                bool noreply) {
  GeneratedRequest request;
  request.shape = noreply ? ReplyShape::kNone : ReplyShape::kLine;
  request.keys.push_back(AnyKey(family));
  std::string data = AnyValue(family);
  const bool extends = verb == "append" || verb == "prepend";
  // Small pieces, so that values do not wander towards the limit, where headers decide.
  if (extends) data.resize(std::min<size_t>(data.size(), 64));
  // Digits would make numbers of 2^63 and more, where the reference answers by chance.
  if (extends && family == Family::kNumber) data = OneIn(3) ? "" : OneIn(3) ? "x" : " ";
  std::string tail;
  if (verb == "cas") {
    constexpr std::array<std::string_view, 8> kUniques = {
        kCasMark, kCasMark, kCasMark, kCasMark, kCasMark, "0", "99999999999999", "1"};
    tail.append(" ").append(kUniques[Below(kUniques.size())]);
  }
  if (noreply) tail.append(" noreply");
  request.text =
      StoreText(verb, request.keys[0], AnyFlags() + " " + AnyExptime(), data.size(), tail, data);
  return request;
}

GeneratedRequest RequestGenerator::Fill(const std::string& key) {
  const Family family = key[0] == 'n' ? Family::kNumber : Family::kValue;
  const std::string data = key[0] == 'l' ? Bytes(mix_.large_value_bytes_min) : AnyValue(family);
  GeneratedRequest request;
  request.keys.push_back(key);
  request.text = StoreText("set", key, AnyFlags() + " 0", data.size(), "", data);
  return request;
}

GeneratedRequest RequestGenerator::CountRequest(bool noreply) {
  GeneratedRequest request;
  request.shape = noreply ? ReplyShape::kNone : ReplyShape::kLine;
  request.keys.push_back(AnyKey(Family::kNumber));
  std::string delta = std::to_string(Below(1ULL << Below(34)));
  if (OneIn(30)) delta = "18446744073709551616";
  if (OneIn(30)) delta = "junk";
  request.text = std::string(OneIn(2) ? "incr " : "decr ") + request.keys[0] + " " + delta +
                 (noreply ? " noreply" : "") + "\r\n";
  return request;
}

GeneratedRequest RequestGenerator::TouchRequest(bool noreply) {
  GeneratedRequest request;
  request.shape = noreply ? ReplyShape::kNone : ReplyShape::kLine;
  request.keys.push_back(AnyKey(AnyFamily()));
  request.text = "touch " + request.keys[0] + " " + (OneIn(40) ? "soon" : AnyExptime()) +
                 (noreply ? " noreply" : "") + "\r\n";
  return request;
}

GeneratedRequest RequestGenerator::DeleteRequest(bool noreply) {
  GeneratedRequest request;
  request.shape = noreply ? ReplyShape::kNone : ReplyShape::kLine;
  request.keys.push_back(AnyKey(AnyFamily()));
  request.text =
      "delete " + request.keys[0] + (OneIn(20) ? " 0" : "") + (noreply ? " noreply" : "") + "\r\n";
  return request;
}

GeneratedRequest RequestGenerator::LargeRequest() {
  GeneratedRequest request;
  request.keys.push_back(AnyKey(Family::kLarge));
  const std::string& key = request.keys[0];
  const uint64_t die = Below(20);
  if (die < 8) {
    request.shape = ReplyShape::kValues;
    request.reads = 1;
    request.text = (OneIn(3) ? "gats 100000 " : "get ") + key + "\r\n";
  } else if (die < 14) {
    const std::string data = Bytes(mix_.large_value_bytes_min +
                                   Below(mix_.large_value_bytes_max - mix_.large_value_bytes_min));
    request.text = StoreText("set", key, AnyFlags() + " 0", data.size(), "", data);
  } else if (die < 16) {
    constexpr std::array<const char*, 5> kVerbs = {"set", "add", "replace", "append", "prepend"};
    const std::string data = Bytes(kOverTheLimitBytes + Below(200'000));
    request.text = StoreText(kVerbs[Below(kVerbs.size())], key, "1 0", data.size(), "", data);
  } else if (die < 18) {
    const std::string data = Bytes(1 + Below(10));
    request.text = StoreText(OneIn(2) ? "append" : "prepend", key, "1 0", data.size(), "", data);
  } else {
    request.text = OneIn(2) ? "touch " + key + " 0\r\n" : "delete " + key + "\r\n";
  }
  return request;
}

GeneratedRequest RequestGenerator::FlushRequest() {
  GeneratedRequest request;
  switch (Below(4)) {
    case 0:
      request.text = "flush_all 0\r\n";
      break;
    case 1:
      request.text = "flush_all noreply\r\n";
      request.shape = ReplyShape::kNone;
      break;
    default:
      request.text = "flush_all\r\n";
  }
  return request;
}

GeneratedRequest RequestGenerator::MalformedRequest() {
  const std::string key = AnyKey(Family::kValue);
  const std::string long_key(kKeyBytesMax + 1 + Below(100), 'x');
  switch (Below(24)) {
    case 0:
      return Malformed("set " + key + " 0 0 -1\r\n");
    case 1:
      return Malformed("set " + key + " 0 0 five\r\n");
    case 2:
      return Malformed("set " + key + " 0 0 3\r\nabcdef\r\n");
    case 3:
      return Malformed("set " + key + " -1 0 1\r\na\r\n");
    case 4:
      return Malformed("set " + key + " junk 0 1\r\na\r\n");
    case 5:
      return Malformed("set " + key + " 0 junk 1\r\na\r\n");
    case 6:
      return Malformed("set " + long_key + " 0 0 1\r\na\r\n");
    case 7:
      return Malformed("delete " + long_key + "\r\n");
    case 8:
      return Malformed("incr " + long_key + " 1\r\n");
    case 9:
      return Malformed("touch " + long_key + " 1\r\n");
    case 10:
      return Malformed("frobnicate " + key + "\r\n");
    case 11:
      return Malformed("GET " + key + "\r\n");
    case 12:
      return Malformed(" get " + key + "\r\n");
    case 13:
      return Malformed("get\r\n");
    case 14:
      return Malformed("set " + key + "\r\n");
    case 15:
      return Malformed("incr " + key + "\r\n");
    case 16:
      return Malformed("cas " + key + " 0 0 1\r\na\r\n");
    case 17:
      return Malformed("cas " + key + " 0 0 1 junk\r\na\r\n");
    case 18:
      return Malformed("gat soon " + key + "\r\n");
    case 19:
      return Malformed("flush_all soon\r\n");
    case 20:
      return Malformed("foobar noreply\r\n");
    case 21:
      return Malformed("verbosity\r\n");
    case 22:
      return Malformed("\r\n");
    default:
      return Malformed("set " + key + " 0 0 3 noreply\r\nabcdef\r\n");
  }
}

void RequestGenerator::Next(std::deque<GeneratedRequest>* requests) {
  uint64_t die = Below(kMillion);
  const auto falls = [&die](uint64_t share) {
    const bool chosen = die < share;
    die -= chosen ? 0 : share;
    return chosen;
  };
  if (falls(mix_.flush_per_million)) return requests->push_back(FlushRequest());
  if (falls(mix_.malformed_per_million)) return requests->push_back(MalformedRequest());
  if (falls(mix_.large_per_million)) return requests->push_back(LargeRequest());
  die = Below(100);
  if (falls(45)) return requests->push_back(Read(true));
  const bool noreply = OneIn(6);
  if (falls(25)) return requests->push_back(StoreRequest("set", AnyFamily(), noreply));
  if (falls(5)) return requests->push_back(DeleteRequest(noreply));
  GeneratedRequest conditional;
  constexpr std::array<const char*, 5> kConditional = {"add", "replace", "append", "prepend",
                                                       "cas"};
  if (falls(13)) {
    const std::string_view verb = kConditional[Below(kConditional.size())];
    conditional = StoreRequest(verb, AnyFamily(), noreply);
  } else if (falls(7)) {
    conditional = CountRequest(noreply);
  } else {
    conditional = TouchRequest(noreply);
  }
  if (noreply) {
    requests->push_back({.text = "get " + conditional.keys[0] + "\r\n",
                         .shape = ReplyShape::kValues,
                         .malformed = false,
                         .keys = conditional.keys,
                         .reads = 1});
  }
  requests->push_back(std::move(conditional));
}

}  // namespace terraced::support
