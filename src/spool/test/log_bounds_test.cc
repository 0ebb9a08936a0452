// Full buffers, full disks.
#include <gmock/gmock.h>

#include "spool/test/log_fixture.h"

namespace penstock::spool {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

using LogBounds = LogTest;

TEST_F(LogBounds, TheOldestMakesRoom) {
  open();
  fill(1000);
  auto left = all();
  EXPECT_GT(left.size(), 200U);
  EXPECT_LT(left.size(), 256U);
  EXPECT_EQ(left.back(), "000999");
  EXPECT_LE(log->stats().bytes, options.bytes_max);
  EXPECT_EQ(log->stats().dropped, 1000 - left.size());
  EXPECT_TRUE(reported("drops its oldest entries"));
}

TEST_F(LogBounds, ARefusedAppendIsTakenOnceThereIsRoom) {
  options.full = Full::refuse;
  open();
  int stored = 0;
  while (store(kilobyte(stored))) ++stored;
  EXPECT_GT(stored, 200);
  auto refused = store(kilobyte(0));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::resource_exhausted);
  EXPECT_THAT(refused.error().detail, testing::HasSubstr("262144 bytes"));
  EXPECT_THAT(all(), SizeIs(stored));
  log->acknowledge("sink", 20);
  ASSERT_TRUE(store(kilobyte(0)));
  log->acknowledge("sink", log->last());
  fill(200);
  EXPECT_EQ(log->stats().dropped, 0U);
  EXPECT_EQ(log->stats().refused, 2U);
}

TEST_F(LogBounds, TheNewestIsDroppedByRule) {
  options.full = Full::drop_newest;
  options.records_max = 20;
  open();
  fill(20);
  EXPECT_EQ(*store(kilobyte(20)), 0U);
  EXPECT_EQ(log->stats().dropped, 1U);
  EXPECT_EQ(all().back(), "000019");
}

TEST_F(LogBounds, RecordsAreBounded) {
  options.records_max = 160;
  open();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(store(fmt::format("{:06}", i)));
  EXPECT_LE(log->stats().records, 160U);
  EXPECT_GE(log->stats().records, 150U);
  EXPECT_EQ(all().back(), "000999");
}

// Every rule at every bound: who goes is who the rule says, and what is left keeps its order.
TEST_F(LogBounds, EveryRuleHoldsAtEveryBound) {
  for (const Full full : {Full::refuse, Full::drop_oldest, Full::drop_newest}) {
    for (const bool by_records : {false, true}) {
      storage = FaultyStorage();
      options.full = full;
      options.records_max = by_records ? 100 : 0;
      open();
      int taken = 0;
      for (int i = 0; i < 400; ++i) {
        auto stored = store(kilobyte(i));
        if (stored && *stored > 0) ++taken;
      }
      const auto left = all();
      EXPECT_GT(left.size(), by_records ? 90U : 200U);
      EXPECT_LE(left.size(), by_records ? 100U : 256U);
      EXPECT_TRUE(std::is_sorted(left.begin(), left.end()));
      const bool oldest = full == Full::drop_oldest;
      EXPECT_EQ(left.front(), oldest ? fmt::format("{:06}", 400 - left.size()) : "000000");
      EXPECT_EQ(left.back(), oldest ? "000399" : fmt::format("{:06}", left.size() - 1));
      EXPECT_EQ(log->stats().dropped, full == Full::refuse ? 0U : 400 - left.size());
      EXPECT_EQ(log->stats().refused, full == Full::refuse ? 400 - left.size() : 0U);
      EXPECT_EQ(taken, oldest ? 400 : static_cast<int>(left.size()));
    }
  }
}

// Age is no matter of room: what is too old goes whatever the rule, and somebody is told.
TEST_F(LogBounds, WhatIsTooOldGoesUnderEveryRule) {
  for (const Full full : {Full::refuse, Full::drop_oldest, Full::drop_newest}) {
    storage = FaultyStorage();
    reports.clear();
    options.full = full;
    options.age_max = std::chrono::hours(1);
    open();
    fill(3);
    clock.advance(std::chrono::minutes(70));
    fill(2, 3);
    log->tend();
    EXPECT_THAT(all(), ElementsAre("000003", "000004"));
    EXPECT_EQ(log->stats().dropped, 3U);
    EXPECT_TRUE(reported("too old"));
  }
}

