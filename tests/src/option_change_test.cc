// What `extstore` may change, and what it leaves alone.
#include "src/option_change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/option_value.h"
#include "tiering/live_settings.h"

namespace terraced::server {
namespace {

using testing::HasSubstr;

// Of a number or a size: as far from the default as the row allows.
std::string OtherValue(const OptionSpec& spec) {
  if (spec.kind == OptionKind::kSwitch) {
    const bool on = FormatValue(spec, Options()) == "yes";
    return on != spec.Has(kClears) ? "no" : "yes";
  }
  return std::to_string(static_cast<uint64_t>(spec.bounds.max));
}

bool IsCacheNumber(const OptionSpec& spec) {
  const bool whole = spec.kind == OptionKind::kNumber || spec.kind == OptionKind::kBytes;
  return (whole || spec.kind == OptionKind::kSwitch) && spec.IsDocumented();
}

class OptionChangeTest : public testing::Test {
 protected:
  OptionChangeTest() { options_.cache.flash_path = "/x"; }
  std::string Change(std::string_view name, std::string_view value) {
    const Status status = ChangeOption(name, value, &options_);
    if (status.ok()) return "";
    return status.code() == StatusCode::kNotFound ? "ERROR" : std::string(status.message());
  }
  Options options_;
};

TEST_F(OptionChangeTest, EveryLiveRowIsChangedByItsNameAndNoOther) {
  int live = 0;
  for (const OptionSpec& spec : OptionTable()) {
    if (!spec.IsDocumented() || spec.kind == OptionKind::kAction) continue;
    Options options;
    const Status status = ChangeOption(spec.name, OtherValue(spec), &options);
    EXPECT_EQ(status.ok(), spec.Has(kLive)) << spec.name << ": " << status.message();
    if (!spec.Has(kLive)) {
      EXPECT_EQ(status.code(), StatusCode::kNotFound) << spec.name;
      continue;
    }
    EXPECT_NE(FormatValue(spec, options), FormatValue(spec, Options())) << spec.name;
    ++live;
  }
  EXPECT_EQ(live, 13);
}

// The rows that are marked are those that the cache takes over while it runs.
TEST_F(OptionChangeTest, TheTableAndTheCacheAgreeOnWhatIsLive) {
  for (const OptionSpec& spec : OptionTable()) {
    if (!IsCacheNumber(spec) || spec.bounds.scale != 1) continue;
    Options changed;
    ASSERT_TRUE(SetValue(spec, OtherValue(spec), &changed).ok()) << spec.name;
    const tiering::LiveSettings live(changed.cache);
    Options taken;
    live.CopyTo(&taken.cache);
    const bool taken_over = FormatValue(spec, taken) != FormatValue(spec, Options());
    EXPECT_EQ(taken_over, spec.Has(kLive)) << spec.name;
  }
}

TEST_F(OptionChangeTest, ValuesAreReadAsAtTheStart) {
  EXPECT_EQ(Change("flash_item_min", "2k"), "");
  EXPECT_EQ(options_.cache.flash_item_min_bytes, 2'048U);
  EXPECT_EQ(Change("flash_write_day", "40g"), "");
  EXPECT_EQ(options_.cache.flash_write_day_bytes, 40ULL << 30);
  EXPECT_EQ(Change("flash_admit_unread", "off"), "");
  EXPECT_FALSE(options_.cache.flash_admit_unread);
  EXPECT_EQ(Change("promote_hits", "7"), "");
  EXPECT_EQ(options_.cache.promote_hits, 7U);
}

TEST_F(OptionChangeTest, WhatTheRowRefusesChangesNothingAndTheMessageHelps) {
  EXPECT_EQ(Change("flash_read_threads", "65"),
            "flash_read_threads: '65' is too much: give a number from 1 to 64");
  EXPECT_THAT(Change("flash_read_threads", "0"), HasSubstr("too little"));
  EXPECT_THAT(Change("flash_item_min", "2q"), HasSubstr("is not a size"));
  EXPECT_THAT(Change("flash_admit_unread", "2"), HasSubstr("give yes or no"));
  EXPECT_THAT(Change("promote_hits", "1k"), HasSubstr("is not a number"));
  EXPECT_EQ(options_.cache.flash_read_threads, 4U);
  EXPECT_EQ(options_.cache.flash_item_min_bytes, 0U);
  EXPECT_TRUE(options_.cache.flash_admit_unread);
}

TEST_F(OptionChangeTest, WhatContradictsAnotherOptionChangesNothing) {
  EXPECT_EQ(Change("flash_item_min", "200"), "");
  EXPECT_THAT(Change("flash_item_max", "100"), HasSubstr("flash_item_min (200) is more than"));
  EXPECT_EQ(options_.cache.flash_item_max_bytes, 0U);
  EXPECT_THAT(Change("flash_wait_deadline", "999"), HasSubstr("more than flash_wait_deadline"));
  EXPECT_EQ(options_.cache.flash_wait_deadline_ms, 10'000U);
}

TEST_F(OptionChangeTest, WhatIsNotLiveIsUnknown) {
  for (const char* name : {"flash_path", "flash_size", "memory-limit", "m", "threads",
                           "ext_threads", "flash_item_min_bytes", "flash-item-min", "hashpower",
                           "ext_item_size", "no_flash_admit_unread", ""}) {
    EXPECT_EQ(Change(name, "1"), "ERROR") << name;
  }
}

// --- extstore's own names -------------------------------------------------------------------------------------------

TEST_F(OptionChangeTest, ExtstoresNamesChangeWhatMeansTheSame) {
  EXPECT_EQ(Change("item_size", "512"), "");
  EXPECT_EQ(options_.cache.flash_item_min_bytes, 512U);
  EXPECT_EQ(Change("recache_rate", "10"), "");  // one in ten of those hit before
  EXPECT_EQ(options_.cache.promote_hits, 11U);
  EXPECT_EQ(Change("recache_rate", "1"), "");
  EXPECT_EQ(options_.cache.promote_hits, 2U);
  EXPECT_EQ(Change("recache_rate", "0"), "");
  EXPECT_EQ(options_.cache.promote_hits, 0U);
}

TEST_F(OptionChangeTest, ExtstoresOtherNamesChangeNothing) {
  for (const OptionSpec& spec : OptionTable()) {
    if (!spec.Has(kNoEffect) || !spec.Has(kLive)) continue;
    ASSERT_TRUE(spec.name.starts_with("ext_"));
    EXPECT_EQ(Change(spec.name.substr(4), "1"), "") << spec.name;
    EXPECT_EQ(Change(spec.name.substr(4), "x"), "ERROR") << spec.name;
  }
  for (const OptionSpec& spec : OptionTable()) {
    if (!spec.Has(kLive)) continue;
    EXPECT_EQ(FormatValue(spec, options_), FormatValue(spec, Options())) << spec.name;
  }
}

TEST_F(OptionChangeTest, ExtstoresNumbersAreReadAsMemcachedDoes) {
  for (const char* value : {"", "x", "-1", "1.5", "10k", "99999999999999999999999"}) {
    EXPECT_EQ(Change("item_size", value), "ERROR") << value;
    EXPECT_EQ(Change("item_age", value), "ERROR") << value;
  }
  EXPECT_EQ(Change("item_size", "+5"), "");
  EXPECT_EQ(options_.cache.flash_item_min_bytes, 5U);
  EXPECT_EQ(Change("item_age", "18446744073709551615"), "");
  for (const char* value : {"-1", "1.5", ".5", "1e3", "inf"}) {
    EXPECT_EQ(Change("max_frag", value), "") << value;
  }
  for (const char* value : {"", "x", "10k", "1e999"}) {
    EXPECT_EQ(Change("max_frag", value), "ERROR") << value;
  }
}

TEST_F(OptionChangeTest, WhatIsBeyondOurBoundsIsRefusedUnderExtstoresNameToo) {
  EXPECT_EQ(Change("recache_rate", "65536"),
            "recache_rate: '65536' is too much: give a number from 0 to 65535");
  EXPECT_THAT(Change("item_size", "4294967296"), HasSubstr("is too much"));
  EXPECT_EQ(options_.cache.flash_item_min_bytes, 0U);
}

TEST_F(OptionChangeTest, SpellsItAsAnOperatorWould) {
  EXPECT_EQ(ChangeSpelling(*FindByName("flash_item_min", true)), "extstore flash_item_min <size>");
  EXPECT_EQ(ChangeSpelling(*FindByName("flash_admit_unread", true)),
            "extstore flash_admit_unread <yes or no>");
}

}  // namespace
}  // namespace terraced::server
