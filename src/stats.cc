#include "src/stats.h"

#include <utility>
#include <vector>

namespace terraced::server {
namespace {

bool IsGeneral(const StatSpec& stat, const StatsInput& input) {
  switch (stat.group) {
    case StatGroup::kGeneral:
      return true;
    case StatGroup::kTls:
      return input.options.server.tls_enabled;
    case StatGroup::kFlash:
    case StatGroup::kExtstore:
      break;
  }
  return input.cache.flash.enabled;
}

void WriteGeneral(const StatsInput& input, ReplySink& sink) {
  for (const StatSpec& stat : Stats()) {
    if (IsGeneral(stat, input)) sink.Stat(stat.name, stat.value(input));
  }
}

void WriteFlash(const StatsInput& input, ReplySink& sink) {
  for (const StatSpec& stat : Stats()) {
    if (stat.group == StatGroup::kFlash) sink.Stat(stat.name, stat.value(input));
  }
}

void WriteSettings(const StatsInput& input, ReplySink& sink) {
  for (const auto& [name, value] : SettingsForStats(input.options)) sink.Stat(name, value);
}

}  // namespace

bool WriteStatGroup(std::string_view group, const StatsInput& input, ReplySink& sink) {
  if (group.empty()) {
    WriteGeneral(input, sink);
  } else if (group == "settings") {
    WriteSettings(input, sink);
  } else if (group == "items") {
    WriteItemStats(input, sink);
  } else if (group == "slabs") {
    WriteSlabStats(input.cache, sink);
  } else if (group == "flash") {
    WriteFlash(input, sink);
  } else {
    // `stats extstore` lists pages of a storage that we do not have: nothing, as in memcached without it.
    return group == "extstore";
  }
  return true;
}

}  // namespace terraced::server
