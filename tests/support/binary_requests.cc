// The binary protocol: every opcode about items, quiet and not, with and without a CAS unique; each packet has an
// opaque of its own. Opcodes that answer many packets or name the server (stat, version) are left out.
#include <array>
#include <charconv>

#include "tests/support/binary.h"
#include "tests/support/request_generator.h"

namespace terraced::support {
namespace {

constexpr uint64_t kNobodysUnique = 0xffffff0012345678;

template <size_t kCount>
constexpr bool IsOneOf(uint8_t opcode, const std::array<uint8_t, kCount>& opcodes) {
  for (const uint8_t one : opcodes) {
    if (one == opcode) return true;
  }
  return false;
}

constexpr std::array<uint8_t, 16> kQuietOps = {
    kGetQOp,       kGetKQOp,      kSetQOp,  kAddQOp,   kReplaceQOp, kDeleteQOp,
    kIncrementQOp, kDecrementQOp, kQuitQOp, kFlushQOp, kAppendQOp,  kPrependQOp,
    kGatQOp,       kGatKQOp,      kGetQOp,  kGetKQOp};

constexpr std::array<uint8_t, 4> kKeylessOps = {kNoopOp, kVersionOp, kFlushOp, kQuitOp};

class BinaryRequests : public RequestGenerator {
 public:
  BinaryRequests(uint64_t seed, const RequestMix& mix) : RequestGenerator(seed, mix, true) {}
  void Next(std::deque<GeneratedRequest>* requests) override;
  GeneratedRequest Fill(const std::string& key) override;
  GeneratedRequest Show(const std::string& key) override;

 private:
  GeneratedRequest Finish(BinaryRequest packet);
  uint32_t ExptimeNumber();
  uint32_t FlagsNumber();
  template <size_t kCount>
  uint8_t AnyOf(const std::array<uint8_t, kCount>& opcodes) {
    return opcodes[Below(kCount)];
  }
  // Into one of `bound` packets: the unique that the key had last, or another.
  void MaybeUnique(uint64_t bound, BinaryRequest* packet, bool* wants);

  GeneratedRequest Read(Family family);
  GeneratedRequest Store(Family family);
  GeneratedRequest Join(Family family);
  GeneratedRequest Delete(Family family);
  void Count(std::deque<GeneratedRequest>* requests);
  GeneratedRequest LargeRequest();
  GeneratedRequest Flush();
  GeneratedRequest Malformed();

