#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ingest/plan.h"

namespace penstock::ingest {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class SomeSource : public Source {
 public:
  explicit SomeSource(bool durable) : durable_(durable) {}
  Result<void> start(rt::Loop&, Emit) override { return {}; }
  void stop() override {}
  Status status() const override { return {}; }
  bool durable() const override { return durable_; }

 private:
  bool durable_;
};

class SomeSink : public Sink {
 public:
  explicit SomeSink(bool always_takes) : always_takes_(always_takes) {}
  Result<void> start(rt::Loop&) override { return {}; }
  bool always_takes() const override { return always_takes_; }
  void send(Batch, std::function<void(Sent)>) override {}
  void stop() override {}
  Status status() const override { return {}; }

 private:
  bool always_takes_;
};

// A step with others inside it, or with none.
class SomeStep : public Step, public Output {
 public:
  void push(Sample sample, Output& out) override { out.emit(std::move(sample)); }
  void emit(Sample) override {}
  std::unique_ptr<Chain> inside;
};

class StandstillTest : public testing::Test {
 protected:
  StandstillTest() {
    for (const bool durable : {true, false}) {
      registry_.add(durable ? "kept" : "passing",
                    SourceFactory{[durable](const std::string&, const config::Node&, config::Map&, const Context&) {
                      return std::make_unique<SomeSource>(durable);
                    }});
    }
    for (const bool always_takes : {true, false}) {
      registry_.add(always_takes ? "screen" : "peer",
                    SinkFactory{[always_takes](const std::string&, const config::Node&, config::Map&, const Context&) {
                      return std::make_unique<SomeSink>(always_takes);
                    }});
    }
    registry_.add("pass",
                  StepFactory{[](const config::Node&, const StepContext&) { return std::make_unique<SomeStep>(); }});
    registry_.add("alarm", StepFactory{[](const config::Node& node, const StepContext& context) {
                    context.alarms->try_emplace(node.text());
                    return std::make_unique<SomeStep>();
                  }});
    registry_.add("inside", StepFactory{[](const config::Node& node, const StepContext& context) {
                    auto step = std::make_unique<SomeStep>();
                    step->inside = context.chain(node, context.place + ".1", *step);
                    return step;
                  }});
  }

  std::vector<std::string> warnings(const std::string& pipelines) {
    auto document = config::Document::parse(
        "sources: { line: { kept: {} }, host: { passing: {} } }\npipelines:\n" + pipelines, "edge.yaml");
    config::Map root = document->root().map();
    Context context;
    context.registry = &registry_;
    context.clock = &base::system_clock();
    const Plan plan = read_plan(root, context, [&](const std::string&) {
      PipelineParts parts;
      parts.context = context;
      return parts;
    });
    root.done();
    EXPECT_FALSE(document->failed()) << document->report();
    return plan.warnings;
  }

  base::Registry registry_;
};

TEST_F(StandstillTest, SaysWhichSinkStopsTheAlarmsAndWhatToWrite) {
  EXPECT_THAT(warnings("  guard:\n"
                       "    from: line\n"
                       "    steps: [ alarm: hot ]\n"
                       "    to:\n"
                       "      - screen: {}\n"
                       "      - peer: { buffer: { memory: 500 } }\n"),
              ElementsAre(AllOf(StartsWith("edge.yaml:8:15: pipelines.guard.to[1].peer: "),
                                HasSubstr("up to 500 samples wait in memory; then pipeline guard stops"),
                                HasSubstr("the alarms and actions of guard:"), HasSubstr("buffer: { disk: 2GB }"),
                                HasSubstr("buffer: { full: drop_oldest }"))));
  EXPECT_THAT(warnings("  guard: { from: line, steps: [ alarm: hot ], to: [ peer: {}, peer: {} ] }\n"),
              ElementsAre(HasSubstr("to[0].peer"), HasSubstr("to[1].peer")));
}

TEST_F(StandstillTest, FindsAlarmsInsideOfOtherSteps) {
  EXPECT_THAT(
      warnings("  guard: { from: line, steps: [ inside: [ pass: {}, inside: [ alarm: hot ] ] ], to: [ peer: {} ] }\n"),
      ElementsAre(HasSubstr("guard stops")));
}

TEST_F(StandstillTest, IsSilentWhereNothingStops) {
  for (const char* to : {"peer: { buffer: { disk: 2MB } }", "peer: { buffer: { full: drop_oldest } }",
                         "peer: { buffer: { full: drop_newest } }", "screen: {}"}) {
    EXPECT_THAT(warnings(fmt::format("  guard: {{ from: line, steps: [ alarm: hot ], to: [ {} ] }}\n", to)), IsEmpty())
        << to;
  }
  EXPECT_THAT(warnings("  guard: { from: host, steps: [ alarm: hot ], to: [ peer: {} ] }\n"), IsEmpty());
  EXPECT_THAT(warnings("  copy: { from: line, steps: [ pass: {} ], to: [ peer: {} ] }\n"), IsEmpty());
}

// Who reads a pipeline is waited for by it, and gets nothing while it waits; who reads the same source is independent
// until the journal of that source is full of what the other has not delivered.
TEST_F(StandstillTest, FollowsPipelinesThatReadPipelines) {
  const std::string peer = "to: [ peer: {} ] }\n";
  const std::string alarm = "steps: [ alarm: hot ] }\n";
  EXPECT_THAT(warnings("  guard: { from: line, " + alarm + "  copy: { from: guard, " + peer),
              ElementsAre(AllOf(HasSubstr("pipelines.copy.to[0].peer"), HasSubstr("actions of guard:"))));
  EXPECT_THAT(warnings("  first: { from: line, " + peer + "  guard: { from: first, " + alarm),
              ElementsAre(AllOf(HasSubstr("pipelines.first.to[0].peer"), HasSubstr("actions of guard:"))));
  EXPECT_THAT(
      warnings("  first: { from: line }\n  copy: { from: first, " + peer + "  guard: { from: [first, host], " + alarm),
      ElementsAre(AllOf(HasSubstr("pipeline copy stops"), HasSubstr("actions of guard:"))));
  EXPECT_THAT(warnings("  copy: { from: line, " + peer + "  guard: { from: line, " + alarm), IsEmpty());
}

}  // namespace
}  // namespace penstock::ingest
