#include "tests/support/differential.h"

#include <algorithm>

#include "storage/base/check.h"

namespace terraced::support {
namespace {

constexpr size_t kRecentMax = 50'000;
constexpr size_t kShownRequests = 10;
constexpr size_t kShownBytes = 300;
constexpr size_t kShownBefore = 120;
constexpr size_t kShownExchange = 8'000;
// For keys whose uniques were not read yet. Not a small one: the reference counts from 1, and that may be the key's.
constexpr const char* kNobodysUnique = "9223372036854775807";
constexpr std::string_view kVersionRequest = "version\r\n";

// Readable on a terminal: control bytes escaped, the middle of long ones left out.
std::string Shown(std::string_view bytes, size_t limit = kShownBytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size() && i < limit; ++i) {
    const unsigned char byte = static_cast<unsigned char>(bytes[i]);
    if (byte == '\r')
      text += "\\r";
    else if (byte == '\n')
      text += "\\n";
    else if (byte >= 0x20 && byte < 0x7f)
      text += static_cast<char>(byte);
    else
      text += '?';
  }
  if (bytes.size() > limit) text += "... (" + std::to_string(bytes.size()) + " bytes)";
  return text;
}

std::string_view VerbOf(std::string_view text) {
  return text.substr(0, text.find_first_of(" \r"));
}

bool IsNumber(std::string_view line) {
  return !line.empty() && line[0] >= '0' && line[0] <= '9';
}

// Whether the two one-line replies can be explained by the tested server having lost the item.
bool ExplainedByLoss(std::string_view verb, std::string_view reference, std::string_view tested) {
  if (verb == "add") return reference == "NOT_STORED\r\n" && tested == "STORED\r\n";
  if (verb == "replace" || verb == "append" || verb == "prepend") {
    return reference == "STORED\r\n" && tested == "NOT_STORED\r\n";
  }
  if (tested != "NOT_FOUND\r\n") return false;
  if (verb == "touch") return reference == "TOUCHED\r\n";
  if (verb == "delete") return reference == "DELETED\r\n";
  if (verb == "cas") return reference == "STORED\r\n" || reference == "EXISTS\r\n";
  if (verb == "incr" || verb == "decr") {
    return IsNumber(reference) || reference.starts_with("CLIENT_ERROR cannot increment");
  }
  return false;
}

std::string Version(Client& client) {
  const std::string reply = client.Ask(kVersionRequest);
  TERRACED_CHECK(reply.starts_with("VERSION "));
  return reply;
}

}  // namespace

Differential::Differential(const Daemon& reference, const Daemon& tested) {
  for (size_t i = 0; i < kConnections; ++i) {
    reference_[i] = reference.Connect();
    tested_[i] = tested.Connect();
  }
  reference_version_ = Version(*reference_[0]);
  tested_version_ = Version(*tested_[0]);
}

std::string Differential::TextFor(const GeneratedRequest& request, bool for_reference) const {
  std::string text = request.text;
  const size_t line_end = text.find("\r\n");
  const size_t mark = text.find(kCasMark);
  if (request.malformed || request.keys.empty() || mark == std::string::npos || mark > line_end) {
    return text;
  }
  const auto known = last_uniques_.find(request.keys[0]);
  const std::string unique = known == last_uniques_.end() ? std::string(kNobodysUnique)
                             : for_reference              ? known->second.first
                                                          : known->second.second;
  return text.replace(mark, kCasMark.size(), unique);
}

bool Differential::Exchange(std::vector<GeneratedRequest> requests) {
  std::string to_reference;
  std::string to_tested;
  for (const GeneratedRequest& request : requests) {
    to_reference += TextFor(request, true);
    to_tested += TextFor(request, false);
  }
  turn_ = (turn_ + 1) % kConnections;
  exchange_ = to_tested;
  const bool malformed = !requests.empty() && requests[0].malformed;
  TERRACED_CHECK(!malformed || requests.size() == 1);
  to_reference.append(kVersionRequest);
  to_tested.append(kVersionRequest);
  requests_ += requests.size();
  const Status sent_reference = reference_[turn_]->Send(to_reference);
  const Status sent_tested = tested_[turn_]->Send(to_tested);
  if (!sent_reference.ok() || !sent_tested.ok()) {
    return Fail({.text = requests[0].text,
                 .reference_reply = std::string(sent_reference.message()),
                 .tested_reply = std::string(sent_tested.message()),
                 .keys = requests[0].keys},
                "a request could not be sent");
  }
  const bool same = malformed ? ReadMalformedReplies(requests[0]) : ReadReplies(requests);
  return same && ResyncTainted();
}

