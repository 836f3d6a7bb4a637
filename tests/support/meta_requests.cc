// Meta commands with every flag of memcached 1.6.18, in any order. Flags of later versions (E, C of mg, x of md, N of
// ms) are left out.
#include <algorithm>
#include <array>

#include "tests/support/base64.h"
#include "tests/support/request_generator.h"

namespace terraced::support {
namespace {

constexpr size_t kKeyBytesMax = 250;
// A longer key makes a word that is no key any more.
constexpr size_t kEncodedKeyBytesMax = kKeyBytesMax / 4 * 3;
constexpr size_t kOpaqueBytes = 31;

class MetaRequests : public RequestGenerator {
 public:
  MetaRequests(uint64_t seed, const RequestMix& mix) : RequestGenerator(seed, mix, true) {}
  void Next(std::deque<GeneratedRequest>* requests) override;
  GeneratedRequest Fill(const std::string& key) override;
  GeneratedRequest Show(const std::string& key) override;

 private:
  // A command about a key before its flags are put in order.
  struct Draft {
    std::string word;
    std::string key;
    std::vector<std::string> flags;
    std::string data;
    bool has_data = false;
  };
  // `flag` in one of `bound` drafts.
  void Maybe(uint64_t bound, const std::string& flag, Draft* draft) {
    if (OneIn(bound)) draft->flags.push_back(flag);
  }
  std::string AnyPlainKey(Family family);
  void AddCommonFlags(bool may_be_quiet, Draft* draft);
  void AddUnique(Draft* draft);
  GeneratedRequest Finish(Draft draft);

  GeneratedRequest Read(Family family);
  GeneratedRequest ReadPlainly(const std::string& key);
  GeneratedRequest Store(Family family);
  GeneratedRequest Delete(Family family);
  void Count(std::deque<GeneratedRequest>* requests);
  GeneratedRequest LargeRequest();
  GeneratedRequest Malformed();
  std::string MalformedText();
  std::string MalformedStore(const std::string& key);

