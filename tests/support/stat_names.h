// The statistics that tests and measurements read, by the names that `stats` prints; one place, so that a
// rename in src/stats costs one line here.
#pragma once

namespace terraced::support {

// memcached's names.
constexpr const char* kStatGetHits = "get_hits";
constexpr const char* kStatCmdGet = "cmd_get";
constexpr const char* kStatEvictions = "evictions";
constexpr const char* kStatCurrItems = "curr_items";
constexpr const char* kStatCurrConnections = "curr_connections";
constexpr const char* kStatTotalConnections = "total_connections";
constexpr const char* kStatRejectedConnections = "rejected_connections";
constexpr const char* kStatExtstoreWritten = "extstore_objects_written";
// terraced's own.
constexpr const char* kStatGetHitsFlash = "get_hits_flash";
constexpr const char* kStatGetHitsRam = "get_hits_ram";
constexpr const char* kStatFlashItems = "flash_items";
constexpr const char* kStatIndexCollisions = "flash_index_collisions";
constexpr const char* kStatRemovalsUnverified = "flash_removals_unverified";
constexpr const char* kStatRemovalsNotVerified = "flash_removals_not_verified";
constexpr const char* kStatDemotionsCancelled = "flash_demotions_cancelled";
constexpr const char* kStatPromotions = "flash_promotions";
constexpr const char* kStatSecondChances = "flash_second_chances";
constexpr const char* kStatDemotedItems = "flash_demoted_items";
constexpr const char* kStatBatches = "flash_batches";
constexpr const char* kStatBatchesDropped = "flash_batches_dropped";
constexpr const char* kStatRecordsEvicted = "flash_records_evicted";
constexpr const char* kStatRecordsCorrupt = "flash_records_corrupt";
constexpr const char* kStatReadErrors = "flash_read_errors";
constexpr const char* kStatReadsTimedOut = "flash_reads_timed_out";
constexpr const char* kStatFlashBytesUsed = "flash_bytes_used";
constexpr const char* kStatFlashBytesWritten = "flash_bytes_written";
constexpr const char* kStatFlashLimitBytes = "flash_limit_bytes";
constexpr const char* kStatIndexBytes = "flash_index_bytes";
constexpr const char* kStatItemsTooLarge = "flash_items_too_large";
constexpr const char* kStatRocksDbGetCalls = "flash_rocksdb_get_calls";
constexpr const char* kStatFlashStart = "flash_start";
constexpr const char* kStatFlashState = "flash_state";

}  // namespace terraced::support
