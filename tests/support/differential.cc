#include "tests/support/differential.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "storage/base/check.h"
#include "tests/support/binary.h"

namespace terraced::support {
namespace {

constexpr size_t kRecentMax = 50'000;
constexpr size_t kShownRequests = 10;
constexpr size_t kShownBytes = 300;
constexpr size_t kShownBefore = 120;
constexpr size_t kShownExchange = 8'000;
// For keys whose uniques were not read yet. Not a small one: the reference counts from 1, and that may be the key's.
constexpr uint64_t kNobodysUnique = 9'223'372'036'854'775'807U;

// Readable on a terminal and by printf: other bytes escaped, the middle of long ones left out.
std::string Shown(std::string_view bytes, size_t limit = kShownBytes) {
  std::string text;
  for (const char one : bytes.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(one);
    if (byte == '\r') {
      text += "\\r";
    } else if (byte == '\n') {
      text += "\\n";
    } else if (byte >= 0x20 && byte < 0x7f) {
      text += one;
    } else {
      std::array<char, 5> escaped;
      std::snprintf(escaped.data(), escaped.size(), "\\x%02x", unsigned{byte});
      text += escaped.data();
    }
  }
  if (bytes.size() > limit) text += "... (" + std::to_string(bytes.size()) + " bytes)";
  return text;
}

uint64_t Number(std::string_view digits) {
  uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

std::string TextOf(const Result<std::vector<std::string>>& replies) {
  return replies.ok() ? std::string("answered")
                      : "<" + std::string(replies.status().message()) + ">";
}

// It then holds no such item; false: it did not say so.
bool Delete(Client& client, const std::string& key) {
  if (!client.Send(Packet(kDeleteOp, key)).ok()) return false;
  const Result<std::string> header = client.ReadBytes(kBinaryHeader);
  if (!header.ok()) return false;
  const std::string_view bytes = header.value();
  const uint64_t status = NumberIn(bytes.substr(6, 2));
  return client.ReadBytes(NumberIn(bytes.substr(8, 4))).ok() && status <= 1;
}

}  // namespace

Differential::Differential(Protocol protocol, const Daemon& reference, const Daemon& tested)
    : protocol_(protocol),
      reference_daemon_(reference),
      tested_daemon_(tested),
      wire_(Wire::Create(protocol)),
      reference_cleaner_(reference.Connect()),
      tested_cleaner_(tested.Connect()) {
  for (size_t i = 0; i < kConnections; ++i) Connect(i);
}

// With one reply read: it is decided then which protocol the connection speaks.
void Differential::Connect(size_t i) {
  reference_[i] = reference_daemon_.Connect();
  tested_[i] = tested_daemon_.Connect();
  for (Client* client : {reference_[i].get(), tested_[i].get()}) {
    TERRACED_CHECK(client->Send(wire_->EndRequest()).ok());
    const Wire::Rest rest = wire_->ReadRest(*client);
    TERRACED_CHECK(!rest.closed && !rest.silent && rest.bytes.empty());
  }
}

bool Differential::Exchange(const std::vector<GeneratedRequest>& requests) {
  TERRACED_CHECK(!requests.empty());
  std::string to_reference;
  std::string to_tested;
  for (const GeneratedRequest& request : requests) {
    UniquePair uniques{kNobodysUnique, kNobodysUnique};
    if (request.wants_unique) {
      const auto known = last_uniques_.find(request.keys[0]);
      if (known != last_uniques_.end()) uniques = known->second;
    }
    to_reference += wire_->BytesOf(request, uniques.first);
    to_tested += wire_->BytesOf(request, uniques.second);
  }
  turn_ = (turn_ + 1) % kConnections;
  exchange_ = to_tested;
  const bool malformed = requests[0].malformed;
  TERRACED_CHECK(!malformed || requests.size() == 1);
  to_reference += wire_->EndRequest();
  to_tested += wire_->EndRequest();
  requests_ += requests.size();
  const Status sent_reference = reference_[turn_]->Send(to_reference);
  const Status sent_tested = tested_[turn_]->Send(to_tested);
  // Who is hung up on because of a malformed request may notice while sending.
  if (!malformed && (!sent_reference.ok() || !sent_tested.ok())) {
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
  const Result<std::vector<std::string>> reference =
      wire_->ReadReplies(*reference_[turn_], requests);
  const Result<std::vector<std::string>> tested = wire_->ReadReplies(*tested_[turn_], requests);
  if (!reference.ok() || !tested.ok()) {
    return Fail({.text = requests[0].text,
                 .reference_reply = TextOf(reference),
                 .tested_reply = TextOf(tested),
                 .keys = requests[0].keys},
                "an exchange left more or fewer replies than it should");
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    const std::string& reference_reply = reference.value()[i];
    const std::string& tested_reply = tested.value()[i];
    reads_ += requests[i].reads;
    if (!Compare(requests[i], reference_reply, tested_reply)) return false;
    Remember({.text = requests[i].text,
              .reference_reply = reference_reply,
              .tested_reply = tested_reply,
              .keys = requests[i].keys});
  }
  return true;
}

void Differential::Remember(Asked asked) {
  for (std::string* text : {&asked.text, &asked.reference_reply, &asked.tested_reply}) {
    text->resize(std::min(text->size(), kShownBytes));
    text->shrink_to_fit();
  }
  recent_.push_back(std::move(asked));
  if (recent_.size() > kRecentMax) recent_.pop_front();
}

bool Differential::ReadMalformedReplies(const GeneratedRequest& request) {
  const auto shown = [](const Wire::Rest& rest) {
    return rest.bytes + (rest.closed ? "<closed>" : rest.silent ? "<no answer in time>" : "");
  };
  const Wire::Rest reference = wire_->ReadRest(*reference_[turn_]);
  const Wire::Rest tested = wire_->ReadRest(*tested_[turn_]);
  const Asked asked{.text = request.text,
                    .reference_reply = shown(reference),
                    .tested_reply = shown(tested),
                    .keys = request.keys};
  if (reference.silent || tested.silent) return Fail(asked, "no reply to a malformed request");
  if (!Compare(request, asked.reference_reply, asked.tested_reply)) return false;
  if (reference.closed || tested.closed) Connect(turn_);
  return true;
}

bool Differential::IsTainted(const std::vector<std::string>& keys) const {
  return !keys.empty() && tainted_.count(keys[0]) > 0;
}

void Differential::AcceptMiss(const std::string& key) {
  if (tainted_.insert(key).second) ++known_[kMissClass];
}

bool Differential::Compare(const GeneratedRequest& request, const std::string& reference,
                           const std::string& tested) {
  const Asked asked{.text = request.text,
                    .reference_reply = reference,
                    .tested_reply = tested,
                    .keys = request.keys};
  if (request.shape == ReplyShape::kValues) return CompareValues(asked);
  if (protocol_ == Protocol::kMeta) remade_.Note(request, reference);
  return CompareReplies(asked, request);
}

bool Differential::CompareReplies(const Asked& asked, const GeneratedRequest& request) {
  const std::string& reference = asked.reference_reply;
  const std::string& tested = asked.tested_reply;
  if (request.reads > 0 && wire_->ShowsItem(reference)) ++hits_;
  if (IsTainted(request.keys)) return true;
  const MaskedReply first = request.malformed ? MaskedReply{reference, {}} : wire_->Mask(reference);
  const MaskedReply second = request.malformed ? MaskedReply{tested, {}} : wire_->Mask(tested);
  if (first.text != second.text) {
    const Remade remade = request.keys.empty() ? Remade::kNo : remade_.How(request.keys[0]);
    const size_t known = ClassOf({.protocol = protocol_,
                                  .request = request,
                                  .reference = first.text,
                                  .tested = second.text,
                                  .remade = remade});
    if (known == KnownDifferences().size()) return Fail(asked, "different replies");
    if (KnownDifferences()[known].loses_item) {
      AcceptMiss(request.keys[0]);
      return true;
    }
    ++known_[known];
  }
  if (first.uniques.size() != second.uniques.size()) return Fail(asked, "different replies");
  for (size_t i = 0; i < first.uniques.size(); ++i) {
    if (!PairUniques(request.keys.empty() ? "" : request.keys[0], first.uniques[i],
                     second.uniques[i])) {
      return Fail(asked, "CAS uniques that are no pair");
    }
  }
  return true;
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
  if (reference.cas_unique.empty() != tested.cas_unique.empty()) return false;
  return reference.flags == tested.flags && reference.data == tested.data &&
         PairUniques(reference.key, Number(reference.cas_unique), Number(tested.cas_unique));
}

bool Differential::PairUniques(const std::string& key, uint64_t reference, uint64_t tested) {
  // 0 is what stands where there is none.
  if (reference == 0 || tested == 0) return reference == tested;
  UniquePair& last = last_uniques_[key];
  if (!key.empty() && (last.first < reference) != (last.second < tested)) return false;
  last = {reference, tested};
  const auto first = tested_unique_of_.emplace(reference, tested).first;
  const auto second = reference_unique_of_.emplace(tested, reference).first;
  return first->second == tested && second->second == reference;
}

bool Differential::ResyncTainted() {
  for (const std::string& key : tainted_) {
    if (!Delete(*reference_cleaner_, key) || !Delete(*tested_cleaner_, key)) {
      return Fail({.text = key, .reference_reply = "", .tested_reply = "", .keys = {key}},
                  "delete was not answered");
    }
  }
  tainted_.clear();
  return true;
}

bool Differential::Fail(const Asked& asked, const std::string& what) {
  failure_ = what + "\n  request:   " + Shown(asked.text) +
             "\n  reference: " + Shown(asked.reference_reply) +
             "\n  tested:    " + Shown(asked.tested_reply);
  // A server that died did so anywhere in the pipeline.
  if (asked.reference_reply.starts_with("<") || asked.tested_reply.starts_with("<")) {
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
