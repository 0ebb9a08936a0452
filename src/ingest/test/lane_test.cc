#include "ingest/lane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ingest/sample_json.h"
#include "rt/test/on_loop.h"

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

// What the fakes below did, in order; they live on one loop.
struct Diary {
  std::mutex mutex;
  std::vector<std::string> lines;
  std::map<std::string, Emit> emits;
  std::vector<Sample> delivered;
  void note(std::string line) {
    std::lock_guard lock(mutex);
    lines.push_back(std::move(line));
  }
};

class FakeSource : public Source {
 public:
  FakeSource(std::string name, Diary& diary) : name_(std::move(name)), diary_(diary) {}
  Result<void> start(rt::Loop&, Emit emit) override {
    if (name_ == "broken") return fail(Errc::failed_precondition, "no such device");
    diary_.emits[name_] = std::move(emit);
    diary_.note("start " + name_);
    return {};
  }
  void stop() override {
    diary_.emits.erase(name_);
    diary_.note("stop " + name_);
  }
  Status status() const override { return {true, "fake", 1, 0}; }
  void accept(std::string, std::string body, Accepted done) override {
    auto samples = samples_from_json(body, {});
    if (!samples) return done(std::unexpected(samples.error()));
    std::size_t count = samples->size();
    if (!diary_.emits[name_](std::move(*samples))) return done(fail(Errc::backpressure, "full"));
    done(count);
  }

 private:
  std::string name_;
  Diary& diary_;
};

class FakeSink : public Sink {
 public:
  FakeSink(std::string name, Diary& diary) : name_(std::move(name)), diary_(diary) {}
  Result<void> start(rt::Loop&) override {
    diary_.note("sink start " + name_);
    return {};
  }
  void send(Batch batch, std::function<void(Sent)> done) override {
    diary_.delivered.insert(diary_.delivered.end(), batch->begin(), batch->end());
    done({});
  }
  void stop() override { diary_.note("sink stop " + name_); }
  Status status() const override { return {true, "", diary_.delivered.size(), 0}; }

 private:
  std::string name_;
  Diary& diary_;
};

// Raises an alarm for a field `hot`, holds back one sample until flush.
class FakeStep : public Step {
 public:
  explicit FakeStep(StepContext context) : context_(std::move(context)) { context_.alarms->try_emplace("hot"); }
  void push(Sample sample, Output& out) override {
    if (sample.find("hot") != nullptr)
      context_.tell({context_.pipeline, "hot", sample.device, true, sample.event_time, "it is", "critical"});
    if (sample.find("broken") != nullptr) return context_.error("broken sample");
    if (sample.find("held") != nullptr) {
      held_ = std::move(sample);
    } else {
      out.emit(std::move(sample));
    }
  }
  void flush(Output& out) override {
    if (held_) out.emit(std::move(*held_));
  }

 private:
  StepContext context_;
  std::optional<Sample> held_;
};

// Runs everything on the test's own thread: drain() returns when the loop has nothing left to do.
struct LaneTest : testing::Test {
  LaneTest() {
    registry.add("fake",
                 SourceFactory{[this](const std::string& name, const config::Node&, config::Map& map, const Context&) {
                   map.text("note");
                   return std::make_unique<FakeSource>(name, diary);
                 }});
    registry.add("hold", StepFactory{[](const config::Node& node, const StepContext& context) {
                   node.map().done();
                   return std::make_unique<FakeStep>(context);
                 }});
    registry.add("out", SinkFactory{[this](const std::string& name, const config::Node&, config::Map&, const Context&) {
                   return std::make_unique<FakeSink>(name, diary);
                 }});
    context.registry = &registry;
    context.clock = &clock;
    lane = std::make_unique<Lane>(LaneOptions{context, {&loop}, {}});
    thread = std::thread([this] { loop.run(); });
  }
  ~LaneTest() override {
    std::atomic<bool> done = false;
    lane->stop([&] {
      done = true;
      done.notify_all();
    });
    done.wait(false);
    loop.stop();
    thread.join();
  }
  std::string apply(const std::string& yaml) {
    auto document = config::Document::parse(yaml, "edge.yaml");
    config::Map root = document->root().map();
    Plan plan = lane->plan(root);
    root.done();
    if (document->failed()) return document->report();
    lane->apply(std::move(plan));
    drain();
    return "";
  }
  // Work posts work: a few rounds let all of it pass.
  void drain() {
    for (int i = 0; i < 8; ++i) on_loop([] {});
  }
  void on_loop(const std::function<void()>& work) { rt::run_on(loop, work); }
  bool send(const std::string& source, const std::string& json) {
    bool taken = false;
    on_loop([&] { taken = diary.emits.at(source)(*samples_from_json(json, {"", 0})); });
    drain();
    return taken;
  }

