#include "ext/steps/do/read_back.h"

#include <gmock/gmock.h>

namespace penstock::ext::steps {
namespace {

using namespace std::chrono_literals;
using ingest::Value;
using testing::HasSubstr;

const Result<Value> kAway = fail(Errc::unavailable, "no route");

class ReadBackTest : public testing::Test {
 protected:
  void begin(Doubt doubt) { looks.begin("a1", std::move(doubt), 5s, now); }
  // Asks what is due now and answers it.
  std::optional<ReadBack::Finding> look(const Result<Value>& read) {
    auto question = looks.next(now);
    if (!question) return std::nullopt;
    asked.push_back(question->read.source + "." + question->read.point);
    return looks.answered(question->number, read, now);
  }

  ReadBack looks;
  base::SteadyTime now{};
  std::vector<std::string> asked;
  const Doubt stop{.points = {{.source = "plc", .point = "stop", .value = true}}};
};

TEST_F(ReadBackTest, AValueThatIsTheWantedOneIsBelievedAtOnce) {
  begin(stop);
  auto found = look(Value(1.0));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, "a1");
  EXPECT_EQ(found->outcome, "confirmed");
  EXPECT_EQ(found->why, "read back: plc.stop reads 1");
  now += 1h;
  EXPECT_FALSE(looks.next(now));
}

TEST_F(ReadBackTest, AnotherValueIsBelievedWhenWhatWasSentCannotBeOnItsWayAnyMore) {
  begin(stop);
  for (; now < base::SteadyTime(5s); now += 100ms) EXPECT_FALSE(look(Value(false)));
  auto found = look(Value(false));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->outcome, "failed");
  EXPECT_THAT(found->why, HasSubstr("plc.stop was to be true and reads false; it was not made, or has been changed"));
  EXPECT_LE(asked.size(), 8U) << "not at every tick";
}

TEST_F(ReadBackTest, WhatTakesItsTimeIsMade) {
  begin(stop);
  EXPECT_FALSE(look(Value(false)));
  now += 4s;
  auto found = look(Value(true));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->outcome, "confirmed");
}

TEST_F(ReadBackTest, AMachineThatIsAwayIsAskedForADayAtAPaceThatSlowsDown) {
  begin(stop);
  std::optional<ReadBack::Finding> found;
  for (; !found; now += 100ms) found = look(kAway);
  EXPECT_GE(now.time_since_epoch(), ReadBack::kLookFor);
  EXPECT_LE(now.time_since_epoch(), ReadBack::kLookFor + 31s);
  EXPECT_LE(asked.size(), 5'800U);
  EXPECT_GE(asked.size(), 2'800U);
  EXPECT_EQ(found->outcome, "unknown");
  EXPECT_THAT(found->why, HasSubstr("could not be read back within 1d: no route; look at the machine"));
  now += 24h;
  EXPECT_FALSE(looks.next(now));
}

TEST_F(ReadBackTest, AMachineThatComesBackTells) {
  begin(stop);
  for (; now < base::SteadyTime(10h); now += 1s) ASSERT_FALSE(look(kAway));
  now += 30s;
  auto found = look(Value(true));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->outcome, "confirmed");
}

TEST_F(ReadBackTest, WhatCanNeverBeReadStaysUnknownAndIsNotAskedForADay) {
  begin(stop);
  EXPECT_FALSE(look(fail(Errc::not_found, "there is no source 'plc'"))) << "it may only be about to start";
  now += 5s;
  auto found = look(fail(Errc::not_found, "there is no source 'plc'"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->outcome, "unknown");
  EXPECT_THAT(found->why, HasSubstr("cannot be read back: there is no source 'plc'; look at the machine"));
}

TEST_F(ReadBackTest, ReadsEveryPointInItsOrder) {
  Doubt doubt{.points = {{.source = "plc", .point = "a", .value = std::int64_t{1}},
                         {.source = "plc", .point = "b", .value = 0.1, .within = 0.01}}};
  begin(doubt);
  EXPECT_FALSE(look(Value(1.0)));
  auto found = look(Value(0.105));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->outcome, "confirmed");
  EXPECT_THAT(asked, testing::ElementsAre("plc.a", "plc.b"));
  begin(doubt);
  EXPECT_FALSE(look(Value(1.0)));
  now += 5s;
  found = look(Value(0.2));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->outcome, "failed");
  EXPECT_THAT(found->why, HasSubstr("plc.a reads 1, plc.b was to be 0.1 and reads 0.2"));
}