  uint32_t opaque_ = 0;
};

template <typename Number>
Number NumberOf(const std::string& text) {
  Number number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// -1 becomes 0xffffffff: the past here, too.
uint32_t BinaryRequests::ExptimeNumber() {
  return static_cast<uint32_t>(NumberOf<int64_t>(AnyExptime()));
}

uint32_t BinaryRequests::FlagsNumber() {
  return NumberOf<uint32_t>(AnyFlags());
}

GeneratedRequest BinaryRequests::Finish(BinaryRequest packet) {
  // Bit 31 is the mark's, which ends an exchange.
  packet.opaque = ++opaque_ & 0x7fffffffU;
  GeneratedRequest request;
  request.text = packet.Bytes();
  request.quiet = IsOneOf(packet.opcode, kQuietOps);
  request.token = BigEndian(packet.opaque, 4);
  if (!packet.key.empty()) request.keys.push_back(packet.key);
  return request;
}

void BinaryRequests::MaybeUnique(uint64_t bound, BinaryRequest* packet, bool* wants) {
  if (!OneIn(bound)) return;
  *wants = !OneIn(4);
  packet->cas = kNobodysUnique;
}

GeneratedRequest BinaryRequests::Read(Family family) {
  constexpr std::array<uint8_t, 9> kReads = {kGetOp,  kGetQOp, kGetKOp,  kGetKQOp, kGatOp,
                                             kGatQOp, kGatKOp, kGatKQOp, kTouchOp};
  const uint8_t opcode = kReads[OneIn(4) ? 4 + Below(5) : Below(4)];
  BinaryRequest packet{.opcode = opcode, .key = AnyKey(family)};
  if (opcode >= kTouchOp) packet.extras = BigEndian(ExptimeNumber(), 4);
  // A get does not ask which one it is.
  if (OneIn(20)) packet.cas = kNobodysUnique;
  GeneratedRequest request = Finish(std::move(packet));
  request.reads = 1;
  return request;
}

GeneratedRequest BinaryRequests::Show(const std::string& key) {
  GeneratedRequest request = Finish({.opcode = kGetKOp, .key = key});
  request.reads = 1;
  return request;
}

GeneratedRequest BinaryRequests::Fill(const std::string& key) {
  return Finish({.opcode = kSetQOp,
                 .key = key,
                 .extras = StoreExtras(FlagsNumber(), 0),
                 .value = FirstValue(key)});
}

GeneratedRequest BinaryRequests::Store(Family family) {
  constexpr std::array<uint8_t, 8> kStores = {kSetOp, kSetOp,     kSetQOp, kSetQOp,
                                              kAddOp, kReplaceOp, kAddQOp, kReplaceQOp};
  BinaryRequest packet{.opcode = AnyOf(kStores),
                       .key = AnyKey(family),
                       .extras = StoreExtras(FlagsNumber(), ExptimeNumber()),
                       .value = AnyValue(family)};
  bool wants = false;
  MaybeUnique(5, &packet, &wants);
  GeneratedRequest request = Finish(std::move(packet));
  request.wants_unique = wants;
  return request;
}

GeneratedRequest BinaryRequests::Join(Family family) {
  constexpr std::array<uint8_t, 4> kJoins = {kAppendOp, kPrependOp, kAppendQOp, kPrependQOp};
  BinaryRequest packet{
      .opcode = AnyOf(kJoins), .key = AnyKey(family), .extras = {}, .value = AnyPiece(family)};
  bool wants = false;
  MaybeUnique(5, &packet, &wants);
  GeneratedRequest request = Finish(std::move(packet));
  request.wants_unique = wants;
  return request;
}

GeneratedRequest BinaryRequests::Delete(Family family) {
  BinaryRequest packet{.opcode = OneIn(2) ? kDeleteOp : kDeleteQOp, .key = AnyKey(family)};
  bool wants = false;
  MaybeUnique(4, &packet, &wants);
  GeneratedRequest request = Finish(std::move(packet));
  request.wants_unique = wants;
  return request;
}

void BinaryRequests::Count(std::deque<GeneratedRequest>* requests) {
  constexpr std::array<uint8_t, 4> kCounts = {kIncrementOp, kDecrementOp, kIncrementQOp,
                                              kDecrementQOp};
  const bool makes = !OneIn(3);
  BinaryRequest packet{.opcode = AnyOf(kCounts), .key = AnyKey(Family::kNumber)};
  packet.extras = CountExtras(Below(1ULL << Below(34)), Below(1'000'000),
                              makes ? static_cast<uint32_t>(Below(2) * 100'000) : kDoNotMake);
  bool wants = false;
  MaybeUnique(5, &packet, &wants);
  // A new item would hide that the old one was lost.
  if (makes) requests->push_back(Show(packet.key));
  requests->push_back(Finish(std::move(packet)));
  requests->back().wants_unique = wants;
  requests->back().counts = true;
}

GeneratedRequest BinaryRequests::LargeRequest() {
  const uint64_t die = Below(20);
  if (die < 8) return Read(Family::kLarge);
  if (die >= 19) return Delete(Family::kLarge);
  if (die >= 17) return Join(Family::kLarge);
  constexpr std::array<uint8_t, 6> kStores = {kSetOp,  kSetQOp,    kAddOp,
                                              kAddQOp, kReplaceOp, kReplaceQOp};
  constexpr std::array<uint8_t, 2> kJoins = {kAppendOp, kPrependQOp};
  BinaryRequest packet{.opcode = die < 14 ? uint8_t{kSetOp} : AnyOf(kStores),
                       .key = AnyKey(Family::kLarge),
                       .extras = StoreExtras(FlagsNumber(), 0),
                       .value = die < 14 ? LargeValue() : TooLargeValue()};
  if (die == 16) {
    packet.opcode = AnyOf(kJoins);
    packet.extras.clear();
  }
  return Finish(std::move(packet));
}

GeneratedRequest BinaryRequests::Flush() {
  BinaryRequest packet{.opcode = OneIn(2) ? kFlushOp : kFlushQOp};
  if (OneIn(2)) packet.extras = BigEndian(0, 4);
  GeneratedRequest request = Finish(std::move(packet));
  request.flushes = true;
  return request;
}

// What is wrong with a frame ends the connection. The reference says so only when as many bytes are there as it
// expects then, so there are always enough of them.
GeneratedRequest BinaryRequests::Malformed() {
  constexpr std::array<uint8_t, 24> kOps = {
      kGetOp,     kGetQOp,    kGetKOp,      kGetKQOp,     kSetOp,        kAddOp,
      kReplaceOp, kSetQOp,    kAddQOp,      kReplaceQOp,  kDeleteOp,     kDeleteQOp,
      kAppendOp,  kPrependOp, kIncrementOp, kDecrementOp, kIncrementQOp, kTouchOp,
      kGatOp,     kGatKOp,    kNoopOp,      kVersionOp,   kFlushOp,      kQuitOp};
  BinaryRequest packet{.opcode = AnyOf(kOps), .key = "bad", .extras = {}, .opaque = 0x0badcafe};
  packet.extras = UsualExtras(packet.opcode);
  switch (Below(8)) {
    case 0:
      packet.key = std::string(251 + Below(60), 'k');
      break;
    case 1:
      packet.extras += "x";
      break;
    case 2:
      packet.extras = packet.extras.substr(packet.extras.empty() ? 0 : 1);
      packet.key = packet.extras.empty() ? "" : "k";
      if (IsOneOf(packet.opcode, kKeylessOps)) packet.key = "k";
      break;
    case 3:
      packet.key.clear();
      packet.value = "v";
      break;
    case 4:
      packet.value = std::string(200, 'v');
      packet.key_bytes = 200;
      packet.body_bytes = static_cast<uint32_t>(packet.extras.size() + 1);
      break;
    case 5:
      packet.magic = static_cast<uint8_t>(OneIn(2) ? 0x81 : 'g');
      break;
    case 6:
      packet = {.opcode = static_cast<uint8_t>(OneIn(2) ? 0x1f : 0x25 + Below(0xdb))};
      break;
    default:
      packet.body_bytes = 0;
      break;
  }
  return {.text = packet.Bytes(), .malformed = true};
}

void BinaryRequests::Next(std::deque<GeneratedRequest>* requests) {
  uint64_t die = MillionDie();
  if (Falls(Mix().flush_per_million, &die)) return requests->push_back(Flush());
  if (Falls(Mix().malformed_per_million, &die)) return requests->push_back(Malformed());
  if (Falls(Mix().large_per_million, &die)) return requests->push_back(LargeRequest());
  die = Below(100);
  if (Falls(45, &die)) return requests->push_back(Read(AnyFamily()));
  if (Falls(30, &die)) return requests->push_back(Store(AnyFamily()));
  if (Falls(7, &die)) return requests->push_back(Join(AnyFamily()));
  if (Falls(7, &die)) return requests->push_back(Delete(AnyFamily()));
  if (Falls(9, &die)) return Count(requests);
  requests->push_back(Finish({.opcode = kNoopOp}));
}

}  // namespace

std::unique_ptr<RequestGenerator> CreateBinaryRequests(uint64_t seed, const RequestMix& mix) {
  return std::make_unique<BinaryRequests>(seed, mix);
}

}  // namespace terraced::support