  Diary diary;
  base::FakeClock clock;
  base::Registry registry;
  Context context;
  rt::Loop loop;
  std::unique_ptr<Lane> lane;
  std::thread thread;
};

constexpr const char* kTwo =
    "sources:\n  a: { fake: {} }\n  b: { fake: {} }\n"
    "pipelines:\n  one: { from: [a, b], steps: [ hold: {} ], to: [ out: {} ] }\n  two: { from: b }\n";

TEST_F(LaneTest, CarriesSamplesFromSourcesToSinks) {
  ASSERT_EQ(apply(kTwo), "");
  EXPECT_TRUE(send("a", "{\"x\":1}"));
  EXPECT_TRUE(send("b", "[{\"x\":2,\"device\":\"d\"},{\"x\":3}]"));
  ASSERT_EQ(diary.delivered.size(), 3U);
  EXPECT_EQ(diary.delivered[0].device, "a");
  EXPECT_EQ(diary.delivered[0].ingest_time, clock.wall());
  EXPECT_EQ(diary.delivered[1].device, "d");
  auto one = lane->pipeline("one")->stats();
  EXPECT_EQ(one.in, 3U);
  EXPECT_EQ(one.out, 3U);
  EXPECT_EQ(one.queued, 0U);
  EXPECT_EQ(lane->pipeline("two")->stats().in, 2U);
  EXPECT_EQ(lane->sources()[1].samples, 2U);
  EXPECT_EQ(lane->devices().size(), 3U);
  EXPECT_EQ(lane->devices()[2].pipelines.size(), 2U);
}

TEST_F(LaneTest, CountsErrorsAlarmsAndKeepsTheBoard) {
  ASSERT_EQ(apply(kTwo), "");
  send("a", "[{\"hot\":1},{\"broken\":1}]");
  auto stats = lane->pipeline("one")->stats();
  EXPECT_EQ(stats.alarms, 1U);
  EXPECT_EQ(stats.errors, 1U);
  EXPECT_EQ(stats.last_error, "broken sample");
  ASSERT_EQ(lane->alarms().active().size(), 1U);
  EXPECT_EQ(lane->alarms().active()[0].severity, "critical");
}

TEST_F(LaneTest, RefusesWhenTheQueueIsFull) {
  ASSERT_EQ(apply(kTwo), "");
  bool first = false;
  bool second = false;
  on_loop([&] {  // the loop is busy with us: nothing is worked off meanwhile
    first = diary.emits.at("a")(std::vector<Sample>(Pipeline::kQueueMax));
    second = diary.emits.at("a")(std::vector<Sample>(1));
  });
  EXPECT_TRUE(first);
  EXPECT_FALSE(second);
  on_loop([] {});
  for (int i = 0; i < 100; ++i) drain();
  auto stats = lane->pipeline("one")->stats();
  EXPECT_EQ(stats.refused, 1U);
  EXPECT_EQ(stats.out, Pipeline::kQueueMax);
  EXPECT_EQ(stats.queued, 0U);
}

TEST_F(LaneTest, ReloadTouchesOnlyWhatChanged) {
  ASSERT_EQ(apply(kTwo), "");
  auto two = lane->pipeline("two");
  send("a", "[{\"held\":1},{\"hot\":1}]");
  diary.lines.clear();
  diary.delivered.clear();
  ASSERT_EQ(apply("sources:\n  a: { fake: {}, note: changed }\n  b: { fake: {} }\n"
                  "pipelines:\n  one: { from: a, steps: [ hold: {} ], to: [ out: {} ] }\n  two: { from: b }\n"),
            "");
  EXPECT_THAT(diary.lines, ElementsAre("stop a", "start a"));  // the sink is the same
  EXPECT_EQ(diary.delivered.size(), 1U);                       // what the old one held
  EXPECT_EQ(lane->pipeline("two"), two);
  EXPECT_EQ(lane->pipeline("one")->stats().in, 2U);
  EXPECT_EQ(lane->alarms().active_count(), 1U);  // its step is still there
  send("b", "{\"x\":1}");
  EXPECT_EQ(diary.delivered.size(), 1U);
  send("a", "{\"x\":1}");
  EXPECT_EQ(diary.delivered.size(), 2U);
}

