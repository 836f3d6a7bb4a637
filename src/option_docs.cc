#include "src/option_docs.h"

#include <algorithm>
#include <string_view>

#include "src/option_change.h"
#include "src/option_table.h"
#include "src/option_value.h"

namespace terraced::server {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kHelpColumn = 32;

// `text` in lines of at most kWidth; the first goes on where `*out` ends, others after `indent`.
void AppendWrapped(std::string_view text, const std::string& indent, std::string* out) {
  size_t column = out->size() - (out->rfind('\n') + 1);  // npos + 1 is 0
  bool first = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!first && column + 1 + word.size() > kWidth) {
      *out += '\n' + indent;
      column = indent.size();
    } else if (!first) {
      *out += ' ';
      ++column;
    }
    *out += word;
    column += word.size();
    first = false;
  }
  *out += '\n';
}

// "default: 64", or nothing where the help text says what happens without the option.
std::string DefaultText(const OptionSpec& spec) {
  if (spec.kind == OptionKind::kSwitch) {
    if (!spec.Has(kExtended)) return "";
    return "default: " + std::string(FormatValue(spec, Options()) == "yes" ? "on" : "off");
  }
  if (!spec.TakesValue() || spec.kind == OptionKind::kSuboptions) return "";
  const std::string value = FormatValue(spec, Options());
  // flash_size's default depends on the disk; its help text says how.
  if (value.empty() || spec.name == "flash_size") return "";
  return "default: " + value;
}

std::string HelpWithDefault(const OptionSpec& spec) {
  std::string more = DefaultText(spec);
  if (spec.Has(kLive)) more += more.empty() ? "live" : "; live";
  return std::string(spec.help) + (more.empty() ? "" : " (" + more + ")");
}

template <typename Visit>
void ForEachDocumented(OptionGroup group, Visit visit) {
  for (const OptionSpec& spec : OptionTable()) {
    if (spec.group == group && spec.IsDocumented()) visit(spec);
  }
}

// "hashpower, no_hashexpand, ..."
std::string NamesWithoutEffect() {
  std::string names;
  for (const OptionSpec& spec : OptionTable()) {
    if (!spec.Has(kNoEffect)) continue;
    if (!names.empty()) names += ", ";
    names += spec.name;
  }
  return names;
}

// Rows that are another spelling of a documented one: extstore's.
std::string OtherSpellings() {
  std::string names;
  for (const OptionSpec& spec : OptionTable()) {
    const bool hidden_row = spec.Has(kHidden) && spec.name.starts_with("ext_");
    const std::string_view name = hidden_row ? spec.name : spec.also;
    if (!name.starts_with("ext_")) continue;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return names;
}

std::string HelpLeft(const OptionSpec& spec) {
  std::string left;
  if (spec.letter != 0) left += std::string("-") + spec.letter + ", ";
  if (spec.Has(kExtended)) {
    left = "-o " + std::string(spec.name);
  } else {
    left += "--" + std::string(spec.name);
  }
  if (spec.TakesValue()) left += "=" + std::string(spec.value);
  return left;
}

// How the option stands in the configuration file at its default.
std::string ConfigLineOf(const OptionSpec& spec) {
  const std::string value = FormatValue(spec, Options());
  if (spec.Has(kExtended)) {
    const std::string name(spec.name);
    if (spec.kind == OptionKind::kSwitch) return "-o " + (value == "yes" ? name : "no_" + name);
    const bool unset = value.empty() || spec.name == "flash_size";
    return "-o " + name + "=" + (unset ? std::string(spec.value) : value);
  }
  std::string line =
      spec.letter != 0 ? std::string("-") + spec.letter : "--" + std::string(spec.name);
  if (!spec.TakesValue()) return line;
  return line + " " + (value.empty() ? std::string(spec.value) : value);
}

// roff: '-' is typographic unless escaped, '\' and leading dots and quotes are commands.
std::string Roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '-') {
      out += "\\-";
    } else if (c == '\\') {
      out += "\\e";
    } else {
      out += c;
    }
  }
  return out;
}

