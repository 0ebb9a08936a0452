#include "ingest/rehearsal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace penstock::ingest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Raises `hot` above 80; with `model: true` it waits for the model port before it emits.
class HotStep : public Step {
 public:
  HotStep(StepContext context, bool asks) : context_(std::move(context)), asks_(asks) {}
  void push(Sample sample, Output& out) override {
    const Field* temp = sample.find("temp");
    if (temp != nullptr && std::get<double>(temp->value) > 80) {
      context_.tell({context_.pipeline, "hot", sample.device, true, sample.event_time, "temp > 80", "warning"});
    }
    if (!asks_) return out.emit(std::move(sample));
    ++waiting_;
    context_.shared->models->infer(*context_.loop, "m", {}, {}, [this, &out, sample](Result<std::vector<NamedArray>>) {
      --waiting_;
      out.emit(sample);
    });
  }
  void tick(base::WallMicros now, Output& out) override {
    (void)out;
    ticks.push_back(now);
  }
  bool busy() const override { return waiting_ > 0; }
  static inline std::vector<base::WallMicros> ticks;

 private:
  StepContext context_;
  bool asks_;
  int waiting_ = 0;
};

// Answers from another thread, as a pool does.
class SlowModels : public ModelPort {
 public:
  ~SlowModels() override {
    for (std::thread& thread : threads_) thread.join();
  }
  void infer(rt::Loop& loop, const std::string&, std::vector<NamedArray>, base::Duration,
             std::function<void(Result<std::vector<NamedArray>>)> done) override {
    threads_.emplace_back([&loop, done] { loop.post([done] { done(std::vector<NamedArray>{}); }); });
  }

 private:
  std::vector<std::thread> threads_;
};

class NoSource : public Source {
 public:
  Result<void> start(rt::Loop&, Emit) override { return fail(Errc::internal, "never started in tests"); }
  void stop() override {}
  Status status() const override { return {}; }
};

struct RehearsalTest : testing::Test {
  RehearsalTest() {
    registry.add("none", SourceFactory{[](const std::string&, const config::Node&, config::Map&, const Context&) {
                   return std::make_unique<NoSource>();
                 }});
    registry.add("hot", StepFactory{[](const config::Node& node, const StepContext& step) {
                   config::Map map = node.map();
                   bool asks = map.boolean("model", false);
                   map.done();
                   return std::make_unique<HotStep>(step, asks);
                 }});
    context.registry = &registry;
    context.clock = &clock;
    context.models = &models;
    folder = std::filesystem::temp_directory_path() / fmt::format("penstock-rehearsal-{}", getpid());
    std::filesystem::create_directories(folder);
    HotStep::ticks.clear();
  }
  ~RehearsalTest() override { std::filesystem::remove_all(folder); }
  void write(const std::string& name, std::string_view content) { std::ofstream(folder / name) << content; }

  std::vector<TestReport> run(std::string_view test, std::string_view step = "hot: {}") {
    auto document = config::Document::parse(fmt::format("sources: {{ s: {{ none: {{}} }} }}\npipelines:\n  p:\n    "
                                                        "from: s\n    steps: [ {} ]\n    tests:\n      - {}\n",
                                                        step, test),
                                            "edge.yaml");
    config::Map root = document->root().map();
    Plan plan = read_plan(root, context,
                          [this](const std::string&) { return PipelineParts{context, nullptr, nullptr, nullptr}; });
    root.done();
    EXPECT_FALSE(document->failed()) << document->report();
    EXPECT_THAT(plan.describe(), HasSubstr("source s: none\npipeline p: s -> "));
    return run_tests(root, plan, context, (folder / "edge.yaml").string());
  }

  base::Registry registry;
  base::FakeClock clock;
  SlowModels models;
  Context context;
  std::filesystem::path folder;
};

constexpr const char* kFeed = "time,device,temp\n2026-01-01T00:00:00Z,d,70.5\n2026-01-01T00:00:01Z,d,81.5\n";

TEST_F(RehearsalTest, PassesWhenExpectationsAreMet) {
  write("hot.csv", kFeed);
  auto reports = run("{ feed: hot.csv, expect: { alarms: [hot], outputs: 2 }, within: 1s }");
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_TRUE(reports[0].passed) << reports[0].line();
  EXPECT_EQ(reports[0].line(), "ok   p hot.csv (2 samples, 2 outputs, 1 alarm changes)");
  EXPECT_EQ(HotStep::ticks.size(), 10U);  // ten times 100 ms of event time
}

