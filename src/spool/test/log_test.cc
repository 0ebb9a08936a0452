#include "spool/log.h"

#include <gmock/gmock.h>

#include "spool/test/log_fixture.h"

namespace penstock::spool {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST_F(LogTest, GivesBackWhatWasStoredInOrderAfterEachStart) {
  open();
  EXPECT_EQ(*store("one"), 1U);
  EXPECT_EQ(*store(std::vector<Entry>{{0, 5, 2, "two"}, {0, 0, 0, "three"}}), 2U);
  for (int start = 0; start < 3; ++start) {
    auto entries = log->read(0, 1000);
    ASSERT_TRUE(entries);
    ASSERT_THAT(*entries, SizeIs(3));
    EXPECT_EQ((*entries)[1].time, 5);
    EXPECT_EQ((*entries)[1].priority, 2);
    EXPECT_EQ((*entries)[2].time, clock.wall());
    EXPECT_EQ((*entries)[2].sequence, 3U);
    if (start == 1) log->close();
    open();
  }
  EXPECT_EQ(*store(std::vector<Entry>{}), *store("next"));
}

TEST_F(LogTest, ReadsAtLeastOneEntryAndNoMoreThanAsked) {
  open();
  fill(10);
  EXPECT_THAT(*log->read(0, 1), SizeIs(1));
  EXPECT_THAT(*log->read(4, 2500), SizeIs(2));
  EXPECT_EQ(log->read(4, 2500)->front().sequence, 5U);
  EXPECT_THAT(*log->read(10, 2500), IsEmpty());
  EXPECT_THAT(*log->read(100, 2500), IsEmpty());
}

TEST_F(LogTest, ReadingFollowsWritingFromAnywhere) {
  open();
  std::uint64_t after = 0;
  for (int i = 0; i < 100; ++i) {
    fill(1, i);
    auto entries = log->read(after, 5000);
    ASSERT_THAT(*entries, SizeIs(1));
    EXPECT_EQ(entries->front().bytes, kilobyte(i));
    after = entries->front().sequence;
  }
  for (std::uint64_t from = 0; from < 100; from += 9) EXPECT_EQ(log->read(from, 1)->front().sequence, from + 1);
}

TEST_F(LogTest, AcknowledgedSegmentsGoWhenTheSlowestCursorPassedThem) {
  options.cursors = {"fast", "slow"};
  open();
  fill(40);
  log->acknowledge("fast", 40);
  log->tend();
  EXPECT_THAT(all(), SizeIs(40));
  log->acknowledge("slow", 20);
  log->acknowledge("slow", 10);
  log->acknowledge("nobody", 40);
  log->tend();
  EXPECT_EQ(log->cursors().at("slow"), 20U);
  EXPECT_LT(log->stats().records, 30U);
  EXPECT_EQ(log->stats().backlog, 20U);
  EXPECT_EQ(log->stats().backlogs.at("fast"), 0U);
  EXPECT_THAT(all(20), SizeIs(20));
  log->close();
  options.cursors = {"fast", "new"};
  open();
  EXPECT_EQ(log->cursors().at("fast"), 40U);
  EXPECT_EQ(log->cursors().at("new"), 0U);
  log->acknowledge("new", 1'000'000);
  EXPECT_EQ(log->cursors().at("new"), 40U);
  log->tend();
  EXPECT_THAT(files(".seg"), IsEmpty());
}

TEST_F(LogTest, CursorsAreKeptWithinATenthOfASecond) {
  open();
  fill(3);
  log->acknowledge("sink", 2);
  clock.advance(std::chrono::milliseconds(100));
  log->tend();
  EXPECT_FALSE(log->due());
  storage.lose_power(Unsynced::dropped, 0);
  open();
  EXPECT_EQ(log->cursors().at("sink"), 2U);
}

TEST_F(LogTest, SequencesGoOnWhenEverythingIsGone) {
  open();
  fill(5);
  std::string identity = log->identity();
  log = nullptr;
  for (const std::string& path : files(".seg")) ASSERT_TRUE(storage.remove(path));
  open();
  EXPECT_GT(*store("next"), 5U);
  std::uint64_t last = log->last();
  log->close();
  log = nullptr;
  ASSERT_TRUE(storage.remove("log/state"));
  open();
  EXPECT_GT(*store("next"), last);
  EXPECT_EQ(log->identity(), identity);
  EXPECT_TRUE(reported("counts as not acknowledged"));
}

TEST_F(LogTest, ADamagedStateFallsBackAndRepeatsNoSequence) {
  open();
  for (int i = 0; i < 5; ++i) {
    fill(1);
    log->acknowledge("sink", log->last());
    clock.advance(std::chrono::seconds(1));
    log->tend();
  }
  std::uint64_t last = log->last();
  log = nullptr;
  for (std::uint64_t place : {20U, 16'404U}) {
    FaultyStorage before = storage;
    storage.flip("log/state", place);
    open();
    EXPECT_GE(log->cursors().at("sink"), last - 1);
    EXPECT_GT(*store("next"), last);
    log = nullptr;
    storage = before;
  }
}

TEST_F(LogTest, ASecondSpoolIsKeptOut) {
  open();
  auto second = Log::open(options, storage, clock);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::already_exists);
}

TEST_F(LogTest, WrongOptionsAreNamed) {
  auto refused = [&](auto change) {
    Options wrong = options;
    change(wrong);
    auto opened = Log::open(wrong, storage, clock);
    return !opened && opened.error().code == Errc::invalid_argument;
  };
  EXPECT_TRUE(refused([](Options& o) { o.folder = ""; }));
  EXPECT_TRUE(refused([](Options& o) { o.bytes_max = 1000; }));
  EXPECT_TRUE(refused([](Options& o) { o.key = base::Secret("short"); }));
  EXPECT_TRUE(refused([](Options& o) { o.cursors = {""}; }));
  EXPECT_TRUE(refused([](Options& o) { o.cursors = std::vector<std::string>(65, "x"); }));
}

TEST_F(LogTest, AnEntryThatIsTooLongIsRefusedAndOneOfTheLongestKindIsNot) {
  options.bytes_max = 64 << 20U;
  open();
  auto refused = store(std::string(kEntryBytesMax + 1, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::out_of_range);
  ASSERT_TRUE(store(std::string(kEntryBytesMax, 'y')));
  ASSERT_TRUE(store("small"));
  open();
  EXPECT_THAT(all(), ElementsAre("yyyyyy", "small"));
}

TEST_F(LogTest, CompressesWhereItHelps) {
  options.compress = true;
  open();
  std::vector<Entry> entries;
  for (int i = 0; i < 100; ++i) entries.push_back({0, 0, 1, kilobyte(i)});
  ASSERT_TRUE(store(entries));
  EXPECT_LT(log->stats().bytes, 10'000U);
  EXPECT_THAT(all(), SizeIs(100));
}

TEST_F(LogTest, EncryptedEntriesOpenWithTheirKeyOnly) {
  options.key = base::Secret(std::string(kKeyBytes, 'k'));
  open();
  ASSERT_TRUE(store("a secret recipe"));
  log->close();
  for (const std::string& path : files(".seg")) EXPECT_EQ(storage.inode(path)->bytes.find("secret"), std::string::npos);
  open();
  EXPECT_THAT(all(), ElementsAre("a secr"));
  log = nullptr;
  for (const char* key : {"", "another key of thirty-two bytes!"}) {
    options.key = base::Secret(key);
    auto opened = Log::open(options, storage, clock);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Errc::failed_precondition);
    EXPECT_EQ(opened.error().detail.find("another key of"), std::string::npos);
  }
  options.key = base::Secret(std::string(kKeyBytes, 'k'));
  open();
  EXPECT_THAT(all(), SizeIs(1));
}

// ---- The clock

TEST_F(LogTest, WhatIsTooOldGoes) {
  options.age_max = std::chrono::hours(16);
  open();
  for (int hour = 0; hour < 24; ++hour) {
    fill(1, hour);
    clock.advance(std::chrono::hours(1));
    log->tend();
  }
  auto left = all();
  EXPECT_GE(left.size(), 15U);
  EXPECT_LE(left.size(), 17U);
  EXPECT_EQ(left.back(), "000023");
  EXPECT_GT(log->stats().oldest_age, std::chrono::hours(14));
  EXPECT_EQ(log->stats().dropped, 24 - left.size());
}

TEST_F(LogTest, ClockJumpsDoNotMakeEntriesOld) {
  options.age_max = std::chrono::hours(24);
  // A machine without a battery.
  clock.set_wall(0);
  open();
  fill(3);
  clock.set_wall(1'800'000'000'000'000);
  log->tend();
  fill(3, 3);
  clock.set_wall(5);
  log->tend();
  fill(3, 6);
  clock.advance(std::chrono::seconds(1));
  log->acknowledge("sink", 1);
  log->tend();
  EXPECT_THAT(all(), SizeIs(9));
  EXPECT_LT(log->stats().oldest_age, std::chrono::minutes(1));
  // It starts again with a clock that is set.
  clock.set_wall(1'900'000'000'000'000);
  open();
  log->tend();
  EXPECT_THAT(all(1), SizeIs(8));
  EXPECT_EQ(log->stats().dropped, 0U);
}

TEST_F(LogTest, TimeWhileSwitchedOffCounts) {
  options.age_max = std::chrono::hours(24);
  open();
  fill(3);
  log->close();
  clock.set_wall(clock.wall() + std::int64_t{25} * 3'600'000'000);
  open();
  log->tend();
  EXPECT_THAT(all(), IsEmpty());
  EXPECT_EQ(log->stats().dropped, 3U);
}

// A machine without a battery begins in the year its software was made, and learns the time days later.
TEST_F(LogTest, AClockThatWasSetByYearsWhileSwitchedOffMakesNothingOld) {
  options.age_max = std::chrono::hours(24 * 7);
  clock.set_wall(1'672'531'200'000'000);
  open();
  fill(5);
  log->close();
  clock.set_wall(1'790'000'000'000'000);
  open();
  log->tend();
  EXPECT_THAT(all(), SizeIs(5));
}

TEST_F(LogTest, WhatWasDealtWithOutOfOrderIsKnownAfterAStart) {
  open();
  fill(10);
  log->acknowledge("sink", 2);
  log->acknowledge_ahead("sink", {{1, 3}, {5, 6}});
  log->acknowledge_ahead("nobody", {{1, 9}});
  log->close();
  open();
  EXPECT_EQ(log->aheads(), (Aheads{{"sink", {{3, 3}, {5, 6}}}}));
  log->acknowledge_ahead("sink", {{3, 3}, {5, 8}});
  ASSERT_TRUE(log->due());
  clock.advance(std::chrono::seconds(5));
  log->tend();
  open();
  EXPECT_EQ(log->aheads().at("sink"), (Ranges{{3, 3}, {5, 8}})) << "also after a crash";
  storage.flip("log/ahead", 30);
  open();
  EXPECT_THAT(log->aheads(), testing::IsEmpty()) << "what is damaged counts for nothing";
  EXPECT_THAT(all(2), SizeIs(8));
}

TEST_F(LogTest, AFolderThatIsThereIsThereAfterAPowerLoss) {
  options.folder = "var/lib/gateway/buffers/log";
  open();
  fill(3);
  storage.lose_power(Unsynced::dropped, 1);
  open();
  EXPECT_THAT(all(), SizeIs(3));
}

}  // namespace
}  // namespace penstock::spool
