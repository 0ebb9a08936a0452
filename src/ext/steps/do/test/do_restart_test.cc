#include "ext/steps/do/test/do_harness.h"

namespace penstock::ext::steps {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// --- the end of the process at every stage ---------------------------------------------------------------------------

TEST_F(DoTest, KilledBeforeTheIntent) {
  state.at_once = false;
  start();
  push(alarm());
  crash();
  state.at_once = true;
  start();
  tick();
  EXPECT_THAT(points.writes, IsEmpty());
  EXPECT_THAT(happened(), IsEmpty());
  // The alarm was lost with it, comes again with the next sample, and the action is made for the first time.
  push(alarm());
  EXPECT_THAT(points.writes, ElementsAre("plc.stop"));
}

TEST_F(DoTest, KilledBetweenTheAlarmAndTheIntent) {
  start();
  Sample sample = alarm();  // on disk
  state.at_once = false;
  push(sample);
  crash();
  state.at_once = true;
  start();
  tick();
  EXPECT_THAT(points.writes, IsEmpty());
  EXPECT_THAT(happened(), ElementsAre("missed"));
  EXPECT_THAT(standing(), ElementsAre("wear", "wear-raised-failed"));
  push(sample);  // read again from a journal: it is known
  EXPECT_THAT(points.writes, IsEmpty());
}

TEST_F(DoTest, KilledAfterTheIntent) {
  start();
  Sample sample = alarm();
  struct Out : ingest::Output {
    void emit(Sample) override {}
  } out;
  step->push(sample, out);  // kept, but the loop does not get to write
  crash();
  start();
  tick();
  EXPECT_THAT(points.writes, IsEmpty());
  EXPECT_THAT(happened(), ElementsAre("unknown"));
  EXPECT_THAT(why(), HasSubstr("is not repeated"));
  push(sample);
  EXPECT_THAT(points.writes, IsEmpty());
}

TEST_F(DoTest, KilledAfterTheWrite) {
  points.silent = true;
  start();
  Sample sample = alarm();
  push(sample);
  ASSERT_EQ(points.writes.size(), 1U);
  crash();
  points.silent = false;
  start();
  tick();
  push(sample);
  EXPECT_EQ(points.writes.size(), 1U);
  EXPECT_THAT(happened(), ElementsAre("unknown", "refused"));
  EXPECT_THAT(standing(), ElementsAre("wear", "wear-raised-failed"));
  // Once more after another restart it is not told again.
  crash();
  start();
  tick();
  EXPECT_THAT(happened(), IsEmpty());
}

TEST_F(DoTest, KilledAfterTheConfirmation) {
  start();
  Sample sample = alarm();
  push(sample);
  crash();
  start();
  tick();
  EXPECT_THAT(happened(), IsEmpty());
  push(sample);
  EXPECT_EQ(points.writes.size(), 1U);
  EXPECT_THAT(why(), HasSubstr("for this alarm it is confirmed already"));
}

// --- what comes again ------------------------------------------------------------------------------------------------

TEST_F(DoTest, OnlyANewerAlarmIsAReason) {
  start();
  const Sample first = alarm();
  push(first);
  push(alarm(false));
  const Sample second = alarm();
  push(second);
  push(alarm(false));
  ASSERT_EQ(points.writes.size(), 2U);
  crash();
  start();
  // The journal is read again from its beginning: all of it was decided before.
  push(again(first));
  push(again(second));
  EXPECT_EQ(points.writes.size(), 2U);
  EXPECT_THAT(happened(), ElementsAre("refused", "refused"));
  EXPECT_THAT(events[0].why, HasSubstr("was considered before"));
  crash();
  start();
  push(again(first));
  EXPECT_EQ(points.writes.size(), 2U) << "what was refused does not make room for what was made";
  push(alarm());
  EXPECT_EQ(points.writes.size(), 3U);
}

TEST_F(DoTest, AHoldThatEndsLaterWhenItIsReadAgainIsNoReason) {
  start();
  Sample raised = alarm();
  push(raised);
  clock.advance(std::chrono::seconds(5));
  push(alarm(false));
  crash();
  start();
  // Read again from the middle of the hold: the alarm is decided some seconds later than at first.
  auto later = std::make_shared<AlarmChange>(*raised.alarm);
  later->at += 2'000'000;
  raised.alarm = later;
  push(again(raised));
  EXPECT_EQ(points.writes.size(), 1U);
  EXPECT_THAT(why(), HasSubstr("it has changed already"));
}

// What the board and the record know of one clear is written one behind the other.
class TurnedTest : public DoTest {
 protected:
  // Killed when the board's part was on the disk, and the record's was not. The machine was told once.
  Sample killed_between() {
    start(yaml);
    const Sample raised = alarm();
    push(raised);
    clock.advance(std::chrono::seconds(5));
    state.at_once = false;
    cleared = alarm(false);
    state.commit();
    push(cleared);
    crash();
    state.at_once = true;
    clock.advance(std::chrono::seconds(1));
    start(yaml);
    return raised;
  }
  // Read again from the middle of the hold: decided some seconds later than at first.
  Sample later(Sample sample) {
    auto change = std::make_shared<AlarmChange>(*sample.alarm);
    change->at += 2'000'000;
    sample.alarm = change;
    return again(sample);
  }
  const std::string yaml = "{ on: wear.raised, write: { plc.stop: true } }";
  Sample cleared;
};

TEST_F(TurnedTest, KilledBetweenTheClearAndItsRecordWhatIsReadAgainIsNoReason) {
  const Sample raised = killed_between();
  push(later(raised));  // the first thing that the new process hears
  EXPECT_EQ(points.writes.size(), 1U);
  EXPECT_EQ(happened(), std::vector<std::string>{"refused"});
  EXPECT_THAT(why(), HasSubstr("the gateway stopped before it noted when"));
  push(again(cleared));
  push(later(raised));
  EXPECT_EQ(points.writes.size(), 1U);
  EXPECT_THAT(why(), HasSubstr("it has changed already")) << "now it is known when";
  push(alarm());
  EXPECT_EQ(points.writes.size(), 2U) << "a new alarm is a reason";
}

TEST_F(TurnedTest, ANewAlarmIsAReasonAtOnce) {
  killed_between();
  tick();
  push(alarm());
  EXPECT_EQ(points.writes.size(), 2U);
}

TEST_F(TurnedTest, AJournalIsKnownByWhenItsSamplesCame) {
  Sample raised = killed_between();
  tick();
  // By the device's clock, which is ahead, it was measured after our start.
  auto change = std::make_shared<AlarmChange>(*raised.alarm);
  change->at = raised.event_time = clock.wall() + 1'000'000;
  raised.alarm = change;
  push(again(raised));
  EXPECT_EQ(points.writes.size(), 1U);
}

TEST_F(TurnedTest, AStartByAClockThatWasAheadForbidsNothing) {
  killed_between();
  tick();
  clock.set_wall(clock.wall() - 3'600'000'000);
  push(alarm());
  EXPECT_EQ(points.writes.size(), 2U) << why();
}

TEST_F(TurnedTest, TheSameForActionsOfAClear) {
  const std::string on_clear = "{ on: wear.cleared, write: { plc.go: true } }";
  start(on_clear);
  push(alarm());
  const Sample went = alarm(false);
  push(went);
  ASSERT_EQ(points.writes.size(), 1U);
  clock.advance(std::chrono::seconds(5));
  state.at_once = false;
  const Sample back = alarm();
  state.commit();
  push(back);
  crash();
  state.at_once = true;
  clock.advance(std::chrono::seconds(1));
  start(on_clear);
  push(later(went));
  EXPECT_EQ(points.writes.size(), 1U);
  push(alarm());
  push(alarm(false));
  EXPECT_EQ(points.writes.size(), 2U);
}

TEST_F(DoTest, AClockThatWasAheadDoesNotForbidItForEver) {
  start();
  push(alarm());
  const auto wall = clock.wall();
  clock.set_wall(wall + 3'600'000'000);
  push(alarm());
  EXPECT_EQ(points.writes.size(), 2U);
  clock.set_wall(wall + 1'000'000);
  push(alarm());
  EXPECT_EQ(points.writes.size(), 3U);
}

TEST_F(DoTest, ASampleFromTheFutureHidesNothing) {
  start();
  const Sample first = alarm();
  push(first);
  Sample ahead = alarm();
  auto change = std::make_shared<AlarmChange>(*ahead.alarm);
  ahead.event_time = change->at = clock.wall() + 3'600'000'000;
  ahead.alarm = change;
  push(ahead);
  crash();
  start();
  push(again(first));
  EXPECT_EQ(points.writes.size(), 1U);
  push(alarm());
  EXPECT_EQ(points.writes.size(), 2U);
}

TEST_F(DoTest, HowOftenIsNotForgottenNorKeptForEverWhenTheClockIsSetBack) {
  start("{ on: wear.raised, write: { plc.stop: true }, at_most: 1/min }");
  push(alarm(true, "a"));
  clock.set_wall(clock.wall() - 3'600'000'000);
  push(alarm(true, "b"));
  EXPECT_THAT(why(), HasSubstr("it was made 1 times within 1m"));
  clock.advance(std::chrono::minutes(1));
  push(alarm(true, "c"));
  EXPECT_EQ(points.writes.size(), 2U);
}

TEST_F(DoTest, HowOftenIsRememberedOverARestart) {
  start("{ on: wear.raised, write: { plc.stop: true }, at_most: 2/min }");
  push(alarm(true, "a"));
  push(alarm(true, "b"));
  crash();
  start("{ on: wear.raised, write: { plc.stop: true }, at_most: 2/min }");
  push(alarm(true, "c"));
  EXPECT_THAT(why(), HasSubstr("it was made 2 times within 1m"));
  EXPECT_EQ(points.writes.size(), 2U);
  clock.advance(std::chrono::minutes(1));
  push(alarm(true, "d"));
  EXPECT_EQ(points.writes.size(), 3U);
}

TEST_F(DoTest, TwoReasonsAreRememberedEach) {
  const std::string yaml = "{ on: [wear.raised, wear.cleared], write: { plc.stop: true } }";
  start(yaml);
  push(alarm());
  push(alarm(false));
  push(alarm());
  EXPECT_EQ(points.writes.size(), 3U);
  crash();
  start(yaml);
  tick();
  EXPECT_THAT(happened(), IsEmpty());
}

}  // namespace
}  // namespace penstock::ext::steps
