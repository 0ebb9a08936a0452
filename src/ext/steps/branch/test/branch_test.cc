#include "ext/steps/branch/branch.h"

#include <gmock/gmock.h>

#include "ingest/expr.h"
#include "ingest/plan.h"
#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::Expression;
using ingest::FieldType;
using ingest::Sample;
using ingest::sample_at;
using ingest::Shape;
using testing::ElementsAre;
using testing::HasSubstr;

// Adds its number to x; with `hold` keeps the sample until flush; counts ticks in `ticks`.
class AddStep : public ingest::Step {
 public:
  AddStep(double by, bool hold) : by_(by), hold_(hold) {}
  void push(Sample sample, ingest::Output& out) override {
    sample.set("x", ingest::number(sample, "x") + by_);
    if (!hold_) return out.emit(std::move(sample));
    held_.push_back(std::move(sample));
  }
  void tick(base::WallMicros, ingest::Output&) override { ++ticks; }
  void flush(ingest::Output& out) override {
    for (Sample& sample : std::exchange(held_, {})) out.emit(std::move(sample));
  }
  bool busy() const override { return !held_.empty(); }
  void adopt(Step& before) override { held_ = std::exchange(static_cast<AddStep&>(before).held_, {}); }
  ingest::StepPlan plan(const Shape& in) const override {
    ingest::StepPlan plan{.out = in, .memory_bytes_max = 100, .problems = {}};
    plan.out.fields["added"] = {FieldType::Kind::number, ""};
    return plan;
  }
  static inline int ticks = 0;

 private:
  double by_;
  bool hold_;
  std::vector<Sample> held_;
};

struct BranchTest : testing::Test {
  BranchTest() {
    registry.add("branch", ingest::StepFactory{make_branch});
    registry.add("add", ingest::StepFactory{[](const config::Node& node, const ingest::StepContext&) {
                   config::Map map = node.map();
                   auto step = std::make_unique<AddStep>(map.number("by", 1), map.boolean("hold", false));
                   map.done();
                   return step;
                 }});
    context.registry = &registry;
    context.clock = &clock;
    AddStep::ticks = 0;
  }
  std::shared_ptr<ingest::Pipeline> build(const std::string& branch) {
    auto document = config::Document::parse("p:\n  steps:\n    - branch:\n" + branch, "edge.yaml");
    ingest::PipelineParts parts;
    parts.context = context;
    auto pipeline = ingest::build_steps("p", document->root().map().get("p"), std::move(parts));
    plan = pipeline->plan(in);
    report = document->report();
    pipeline->on_output([this](const Sample& sample) { out.push_back(ingest::number(sample, "x")); });
    return pipeline;
  }

  base::Registry registry;
  base::FakeClock clock;
  ingest::Context context;
  Shape in{.fields = {{"x", {FieldType::Kind::number, "degC"}}, {"name", {FieldType::Kind::text, ""}}},
           .open = false,
           .samples_per_second = 10};
  ingest::StepPlan plan;
  std::string report;
  std::vector<double> out;
};

TEST_F(BranchTest, SendsSamplesTheirWays) {
  auto pipeline = build(
      "        - { when: 'x > 10', steps: [ add: { by: 100 } ] }\n"
      "        - { when: 'x > 5', copy: true, steps: [ add: { by: 1000 } ] }\n"
      "        - { else: true, steps: [ add: { by: 0.5 }, add: { by: 0.25 } ] }\n");
  ASSERT_EQ(report, "");
  for (double x : {1.0, 7.0, 20.0}) pipeline->push(sample_at(0, "x", x));
  EXPECT_THAT(out, ElementsAre(1.75, 1007, 7.75, 120));
  pipeline->tick(1);
  EXPECT_EQ(AddStep::ticks, 4);
  auto steps = pipeline->steps();
  ASSERT_EQ(steps.size(), 5U);
  EXPECT_EQ(steps[0].place, "1");
  EXPECT_EQ(steps[1].place, "1.1.1");
  EXPECT_EQ(steps[4].place, "1.3.2");
  EXPECT_EQ(steps[4].out, 2U);
  EXPECT_EQ(steps[0].in, 3U);
  EXPECT_EQ(steps[0].out, 4U);
}

TEST_F(BranchTest, CopiesHaveNamesOfTheirOwn) {
  auto pipeline = build(
      "        - { when: 'x > 5', copy: true, steps: [ add: {} ] }\n"
      "        - { when: 'x > 5', copy: true, steps: [ add: {} ] }\n"
      "        - { else: true, steps: [ add: {} ] }\n");
  ASSERT_EQ(report, "");
  std::vector<std::string> names;
  pipeline->on_output([&](const Sample& sample) { names.push_back(sample.origin ? *sample.origin : "none"); });
  Sample sample = sample_at(0, "x", 7.0);
  pipeline->push(sample);
  sample.sequence = 3;
  sample.origin = std::make_shared<const std::string>("press/1");
  pipeline->push(sample);
  EXPECT_THAT(names, ElementsAre("none", "none", "none", "press/1/p/1.1", "press/1/p/1.2", "press/1/p"));
}

