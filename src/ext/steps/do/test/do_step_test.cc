#include "ext/steps/do/do_step.h"

#include <gmock/gmock.h>

#include "ingest/action_board.h"
#include "ingest/alarm_board.h"
#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::ActionEvent;
using ingest::AlarmChange;
using ingest::Sample;
using ingest::Value;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A disk: what is put is durable once commit() was called, or at once.
class FakeState : public ingest::StatePort {
 public:
  std::optional<std::string> get(const std::string& key) const override {
    auto found = memory.find(key);
    return found == memory.end() ? std::nullopt : std::optional(found->second);
  }
  void put(std::string key, std::string value, Kept kept = {}) override {
    memory[key] = value;
    waiting.push_back([this, key, value, kept] {
      if (full) {
        if (kept) kept(fail(Errc::resource_exhausted, "the disk is full"));
        return;
      }
      disk[key] = value;
      if (kept) kept({});
    });
    if (at_once) commit();
  }
  void erase(const std::string& key) override {
    memory.erase(key);
    waiting.push_back([this, key] { disk.erase(key); });
    if (at_once) commit();
  }
  std::vector<std::pair<std::string, std::string>> entries(const std::string& prefix) const override {
    std::vector<std::pair<std::string, std::string>> found;
    for (const auto& one : memory) {
      if (one.first.starts_with(prefix)) found.push_back(one);
    }
    return found;
  }
  void commit() {
    for (auto& one : std::exchange(waiting, {})) one();
  }
  // The process ended: only the disk is left.
  void crash() {
    waiting.clear();
    memory = disk;
  }

  std::map<std::string, std::string> memory, disk;
  std::vector<std::function<void()>> waiting;
  bool at_once = true;
  bool full = false;
};

struct FakePoints : public ingest::WritePort {
  void write(rt::Loop& loop, ingest::PointWrite write, std::function<void(Result<Value>)> done) override {
    writes.push_back(write.source + "." + write.point);
    auto answer = [&loop, done](Result<Value> value) { loop.post([done, value] { done(value); }); };
    if (silent) {
      waiting.push_back(answer);
    } else {
      answer(reads ? *reads : Result<Value>(write.value));
    }
  }
  std::vector<std::string> writes;
  std::vector<std::function<void(Result<Value>)>> waiting;
  std::optional<Result<Value>> reads;
  bool silent = false;
};

// A gateway that can crash: the disk and the machine outlast it.
class DoTest : public testing::Test {
 protected:
  void start(const std::string& yaml = "{ on: wear.raised, write: { plc.stop: true } }") {
    context = {.clock = &clock, .writes = &points, .state = &state};
    board = std::make_unique<ingest::ActionBoard>(&state, &clock,
                                                  [this](const ActionEvent& event) { events.push_back(event); });
    context.actions = board.get();
    alarms = std::make_unique<ingest::AlarmBoard>();
    alarms->attach(&state, nullptr, &clock);
    alarms->restore();
    auto document = config::Document::parse("step: " + yaml + "\n", "test.yaml");
    ASSERT_TRUE(document);
    ingest::StepContext step_context;
    step_context.shared = &context;
    step_context.pipeline = "line";
    step_context.loop = &loop;
    step_context.alarm_changed = [this](const AlarmChange& change) { alarms->change(change); };
    step_context.failed = [this](std::string_view what) { errors.emplace_back(what); };
    step_context.alarms = std::make_shared<ingest::AlarmTable>();
    step_context.alarms->try_emplace("wear");
    step_context.raised = [this](const std::string& name) { return alarms->raised("line", name); };
    config::Map root = document->root().map();
    step = make_do(root.get("step"), step_context);
    root.done();
    report = document->report();
  }
  void crash() {
    step.reset();
    board.reset();
    alarms.reset();
    state.crash();
    points.waiting.clear();
    run();
    events.clear();
  }
  void run() {
    for (int i = 0; i < 8; ++i) {
      loop.post([this] { loop.stop(); });
      loop.run();
    }
  }
  // The alarm step's part: the board knows first, then the sample comes along.
  Sample alarm(bool raised = true, const std::string& device = "press-1") {
    clock.advance(std::chrono::seconds(1));
    AlarmChange change;
    change.pipeline = "line";
    change.name = "wear";
    change.device = device;
    change.raised = raised;
    change.at = clock.wall();
    change.why = "score > 0.8";
    Sample sample;
    sample.device = device;
    sample.event_time = sample.ingest_time = clock.wall();
    sample.set("score", 0.9);
    sample.alarm = std::make_shared<AlarmChange>(change);
    alarms->change(change);
    return sample;
  }
  void push(Sample sample) {
    struct Out : ingest::Output {
      void emit(Sample) override {}
    } out;
    step->push(std::move(sample), out);
    run();
  }
  void tick() {
    struct Out : ingest::Output {
      void emit(Sample) override {}
    } out;
    step->tick(clock.wall(), out);
    run();
  }
  std::vector<std::string> happened() const {
    std::vector<std::string> found;
    for (const ActionEvent& event : events) found.push_back(event.what);
    return found;
  }
  std::string why() const { return events.empty() ? "" : events.back().why; }
  std::vector<std::string> standing() const {
    std::vector<std::string> found;
    for (const AlarmChange& change : alarms->active()) found.push_back(change.name);
    return found;
  }

  base::FakeClock clock;
  rt::Loop loop;
  FakeState state;
  FakePoints points;
  ingest::Context context;
  std::unique_ptr<ingest::ActionBoard> board;
  std::unique_ptr<ingest::AlarmBoard> alarms;
  std::unique_ptr<ingest::Step> step;
  std::string report;
  std::vector<ActionEvent> events;
  std::vector<std::string> errors;
};

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
  EXPECT_EQ(happened().back(), "failed");
  EXPECT_THAT(why(), HasSubstr("no answer within 2s"));
  points.waiting[0](Value(true));  // too late: it has been told
  run();
  EXPECT_EQ(happened().back(), "failed");
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

TEST_F(DoTest, RefusesWhatMakesNoSense) {
  for (const auto& [yaml, words] : std::vector<std::pair<std::string, std::string>>{
           {"{ on: wear, write: { plc.stop: true } }", "write an alarm's name with .raised or .cleared"},
           {"{ on: war.raised, write: { plc.stop: true } }", "did you mean 'wear'"},
           {"{ on: wear.raised }", "says nothing to do"},
           {"{ on: wear.raised, write: { stop: true } }", "is no point"},
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
