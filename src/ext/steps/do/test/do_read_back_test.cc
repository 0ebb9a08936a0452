#include "ext/steps/do/test/do_harness.h"

namespace penstock::ext::steps {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Attempts of which nobody knows, and a machine that can be asked.
class DoubtTest : public DoTest {
 protected:
  // Killed while the machine has not answered, and started again.
  Sample killed(const std::string& yaml = "{ on: wear.raised, write: { plc.stop: true } }") {
    points.silent = true;
    start(yaml);
    Sample sample = alarm();
    push(sample);
    crash();
    points.silent = false;
    start(yaml);
    return sample;
  }
  void pass(base::Duration time) {
    for (; time > 0s; time -= 1s) {
      clock.advance(1s);
      tick();
    }
  }
  std::uint64_t count(const std::string& what) const { return board->list().at(0).counts[what]; }
};

TEST_F(DoubtTest, KilledAfterTheWriteTheMachineTellsThatItWasMade) {
  const Sample sample = killed();
  points.holds["plc.stop"] = true;
  tick();
  EXPECT_THAT(happened(), ElementsAre("unknown", "confirmed"));
  EXPECT_THAT(events[0].why, HasSubstr("is not repeated; it is read back as soon as the machine answers"));
  EXPECT_EQ(why(), "read back: plc.stop reads true");
  EXPECT_EQ(events[0].id, events[1].id);
  EXPECT_EQ(events[1].device, "press-1");
  EXPECT_EQ(count("confirmed"), 1U);
  EXPECT_THAT(standing(), ElementsAre("wear"));
  push(sample);
  EXPECT_EQ(why(), "for this alarm it is confirmed already");
  EXPECT_THAT(points.writes, ElementsAre("plc.stop")) << "the first one alone";
  crash();
  points.reads_asked.clear();
  start();
  pass(10s);
  EXPECT_THAT(happened(), IsEmpty());
  EXPECT_THAT(points.reads_asked, IsEmpty());
}

TEST_F(DoubtTest, KilledBeforeTheWriteTheMachineTellsThatItWasNotMade) {
  start();
  const Sample sample = alarm();
  struct Out : ingest::Output {
    void emit(Sample) override {}
  } out;
  step->push(sample, out);  // kept, but the loop does not get to write
  crash();
  points.holds["plc.stop"] = false;
  start();
  tick();
  EXPECT_THAT(happened(), ElementsAre("unknown")) << "what was sent may still be on its way";
  pass(6s);
  EXPECT_THAT(happened(), ElementsAre("unknown", "failed"));
  EXPECT_THAT(why(), HasSubstr("plc.stop was to be true and reads false"));
  EXPECT_THAT(standing(), ElementsAre("wear", "wear-raised-failed"));
  push(sample);
  EXPECT_EQ(why(), "for this alarm it is failed already");
  EXPECT_THAT(points.writes, IsEmpty()) << "nobody writes by himself";
  push(alarm(false));
  push(alarm());
  EXPECT_THAT(points.writes, ElementsAre("plc.stop"));
  EXPECT_EQ(happened().back(), "confirmed");
  EXPECT_THAT(standing(), ElementsAre("wear"));
}

TEST_F(DoubtTest, AMachineThatIsAwayIsReadWhenItIsBack) {
  killed();
  pass(300s);
  EXPECT_THAT(happened(), ElementsAre("unknown"));
  EXPECT_THAT(standing(), ElementsAre("wear", "wear-raised-failed"));
  // Also when it comes back after another end of the gateway.
  crash();
  start();
  pass(100s);
  EXPECT_THAT(happened(), IsEmpty()) << "it was told";
  points.holds["plc.stop"] = true;
  pass(31s);
  EXPECT_THAT(happened(), ElementsAre("confirmed"));
  EXPECT_THAT(standing(), ElementsAre("wear"));
  EXPECT_EQ(points.writes.size(), 1U);
}

TEST_F(DoubtTest, ASourceThatCannotBeAskedLeavesItUnknown) {
  killed();
  points.refuses = Error{Errc::unimplemented, "source 'plc' cannot be asked for a single point", {}};
  pass(10s);
  EXPECT_THAT(happened(), ElementsAre("unknown", "unknown"));
  EXPECT_THAT(why(), HasSubstr("cannot be asked for a single point; look at the machine"));
  const std::size_t asked = points.reads_asked.size();
  pass(60s);
  EXPECT_EQ(points.reads_asked.size(), asked);
}

TEST_F(DoubtTest, ATimeoutIsReadBackToo) {
  start("{ on: wear.raised, write: { plc.stop: true }, confirm_within: 2s }");
  points.silent = true;
  push(alarm());
  pass(3s);
  ASSERT_EQ(happened().back(), "unknown");
  EXPECT_THAT(why(), HasSubstr("no answer within 2s"));
  pass(3s);  // nor does it answer to the look
  points.silent = false;
  points.holds["plc.stop"] = true;
  pass(6s);
  EXPECT_THAT(happened(), ElementsAre("begun", "unknown", "confirmed"));
  EXPECT_THAT(standing(), ElementsAre("wear"));
  EXPECT_EQ(points.writes.size(), 1U);
}

TEST_F(DoubtTest, HalfOfAnActionThatTimedOutIsAFailure) {
  start("{ on: wear.raised, write: { plc.slow: true, plc.stop: true, plc.lamp: true }, confirm_within: 2s }");
  points.silent = true;
  push(alarm());
  points.waiting[0](Value(true));
  run();
  pass(3s);
  ASSERT_EQ(happened().back(), "unknown");
  points.silent = false;
  points.holds["plc.stop"] = true;
  pass(6s);
  EXPECT_EQ(happened().back(), "failed");
  EXPECT_EQ(why(), "read back: plc.stop reads true; not made after it: plc.lamp = true");
  EXPECT_THAT(points.writes, ElementsAre("plc.slow", "plc.stop"));
}

TEST_F(DoubtTest, TheNextAttemptEndsTheLook) {
  killed();
  pass(2s);
  ASSERT_TRUE(board->force("line", "wear-raised", "press-1", "operator bob", "looked at it"));
  run();
  EXPECT_THAT(happened(), ElementsAre("unknown", "unknown", "begun", "confirmed"));
  EXPECT_EQ(events[1].id, events[0].id);
  EXPECT_THAT(events[1].why, HasSubstr("another attempt begins before it could be read back"));
  points.holds["plc.stop"] = false;
  pass(100s);
  EXPECT_EQ(events.size(), 4U);
  EXPECT_THAT(standing(), ElementsAre("wear"));
}

TEST_F(DoubtTest, WhatWasNotMadeCountsForHowOftenAllTheSame) {
  const std::string yaml = "{ on: wear.raised, write: { plc.stop: true }, at_most: 1/h }";
  killed(yaml);
  points.holds["plc.stop"] = false;  // or fell back by itself
  pass(6s);
  ASSERT_EQ(happened().back(), "failed");
  push(alarm(false));
  push(alarm());
  EXPECT_THAT(why(), HasSubstr("it was made 1 times within 1h"));
  EXPECT_EQ(points.writes.size(), 1U);
}

TEST_F(DoubtTest, AReloadGoesOnLooking) {
  killed();
  pass(10s);
  std::unique_ptr<ingest::Step> before = std::move(step);
  make("{ on: wear.raised, write: { plc.slow: true } }");
  step->adopt(*before);
  before.reset();
  points.holds["plc.stop"] = true;
  pass(31s);
  EXPECT_EQ(why(), "read back: plc.stop reads true") << "what was begun, not what is written now";
}

// A reload took the step out of the pipeline in the middle of its attempt, and put another of its name in.
class ElsewhereTest : public DoubtTest {
 protected:
  void reload() {
    start(yaml);
    points.silent = true;
    push(alarm());
    before = std::move(step);
    make(yaml);
    tick();
  }
  void end_before() {
    std::swap(step, before);
    pass(4s);
    std::swap(step, before);
    before.reset();
    points.silent = false;
  }
  const std::string yaml = "{ on: wear.raised, write: { plc.stop: true }, confirm_within: 2s }";
  std::unique_ptr<ingest::Step> before;
};

TEST_F(ElsewhereTest, WhatAStepThatIsGoneLeftUnknownIsReadBack) {
  reload();
  end_before();
  ASSERT_THAT(happened(), ElementsAre("begun", "unknown"));
  points.holds["plc.stop"] = true;
  pass(2s);
  EXPECT_THAT(happened(), ElementsAre("begun", "unknown", "confirmed"));
  EXPECT_THAT(standing(), ElementsAre("wear"));
  EXPECT_EQ(points.writes.size(), 1U);
}

TEST_F(ElsewhereTest, SoIsWhatItHadNotFinished) {
  reload();
  before.reset();
  ASSERT_THAT(happened(), ElementsAre("begun", "unknown"));
  points.silent = false;
  tick();
  EXPECT_THAT(standing(), ElementsAre("wear", "wear-raised-failed"));
  points.holds["plc.stop"] = true;
  pass(2s);
  EXPECT_THAT(happened(), ElementsAre("begun", "unknown", "confirmed"));
  EXPECT_THAT(standing(), ElementsAre("wear"));
}

TEST_F(ElsewhereTest, TheNextAttemptEndsThatLookToo) {
  reload();
  end_before();
  ASSERT_TRUE(board->force("line", "wear-raised", "press-1", "operator bob", "looked at it"));
  run();
  EXPECT_THAT(happened(), ElementsAre("begun", "unknown", "unknown", "begun", "confirmed"));
  EXPECT_THAT(events[2].why, HasSubstr("another attempt begins before it could be read back"));
  crash();
  points.holds["plc.stop"] = false;
  start(yaml);
  pass(10s);
  EXPECT_THAT(happened(), IsEmpty()) << "what is read now is the doing of the second one";
}

TEST_F(DoubtTest, WhatIsOnlySaidEndsNoLook) {
  const std::string says = "{ on: wear.raised, write: { plc.stop: true }, dry_run: true }";
  killed();
  tick();
  crash();
  start(says);
  push(alarm(false));
  push(alarm());
  ASSERT_TRUE(board->force("line", "wear-raised", "press-1", "operator bob", "to see"));
  run();
  ASSERT_THAT(happened(), ElementsAre("dry_run", "dry_run"));
  crash();
  start(says);
  points.holds["plc.stop"] = true;
  pass(2s);
  EXPECT_THAT(happened(), ElementsAre("confirmed"));
  EXPECT_EQ(points.writes.size(), 1U);
}

TEST_F(DoubtTest, WhatIsRefusedMeanwhileDoesNotHideIt) {
  const std::string yaml = "{ on: wear.raised, write: { plc.stop: true }, at_most: 1/h }";
  killed(yaml);
  tick();
  push(alarm(false));
  push(alarm());
  ASSERT_THAT(happened(), ElementsAre("unknown", "refused"));
  crash();
  start(yaml);
  points.holds["plc.stop"] = true;
  pass(2s);
  EXPECT_THAT(happened(), ElementsAre("confirmed"));
}

TEST_F(DoubtTest, ARecordOfBeforeSaysNothingOfPoints) {
  state.put(
      "line/do/wear-raised\nwear.raised\npress-1",
      R"({"device":"press-1","id":"a1","trigger":"wear.raised","stage":"begun","alarm_at":1,"began":1,"starts":[1]})");
  start();
  pass(10s);
  EXPECT_THAT(happened(), ElementsAre("unknown"));
  EXPECT_THAT(why(), HasSubstr("look at the machine"));
  EXPECT_THAT(points.reads_asked, IsEmpty());
}

}  // namespace
}  // namespace penstock::ext::steps
