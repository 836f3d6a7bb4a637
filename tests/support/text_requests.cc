// Classic text commands: the stream of the protocol that is oldest.
#include <algorithm>
#include <array>

#include "tests/support/request_generator.h"

namespace terraced::support {
namespace {

constexpr size_t kKeyBytesMax = 250;

GeneratedRequest Malformed(std::string text) {
  return {.text = std::move(text), .malformed = true};
}

std::string StoreText(std::string_view verb, const std::string& key, const std::string& middle,
                      size_t bytes, std::string_view tail, std::string_view data) {
  std::string text(verb);
  text.append(" ").append(key).append(" ").append(middle).append(" ").append(std::to_string(bytes));
  text.append(tail).append("\r\n").append(data).append("\r\n");
  return text;
}

class TextRequests : public RequestGenerator {
 public:
  TextRequests(uint64_t seed, const RequestMix& mix) : RequestGenerator(seed, mix, false) {}
  void Next(std::deque<GeneratedRequest>* requests) override;
  GeneratedRequest Fill(const std::string& key) override;
  GeneratedRequest Show(const std::string& key) override;

 private:
  GeneratedRequest Read(bool may_be_many);
  GeneratedRequest StoreRequest(std::string_view verb, Family family, bool noreply);
  GeneratedRequest CountRequest(bool noreply);
  GeneratedRequest TouchRequest(bool noreply);
  GeneratedRequest DeleteRequest(bool noreply);
  GeneratedRequest LargeRequest();
  GeneratedRequest FlushRequest();
  GeneratedRequest MalformedRequest();
};

GeneratedRequest TextRequests::Read(bool may_be_many) {
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

GeneratedRequest TextRequests::StoreRequest(std::string_view verb, Family family, bool noreply) {
  GeneratedRequest request;
  request.shape = noreply ? ReplyShape::kNone : ReplyShape::kLine;
  request.keys.push_back(AnyKey(family));
  const bool extends = verb == "append" || verb == "prepend";
  const std::string data = extends ? AnyPiece(family) : AnyValue(family);
  std::string tail;
  if (verb == "cas") {
    constexpr std::array<std::string_view, 8> kUniques = {
        kCasMark, kCasMark, kCasMark, kCasMark, kCasMark, "0", "99999999999999", "1"};
    tail.append(" ").append(kUniques[Below(kUniques.size())]);
    request.wants_unique = tail.ends_with(kCasMark);
  }
  if (noreply) tail.append(" noreply");
  request.text =
      StoreText(verb, request.keys[0], AnyFlags() + " " + AnyExptime(), data.size(), tail, data);
  return request;
}

GeneratedRequest TextRequests::Fill(const std::string& key) {
  const std::string data = FirstValue(key);
  GeneratedRequest request;
  request.keys.push_back(key);
  request.text = StoreText("set", key, AnyFlags() + " 0", data.size(), "", data);
  return request;
}

GeneratedRequest TextRequests::Show(const std::string& key) {
  return {.text = "gets " + key + "\r\n", .shape = ReplyShape::kValues, .keys = {key}, .reads = 1};
}

GeneratedRequest TextRequests::CountRequest(bool noreply) {
  GeneratedRequest request;
  request.shape = noreply ? ReplyShape::kNone : ReplyShape::kLine;
  request.counts = true;
  request.keys.push_back(AnyKey(Family::kNumber));
  std::string delta = std::to_string(Below(1ULL << Below(34)));
  if (OneIn(30)) delta = "18446744073709551616";
  if (OneIn(30)) delta = "junk";
  request.text = std::string(OneIn(2) ? "incr " : "decr ") + request.keys[0] + " " + delta +
                 (noreply ? " noreply" : "") + "\r\n";
  return request;
}

GeneratedRequest TextRequests::TouchRequest(bool noreply) {
  GeneratedRequest request;
  request.shape = noreply ? ReplyShape::kNone : ReplyShape::kLine;
  request.keys.push_back(AnyKey(AnyFamily()));
  request.text = "touch " + request.keys[0] + " " + (OneIn(40) ? "soon" : AnyExptime()) +
                 (noreply ? " noreply" : "") + "\r\n";
  return request;
}

GeneratedRequest TextRequests::DeleteRequest(bool noreply) {
  GeneratedRequest request;
  request.shape = noreply ? ReplyShape::kNone : ReplyShape::kLine;
  request.keys.push_back(AnyKey(AnyFamily()));
  request.text =
      "delete " + request.keys[0] + (OneIn(20) ? " 0" : "") + (noreply ? " noreply" : "") + "\r\n";
  return request;
}

GeneratedRequest TextRequests::LargeRequest() {
  GeneratedRequest request;
  request.keys.push_back(AnyKey(Family::kLarge));
  const std::string& key = request.keys[0];
  const uint64_t die = Below(20);
  if (die < 8) {
    request.shape = ReplyShape::kValues;
    request.reads = 1;
    request.text = (OneIn(3) ? "gats 100000 " : "get ") + key + "\r\n";
  } else if (die < 14) {
    const std::string data = LargeValue();
    request.text = StoreText("set", key, AnyFlags() + " 0", data.size(), "", data);
  } else if (die < 16) {
    constexpr std::array<const char*, 5> kVerbs = {"set", "add", "replace", "append", "prepend"};
    const std::string data = TooLargeValue();
    request.text = StoreText(kVerbs[Below(kVerbs.size())], key, "1 0", data.size(), "", data);
  } else if (die < 18) {
    const std::string data = Bytes(1 + Below(10));
    request.text = StoreText(OneIn(2) ? "append" : "prepend", key, "1 0", data.size(), "", data);
  } else {
    request.text = OneIn(2) ? "touch " + key + " 0\r\n" : "delete " + key + "\r\n";
  }
  return request;
}

GeneratedRequest TextRequests::FlushRequest() {
  GeneratedRequest request;
  request.flushes = true;
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

GeneratedRequest TextRequests::MalformedRequest() {
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
      // Served as if the blank were not there.
      return {
          .text = " get " + key + "\r\n", .shape = ReplyShape::kValues, .keys = {key}, .reads = 1};
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

void TextRequests::Next(std::deque<GeneratedRequest>* requests) {
  uint64_t die = MillionDie();
  if (Falls(Mix().flush_per_million, &die)) return requests->push_back(FlushRequest());
  if (Falls(Mix().malformed_per_million, &die)) return requests->push_back(MalformedRequest());
  if (Falls(Mix().large_per_million, &die)) return requests->push_back(LargeRequest());
  die = Below(100);
  if (Falls(45, &die)) return requests->push_back(Read(true));
  const bool noreply = OneIn(6);
  if (Falls(25, &die)) return requests->push_back(StoreRequest("set", AnyFamily(), noreply));
  if (Falls(5, &die)) return requests->push_back(DeleteRequest(noreply));
  GeneratedRequest conditional;
  constexpr std::array<const char*, 5> kConditional = {"add", "replace", "append", "prepend",
                                                       "cas"};
  if (Falls(13, &die)) {
    const std::string_view verb = kConditional[Below(kConditional.size())];
    conditional = StoreRequest(verb, AnyFamily(), noreply);
  } else if (Falls(7, &die)) {
    conditional = CountRequest(noreply);
  } else {
    conditional = TouchRequest(noreply);
  }
  if (noreply) {
    requests->push_back({.text = "get " + conditional.keys[0] + "\r\n",
                         .shape = ReplyShape::kValues,
                         .keys = conditional.keys,
                         .reads = 1});
  }
  requests->push_back(std::move(conditional));
}

}  // namespace

std::unique_ptr<RequestGenerator> CreateTextRequests(uint64_t seed, const RequestMix& mix) {
  return std::make_unique<TextRequests>(seed, mix);
}

}  // namespace terraced::support
