// The groups of `stats` that do something, or read items: detail, cachedump, sizes.
#include <string>

#include "src/commands/command_table.h"
#include "src/prefix_stats.h"
#include "src/protocol/text_codec.h"
#include "src/protocol/words.h"
#include "tiering/administration.h"

namespace terraced::server {
namespace {

constexpr size_t kCachedumpBytesMax = 2U << 20;
constexpr std::string_view kBadLine = "CLIENT_ERROR bad command line format";

// False: no such group, which is what the binary protocol calls another word.
bool Detail(const CommandContext& context, const Words& words, const Request& request,
            ReplySink& sink) {
  if (words[2] == "dump") {
    std::string dump = context.prefixes.Dump();
    dump.append("END");
    sink.Say(request, dump);
  } else if (words[2] == "on" || words[2] == "off") {
    context.prefixes.Switch(words[2] == "on");
    sink.Answer(request, Reply::kOk);
  } else if (request.command->Has(kBinary)) {
    return false;
  } else {
    sink.Say(request, "CLIENT_ERROR usage: stats detail on|off|dump");
  }
  return true;
}

// A binary request has its words behind the opcode instead of in a line.
Words WordsOf(const Request& request) {
  if (!request.command->Has(kBinary)) return SplitWords(request.line);
  Words words;
  words.Add(request.command->word);
  for (uint8_t i = 0; i < request.argument_count; ++i) {
    words.Add(request.arguments[i]);
  }
  return words;
}

std::string ListCold(tiering::Administration& admin, uint64_t slab_class, uint64_t items_max) {
  std::string list;
  uint64_t items = 0;
  admin.ListCold(static_cast<storage::SlabClass>(slab_class),
                 [&](std::string_view key, uint32_t value_bytes, uint32_t exptime_s) {
                   std::string line = "ITEM ";
                   line.append(key).append(" [").append(std::to_string(value_bytes)).append(" b; ");
                   line.append(std::to_string(exptime_s)).append(" s]\r\n");
                   if (list.size() + line.size() > kCachedumpBytesMax) return false;
                   list.append(line);
                   return ++items != items_max;
                 });
  return list;
}

void Cachedump(const CommandContext& context, const Words& words, const Request& request,
               ReplySink& sink) {
  if (!context.options.dump_enabled) {
    sink.Say(request, "CLIENT_ERROR stats cachedump not allowed");
    return;
  }
  if (words.count < 4) {
    sink.Say(request, "CLIENT_ERROR bad command line");
    return;
  }
  uint64_t slab_class = 0;
  uint64_t items_max = 0;
  if (!ParseUnsigned(words[2], &slab_class) || !ParseUnsigned(words[3], &items_max)) {
    sink.Say(request, kBadLine);
    return;
  }
  if (slab_class >= storage::kSlabClassesMax) {
    sink.Say(request, "CLIENT_ERROR Illegal slab id");
    return;
  }
  std::string list = ListCold(context.cache.Admin(), slab_class, items_max);
  list.append("END");
  sink.Say(request, list);
}

void Sizes(tiering::Administration& admin, const Request& request, ReplySink& sink) {
  if (!admin.TracksSizes()) sink.Stat("sizes_status", "disabled");
  for (const auto& [bytes, count] : admin.Sizes()) {
    sink.Stat(std::to_string(bytes), std::to_string(count));
  }
  sink.Answer(request, Reply::kEnd);
}

}  // namespace

bool RunStatsCommand(const CommandContext& context, const Request& request, ReplySink& sink) {
  const Words words = WordsOf(request);
  const std::string_view group = words[1];
  tiering::Administration& admin = context.cache.Admin();
  if (group == "detail") {
    return Detail(context, words, request, sink);
  }
  if (group == "cachedump") {
    Cachedump(context, words, request, sink);
  } else if (group == "sizes") {
    Sizes(admin, request, sink);
  } else if (group == "sizes_enable" || group == "sizes_disable") {
    // Without an END, as in memcached.
    admin.TrackSizes(group == "sizes_enable");
    sink.Stat("sizes_status", group == "sizes_enable" ? "enabled" : "disabled");
  } else {
    return false;
  }
  return true;
}

}  // namespace terraced::server
