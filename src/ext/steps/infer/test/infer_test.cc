#include "ext/steps/infer/infer.h"

#include <gmock/gmock.h>
#include <malloc.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::NamedArray;
using ingest::number;
using ingest::sample_at;
using ingest::StepHarness;
using testing::HasSubstr;

using Answer = std::function<void(Result<std::vector<NamedArray>>)>;

// Answers y = [sum of the inputs, 7], at once or when told; fails for a sum of 13.
class FakeModels : public ingest::ModelPort {
 public:
  void infer(rt::Loop&, const std::string& model, std::vector<NamedArray> inputs, base::Duration,
             Answer done) override {
    asked.push_back(model);
    shapes.push_back(inputs[0].shape);
    double sum = 0;
    for (const NamedArray& input : inputs) {
      for (double value : input.data) sum += value;
    }
    auto answer = [done = std::move(done), sum] {
      if (sum == 13) return done(fail(Errc::deadline_exceeded, "no answer within 20ms"));
      done(std::vector<NamedArray>{{"y", {1, 2}, {sum, 7}}});
    };
    if (at_once) return answer();
    waiting.push_back(std::move(answer));
  }

  bool at_once = true;
  std::vector<std::string> asked;
  std::vector<std::vector<std::int64_t>> shapes;
  std::vector<std::function<void()>> waiting;
};

struct Infer : testing::Test {
  StepHarness make(std::string_view more = "") {
    ingest::Context context;
    context.models = &models;
    return StepHarness(
        make_infer,
        fmt::format("{{ model: bearing, input: {{ x: \"vib[]\" }}, output: {{ score: \"y[0]\" }}{} }}", more), context,
        &loop);
  }
  FakeModels models;
  rt::Loop loop;
};

TEST_F(Infer, PutsOutputsIntoTheSample) {
  StepHarness harness = make();
  harness.push(sample_at(0, "vib[]", std::vector<double>{1, 2, 3}));
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  EXPECT_EQ(number(harness.out[0], "score"), 6);
  EXPECT_EQ(models.asked[0], "bearing");
  EXPECT_EQ(models.shapes[0], (std::vector<std::int64_t>{1, 3}));
}

TEST_F(Infer, TakesListsOfFields) {
  ingest::Context context;
  context.models = &models;
  StepHarness harness(make_infer, "{ model: m, input: { x: \"[a, b * 2]\" }, output: { s: \"sum(y)\" } }", context,
                      &loop);
  auto sample = sample_at(0, "a", 1.0);
  sample.set("b", std::int64_t{2});
  harness.push(sample);
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  EXPECT_EQ(number(harness.out[0], "s"), 12);
}

