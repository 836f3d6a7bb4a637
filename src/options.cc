#include "src/options.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "src/config_file.h"
#include "src/ext_path.h"
#include "src/option_table.h"
#include "src/option_value.h"

namespace terraced::server {
namespace {

constexpr std::string_view kProxyPrefix = "proxy_";
constexpr uint32_t kManyThreads = 64;  // more than that memcached warns of

// One option as it was given: a row, and the text that goes with it.
struct Given {
  const OptionSpec* spec = nullptr;
  std::string spelling;  // as written: "-m", "--memory-limit", "-o flash_size"
  std::string value;
  bool has_value = false;
  bool negated = false;
  std::string origin;  // "FILE:LINE: ", empty for the command line
};

Status Refuse(const std::string& origin, const std::string& spelling, std::string_view what) {
  return Status(StatusCode::kInvalidArgument, origin + spelling + ": " + std::string(what));
}

// Reads words (of the command line, or of one line of the file) into Givens.
class Scanner {
 public:
  Scanner(std::span<const std::string> words, std::string origin, std::vector<Given>* given)
      : words_(words), origin_(std::move(origin)), given_(given) {}

  // Stops at the first option that is an action (-h) and answers it.
  Result<StartAction> Run();

 private:
  bool InFile() const { return !origin_.empty(); }
  Status TakeWord(const std::string& word);
  Status TakeLetters(std::string_view letters);
  Status TakeLong(std::string_view text);
  Status TakeSuboptions(std::string_view list);
  Status TakeSuboption(std::string_view text);
  // `value` is what stood in the same word, if anything.
  Status Take(const OptionSpec& spec, const std::string& spelling, const std::string_view* value);
  Status TakeNegated(std::string_view name, const std::string& spelling, bool has_value,
                     bool extended_only);

