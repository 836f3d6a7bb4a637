// `stats items` and `stats slabs`: memcached's names, one block per slab class that has something to say.
#include <string>

#include "src/stats.h"

namespace terraced::server {
namespace {

using tiering::ClassCounters;
using tiering::ClassGauges;

class ClassWriter {
 public:
  ClassWriter(std::string prefix, ReplySink& sink) : prefix_(std::move(prefix)), sink_(sink) {}
  void operator()(std::string_view name, uint64_t value) {
    line_ = prefix_;
    line_.append(name);
    sink_.Stat(line_, std::to_string(value));
  }

 private:
  const std::string prefix_;
  ReplySink& sink_;
  std::string line_;
};

constexpr auto kHot = static_cast<size_t>(storage::LruSegment::kHot);
constexpr auto kWarm = static_cast<size_t>(storage::LruSegment::kWarm);
constexpr auto kCold = static_cast<size_t>(storage::LruSegment::kCold);
constexpr auto kTemp = static_cast<size_t>(storage::LruSegment::kTemp);

uint64_t CountOf(const ClassGauges& gauges) {
  uint64_t count = 0;
  for (const uint64_t segment : gauges.items) count += segment;
  return count;
}

// What memcached shows of LRU segments is there with them only.
struct Shown {
  bool segments;
  bool temporary;
};

void WriteItems(const ClassGauges& gauges, const ClassCounters& counters, const Shown& shown,
                ClassWriter write) {
  write("number", CountOf(gauges));
  if (shown.segments) {
    write("number_hot", gauges.items[kHot]);
    write("number_warm", gauges.items[kWarm]);
    write("number_cold", gauges.items[kCold]);
    if (shown.temporary) write("number_temp", gauges.items[kTemp]);
    write("age_hot", gauges.age_s[kHot]);
    write("age_warm", gauges.age_s[kWarm]);
  }
  write("age", gauges.age_s[kCold]);
  write("mem_requested", gauges.mem_requested);
  write("evicted", counters.evicted);
  write("evicted_nonzero", counters.evicted_nonzero);
  write("evicted_time", counters.evicted_time);
  write("outofmemory", counters.out_of_memory);
  write("tailrepairs", 0);
  write("reclaimed", counters.reclaimed);
  write("expired_unfetched", counters.expired_unfetched);
  write("evicted_unfetched", counters.evicted_unfetched);
  if (shown.segments) write("evicted_active", counters.evicted_active);
  write("crawler_reclaimed", counters.crawler_reclaimed);
  write("crawler_items_checked", counters.crawler_items_checked);
  write("lrutail_reflocked", counters.lrutail_reflocked);
  if (!shown.segments) return;
  write("moves_to_cold", counters.moves_to_cold);
  write("moves_to_warm", counters.moves_to_warm);
  write("moves_within_lru", counters.moves_within_lru);
  write("direct_reclaims", counters.direct_reclaims);
  write("hits_to_hot", counters.lru_hits[kHot]);
  write("hits_to_warm", counters.lru_hits[kWarm]);
  write("hits_to_cold", counters.lru_hits[kCold]);
  write("hits_to_temp", counters.lru_hits[kTemp]);
}

void WriteSlabs(const storage::SlabClassStats& slab, const ClassCounters& counters,
                ClassWriter write) {
  write("chunk_size", slab.chunk_bytes);
  write("chunks_per_page", slab.chunks_per_page);
  write("total_pages", slab.total_pages);
  write("total_chunks", slab.total_chunks);
  write("used_chunks", slab.used_chunks);
  write("free_chunks", slab.free_chunks);
  write("free_chunks_end", 0);
  write("get_hits", counters.get_hits);
  write("cmd_set", counters.cmd_set);
  write("delete_hits", counters.delete_hits);
  write("incr_hits", counters.incr_hits);
  write("decr_hits", counters.decr_hits);
  write("cas_hits", counters.cas_hits);
  write("cas_badval", counters.cas_badval);
  write("touch_hits", counters.touch_hits);
}

}  // namespace

void WriteItemStats(const StatsInput& input, ReplySink& sink) {
  const tiering::CacheStats& stats = input.cache;
  const tiering::CacheOptions& options = input.options.cache;
  const Shown shown{options.lru_segmented, options.temporary_ttl_s >= 0};
  for (size_t i = 1; i < stats.gauges.size(); ++i) {
    if (CountOf(stats.gauges[i]) == 0) continue;
    WriteItems(stats.gauges[i], stats.classes[i], shown,
               ClassWriter("items:" + std::to_string(i) + ":", sink));
  }
}

void WriteSlabStats(const tiering::CacheStats& stats, ReplySink& sink) {
  uint64_t active = 0;
  for (size_t i = 1; i < stats.slabs.size(); ++i) {
    if (stats.slabs[i].total_pages == 0) continue;
    ++active;
    WriteSlabs(stats.slabs[i], stats.classes[i], ClassWriter(std::to_string(i) + ":", sink));
  }
  sink.Stat("active_slabs", std::to_string(active));
  sink.Stat("total_malloced", std::to_string(stats.total_malloced));
}

}  // namespace terraced::server