TEST_F(LogBounds, MoreThanEverFitsIsRefusedAndPushesNothingOut) {
  open();
  fill(3);
  auto refused = store(std::string(300'000, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::resource_exhausted);
  EXPECT_THAT(all(), SizeIs(3));
}

TEST_F(LogBounds, BulkGoesBeforeAlarmsAndNeverInsteadOfThem) {
  options.by_priority = true;
  open();
  fill(50, 0, 2);
  fill(100, 100, 0);
  fill(400, 1000, 1);
  auto left = all();
  EXPECT_EQ(std::count_if(left.begin(), left.end(), [](const auto& text) { return text < "000050"; }), 50);
  EXPECT_EQ(
      std::count_if(left.begin(), left.end(), [](const auto& text) { return text >= "000100" && text < "001000"; }), 0);
  EXPECT_EQ(left.back(), "001399");
  fill(400, 2000, 2);
  auto alarms = [&] {
    auto texts = all();
    return std::count_if(texts.begin(), texts.end(), [](const auto& text) { return text >= "002000"; });
  };
  auto before = alarms();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(store(kilobyte(1), 0));
  EXPECT_EQ(*store(std::string(20'000, 'x'), 0), 0U) << "alarms fill it: bulk is what goes";
  EXPECT_EQ(alarms(), before);
}

// Bulk waits for a link that costs nothing, and what went past it takes no room: under no rule, before and after a
// start.
TEST_F(LogBounds, WhatWasDeliveredPastWaitingBulkMakesRoom) {
  for (const Full full : {Full::refuse, Full::drop_oldest, Full::drop_newest}) {
    storage = FaultyStorage();
    options.full = full;
    options.by_priority = true;
    open();
    for (int i = 0; i < 1000; ++i) {
      if (i == 500) open();
      if (i % 20 == 0) fill(1, i, 0);
      fill(1, 2000 + i);
      log->acknowledge_from("sink", 1, {{1, log->last()}});
    }
    EXPECT_EQ(log->stats().dropped, 0U);
    EXPECT_EQ(log->stats().refused, 0U);
    EXPECT_EQ(log->stats().backlog, 50U);
    const auto left = all();
    EXPECT_EQ(std::count_if(left.begin(), left.end(), [](const auto& text) { return text < "002000"; }), 50);
    EXPECT_LE(log->stats().bytes, options.bytes_max);
  }
}

TEST_F(LogBounds, WhatOnlyHigherPrioritiesAreDoneWithStays) {
  options.by_priority = true;
  open();
  fill(20, 0, 0);
  fill(20, 100, 1);
  fill(20, 200, 2);
  log->acknowledge_from("sink", 2, {{1, log->last()}});
  log->tend();
  const auto left = all();
  EXPECT_EQ(std::count_if(left.begin(), left.end(), [](const auto& text) { return text < "000200"; }), 40);
  EXPECT_LT(left.size(), 60U);
}

// What was written while priorities stood together may hold bulk wherever it lies.
TEST_F(LogBounds, SegmentsOfAllPrioritiesAreNotTakenForOnesOfAHigher) {
  open();
  for (int i = 0; i < 40; ++i) fill(1, i, static_cast<std::uint8_t>(i % 2));
  log->close();
  options.by_priority = true;
  open();
  log->acknowledge_from("sink", 1, {{1, log->last()}});
  log->tend();
  EXPECT_THAT(all(), SizeIs(40));
}

// Live samples go first and the backlog follows at its rate: the live ones make room, not what nobody has.
TEST_F(LogBounds, WhatWasDeliveredAheadGoesBeforeTheBacklog) {
  open();
  fill(200);
  for (int i = 200; i < 1000; ++i) {
    fill(1, i);
    log->acknowledge_ahead("sink", {{201, log->last()}});
  }
  EXPECT_EQ(log->stats().dropped, 0U);
  const auto left = all();
  ASSERT_GE(left.size(), 200U);
  EXPECT_EQ(left[199], "000199");
  EXPECT_EQ(left.back(), "000999");
}

TEST_F(LogBounds, WhatOneCursorHasNotIsKeptForIt) {
  options.cursors = {"one", "other"};
  open();
  fill(40);
  log->acknowledge_ahead("one", {{9, 40}});
  log->tend();
  EXPECT_THAT(all(), SizeIs(40));
  log->acknowledge_ahead("other", {{9, 40}});
  log->tend();
  const auto left = all();
  EXPECT_LT(left.size(), 25U);
  EXPECT_EQ(left.front(), "000000");
  EXPECT_EQ(left.back(), "000039") << "what is being written stays";
}

TEST_F(LogBounds, PrioritiesAreReadInTheOrderTheyCame) {
  options.by_priority = true;
  open();
  for (int i = 0; i < 90; ++i) fill(1, i, static_cast<std::uint8_t>(i * 7 % 5));
  for (int start = 0; start < 2; ++start) {
    auto left = all();
    ASSERT_THAT(left, SizeIs(90));
    EXPECT_TRUE(std::is_sorted(left.begin(), left.end()));
    // Kept together or apart: what is there is read.
    options.by_priority = false;
    open();
  }
}

TEST_F(LogBounds, AFullDiskIsReportedAndLeft) {
  options.full = Full::refuse;
  open();
  fill(20);
  storage.capacity = 60'000;
  int more = 0;
  while (store(kilobyte(20 + more))) ++more;
  EXPECT_GT(more, 0);
  auto refused = store(kilobyte(0));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::resource_exhausted);
  EXPECT_TRUE(log->stats().disk_full);
  EXPECT_TRUE(reported("no space left"));
  EXPECT_THAT(all(), SizeIs(20 + more));
  storage.capacity = UINT64_MAX;
  ASSERT_TRUE(store(kilobyte(99)));
  EXPECT_FALSE(log->stats().disk_full);
  EXPECT_THAT(all(), SizeIs(21 + more));
  open();
  EXPECT_THAT(all(), SizeIs(21 + more));
}

TEST_F(LogBounds, OnAFullDiskTheOldestMakesRoom) {
  open();
  fill(20);
  storage.capacity = 60'000;
  fill(100, 20);
  auto left = all();
  EXPECT_EQ(left.back(), "000119");
  EXPECT_LT(left.size(), 60U);
  EXPECT_EQ(log->stats().dropped, 120 - left.size());
  open();
  EXPECT_EQ(all(), left);
}

TEST_F(LogBounds, SomeOfTheDiskIsLeftToOthers) {
  options.free_bytes_min = 100'000;
  storage.capacity = 200'000;
  open();
  for (int i = 0; i < 300; ++i) {
    fill(1, i);
    clock.advance(std::chrono::seconds(2));
  }
  EXPECT_LE(log->stats().bytes, 100'000U);
  EXPECT_GT(log->stats().bytes, 40'000U);
  EXPECT_EQ(all().back(), "000299");
}

}  // namespace
}  // namespace penstock::spool