  std::span<const std::string> words_;
  const std::string origin_;
  std::vector<Given>* const given_;
  size_t next_ = 0;
  bool ended_ = false;  // "--" was met
  StartAction action_ = StartAction::kServe;
};

Result<StartAction> Scanner::Run() {
  while (next_ < words_.size() && action_ == StartAction::kServe) {
    const std::string& word = words_[next_++];
    TERRACED_RETURN_IF_ERROR(TakeWord(word));
  }
  return action_;
}

Status Scanner::TakeWord(const std::string& word) {
  if (!ended_ && word == "--") {
    ended_ = true;
    return Status();
  }
  if (!ended_ && word.starts_with("--")) return TakeLong(std::string_view(word).substr(2));
  if (!ended_ && word.size() > 1 && word[0] == '-') {
    return TakeLetters(std::string_view(word).substr(1));
  }
  // Debian's memcached.conf has one line of another form: "logfile /var/log/memcached.log".
  if (InFile() && next_ == 1 && word == "logfile") {
    return Take(*FindByName(word, false), word, nullptr);
  }
  return Refuse(origin_, "'" + word + "'", "is no option: options begin with '-', see terraced -h");
}

Status Scanner::TakeLetters(std::string_view letters) {
  for (size_t i = 0; i < letters.size(); ++i) {
    const std::string spelling = std::string("-") + letters[i];
    const OptionSpec* const spec = FindByLetter(letters[i]);
    if (spec == nullptr) return Refuse(origin_, spelling, "unknown option, see terraced -h");
    if (!spec->TakesValue()) {
      TERRACED_RETURN_IF_ERROR(Take(*spec, spelling, nullptr));
      continue;
    }
    const std::string_view rest = letters.substr(i + 1);
    return Take(*spec, spelling, rest.empty() ? nullptr : &rest);
  }
  return Status();
}

Status Scanner::TakeLong(std::string_view text) {
  const size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const std::string spelling = "--" + std::string(name);
  const bool has_value = equals != std::string_view::npos;
  const std::string_view value = has_value ? text.substr(equals + 1) : std::string_view();
  const OptionSpec* const spec = FindByName(name, false);
  if (spec == nullptr) return TakeNegated(name, spelling, has_value, false);
  return Take(*spec, spelling, has_value ? &value : nullptr);
}

Status Scanner::TakeSuboptions(std::string_view list) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (comma > 0) TERRACED_RETURN_IF_ERROR(TakeSuboption(list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return Status();
}

Status Scanner::TakeSuboption(std::string_view text) {
  const size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const std::string spelling = "-o " + std::string(name);
  const bool has_value = equals != std::string_view::npos;
  const OptionSpec* const spec = FindByName(name, true);
  if (spec == nullptr) return TakeNegated(name, spelling, has_value, true);
  Given given{.spec = spec, .spelling = spelling, .value = {}, .origin = origin_};
  given.has_value = has_value;
  if (has_value) given.value = text.substr(equals + 1);
  if (!has_value && spec->TakesValue() && !spec->Has(kOptional)) {
    return Refuse(origin_, spelling, "needs a value: give " + DescribeValue(*spec));
  }
  given_->push_back(std::move(given));
  return Status();
}

Status Scanner::TakeNegated(std::string_view name, const std::string& spelling, bool has_value,
                            bool extended_only) {
  const bool negated = name.starts_with("no_") || name.starts_with("no-");
  const OptionSpec* const spec = negated ? FindByName(name.substr(3), extended_only) : nullptr;
  if (name.starts_with(kProxyPrefix)) {
    return Refuse(origin_, spelling,
                  "memcached's proxy is not there: connect clients to the servers");
  }
  const bool can_be = spec != nullptr && (spec->kind == OptionKind::kSwitch ||
                                          spec->Has(kOptional) || spec->Has(kNegatable));
  if (!can_be) {
    return Refuse(
        origin_, spelling,
        extended_only ? "unknown name, see terraced -h" : "unknown option, see terraced -h");
  }
  if (has_value) return Refuse(origin_, spelling, "takes no value");
  given_->push_back(
      {.spec = spec, .spelling = spelling, .value = {}, .negated = true, .origin = origin_});
  return Status();
}

Status Scanner::Take(const OptionSpec& spec, const std::string& spelling,
                     const std::string_view* value) {
  if (InFile() && spec.Has(kNotInFile)) {
    return Refuse(origin_, spelling, "belongs on the command line, not into the file");
  }
  if (spec.kind == OptionKind::kAction) {
    if (value != nullptr) return Refuse(origin_, spelling, "takes no value");
    action_ = spec.action;
    return Status();
  }
  Given given{.spec = &spec, .spelling = spelling, .value = {}, .origin = origin_};
  if (value != nullptr) {
    if (!spec.TakesValue() && !spec.Has(kExtended)) {
      return Refuse(origin_, spelling, "takes no value");
    }
    given.value = *value;
    given.has_value = true;
  } else if (spec.TakesValue() && !spec.Has(kOptional)) {
    if (next_ == words_.size()) {
      return Refuse(origin_, spelling, "needs a value: give " + DescribeValue(spec));
    }
    given.value = words_[next_++];
    given.has_value = true;
  }
  if (spec.kind == OptionKind::kSuboptions) return TakeSuboptions(given.value);
  given_->push_back(std::move(given));
  return Status();
}

Status Apply(const Given& given, CommandLine* line) {
  const OptionSpec& spec = *given.spec;
  Status status;
  if (given.has_value) {
    status = SetValue(spec, given.value, &line->options);
  } else if (!spec.TakesValue()) {
    SetSwitch(spec, given.negated, &line->options);
  } else if (given.negated && spec.Has(kNegatable)) {
    ResetValue(spec, &line->options);
  } else {
    status = SetValue(spec, given.negated ? "0" : "1", &line->options);
  }
  if (status.ok() && spec.after != nullptr) status = spec.after(line->options);
  if (!status.ok()) {
    status = status.WithContext(given.origin + given.spelling);
    return spec.Has(kUsage) ? Status(StatusCode::kNotFound, std::string(status.message())) : status;
  }
  if (spec.Has(kNoEffect)) {
    line->notices.push_back(given.origin + given.spelling +
                            ": accepted for memcached's sake, it has no effect here");
  }
  return Status();
}

// What one source says replaces, of lists and counters too, what the source before it said.
Status ApplyAll(const std::vector<Given>& source, CommandLine* line) {
  for (const Given& given : source) {
    const OptionKind kind = given.spec->kind;
    if (kind == OptionKind::kList || kind == OptionKind::kCounter) {
      ResetValue(*given.spec, &line->options);
    }
  }
  for (const Given& given : source) TERRACED_RETURN_IF_ERROR(Apply(given, line));
  return Status();
}

bool IsGiven(const std::vector<Given>& source, std::string_view name) {
  for (const Given& given : source) {
    if (given.spec->name == name) return true;
  }
  return false;
}

Result<std::vector<Given>> ScanFile(const std::string& path) {
  std::vector<Given> given;
  TERRACED_ASSIGN_OR_RETURN(const std::vector<ConfigLine> lines, ReadConfigFile(path));
  for (const ConfigLine& line : lines) {
    Scanner scanner(line.words, path + ":" + std::to_string(line.number) + ": ", &given);
    TERRACED_ASSIGN_OR_RETURN([[maybe_unused]] const StartAction action, scanner.Run());
  }
  return given;
}

}  // namespace

Result<CommandLine> ParseCommandLine(std::span<const char* const> arguments) {
  CommandLine line;
  const std::vector<std::string> words(arguments.begin(), arguments.end());
  std::vector<Given> given;
  TERRACED_ASSIGN_OR_RETURN(line.action, Scanner(words, "", &given).Run());
  if (line.action != StartAction::kServe) return line;

  std::vector<Given> from_file;
  for (const Given& option : given) {
    if (option.spec->name != "config") continue;
    TERRACED_ASSIGN_OR_RETURN(from_file, ScanFile(option.value));  // of several, the last counts
  }
  TERRACED_RETURN_IF_ERROR(ApplyAll(from_file, &line));
  TERRACED_RETURN_IF_ERROR(ApplyAll(given, &line));

  // Where nobody asked for a chunk size, a small -I lowers it; memcached would refuse to start.
  storage::SlabOptions& slabs = line.options.cache.slabs;
  if (!IsGiven(given, "slab_chunk_max") && !IsGiven(from_file, "slab_chunk_max") &&
      slabs.item_bytes_max < slabs.slab_chunk_bytes_max) {
    slabs.slab_chunk_bytes_max = slabs.item_bytes_max;
  }
  if (line.options.server.worker_threads > kManyThreads) {
    line.notices.emplace_back("-t: more threads than there are processors do not help, " +
                              std::to_string(line.options.server.worker_threads) + " are many");
  }
  for (std::string& notice : SettleExtPaths(&line.options)) {
    line.notices.push_back(std::move(notice));
  }
  return line;
}

}  // namespace terraced::server