TEST_F(BranchTest, WithoutElseTheRestPasses) {
  auto pipeline = build("        - { when: 'x > 10', steps: [] }\n");
  pipeline->push(sample_at(0, "x", 1.0));
  pipeline->push(sample_at(0, "x", 11.0));
  EXPECT_THAT(out, ElementsAre(1, 11));
}

TEST_F(BranchTest, NestsFlushesAndIsBusy) {
  auto pipeline = build(
      "        - when: 'x > 0'\n          steps:\n            - branch:\n"
      "                - { when: 'x > 5', steps: [ add: { hold: true } ] }\n            - add: { by: 10 }\n");
  ASSERT_EQ(report, "");
  pipeline->push(sample_at(0, "x", 6.0));
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(pipeline->busy());
  pipeline->flush();
  EXPECT_THAT(out, ElementsAre(17));
  EXPECT_FALSE(pipeline->busy());
  EXPECT_EQ(pipeline->steps()[2].place, "1.1.1.1.1");
}

TEST_F(BranchTest, AReloadKeepsWhatWaysHold) {
  rt::Loop loop;
  context.clock = &base::system_clock();
  const auto start = [&](const std::string& branch, std::shared_ptr<ingest::Pipeline> before) {
    auto document = config::Document::parse("p:\n  steps:\n    - branch:\n" + branch, "edge.yaml");
    ingest::PipelineParts parts;
    parts.context = context;
    parts.loop = &loop;
    auto pipeline = ingest::build_steps("p", document->root().map().get("p"), std::move(parts));
    pipeline->on_output([this](const Sample& sample) { out.push_back(ingest::number(sample, "x")); });
    pipeline->start(std::move(before));
    return pipeline;
  };
  auto first = start(
      "        - { when: 'x > 5', steps: [ add: { hold: true } ] }\n"
      "        - { else: true, steps: [ add: { by: 2, hold: true } ] }\n",
      nullptr);
  loop.post([&] { first->offer({sample_at(0, "x", 6.0), sample_at(0, "x", 1.0)}); });
  auto second = std::shared_ptr<ingest::Pipeline>();
  loop.post([&] {
    loop.post([&] {
      second = start(
          "        - { when: 'x > 50', steps: [] }\n        - { when: 'x > 5', steps: [ add: { hold: true } ] }\n",
          first);
      loop.post([&] {
        // The way that is gone lets go of what it held; the other one still holds.
        EXPECT_THAT(out, ElementsAre(3));
        EXPECT_TRUE(second->busy());
        second->stop([&] { loop.stop(); });
      });
    });
  });
  loop.run();
  EXPECT_THAT(out, ElementsAre(3, 7));
}

TEST_F(BranchTest, PlansAllWays) {
  build(
      "        - { when: 'x > 10degC', steps: [ add: {} ] }\n"
      "        - { when: 'x > 5', copy: true, steps: [ add: {} ] }\n");
  EXPECT_EQ(report, "");
  EXPECT_EQ(plan.memory_bytes_max, 200U);
  EXPECT_EQ(plan.out.samples_per_second, 20);
  EXPECT_TRUE(plan.out.fields.contains("added"));
  EXPECT_FALSE(plan.out.open);
  build("        - { when: 'pressure > 10', steps: [] }\n");
  EXPECT_THAT(report,
              HasSubstr("edge.yaml:4:9: p.steps[0].branch: in the expression \"pressure > 10\", column 1: there is no "
                        "field 'pressure' here; there are name, x"));
  build("        - { when: 'x > 10mm', steps: [] }\n");
  EXPECT_THAT(report, HasSubstr("column 3: degC is a temperature and mm a length"));
}

TEST_F(BranchTest, ExplainsMistakes) {
  build("        - { steps: [] }\n");
  EXPECT_THAT(report, HasSubstr("needs a condition"));
  build("        - { else: true, steps: [] }\n        - { when: 'x > 1', steps: [] }\n");
  EXPECT_THAT(report, HasSubstr("must be the last"));
  build("        - { when: 'x > 1', steps: [ addd: {} ] }\n");
  EXPECT_THAT(report, HasSubstr("unknown step 'addd'; did you mean 'add'?"));
  build("        - { when: 'x > 1' }\n");
  EXPECT_THAT(report, HasSubstr("'steps' is missing"));
  build("        - { when: 'x +', steps: [] }\n");
  EXPECT_THAT(report, HasSubstr("edge.yaml:4:19:"));
}

}  // namespace
}  // namespace penstock::ext::steps