TEST_F(RehearsalTest, SaysWhatFailed) {
  write("hot.csv", kFeed);
  EXPECT_THAT(run("{ feed: hot.csv, expect: { alarms: [hot] }, within: 500ms }")[0].failures,
              ElementsAre("alarm hot came 1s after the first sample, expected within 500ms"));
  EXPECT_THAT(run("{ feed: hot.csv, expect: { alarms: [cold], outputs: 3 } }")[0].failures,
              ElementsAre("expected alarm cold, raised were hot", "expected 3 outputs, got 2"));
  auto report = run("{ feed: hot.csv, expect: { no_alarms: true } }")[0];
  EXPECT_THAT(report.failures, ElementsAre("expected no alarm, but hot was raised: temp > 80"));
  EXPECT_THAT(report.line(), HasSubstr("FAIL p hot.csv"));
  EXPECT_THAT(report.line(), HasSubstr("edge.yaml:7:9: expected no alarm"));
}

TEST_F(RehearsalTest, ReadsLinesOfJson) {
  write("feed.ndjson", "{\"temp\":70.5,\"time\":1}\n{\"temp\":71.5,\"time\":2}\n");
  EXPECT_TRUE(run("{ feed: feed.ndjson, expect: { no_alarms: true, outputs: 2 } }")[0].passed);
  write("feed.ndjson", "{\"temp\":70.5}\n{\"temp\"}\n");
  EXPECT_THAT(run("{ feed: feed.ndjson, expect: { no_alarms: true } }")[0].failures[0],
              HasSubstr("feed.ndjson:2: malformed JSON"));
  EXPECT_THAT(run("{ feed: none.csv, expect: { no_alarms: true } }")[0].failures[0], HasSubstr("cannot open"));
}

TEST_F(RehearsalTest, WaitsForModels) {
  write("hot.csv", kFeed);
  EXPECT_TRUE(run("{ feed: hot.csv, expect: { outputs: 2 } }", "hot: { model: true }")[0].passed);
}

// Writes, posts and asks for every sample above 80; fails without a temp.
class ActStep : public Step {
 public:
  explicit ActStep(StepContext context) : context_(std::move(context)) {}
  void push(Sample sample, Output& out) override {
    const Field* temp = sample.find("temp");
    if (temp == nullptr) return context_.error("no temp", std::move(sample));
    if (std::get<double>(temp->value) > 80) act(context_.shared->clock->wall());
    sample.set("answer", answer_);
    out.emit(std::move(sample));
  }
  void tick(base::WallMicros now, Output&) override { late = late || (asked_at_ != 0 && now > asked_at_); }
  static inline bool late = false;

 private:
  void act(base::WallMicros now) {
    const Context& ports = *context_.shared;
    asked_at_ = now;
    ports.writes->write(*context_.loop, {"plc", "stop", true, {}}, [this](Result<Value> value) {
      asked_at_ = 0;
      EXPECT_EQ(value.value(), Value(true));
    });
    ports.http->post(*context_.loop, {"http://hub/hook", {}, "{}", {}},
                     [](Result<int> status) { EXPECT_EQ(status.value(), 200); });
    ports.llm->ask(*context_.loop, {.key = {}, .model = "m", .system = "", .prompt = "?"},
                   [this](Result<std::string> said) { answer_ = said ? *said : said.error().detail; });
    ports.state->put("p/act", "yes");
    EXPECT_EQ(ports.state->get("p/act"), "yes");
  }
  StepContext context_;
  std::string answer_;
  base::WallMicros asked_at_ = 0;
};

TEST_F(RehearsalTest, ActsOnDoubles) {
  registry.add("act", StepFactory{[](const config::Node& node, const StepContext& step) {
                 node.map().done();
                 return std::make_unique<ActStep>(step);
               }});
  write("hot.csv", std::string(kFeed) + "2026-01-01T00:00:02Z,d,\n2026-01-01T00:00:03Z,d,70.5\n");
  auto good =
      run("{ feed: hot.csv, llm: \"yes\", expect: { outputs: 3, writes: [ { plc.stop: true } ], "
          "notifies: [ 'http://hub/hook' ], dead_letters: 1 } }",
          "act: {}");
  EXPECT_TRUE(good[0].passed) << good[0].line();
  EXPECT_FALSE(ActStep::late);  // no time passes between a question and its answer
  auto bad = run("{ feed: hot.csv, expect: { writes: [], notifies: [], dead_letters: 0 } }", "act: {}");
  EXPECT_THAT(bad[0].failures,
              ElementsAre("expected 0 dead letters, got 1", "expected writes none, got plc.stop: true",
                          "expected posts to [], got [http://hub/hook]", "the last error of a step: no temp"));
}

}  // namespace
}  // namespace penstock::ingest