TEST_F(LaneTest, TellsSubscribersAndDropsTheirOldest) {
  ASSERT_EQ(apply(kTwo), "");
  std::vector<Event> events;
  std::uint64_t dropped = 0;
  std::unique_ptr<Subscription> subscription =
      lane->events("one")->subscribe(loop, [&](std::vector<Event> batch, std::uint64_t lost) {
        events.insert(events.end(), batch.begin(), batch.end());
        dropped += lost;
      });
  send("a", "[{\"hot\":1}]");
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].kind, Event::Kind::alarm);
  EXPECT_THAT(*events[0].json, HasSubstr("\"name\":\"hot\",\"raised\":true"));
  EXPECT_THAT(*events[1].json, HasSubstr("\"hot\":1"));
  events.clear();
  on_loop([&] {
    for (int i = 0; i < 300; ++i)
      lane->events("one")->publish({Event::Kind::sample, std::make_shared<const std::string>("{}")});
  });
  drain();
  EXPECT_EQ(events.size(), EventHub::kQueueMax);
  EXPECT_EQ(dropped, 300 - EventHub::kQueueMax);
  on_loop([&] { subscription.reset(); });
  send("a", "{\"x\":1}");
  EXPECT_EQ(events.size(), EventHub::kQueueMax);
  EXPECT_FALSE(lane->events("one")->watched());
}

TEST_F(LaneTest, HandsPushedBytesToTheSource) {
  ASSERT_EQ(apply(kTwo), "");
  Result<std::size_t> answer = 0;
  lane->accept("a", "application/json", "[{\"x\":1},{\"x\":2}]", loop,
               [&](Result<std::size_t> result) { answer = result; });
  drain();
  EXPECT_EQ(answer.value(), 2U);
  lane->accept("none", "", "", loop, [&](Result<std::size_t> result) { answer = result; });
  drain();
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, Errc::not_found);
}

TEST_F(LaneTest, WhileItStopsNoSourceIsCalledMissing) {
  ASSERT_EQ(apply(kTwo), "");
  Result<Value> answer = Value(0.0);
  const auto ask = [&](const std::string& source) {
    lane->read(loop, {source, "x", 1s}, [&](Result<Value> result) { answer = std::move(result); });
    drain();
    return answer ? Errc() : answer.error().code;
  };
  EXPECT_EQ(ask("a"), Errc::unimplemented) << "it was asked";
  EXPECT_EQ(ask("none"), Errc::not_found);
  lane->stop([] {});
  drain();
  EXPECT_EQ(ask("a"), Errc::unavailable);
}

TEST_F(LaneTest, ShowsWhyASourceDidNotStart) {
  ASSERT_EQ(apply("sources: { broken: { fake: {} } }\n"), "");
  EXPECT_FALSE(lane->sources().at(0).status.connected);
  EXPECT_EQ(lane->sources().at(0).status.detail, "no such device");
}

TEST_F(LaneTest, ShowsItsState) {
  ASSERT_EQ(apply(kTwo), "");
  send("a", "{\"hot\":1,\"time\":1700000000}");
  EXPECT_EQ(lane->sources().at(0).kind, "fake");
  EXPECT_EQ(lane->sources().at(0).samples, 1U);
  EXPECT_EQ(lane->pipeline_sources("one"), (std::vector<std::string>{"a", "b"}));
  auto pipeline = lane->pipeline("one");
  ASSERT_TRUE(pipeline);
  EXPECT_EQ(pipeline->step_kinds(), std::vector<std::string>{"hold"});
  EXPECT_EQ(pipeline->stats().in, 1U);
  EXPECT_EQ(pipeline->stats().out, 1U);
  EXPECT_EQ(pipeline->sinks().at(0).kind, "out");
  EXPECT_EQ(lane->devices().at(0).status.device, "a");
  EXPECT_NE(lane->devices().at(0).status.last_seen, 0);
  auto active = lane->alarms().active();
  ASSERT_FALSE(active.empty());
  EXPECT_EQ(active[0].name, "hot");
  EXPECT_TRUE(active[0].raised);
  EXPECT_EQ(active[0].at, 1'700'000'000'000'000);
}

TEST_F(LaneTest, ExplainsMistakes) {
  EXPECT_EQ(apply("sources:\n  a: { fakee: {} }\n"),
            "edge.yaml:2:6: sources.a: unknown kind of source 'fakee'; did you mean 'fake'?");
  EXPECT_THAT(apply("sources: { a: { fake: {} } }\npipelines:\n  p: { from: aa }\n"),
              HasSubstr("pipelines.p.from: unknown source 'aa'"));
  EXPECT_THAT(apply("sources: { a: { fake: {} } }\npipelines:\n  p: { from: a, steps: [ hol: {} ] }\n"),
              HasSubstr("unknown step 'hol'; did you mean 'hold'?"));
  EXPECT_THAT(
      apply("sources: { a: { fake: {} } }\npipelines:\n  p: { from: a, tests: [ { feed: x.csv, expect: {} } ] }\n"),
      HasSubstr("expects nothing"));
  EXPECT_THAT(apply("pipelines:\n  p: { steps: [] }\n"), HasSubstr("'from' is missing"));
}

}  // namespace
}  // namespace penstock::ingest