std::string ManualHead(const OptionSpec& spec) {
  std::string head;
  if (spec.Has(kExtended)) {
    head = "\\fB\\-o\\fR \\fB" + Roff(spec.name) + "\\fR";
  } else {
    if (spec.letter != 0) head = std::string("\\fB\\-") + spec.letter + "\\fR, ";
    head += "\\fB\\-\\-" + Roff(spec.name) + "\\fR";
  }
  if (spec.TakesValue()) {
    const std::string_view name = spec.value.substr(1, spec.value.size() - 2);  // without < >
    head += "=\\fI" + Roff(name) + "\\fR";
  }
  return head;
}

}  // namespace

std::string HelpText() {
  std::string out = "terraced " TERRACED_VERSION
                    ": a memcached-compatible cache with a RAM and a flash tier\n"
                    "usage: terraced [option]...\n";
  const std::string indent(kHelpColumn, ' ');
  for (const OptionGroup group : kOptionGroups) {
    out += "\n" + std::string(GroupTitle(group)) + ":\n";
    ForEachDocumented(group, [&](const OptionSpec& spec) {
      std::string left = "  " + HelpLeft(spec);
      if (left.size() + 2 > kHelpColumn) {
        out += left + "\n" + indent;
      } else {
        left.resize(kHelpColumn, ' ');
        out += left;
      }
      AppendWrapped(HelpWithDefault(spec), indent, &out);
    });
  }
  out += "\n";
  AppendWrapped("Sizes take k, m, g or t. Names of -o are long options as well: --flash_size=4g.",
                "", &out);
  AppendWrapped(
      "What is live can be changed while the daemon runs, by a client: extstore <name> <value>.",
      "", &out);
  AppendWrapped("Of extstore, in its own spelling: " + OtherSpellings() + ".", "", &out);
  AppendWrapped("Of memcached, accepted without effect: " + NamesWithoutEffect() + ".", "", &out);
  return out;
}

std::string ConfigFileText() {
  std::string out =
      "# Configuration of terraced, read with --config; scripts/start-terraced passes it.\n"
      "#\n"
      "# Options stand here as on the command line, which wins over this file. A '#'\n"
      "# begins a comment. Every option is below, at its default and commented out;\n"
      "# a switch without a value is off unless it is given. Sizes take k, m, g or t.\n"
      "# Written from the daemon's table of options by scripts/gen_docs.py.\n";
  for (const OptionGroup group : kOptionGroups) {
    std::string part;
    ForEachDocumented(group, [&part](const OptionSpec& spec) {
      if (spec.Has(kNotInFile) || spec.kind == OptionKind::kSuboptions) return;
      part += "\n# ";
      const std::string live =
          spec.Has(kLive) ? " (can be changed while running: " + ChangeSpelling(spec) + ")" : "";
      AppendWrapped(std::string(spec.help) + live, "# ", &part);
      part += "# " + ConfigLineOf(spec) + "\n";
    });
    if (!part.empty()) out += "\n# --- " + std::string(GroupTitle(group)) + " ---\n" + part;
  }
  return out;
}

std::string ManualOptionsText() {
  std::string out = std::string(kManualBegin) + "\n.SH OPTIONS\n";
  for (const OptionGroup group : kOptionGroups) {
    out += ".SS " + std::string(GroupTitle(group)) + "\n";
    ForEachDocumented(group, [&out](const OptionSpec& spec) {
      out += ".TP\n" + ManualHead(spec) + "\n";
      std::string text = "\\&" + Roff(spec.help);
      if (const std::string value = DefaultText(spec); !value.empty()) {
        text += " (" + Roff(value) + ")";
      }
      out += text + ".\n";
      if (spec.Has(kLive)) {
        out += "Can be changed while running: \\fB" + Roff(ChangeSpelling(spec)) + "\\fR.\n";
      }
    });
  }
  out += ".SS " + std::string(GroupTitle(OptionGroup::kAccepted)) +
         "\nThese of memcached's options are read and logged, and change nothing:\n" +
         Roff(NamesWithoutEffect()) +
         ".\nThese are extstore's spelling of what stands under Flash tier:\n" +
         Roff(OtherSpellings()) + ".\n" + kManualEnd + "\n";
  return out;
}

}  // namespace terraced::server