bool Differential::ReadReplies(const std::vector<GeneratedRequest>& requests) {
  GeneratedRequest last;
  last.text = kVersionRequest;
  for (size_t i = 0; i <= requests.size(); ++i) {
    const bool is_last = i == requests.size();
    const GeneratedRequest& request = is_last ? last : requests[i];
    Result<std::string> reference = reference_[turn_]->ReadReply(request.shape);
    Result<std::string> tested = tested_[turn_]->ReadReply(request.shape);
    Asked asked{
        .text = request.text, .reference_reply = "", .tested_reply = "", .keys = request.keys};
    asked.reference_reply = reference.ok() ? std::move(reference).value()
                                           : "<" + std::string(reference.status().message()) + ">";
    asked.tested_reply = tested.ok() ? std::move(tested).value()
                                     : "<" + std::string(tested.status().message()) + ">";
    if (is_last) {
      const bool in_step =
          asked.reference_reply == reference_version_ && asked.tested_reply == tested_version_;
      if (!in_step) return Fail(asked, "an exchange left more or fewer replies than it should");
      return true;
    }
    reads_ += request.reads;
    if (!Compare(asked, request.shape)) return false;
    asked.text.resize(std::min(asked.text.size(), kShownBytes));
    asked.reference_reply.resize(std::min(asked.reference_reply.size(), kShownBytes));
    asked.tested_reply.resize(std::min(asked.tested_reply.size(), kShownBytes));
    recent_.push_back(std::move(asked));
    if (recent_.size() > kRecentMax) recent_.pop_front();
  }
  return true;
}

bool Differential::ReadMalformedReplies(const GeneratedRequest& request) {
  Result<std::string> reference = reference_[turn_]->ReadThrough(reference_version_);
  Result<std::string> tested = tested_[turn_]->ReadThrough(tested_version_);
  Asked asked{
      .text = request.text, .reference_reply = "", .tested_reply = "", .keys = request.keys};
  asked.reference_reply =
      reference.ok() ? reference.value() : std::string(reference.status().message());
  asked.tested_reply = tested.ok() ? tested.value() : std::string(tested.status().message());
  if (!reference.ok() || !tested.ok()) return Fail(asked, "no reply to a malformed request");
  const size_t reference_bytes = asked.reference_reply.size() - reference_version_.size();
  const size_t tested_bytes = asked.tested_reply.size() - tested_version_.size();
  if (asked.reference_reply.compare(0, reference_bytes, asked.tested_reply, 0, tested_bytes) != 0) {
    return Fail(asked, "different replies to a malformed request");
  }
  return true;
}

bool Differential::IsTainted(const Asked& asked) const {
  return !asked.keys.empty() && tainted_.count(asked.keys[0]) > 0;
}

void Differential::AcceptMiss(const std::string& key) {
  if (tainted_.insert(key).second) ++accepted_misses_;
}

bool Differential::Compare(const Asked& asked, ReplyShape shape) {
  if (shape == ReplyShape::kValues) return CompareValues(asked);
  if (asked.reference_reply == asked.tested_reply || IsTainted(asked)) return true;
  if (ExplainedByLoss(VerbOf(asked.text), asked.reference_reply, asked.tested_reply)) {
    AcceptMiss(asked.keys[0]);
    return true;
  }
  return Fail(asked, "different replies");
}

