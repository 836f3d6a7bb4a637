#include "tests/bench/trace_server.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "tests/support/process.h"
#include "tests/support/stat_names.h"

namespace terraced::bench {
namespace {

constexpr const char* kStatGetExtstore = "get_extstore";
constexpr const char* kStatMissFromExtstore = "miss_from_extstore";
constexpr const char* kStatExtstoreBytesWritten = "extstore_bytes_written";

// Every counter that the JSON shows as the server says it.
constexpr auto kShown = std::to_array<const char*>({
    support::kStatGetHits,       support::kStatEvictions,         support::kStatGetHitsRam,
    support::kStatGetHitsFlash,  support::kStatPromotions,        support::kStatSecondChances,
    support::kStatDemotedItems,  support::kStatRecordsEvicted,    support::kStatIndexCollisions,
    support::kStatReadsTimedOut, support::kStatFlashBytesWritten, "flash_demoted_bytes",
    "flash_clean_drops",         "flash_items_not_admitted",      kStatGetExtstore,
    kStatMissFromExtstore,       kStatExtstoreBytesWritten,       support::kStatExtstoreWritten,
    "extstore_objects_evicted",  "recache_from_extstore",
});

uint64_t NumberOf(std::string_view text) {
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// A counter that was reset, or a gauge that fell, is nothing rather than a huge number.
uint64_t Grown(uint64_t before, uint64_t after) {
  return after - std::min(before, after);
}

double Ratio(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

void AppendField(const char* name, double value, std::string* json) {
  std::array<char, 32> digits;
  std::snprintf(digits.data(), digits.size(), "%.6f", value);
  json->append("\"").append(name).append("\": ").append(digits.data()).append(", ");
}
void AppendField(const char* name, uint64_t value, std::string* json) {
  json->append("\"").append(name).append("\": ").append(std::to_string(value)).append(", ");
}

void Close(std::string* json) {
  if (json->ends_with(", ")) json->resize(json->size() - 2);
  json->append("}");
}

// What terraced calls get_hits_flash, memcached has as reads of extstore less those that failed.
uint64_t FlashHits(const ServerSample& between) {
  if (between.stats.contains(support::kStatGetHitsFlash)) {
    return between.Stat(support::kStatGetHitsFlash);
  }
  return Grown(between.Stat(kStatMissFromExtstore), between.Stat(kStatGetExtstore));
}

}  // namespace

uint64_t ServerSample::Stat(const std::string& name) const {
  const auto found = stats.find(name);
  return found == stats.end() ? 0 : found->second;
}

Result<ServerSample> TakeSample(support::Client& client, pid_t pid) {
  ServerSample sample;
  const std::map<std::string, std::string> stats = client.Stats();
  if (stats.empty()) return Status(StatusCode::kUnavailable, "the server does not answer `stats`");
  for (const char* const name : kShown) {
    const auto found = stats.find(name);
    if (found != stats.end()) sample.stats[name] = NumberOf(found->second);
  }
  if (pid == 0) return sample;
  sample.cpu_s = support::ProcessCpuSeconds(pid);
  const std::string io = support::ReadTextFile("/proc/" + std::to_string(pid) + "/io");
  constexpr std::string_view kWritten = "\nwrite_bytes: ";
  const size_t at = io.find(kWritten);
  if (at != std::string::npos) {
    sample.disk_write_bytes = NumberOf(std::string_view(io).substr(at + kWritten.size()));
  }
  return sample;
}

ServerSample Between(const ServerSample& before, const ServerSample& after) {
  ServerSample between;
  for (const auto& [name, value] : after.stats)
    between.stats[name] = Grown(before.Stat(name), value);
  between.cpu_s = after.cpu_s - before.cpu_s;
  between.disk_write_bytes = Grown(before.disk_write_bytes, after.disk_write_bytes);
  return between;
}

std::string ReplayJson(const ReplayCounts& counts, const ServerSample& between, double seconds) {
  const uint64_t hits_flash = std::min(FlashHits(between), counts.hits);
  const uint64_t hits_ram = counts.hits - hits_flash;
  const uint64_t written = between.stats.contains(support::kStatFlashBytesWritten)
                               ? between.Stat(support::kStatFlashBytesWritten)
                               : between.Stat(kStatExtstoreBytesWritten);
  const auto gets = static_cast<double>(counts.gets);
  const auto operations = static_cast<double>(counts.operations);
  std::string json = "{";
  AppendField("operations", counts.operations, &json);
  AppendField("gets", counts.gets, &json);
  AppendField("hits", counts.hits, &json);
  AppendField("hits_ram", hits_ram, &json);
  AppendField("hits_flash", hits_flash, &json);
  AppendField("misses", counts.gets - counts.hits, &json);
  AppendField("wrong", counts.wrong, &json);
  AppendField("sets", counts.sets, &json);
  AppendField("fills", counts.fills, &json);
  AppendField("deletes", counts.deletes, &json);
  AppendField("refused", counts.refused, &json);
  AppendField("errors", counts.errors, &json);
  AppendField("hit_bytes", counts.hit_bytes, &json);
  AppendField("set_bytes", counts.set_bytes, &json);
  AppendField("hit_ratio", Ratio(static_cast<double>(counts.hits), gets), &json);
  AppendField("hit_ratio_ram", Ratio(static_cast<double>(hits_ram), gets), &json);
  AppendField("hit_ratio_flash", Ratio(static_cast<double>(hits_flash), gets), &json);
  AppendField("flash_bytes_written", written, &json);
  AppendField("flash_bytes_per_operation", Ratio(static_cast<double>(written), operations), &json);
  AppendField("disk_write_bytes", between.disk_write_bytes, &json);
  AppendField("evictions", between.Stat(support::kStatEvictions), &json);
  AppendField("cpu_us_per_operation", Ratio(between.cpu_s * 1e6, operations), &json);
  AppendField("seconds", seconds, &json);
  AppendField("operations_per_second", Ratio(operations, seconds), &json);
  json.append("\"stats\": {");
  for (const auto& [name, value] : between.stats) AppendField(name.c_str(), value, &json);
  Close(&json);
  Close(&json);
  return json;
}

}  // namespace terraced::bench