TEST_F(ReadBackTest, WhatLeavesNoTraceStaysUnknown) {
  Doubt doubt = stop;
  doubt.blind = "call http://plc.example/stop";
  begin(doubt);
  auto found = look(Value(true));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->outcome, "unknown");
  EXPECT_THAT(found->why, HasSubstr("plc.stop reads true; nothing can be read back of call http://plc.example/stop"));
  // Nor do points that read otherwise tell of it: the machine may have done what it was told, and taken it back.
  begin(doubt);
  now += 5s;
  found = look(Value(false));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->outcome, "unknown");
  EXPECT_THAT(found->why, HasSubstr("plc.stop was to be true and reads false; it was not made, or has been changed "
                                    "since; nothing can be read back of call http://plc.example/stop: look there"));
}

TEST_F(ReadBackTest, HalfAnActionIsNone) {
  Doubt doubt = stop;
  doubt.skipped = "plc.lamp = true";
  begin(doubt);
  auto found = look(Value(true));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->outcome, "failed");
  EXPECT_EQ(found->why, "read back: plc.stop reads true; not made after it: plc.lamp = true");
}

TEST_F(ReadBackTest, OneQuestionAtATimeAndAnswersToOthersAreNothing) {
  begin(stop);
  looks.begin("b2", stop, 5s, now);
  auto first = looks.next(now);
  ASSERT_TRUE(first);
  EXPECT_FALSE(looks.next(now));
  EXPECT_FALSE(looks.overdue(now));
  now += 6s;
  EXPECT_EQ(looks.overdue(now), first->number);
  EXPECT_FALSE(looks.answered(first->number, kAway, now));
  auto second = looks.next(now);
  ASSERT_TRUE(second);
  EXPECT_FALSE(looks.answered(first->number, Value(true), now)) << "too late";
  EXPECT_EQ(looks.answered(second->number, Value(true), now)->id, "b2");
}

// A machine that is away takes all its time for each look.
TEST_F(ReadBackTest, MachinesThatAreAwayDoNotKeepTheOthersWaiting) {
  for (const char* id : {"a1", "a2", "a3", "b1"})
    looks.begin(id, {.points = {{.source = id, .point = "stop", .value = true}}}, 5s, now);
  for (int i = 0; i < 4; ++i) {
    auto question = looks.next(now);
    ASSERT_TRUE(question);
    asked.push_back(question->read.source);
    now += 6s;
    EXPECT_FALSE(looks.answered(question->number, kAway, now));
  }
  EXPECT_THAT(asked, testing::ElementsAre("a1", "a2", "a3", "b1"));
}

TEST_F(ReadBackTest, WhatIsDroppedIsNotAskedAndNotAnswered) {
  begin(stop);
  auto question = looks.next(now);
  looks.drop("a1");
  EXPECT_FALSE(looks.answered(question->number, Value(true), now));
  now += 1h;
  EXPECT_FALSE(looks.next(now));
}

TEST(RunRecord, KeepsItsDoubt) {
  RunRecord record{.device = "press-1", .id = "a1", .trigger = "wear.raised", .stage = "unknown"};
  record.doubt = {.points = {{.source = "plc", .point = "stop", .value = true},
                             {.source = "plc", .point = "d.level", .value = 0.1, .within = 0.5},
                             {.source = "plc", .point = "count", .value = std::int64_t{-7}, .within = 2},
                             {.source = "plc", .point = "name", .value = std::string("a \"b\"\n")}},
                  .blind = "call x",
                  .skipped = "plc.lamp = true"};
  auto read = run_record_from(to_text(record));
  ASSERT_TRUE(read);
  ASSERT_EQ(read->doubt.points.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(read->doubt.points[i].name(), record.doubt.points[i].name());
    EXPECT_EQ(read->doubt.points[i].value, record.doubt.points[i].value);
    EXPECT_EQ(read->doubt.points[i].within, record.doubt.points[i].within);
  }
  EXPECT_EQ(read->doubt.blind, "call x");
  EXPECT_EQ(read->doubt.skipped, "plc.lamp = true");
  EXPECT_EQ(to_text(*read), to_text(record));
  record.doubt = {};
  EXPECT_EQ(to_text(record).find("doubt"), std::string::npos);
}

}  // namespace
}  // namespace penstock::ext::steps
