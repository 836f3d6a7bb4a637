// The options table: one row per option. Parser, -h, `stats settings`, `extstore`, etc/terraced.conf
// and the manual page walk it; nothing about an option is written down anywhere else.
// Threads: immutable. Ownership: rows live for ever and point into an Options given to them.
// Errors: none; looking up an unknown name answers nullptr.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/options.h"

namespace terraced::server {

enum class OptionKind : uint8_t {
  kSwitch,      // no value; -o also knows its no_ form
  kCounter,     // given again, it counts up: -v
  kNumber,      // a whole number from min to max
  kBytes,       // a whole number with an optional k, m, g or t
  kFraction,    // a decimal from min to max
  kText,        // anything but nothing
  kList,        // comma separated, may be repeated
  kChunkSizes,  // a-b-c, ascending
  kChoice,      // one of `choices`
  kSuboptions,  // -o itself
  kAction,      // does something else than serve: -h
};

enum class OptionGroup : uint8_t { kNetwork, kMemory, kLru, kFlash, kProcess, kAccepted, kOther };
constexpr OptionGroup kOptionGroups[] = {OptionGroup::kNetwork, OptionGroup::kMemory,
                                         OptionGroup::kLru,     OptionGroup::kFlash,
                                         OptionGroup::kProcess, OptionGroup::kOther};
std::string_view GroupTitle(OptionGroup group);

using Field = std::variant<std::monostate, bool*, int*, uint32_t*, uint64_t*, int64_t*, double*,
                           std::string*, std::vector<std::string>*, std::vector<uint32_t>*>;

constexpr uint32_t kExtended = 1;    // an -o name as well as a long option
constexpr uint32_t kClears = 2;      // the switch sets its field to false
constexpr uint32_t kHidden = 4;      // in no document
constexpr uint32_t kNoEffect = 8;    // memcached's, without meaning here: one log line
constexpr uint32_t kOptional = 16;   // without a value it means 1, its no_ form 0
constexpr uint32_t kNegatable = 32;  // the no_ form gives the field its default back
constexpr uint32_t kNotInFile = 64;  // only on the command line
constexpr uint32_t kLive = 128;      // can be changed while the daemon runs: option_change.h
constexpr uint32_t kUsage = 256;  // a value that cannot be ends with exit code 64, as in memcached

// Of a value, both ends allowed. Whole numbers stay far below 2^53, so doubles hold them exactly.
struct Bounds {
  double min = 0;
  double max = 0;
  uint64_t scale = 1;  // kBytes: what one of a plain number is
};

struct OptionSpec {
  std::string_view name;       // '-' and '_' are the same on the command line
  char letter = 0;             // 0: none
  std::string_view also = {};  // another spelling: memcached's, or one that was renamed
  OptionKind kind = OptionKind::kSwitch;
  Field (*field)(Options& options) = nullptr;
  Bounds bounds = {};
  std::string_view value = {};  // what stands for the value in documents: "<number>"
  OptionGroup group = OptionGroup::kOther;
  uint32_t flags = 0;
  std::string_view help = {};
  std::string_view choices = {};                // kChoice: separated by commas
  Status (*after)(Options& options) = nullptr;  // what else follows once the field is set
  StartAction action = StartAction::kServe;     // kAction

  bool Has(uint32_t flag) const { return (flags & flag) != 0; }
  bool TakesValue() const {
    return kind != OptionKind::kSwitch && kind != OptionKind::kCounter &&
           kind != OptionKind::kAction;
  }
  bool IsDocumented() const { return !Has(kHidden) && !Has(kNoEffect); }
  // As an operator writes it: "-m", "-o flash_size", "--config".
  std::string Spelling() const;
};

std::span<const OptionSpec> OptionTable();
const OptionSpec* FindByLetter(char letter);
// A long option (`extended_only` false) or an -o name; without dashes in front.
const OptionSpec* FindByName(std::string_view name, bool extended_only);

}  // namespace terraced::server
