// The verdict of a torture, and its table.
#include <algorithm>
#include <cstdio>

#include "tests/torture/torture.h"

namespace terraced::torture {
namespace {

constexpr double kShareMin = 0.99;
// What makes a run count, as of the history checker.
constexpr double kFlashShareMin = 0.30;
constexpr uint64_t kCancelledMin = 1'000;
constexpr uint64_t kCyclesPerWeighedMax = 10;

double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 1 : static_cast<double>(part) / static_cast<double>(whole);
}

template <typename... Values>
std::string Format(const char* format, Values... values) {
  char text[256];
  const int length = std::snprintf(text, sizeof(text), format, values...);
  return std::string(text, static_cast<size_t>(std::clamp(length, 0, 255)));
}

std::string MedianAndWorst(std::vector<uint64_t> us) {
  if (us.empty()) return "-";
  std::sort(us.begin(), us.end());
  return Format("%.0f ms, worst %.0f ms (%zu starts)",
                static_cast<double>(us[us.size() / 2]) / 1'000.0,
                static_cast<double>(us.back()) / 1'000.0, us.size());
}

std::string Row(const std::string& name, const std::string& value) {
  return Format("  %-32s %s\n", name.c_str(), value.c_str());
}

std::string Kept(uint64_t kept, uint64_t expected) {
  return Format("%.4f %% (%llu of %llu)", 100 * Share(kept, expected),
                static_cast<unsigned long long>(kept), static_cast<unsigned long long>(expected));
}

}  // namespace

double TortureReport::FlashShare() const {
  return Share(flash_kept, flash_expected);
}

double TortureReport::RamShare() const {
  return Share(ram_kept, ram_expected);
}

std::string TortureReport::Fault(bool arena) const {
  if (stale > 0) return std::to_string(stale) + " stale: " + stale_texts.front();
  if (!problems.empty()) return problems.front();
  if (FlashShare() < kShareMin) return "flash kept only " + Kept(flash_kept, flash_expected);
  if (worst_flash_share < kShareMin) {
    return Format("flash had kept only %.2f %% after ", 100 * worst_flash_share) + worst_flash_life;
  }
  if (arena && RamShare() < kShareMin) return "RAM kept only " + Kept(ram_kept, ram_expected);
  return "";
}

std::string TortureReport::WhyItDoesNotCount(bool whole_round) const {
  std::string why;
  const double share = Share(get_hits_flash, get_keys);
  if (share < kFlashShareMin) {
    why += Format(" only %.2f of the gets were answered from flash;", share);
  }
  if (demotions_cancelled < kCancelledMin) {
    why += " only " + std::to_string(demotions_cancelled) + " changes met a demotion in flight;";
  }
  if (deaths_weighed * kCyclesPerWeighedMax < cycles) {
    why += " only " + std::to_string(deaths_weighed) + " deaths had enough to lose;";
  }
  if (whole_round) {
    for (const std::string_view point : never_passed) {
      why.append(" never died at ").append(point).append(";");
    }
  }
  return why;
}

std::string TortureReport::Table(bool arena) const {
  std::string text = Row("cycles", std::to_string(cycles) + " in " + Format("%.0f s", seconds));
  uint64_t kills = 0;
  for (const auto& [death, count] : deaths) {
    kills += death == Death::kCleanStop ? 0 : count;
    text += Row(std::string("  ") + std::string(NameOf(death)), std::to_string(count));
  }
  text += Row("deaths but for clean stops", std::to_string(kills));
  text += Row("starts", std::to_string(starts));
  text += Row("gets, of them after a start", std::to_string(gets) + ", " + std::to_string(swept));
  text += Row("hits, all judged", std::to_string(hits));
  text += Row("changes, flushes", std::to_string(changes) + ", " + std::to_string(flushes));
  text += Row("stale", std::to_string(stale));
  text += Row("kept of flash",
              Kept(flash_kept, flash_expected) +
                  Format(", worst of %llu deaths that had enough to lose %.2f %%",
                         static_cast<unsigned long long>(deaths_weighed), 100 * worst_flash_share));
  text += Row(arena ? "kept of RAM" : "kept of RAM (no arena)", Kept(ram_kept, ram_expected));
  text += Row("exec to first answer, warm", MedianAndWorst(answer_us));
  text += Row("exec to first hit, warm", MedianAndWorst(hit_us));
  text += Row("gets answered from flash", Format("%.1f %%", 100 * Share(get_hits_flash, get_keys)));
  text += Row("changes during demotion", std::to_string(demotions_cancelled));
  text += "  deaths by point:\n";
  std::string line;
  for (const auto& [point, count] : points) {
    line +=
        Format("  %-20s %4llu", std::string(point).c_str(), static_cast<unsigned long long>(count));
    if (line.size() < 100) continue;
    text += "  " + line + "\n";
    line.clear();
  }
  if (!line.empty()) text += "  " + line + "\n";
  return text;
}

}  // namespace terraced::torture