TEST_F(Infer, KeepsTheOrderWhenAnswersDoNot) {
  models.at_once = false;
  StepHarness harness = make();
  for (int i = 0; i < 3; ++i) harness.push(sample_at(i, "vib[]", std::vector<double>{double(i)}));
  EXPECT_TRUE(harness.step->busy());
  models.waiting[2]();
  models.waiting[1]();
  EXPECT_TRUE(harness.out.empty());
  models.waiting[0]();
  ASSERT_EQ(harness.out.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(number(harness.out[i], "score"), static_cast<double>(i));
  EXPECT_FALSE(harness.step->busy());
}

TEST_F(Infer, DoesAsToldOnErrors) {
  auto run = [&](std::string_view on_error) {
    StepHarness harness = make(fmt::format(", on_error: {}", on_error));
    auto sample = sample_at(0, "vib[]", std::vector<double>{13});
    sample.set("score", 0.5);
    harness.push(sample);
    EXPECT_EQ(harness.errors.size(), 1U);
    EXPECT_THAT(harness.errors[0], HasSubstr("no answer within 20ms"));
    return harness.out;
  };
  EXPECT_TRUE(run("skip").empty());
  EXPECT_EQ(number(run("pass").at(0), "score"), 0.5);
  EXPECT_EQ(run("null").at(0).find("score"), nullptr);
}

TEST_F(Infer, CountsSamplesWithoutTheInput) {
  StepHarness harness = make();
  harness.push(sample_at(0, "temp", 1.0));
  EXPECT_TRUE(harness.out.empty());
  EXPECT_THAT(harness.errors.at(0), HasSubstr("input 'x' (vib[]) has no value"));
}

TEST_F(Infer, BoundsWhatWaits) {
  models.at_once = false;
  StepHarness harness = make(", on_error: pass");
  for (int i = 0; i < 1100; ++i) harness.push(sample_at(i, "vib[]", std::vector<double>{1}));
  EXPECT_EQ(models.waiting.size(), 64U);
  EXPECT_EQ(harness.errors.size(), 1100U - 1024U);
  for (std::size_t i = 0; i < models.waiting.size(); ++i) {
    auto answer = models.waiting[i];
    answer();
  }
  EXPECT_EQ(harness.out.size(), 1100U);
}

TEST_F(Infer, AnAnswerAfterTheEndDoesNoHarm) {
  models.at_once = false;
  {
    StepHarness harness = make();
    harness.push(sample_at(0, "vib[]", std::vector<double>{1}));
  }
  models.waiting.at(0)();
}

struct Noted : ingest::Receipt {
  explicit Noted(bool& noted) : given_up(noted) {}
  ~Noted() override { given_up = abandoned(); }
  bool& given_up;
};

TEST_F(Infer, GivesUpWhatItCouldNotAskBeforeTheEnd) {
  models.at_once = false;
  bool given_up = false;
  {
    StepHarness harness = make();
    auto sample = sample_at(0, "vib[]", std::vector<double>{1});
    sample.receipt = std::make_shared<Noted>(given_up);
    harness.push(std::move(sample));
  }
  models.waiting.clear();
  EXPECT_TRUE(given_up);
}

TEST_F(Infer, AReloadKeepsWhatIsUnderWay) {
  models.at_once = false;
  StepHarness before = make();
  StepHarness after = make(", on_error: pass");
  for (int i = 0; i < 70; ++i) before.push(sample_at(i, "vib[]", std::vector<double>{double(i)}));
  after.step->adopt(*before.step);
  EXPECT_FALSE(before.step->busy());
  for (std::size_t i = 0; i < 64; ++i) models.waiting[i]();
  EXPECT_TRUE(after.out.empty()) << "there is nowhere to put them yet";
  after.push(sample_at(70, "vib[]", std::vector<double>{70}));
  for (std::size_t i = 64; i < models.waiting.size(); ++i) models.waiting[i]();
  after.tick(0);
  EXPECT_TRUE(before.out.empty());
  ASSERT_EQ(after.out.size(), 70U);  // 13 failed, and was to be skipped when it came
  for (std::size_t i = 1; i < after.out.size(); ++i) {
    EXPECT_GT(number(after.out[i], "score"), number(after.out[i - 1], "score"));
  }
}

TEST_F(Infer, PlansItsFieldsAndMemory) {
  StepHarness harness = make();
  ingest::Shape in;
  in.open = false;
  in.fields["vib"] = {ingest::FieldType::Kind::number, "g"};
  EXPECT_TRUE(harness.step->plan(in).problems.empty());
  EXPECT_TRUE(harness.step->plan(in).out.fields.contains("score"));
  EXPECT_GT(harness.step->plan(in).memory_bytes_max, 1024 * sizeof(ingest::Sample));
  in.fields.clear();
  in.fields["vibe"] = {};
  EXPECT_THAT(harness.step->plan(in).problems, testing::ElementsAre(HasSubstr("did you mean 'vibe'?")));
}

TEST_F(Infer, RefusesIncompleteSettings) {
  EXPECT_THAT(StepHarness(make_infer, "{ model: m }").report, HasSubstr("'input' is missing"));
  EXPECT_THAT(make(", timeout: 20").report, HasSubstr("not a duration"));
}

TEST_F(Infer, GivesUpWhatItCannotHold) {
  models.at_once = false;
  for (std::string_view on_error : {"skip", "pass"}) {
    models.waiting.clear();
    StepHarness harness = make(fmt::format(", on_error: {}", on_error));
    for (int i = 0; i < 10'000; ++i) harness.push(sample_at(i, "vib[]", std::vector<double>{1}));
    EXPECT_EQ(harness.errors.size(), 10'000U - 1024U);
    for (std::size_t i = 0; i < models.waiting.size(); ++i) {
      auto answer = models.waiting[i];
      answer();
    }
    EXPECT_EQ(harness.out.size(), on_error == "skip" ? 1024U : 4096U);
    for (std::size_t i = 1; i < harness.out.size(); ++i) {
      EXPECT_GT(harness.out[i].event_time, harness.out[i - 1].event_time);
    }
  }
}

TEST_F(Infer, NamesABoundThatHolds) {
  models.at_once = false;
  StepHarness harness = make(", on_error: pass");
  ingest::Shape in;
  in.open = false;
  in.fields["vib[]"] = {ingest::FieldType::Kind::array, "", 500};
  const auto heap_bytes = [] {
    const auto info = mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  const std::size_t before = heap_bytes();
  for (int i = 0; i < 10'000; ++i) harness.push(sample_at(i, "vib[]", std::vector<double>(500, 1.0)));
  const std::size_t after = heap_bytes();
  EXPECT_LE(after - std::min(before, after), harness.step->plan(in).memory_bytes_max);
  EXPECT_LT(harness.step->plan(in).memory_bytes_max, 64'000'000U);
}

}  // namespace
}  // namespace penstock::ext::steps