  uint64_t opaque_ = 0;
};

std::string Noop() {
  return "mn\r\n";
}

// The key needs base64.
bool NeedsEncoding(const std::string& key) {
  return key.find_first_of(std::string_view(" \0\r\n", 4)) != std::string::npos;
}

// Of an item that N, append, prepend or ma made, the reference forgets that its key is in base64: where a line
// cannot hold it, it breaks its own then.
std::string MetaRequests::AnyPlainKey(Family family) {
  std::string key = AnyKey(family);
  while (NeedsEncoding(key)) key = AnyKey(family);
  return key;
}

void MetaRequests::AddCommonFlags(bool may_be_quiet, Draft* draft) {
  Maybe(3, "k", draft);
  Maybe(20, "Ppath/" + std::to_string(Below(9)), draft);
  Maybe(20, "L" + std::to_string(Below(9)), draft);
  const bool quiet = may_be_quiet && OneIn(5);
  if (quiet) draft->flags.push_back("q");
  // A quiet one's reply is known by its opaque.
  if (!quiet && !OneIn(3)) return;
  std::string opaque = "O" + std::to_string(++opaque_) + ".";
  if (OneIn(10)) opaque.append(kOpaqueBytes + 1 - opaque.size(), 'o');
  draft->flags.push_back(opaque);
}

void MetaRequests::AddUnique(Draft* draft) {
  // None that is lower than the uniques of one server and higher than the other's: with I that is a difference.
  constexpr std::array<std::string_view, 8> kUniques = {
      kCasMark, kCasMark, kCasMark, kCasMark, kCasMark, kCasMark, "0", "18446744073709551615"};
  draft->flags.push_back("C" + std::string(kUniques[Below(kUniques.size())]));
}

GeneratedRequest MetaRequests::Finish(Draft draft) {
  const bool encoded =
      NeedsEncoding(draft.key) || (draft.key.size() <= kEncodedKeyBytesMax && OneIn(5));
  if (encoded) draft.flags.push_back("b");
  for (size_t i = draft.flags.size(); i > 1; --i) {
    std::swap(draft.flags[i - 1], draft.flags[Below(i)]);
  }
  GeneratedRequest request;
  request.keys.push_back(draft.key);
  request.text = draft.word + " " + (encoded ? Base64Of(draft.key) : draft.key);
  if (draft.has_data) request.text += " " + std::to_string(draft.data.size());
  for (const std::string& flag : draft.flags) {
    request.text.append(OneIn(50) ? "  " : " ").append(flag);
    if (flag[0] == 'O') request.token = flag;
    request.quiet = request.quiet || flag[0] == 'q';
    request.wants_unique = request.wants_unique || (flag[0] == 'C' && flag.ends_with(kCasMark));
  }
  request.text += "\r\n";
  if (draft.has_data) request.text += draft.data + "\r\n";
  request.reads = draft.word == "mg" ? 1 : 0;
  request.counts = draft.word == "ma";
  return request;
}

GeneratedRequest MetaRequests::Read(Family family) {
  Draft draft{.word = "mg", .key = AnyKey(family), .flags = {}, .data = {}};
  if (!OneIn(4)) draft.flags.push_back("v");
  for (const char* flag : {"c", "f", "h", "l", "s", "t"}) Maybe(3, flag, &draft);
  Maybe(6, "u", &draft);
  // An item that is never there again tells little: only seldom.
  Maybe(10, "T" + AnyExptime(), &draft);
  // An empty number becomes a blank one, on which the reference counts what lay there before.
  if (family != Family::kNumber && !NeedsEncoding(draft.key)) Maybe(10, "N" + AnyExptime(), &draft);
  // Far from what any item has left: no race with the clock.
  Maybe(8, OneIn(2) ? "R30" : OneIn(2) ? "R1000000" : "R-1", &draft);
  AddCommonFlags(true, &draft);
  return Finish(std::move(draft));
}

GeneratedRequest MetaRequests::ReadPlainly(const std::string& key) {
  return Finish({.word = "mg", .key = key, .flags = {"v", "k"}, .data = {}});
}

GeneratedRequest MetaRequests::Show(const std::string& key) {
  return Finish(
      {.word = "mg", .key = key, .flags = {"v", "c", "f", "k", "s", "t", "h"}, .data = {}});
}

GeneratedRequest MetaRequests::Fill(const std::string& key) {
  return Finish({.word = "ms",
                 .key = key,
                 .flags = {"c", "F" + AnyFlags()},
                 .data = FirstValue(key),
                 .has_data = true});
}

GeneratedRequest MetaRequests::Store(Family family) {
  Draft draft{.word = "ms", .key = AnyKey(family), .flags = {}, .data = {}, .has_data = true};
  const uint64_t die = Below(10);
  const bool extends = die >= 8;
  if (die >= 5) draft.flags.push_back(std::string("M") + "SERAP"[die - 5]);
  if (extends) draft.key = AnyPlainKey(family);
  draft.data = extends ? AnyPiece(family) : AnyValue(family);
  Maybe(2, "T" + AnyExptime(), &draft);
  Maybe(2, "F" + AnyFlags(), &draft);
  Maybe(3, "c", &draft);
  if (OneIn(4)) {
    AddUnique(&draft);
    Maybe(2, "I", &draft);
  } else {
    Maybe(20, "I", &draft);
  }
  AddCommonFlags(true, &draft);
  return Finish(std::move(draft));
}

GeneratedRequest MetaRequests::Delete(Family family) {
  Draft draft{.word = "md", .key = AnyKey(family), .flags = {}, .data = {}};
  // An item that is only stale shows more than none.
  Maybe(2, "I", &draft);
  Maybe(4, "T" + AnyExptime(), &draft);
  if (OneIn(4)) AddUnique(&draft);
  AddCommonFlags(true, &draft);
  return Finish(std::move(draft));
}

void MetaRequests::Count(std::deque<GeneratedRequest>* requests) {
  Draft draft{.word = "ma", .key = AnyPlainKey(Family::kNumber), .flags = {}, .data = {}};
  Maybe(2, "D" + std::to_string(Below(1ULL << Below(34))), &draft);
  if (OneIn(3)) {
    draft.flags.push_back("N" + AnyExptime());
    Maybe(2, "J" + std::to_string(Below(1'000'000)), &draft);
    // A new item would hide that the old one was lost.
    requests->push_back(ReadPlainly(draft.key));
  }
  constexpr std::array<const char*, 4> kModes = {"MI", "M+", "MD", "M-"};
  const uint64_t mode = Below(8);
  if (mode < kModes.size()) draft.flags.push_back(kModes[mode]);
  // The reference forgets T where the number gets longer.
  const bool grows = mode < 2 || mode >= kModes.size();
  if (!grows) Maybe(4, "T" + AnyExptime(), &draft);
  for (const char* flag : {"t", "c", "v"}) Maybe(2, flag, &draft);
  if (OneIn(5)) AddUnique(&draft);
  AddCommonFlags(true, &draft);
  requests->push_back(Finish(std::move(draft)));
  // An error carries no opaque: what follows must not be taken for it.
  if (requests->back().quiet) requests->push_back({.text = Noop()});
}

GeneratedRequest MetaRequests::LargeRequest() {
  const uint64_t die = Below(20);
  if (die < 8) return Read(Family::kLarge);
  if (die >= 19) return Delete(Family::kLarge);
  Draft draft{
      .word = "ms", .key = AnyKey(Family::kLarge), .flags = {"c"}, .data = {}, .has_data = true};
  constexpr std::array<const char*, 5> kModes = {"MS", "ME", "MR", "MA", "MP"};
  if (die < 14) {
    draft.data = LargeValue();
  } else if (die < 16) {
    draft.data = TooLargeValue();
    draft.flags.push_back(kModes[Below(kModes.size())]);
  } else {
    draft.key = AnyPlainKey(Family::kLarge);
    draft.data = Bytes(1 + Below(10));
    draft.flags.push_back(kModes[3 + Below(2)]);
  }
  AddCommonFlags(false, &draft);
  return Finish(std::move(draft));
}

std::string MetaRequests::MalformedStore(const std::string& key) {
  constexpr std::array<const char*, 21> kRests = {
      "\r\n",                   // no length
      " junk\r\n",              //
      " -1\r\n",                //
      " 3\r\nabcdef\r\n",       // more data than said
      " 3 q O1\r\nabcdef\r\n",  //
      " 1 T T\r\na\r\n",        // what is wrong with a flag
      " 1 Tsoon\r\na\r\n",      //
      " 1 Cjunk\r\na\r\n",      //
      " 1 Fjunk\r\na\r\n",      //
      " 1 F-1\r\na\r\n",        //
      " 1 MX\r\na\r\n",         //
      " 1 M\r\na\r\n",          //
      " 1 MSS\r\na\r\n",        //
      " 1 !\r\na\r\n",          //
      " 1 c c\r\na\r\n",        //
      " 1 b\r\na\r\n",          // the key is no base64
      " 1 q MX\r\na\r\n",       // quiet is not said of errors
      " 1 Oooooooooooooooooooooooooooooooooooooooooooooo\r\na\r\n",
      " 1 a d e g i j m n o p r w y z A B G H K Q\r\na\r\n",
      " 1 I T0 F0 Z\r\na\r\n",
      " 2 S2\r\nab\r\n",
  };
  return "ms " + key + kRests[Below(kRests.size())];
}

std::string MetaRequests::MalformedText() {
  const std::string key = AnyKey(Family::kLarge).substr(0, 2) + "bad";
  if (OneIn(2)) return MalformedStore(key);
  constexpr std::array<const char*, 23> kFlags = {" v v",
                                                  " !",
                                                  " 5",
                                                  " Tsoon",
                                                  " T",
                                                  " Njunk",
                                                  " Rjunk",
                                                  " N",
                                                  " R",
                                                  " b",
                                                  " v b",
                                                  " Z",
                                                  " W",
                                                  " X",
                                                  " Oooooooooooooooooooooooooooooooooooooooooooooo",
                                                  " C",
                                                  " Cjunk",
                                                  " Djunk",
                                                  " D-1",
                                                  " Jjunk",
                                                  " MX",
                                                  " M",
                                                  " a b c d e f g h i j k l m n o p q r s t u v"};
  constexpr std::array<const char*, 3> kWords = {"mg ", "md ", "ma "};
  const std::string word = kWords[Below(kWords.size())];
  switch (Below(12)) {
    case 0:
      return word + std::string(kKeyBytesMax + 1 + Below(100), 'x') + " v\r\n";
    case 1:
      return "ms " + std::string(kKeyBytesMax + 1 + Below(100), 'x') + " 1\r\na\r\n";
    case 2:
      return word.substr(0, 2) + (OneIn(2) ? " " : "") + "\r\n";
    case 3:
      return OneIn(2) ? "mz " + key + "\r\n" : "MG " + key + " v\r\n";
    case 4:
      return OneIn(2) ? "ms\r\n" : " mg " + key + " v\r\n";
    case 5:
      return word + key + " " + std::string(2'500, 'k') + "\r\n";
    default:
      return word + key + kFlags[Below(kFlags.size())] + (OneIn(4) ? " q" : "") + "\r\n";
  }
}

GeneratedRequest MetaRequests::Malformed() {
  return {.text = MalformedText(), .malformed = true};
}

void MetaRequests::Next(std::deque<GeneratedRequest>* requests) {
  uint64_t die = MillionDie();
  if (Falls(Mix().flush_per_million, &die)) {
    const bool quiet = OneIn(3);
    return requests->push_back({.text = quiet ? "flush_all noreply\r\n" : "flush_all\r\n",
                                .quiet = quiet,
                                .flushes = true});
  }
  if (Falls(Mix().malformed_per_million, &die)) return requests->push_back(Malformed());
  if (Falls(Mix().large_per_million, &die)) return requests->push_back(LargeRequest());
  die = Below(100);
  if (Falls(45, &die)) return requests->push_back(Read(AnyFamily()));
  if (Falls(34, &die)) return requests->push_back(Store(AnyFamily()));
  if (Falls(8, &die)) return requests->push_back(Delete(AnyFamily()));
  if (Falls(10, &die)) return Count(requests);
  requests->push_back({.text = OneIn(8) ? "mn junk\r\n" : Noop()});
}

}  // namespace

std::unique_ptr<RequestGenerator> CreateMetaRequests(uint64_t seed, const RequestMix& mix) {
  return std::make_unique<MetaRequests>(seed, mix);
}

}  // namespace terraced::support
