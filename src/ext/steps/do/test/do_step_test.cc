#include "ext/steps/do/test/do_harness.h"
#include "ingest/device_table.h"

namespace penstock::ext::steps {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(DoTest, WritesAndReadsBack) {
  start();
  push(alarm());
  EXPECT_THAT(points.writes, ElementsAre("plc.stop"));
  EXPECT_THAT(happened(), ElementsAre("begun", "confirmed"));
  EXPECT_EQ(why(), "plc.stop reads true");
  EXPECT_EQ(events[0].action, "plc.stop = true");
  EXPECT_EQ(events[0].actor, "alarm wear.raised");
  push(alarm(false));
  EXPECT_EQ(points.writes.size(), 1U);
}

TEST_F(DoTest, WhatReadsBackDifferentlyIsAnAlarm) {
  start();
  points.reads = Value(false);
  push(alarm());
  EXPECT_THAT(happened(), ElementsAre("begun", "failed"));
  EXPECT_THAT(why(), HasSubstr("was set to true and reads false"));
  EXPECT_THAT(standing(), ElementsAre("wear", "wear-raised-failed"));
  // The next time it works, and the alarm goes.
  points.reads.reset();
  push(alarm());
  EXPECT_THAT(standing(), ElementsAre("wear"));
}

TEST_F(DoTest, ReadBackToleratesSinglePrecision) {
  start("{ on: wear.raised, write: { plc.speed: 0.1, plc.level: { value: 20, within: 0.5 } } }");
  points.reads = Value(static_cast<double>(0.1F));
  push(alarm());
  EXPECT_THAT(why(), HasSubstr("plc.level was set to 20"));
  EXPECT_THAT(why(), HasSubstr("before it: plc.speed reads"));
}

TEST_F(DoTest, NothingIsWrittenBeforeTheIntentIsOnDisk) {
  state.at_once = false;
  start();
  auto receipt = std::make_shared<ingest::Receipt>();
  Sample sample = alarm();
  sample.receipt = receipt;
  push(std::move(sample));
  EXPECT_THAT(points.writes, IsEmpty());
  EXPECT_EQ(receipt.use_count(), 2);  // the sample is not settled while the intent is not safe
  state.commit();
  run();
  EXPECT_THAT(points.writes, ElementsAre("plc.stop"));
  EXPECT_EQ(receipt.use_count(), 1);
}

TEST_F(DoTest, AFullDiskMeansNoAction) {
  start();
  state.full = true;
  push(alarm());
  EXPECT_THAT(points.writes, IsEmpty());
  EXPECT_THAT(happened(), ElementsAre("begun", "failed"));
  EXPECT_THAT(why(), HasSubstr("could not be written down before: the disk is full"));
}

// --- when it is not made ---------------------------------------------------------------------------------------------

TEST_F(DoTest, NeverFromBadOrStaleData) {
  start("{ on: wear.raised, write: { plc.stop: true }, max_age: 5s }");
  for (ingest::Quality quality : {ingest::Quality::bad, ingest::Quality::uncertain}) {
    Sample bad = alarm();
    bad.quality = quality;
    push(bad);
    EXPECT_THAT(why(), HasSubstr("quality"));
  }
  Sample stale = alarm();
  clock.advance(std::chrono::seconds(6));
  push(stale);
  EXPECT_THAT(why(), HasSubstr("6s before now, more than max_age 5s"));
  Sample ahead = alarm();
  ahead.event_time += 60'000'000;
  push(ahead);
  EXPECT_THAT(why(), HasSubstr("after now"));
  EXPECT_THAT(points.writes, IsEmpty());
}

TEST_F(DoTest, NeverFromDataThatCameTooLongAgo) {
  start("{ on: wear.raised, write: { plc.stop: true }, max_age: 5s }");
  // The device's clock is ahead by as much as its sample is old.
  Sample sample = alarm();
  sample.ingest_time -= 6'000'000;
  push(sample);
  EXPECT_THAT(why(), HasSubstr("6s before now, more than max_age 5s"));
  EXPECT_THAT(points.writes, IsEmpty());
}

TEST_F(DoTest, NeverFromDataThatGrewOldWhileItWasWrittenDown) {
  state.at_once = false;
  start("{ on: wear.raised, write: { plc.stop: true }, max_age: 5s }");
  push(alarm());
  clock.advance(std::chrono::seconds(6));
  state.commit();
  run();
  EXPECT_THAT(points.writes, IsEmpty());
  EXPECT_THAT(happened(), ElementsAre("begun", "failed"));
  EXPECT_THAT(why(), HasSubstr("not made: the sample is 6s before now"));
  EXPECT_THAT(standing(), ElementsAre("wear", "wear-raised-failed"));
}

TEST_F(DoTest, NeverFromDataThatGrewOldBehindAnotherDeed) {
  start("{ on: wear.raised, write: { plc.stop: true, plc.lamp: true }, max_age: 5s, confirm_within: 10s }");
  points.silent = true;
  push(alarm());
  clock.advance(std::chrono::seconds(6));
  points.waiting[0](Value(true));
  run();
  EXPECT_THAT(points.writes, ElementsAre("plc.stop"));
  EXPECT_EQ(happened().back(), "failed");
  EXPECT_THAT(why(), HasSubstr("plc.lamp = true: not made: the sample is 6s before now"));
  EXPECT_THAT(why(), HasSubstr("before it: plc.stop reads true"));
}

TEST_F(DoTest, AHoldBeforeItIsMadeHolds) {
  state.at_once = false;
  start();
  push(alarm());
  ASSERT_TRUE(board->hold("line", "wear-raised", {.by = "ada", .why = "my hand is in it"}));
  state.commit();
  run();
  EXPECT_THAT(points.writes, IsEmpty());
  EXPECT_THAT(happened(), ElementsAre("begun", "held", "refused"));
  EXPECT_THAT(why(), HasSubstr("my hand is in it"));
  EXPECT_THAT(standing(), ElementsAre("wear"));
}

TEST_F(DoTest, WhatWasNotMadeDoesNotCountForHowOften) {
  state.at_once = false;
  start("{ name: stop, on: wear.raised, write: { plc.stop: true }, at_most: 1/h }");
  push(alarm());
  ASSERT_TRUE(board->hold("line", "stop", {.by = "ada", .why = ""}));
  state.commit();
  run();
  ASSERT_EQ(happened().back(), "refused");
  ASSERT_TRUE(board->release("line", "stop", "ada"));
  state.full = true;
  push(alarm());
  state.commit();
  run();
  ASSERT_EQ(happened().back(), "failed");
  state.full = false;
  push(alarm());
  state.commit();
  run();
  EXPECT_THAT(points.writes, ElementsAre("plc.stop"));
  push(alarm());
  EXPECT_THAT(why(), HasSubstr("it was made 1 times"));
}

TEST_F(DoTest, RemembersABoundedNumberOfDevicesAndTheLastOne) {
  start("{ name: stop, on: wear.raised, write: { plc.stop: true } }");
  tick();
  ASSERT_TRUE(board->hold("line", "stop", {.by = "ada", .why = ""}));
  struct Out : ingest::Output {
    void emit(Sample) override {}
  } out;
  Sample last;
  for (std::size_t i = 0; i < ingest::kDevicesPerStepMax + 20; ++i) {
    // Names that sort the other way than they come.
    last = alarm(true, fmt::format("press-{:05}", 99'999 - i));
    step->push(last, out);
  }
  EXPECT_EQ(state.entries("line/do/stop\n").size(), ingest::kDevicesPerStepMax);
  EXPECT_EQ(state.get("line/do/stop\nwear.raised\npress-99999"), std::nullopt) << "the oldest is given up";
  push(last);
  EXPECT_EQ(why(), "for this alarm it is refused already");
}

TEST_F(DoTest, AnInterlockBlocksWhereAValueIsMissing) {
  for (const std::string only_if : {"not open", "speed != 0", "not (speed > 0)", "speed == 0 ? false : true",
                                    "not (score > 0.5 and speed > 0)", "not (vib[3] > 1)", "not (name > 3)"}) {
    start(fmt::format("{{ on: wear.raised, write: {{ plc.stop: true }}, only_if: \"{}\" }}", only_if));
    Sample sample = alarm();
    sample.set("vib", std::vector<double>{1, 2});
    sample.set("name", std::string("press"));
    push(sample);
    EXPECT_THAT(points.writes, IsEmpty()) << only_if;
    EXPECT_THAT(why(), HasSubstr("only_if cannot be told")) << only_if;
    sample = alarm();
    sample.set("speed", std::numeric_limits<double>::quiet_NaN());
    push(sample);
    EXPECT_THAT(points.writes, IsEmpty()) << only_if;
  }
  // What is asked about null is an answer.
  start("{ on: wear.raised, write: { plc.stop: true }, only_if: \"not has(open) or open\" }");
  push(alarm());
  EXPECT_THAT(points.writes, ElementsAre("plc.stop"));
}

TEST_F(DoTest, InterlocksHoldItBack) {
  start("{ on: wear.raised, write: { plc.stop: true }, only_if: score > 0.95 }");
  push(alarm());
  EXPECT_THAT(points.writes, IsEmpty());
  EXPECT_THAT(why(), HasSubstr("only_if is not met: score > 0.95; score = 0.9"));
}

TEST_F(DoTest, DryRunSaysWhatItWouldDo) {
  start("{ on: wear.raised, write: { plc.stop: true }, dry_run: true }");
  push(alarm());
  EXPECT_THAT(points.writes, IsEmpty());
  EXPECT_THAT(happened(), ElementsAre("dry_run"));
  EXPECT_EQ(events[0].action, "plc.stop = true");
}

TEST_F(DoTest, PeopleHoldReleaseAndForce) {
  start();
  tick();
  ASSERT_TRUE(board->hold("line", "wear-raised", {.by = "ada", .why = "maintenance"}));
  push(alarm());
  EXPECT_EQ(why(), "ada holds it: maintenance");
  crash();
  start();
  tick();
  ASSERT_EQ(board->list().size(), 1U);
  EXPECT_EQ(board->list()[0].hold->by, "ada");
  push(alarm());
  EXPECT_THAT(points.writes, IsEmpty());
  ASSERT_TRUE(board->force("line", "wear-raised", "press-1", "operator bob", "to be sure"));
  run();
  EXPECT_THAT(points.writes, ElementsAre("plc.stop"));
  EXPECT_EQ(events.back().what, "confirmed");
  EXPECT_EQ(events.back().actor, "operator bob");
  ASSERT_TRUE(board->release("line", "wear-raised", "ada"));
  push(alarm());
  EXPECT_EQ(points.writes.size(), 2U);
  EXPECT_FALSE(board->release("line", "wear-raised", "ada"));
  EXPECT_EQ(board->force("line", "nothing", "", "", "").error().code, Errc::not_found);
}

TEST_F(DoTest, NoAnswerIsAFailure) {
  start("{ on: wear.raised, write: { plc.stop: true }, confirm_within: 2s }");
  points.silent = true;
  push(alarm());
  push(alarm());
  EXPECT_EQ(why(), "an attempt for this device is under way");
  clock.advance(std::chrono::seconds(3));
  tick();
  EXPECT_EQ(happened().back(), "unknown");
  EXPECT_THAT(why(), HasSubstr("no answer within 2s"));
  EXPECT_THAT(standing(), ElementsAre("wear", "wear-raised-failed"));
  points.waiting[0](Value(true));  // too late: it has been told
  run();
  EXPECT_EQ(happened().back(), "unknown");
  EXPECT_EQ(points.writes.size(), 1U);
}

TEST_F(DoTest, AttemptsGoOnOverAHotSwap) {
  start();
  points.silent = true;
  push(alarm());
  std::unique_ptr<ingest::Step> before = std::move(step);
  auto old_board = std::move(board);
  auto old_alarms = std::move(alarms);
  start();
  step->adopt(*before);
  before.reset();
  EXPECT_TRUE(step->busy());
  tick();
  EXPECT_THAT(happened(), ElementsAre("begun"));
  points.waiting[0](Value(true));
  run();
  EXPECT_THAT(happened(), ElementsAre("begun", "confirmed"));
  EXPECT_FALSE(step->busy());
}

TEST_F(DoTest, AReloadLeavesItOnTheBoardAndHeld) {
  const std::string yaml = "{ name: stop, on: wear.raised, write: { plc.stop: true } }";
  start(yaml);
  tick();
  ASSERT_TRUE(board->hold("line", "stop", {.by = "ada", .why = "maintenance"}));
  std::unique_ptr<ingest::Step> before = std::move(step);
  make(yaml);
  step->adopt(*before);
  std::swap(step, before);
  tick();  // the one before, which is asked whether it still waits
  std::swap(step, before);
  before.reset();
  ASSERT_EQ(board->list().size(), 1U);
  push(alarm());
  EXPECT_THAT(happened(), ElementsAre("held", "refused"));
  EXPECT_THAT(points.writes, IsEmpty());
  EXPECT_TRUE(board->force("line", "stop", "press-1", "ada", "it has to stop"));
  run();
  EXPECT_THAT(points.writes, ElementsAre("plc.stop"));
}

TEST_F(DoTest, AReloadBeforeTheIntentIsOnDiskLosesNothing) {
  state.at_once = false;
  start();
  push(alarm());
  std::unique_ptr<ingest::Step> before = std::move(step);
  auto old_board = std::move(board);
  auto old_alarms = std::move(alarms);
  start();
  step->adopt(*before);
  before.reset();
  state.commit();
  run();
  EXPECT_THAT(points.writes, ElementsAre("plc.stop"));
  EXPECT_EQ(happened().back(), "confirmed");
}

TEST_F(DoTest, WhatBeginsAfterAReloadIsWhatIsWrittenNow) {
  start("{ name: stop, on: wear.raised, write: { plc.stop: true, plc.lamp: true } }");
  points.silent = true;
  push(alarm(true, "a"));
  std::unique_ptr<ingest::Step> before = std::move(step);
  auto old_board = std::move(board);
  auto old_alarms = std::move(alarms);
  start("{ name: stop, on: wear.raised, write: { plc.slow: true } }");
  step->adopt(*before);
  before.reset();
  push(alarm(true, "b"));
  points.waiting[0](Value(true));
  run();
  EXPECT_THAT(points.writes, ElementsAre("plc.stop", "plc.slow", "plc.lamp"));
}

TEST_F(DoTest, AStepThatWasTakenOutFinishesWhatItBegan) {
  start("{ name: stop, on: wear.raised, write: { plc.stop: true } }");
  points.silent = true;
  const Sample sample = alarm();
  push(sample);
  // The pipeline has one of the same name now, at a place where it is no successor.
  std::unique_ptr<ingest::Step> before = std::move(step);
  auto keep_board = std::move(board);
  auto keep_alarms = std::move(alarms);
  start("{ name: stop, on: wear.raised, write: { plc.stop: true } }");
  board = std::move(keep_board);
  alarms = std::move(keep_alarms);
  context.actions = board.get();
  tick();
  push(sample);
  EXPECT_THAT(happened(), ElementsAre("begun", "refused"));
  push(alarm());
  EXPECT_EQ(why(), "an attempt for this device is under way");
  points.waiting[0](Value(true));
  run();
  EXPECT_EQ(happened().back(), "confirmed");
  EXPECT_EQ(points.writes.size(), 1U);
  before.reset();
  push(alarm());
  EXPECT_EQ(points.writes.size(), 2U);
}

// Answers to calls: a status, or why there is none.
struct FakeCalls : public ingest::HttpPort {
  void post(rt::Loop& loop, ingest::HttpPost post, std::function<void(Result<int>)> done) override {
    posts.push_back(post);
    loop.post([this, done] { done(answer); });
  }
  std::vector<ingest::HttpPost> posts;
  Result<int> answer = 200;
};

TEST_F(DoTest, ACallIsMadeOnceAndItsAddressKeepsItsSecrets) {
  FakeCalls calls;
  context.http = &calls;
  start("{ on: wear.raised, call: { url: \"http://plc.example/stop?token=s3cret#s3cret\" } }");
  context.http = &calls;
  calls.answer = fail(Errc::data_loss, "it was sent and not answered");
  push(alarm());
  ASSERT_EQ(calls.posts.size(), 1U);
  EXPECT_TRUE(calls.posts[0].once);
  EXPECT_EQ(calls.posts[0].url, "http://plc.example/stop?token=s3cret#s3cret");
  EXPECT_EQ(happened().back(), "unknown");
  EXPECT_THAT(why(),
              HasSubstr("call http://plc.example/stop?...: it was sent and not answered; it may have been made"));
  calls.answer = 500;
  push(alarm());
  EXPECT_EQ(happened().back(), "failed");
  for (const ActionEvent& event : events) EXPECT_THAT(event.why + event.action, testing::Not(HasSubstr("s3cret")));
}

TEST_F(DoTest, RefusesWhatMakesNoSense) {
  for (const auto& [yaml, words] : std::vector<std::pair<std::string, std::string>>{
           {"{ on: wear, write: { plc.stop: true } }", "write an alarm's name with .raised or .cleared"},
           {"{ on: war.raised, write: { plc.stop: true } }", "did you mean 'wear'"},
           {"{ on: wear.raised }", "says nothing to do"},
           {"{ on: wear.raised, write: { stop: true } }", "is no point"},
           {"{ on: wear.raised, write: { plc.a: { value: 1, within: inf } } }", "write.plc.a.within: write how far"},
           {"{ on: wear.raised, write: { plc.a: { value: 1, within: nan } } }", "write.plc.a.within: write how far"},
           {"{ on: wear.raised, write: { plc.a: { value: 1, within: -1 } } }", "write.plc.a.within: write how far"},
           {"{ on: wear.raised, write: { plc.stop: true }, at_most: often }", "such as 1/min"},
           {"{ on: wear.raised, write: { plc.stop: true }, only_iff: x > 1 }", "did you mean 'only_if'"},
           {"{ on: wear.raised, call: { url: ftp://x } }", "http://host/path"},
           {"{ on: wear.raised, publish: { url: mqtt://127.0.0.1:1, topic: a/+ } }", "+"}}) {
    start(yaml);
    EXPECT_THAT(report, HasSubstr(words)) << yaml;
  }
}

}  // namespace
}  // namespace penstock::ext::steps