bool Differential::CompareValues(const Asked& asked) {
  const std::vector<ValueBlock> reference = ParseValues(asked.reference_reply);
  const std::vector<ValueBlock> tested = ParseValues(asked.tested_reply);
  if (!asked.reference_reply.ends_with("END\r\n") || !asked.tested_reply.ends_with("END\r\n")) {
    return asked.reference_reply == asked.tested_reply ? true : Fail(asked, "different replies");
  }
  size_t next = 0;  // of tested
  for (const ValueBlock& block : reference) {
    ++hits_;
    const bool there = next < tested.size() && tested[next].key == block.key;
    if (!there) {
      AcceptMiss(block.key);
      continue;
    }
    if (tainted_.count(block.key) == 0 && !SameBlock(block, tested[next])) {
      return Fail(asked, "different values of " + Shown(block.key));
    }
    ++next;
  }
  for (; next < tested.size(); ++next) {
    if (tainted_.count(tested[next].key) == 0) {
      return Fail(asked, "a hit where the reference misses: " + Shown(tested[next].key));
    }
  }
  return true;
}

bool Differential::SameBlock(const ValueBlock& reference, const ValueBlock& tested) {
  return reference.flags == tested.flags && reference.data == tested.data &&
         PairUniques(reference, tested);
}

bool Differential::PairUniques(const ValueBlock& reference, const ValueBlock& tested) {
  if (reference.cas_unique.empty() != tested.cas_unique.empty()) return false;
  if (reference.cas_unique.empty()) return true;
  last_uniques_[reference.key] = {reference.cas_unique, tested.cas_unique};
  const auto first = tested_unique_of_.emplace(reference.cas_unique, tested.cas_unique).first;
  const auto second = reference_unique_of_.emplace(tested.cas_unique, reference.cas_unique).first;
  return first->second == tested.cas_unique && second->second == reference.cas_unique;
}

bool Differential::ResyncTainted() {
  for (const std::string& key : tainted_) {
    const std::string request = "delete " + key + "\r\n";
    const std::string reference = reference_[turn_]->Ask(request);
    const std::string tested = tested_[turn_]->Ask(request);
    const auto is_answer = [](const std::string& reply) {
      return reply == "DELETED\r\n" || reply == "NOT_FOUND\r\n";
    };
    if (!is_answer(reference) || !is_answer(tested)) {
      return Fail(
          {.text = request, .reference_reply = reference, .tested_reply = tested, .keys = {key}},
          "delete was not answered");
    }
  }
  tainted_.clear();
  return true;
}

bool Differential::Sweep(const std::vector<std::string>& keys) {
  constexpr size_t kKeysAtOnce = 50;
  for (size_t from = 0; from < keys.size(); from += kKeysAtOnce) {
    GeneratedRequest request;
    request.text = "gets";
    request.shape = ReplyShape::kValues;
    for (size_t i = from; i < std::min(from + kKeysAtOnce, keys.size()); ++i) {
      request.text.append(" ").append(keys[i]);
      request.keys.push_back(keys[i]);
      ++request.reads;
    }
    request.text.append("\r\n");
    if (!Exchange({request})) return false;
  }
  return true;
}

bool Differential::Fail(const Asked& asked, const std::string& what) {
  failure_ = what + "\n  request:   " + Shown(asked.text) +
             "\n  reference: " + Shown(asked.reference_reply) +
             "\n  tested:    " + Shown(asked.tested_reply);
  // A server that died did so anywhere in the pipeline.
  if (asked.tested_reply.starts_with("<")) {
    failure_ += "\n  pipeline:  " + Shown(exchange_, kShownExchange);
  }
  failure_ += "\n  before, about the same key:";
  size_t shown = 0;
  for (auto at = recent_.rbegin(); at != recent_.rend() && shown < kShownRequests; ++at) {
    const bool related =
        std::any_of(at->keys.begin(), at->keys.end(), [&asked](const std::string& key) {
          return std::find(asked.keys.begin(), asked.keys.end(), key) != asked.keys.end();
        });
    const bool flush = at->text.starts_with("flush_all");
    if (!related && !flush) continue;
    failure_ += "\n    " + Shown(at->text, kShownBefore) + " => " +
                Shown(at->reference_reply, kShownBefore) + " / " +
                Shown(at->tested_reply, kShownBefore);
    ++shown;
  }
  return false;
}

}  // namespace terraced::support
