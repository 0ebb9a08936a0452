#include "ext/steps/llm/llm.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using namespace std::chrono_literals;
using ingest::sample_at;
using ingest::StepHarness;
using ingest::Value;

class FakeLlm : public ingest::LlmPort {
 public:
  void ask(rt::Loop&, ingest::LlmQuestion question, std::function<void(Result<std::string>)> done) override {
    questions.push_back(std::move(question));
    if (held) {
      waiting.push_back(std::move(done));
    } else {
      done(answer);
    }
  }
  std::vector<ingest::LlmQuestion> questions;
  std::vector<std::function<void(Result<std::string>)>> waiting;
  bool held = false;
  Result<std::string> answer{"fine"};
};

struct LlmTest : testing::Test {
  StepHarness make(const std::string& more) {
    ingest::Context context;
    context.clock = &clock;
    context.llm = &llm;
    return StepHarness(make_llm, "{ model: chat, key: sk-secret, prompt: \"{device}: {x}\", " + more + " }", context,
                       &loop);
  }
  rt::Loop loop;
  base::FakeClock clock;
  FakeLlm llm;
};

TEST_F(LlmTest, AsksAndKeepsTheAnswer) {
  auto harness = make("output: advice, max_tokens: 10, timeout: 3s, system: Be brief.");
  harness.push(sample_at(0, "x", 1.5, "press"));
  ASSERT_EQ(harness.out.size(), 1U) << harness.report;
  EXPECT_EQ(harness.out[0].find("advice")->value, Value(std::string("fine")));
  ASSERT_EQ(llm.questions.size(), 1U);
  EXPECT_EQ(llm.questions[0].prompt, "press: 1.5");
  EXPECT_EQ(llm.questions[0].system, "Be brief.");
  EXPECT_EQ(llm.questions[0].key.reveal(), "sk-secret");
  EXPECT_EQ(llm.questions[0].timeout, 3s);
}

TEST_F(LlmTest, ReadsMembersOfJson) {
  auto harness = make("output: { why: cause, now: urgent, n: count }");
  llm.answer = "Sure!\n```json\n{\"cause\":\"wear\",\"urgent\":true,\"count\":3}\n```";
  harness.push(sample_at(0, "x", 1.0));
  ASSERT_EQ(harness.out.size(), 1U);
  EXPECT_EQ(harness.out[0].find("why")->value, Value(std::string("wear")));
  EXPECT_EQ(harness.out[0].find("now")->value, Value(true));
  EXPECT_EQ(harness.out[0].find("n")->value, Value(std::int64_t{3}));
  for (const char* bad : {"no json", "{\"cause\":\"wear\"}", "{\"cause\":[],\"urgent\":1,\"count\":2}", "}{"}) {
    llm.answer = bad;
    harness.push(sample_at(0, "x", 1.0));
    EXPECT_EQ(harness.out.back().find("why"), nullptr) << bad;
  }
  EXPECT_EQ(harness.errors.size(), 4U);
}

TEST_F(LlmTest, TreatsFailuresAsAsked) {
  llm.answer = fail(Errc::unavailable, "no target is left");
  for (const auto& [rule, out] : {std::pair("pass", 1U), std::pair("skip", 0U), std::pair("dead_letter", 0U)}) {
    auto harness = make(std::string("output: a, on_error: ") + rule);
    harness.push(sample_at(0, "x", 1.0));
    EXPECT_EQ(harness.out.size(), out) << rule;
    EXPECT_THAT(harness.errors, testing::ElementsAre("llm: model 'chat': no target is left"));
  }
}

TEST_F(LlmTest, AsksOnlyWhenAndAsOftenAsItMay) {
  auto harness = make("output: a, when: \"x > 1\", at_most: 2/min");
  for (double x : {0.0, 2.0, 3.0, 4.0}) harness.push(sample_at(0, "x", x));
  EXPECT_EQ(harness.out.size(), 4U);
  EXPECT_EQ(llm.questions.size(), 2U);
  clock.advance(31s);
  harness.push(sample_at(0, "x", 5.0));
  harness.push(sample_at(0, "x", 6.0));
  EXPECT_EQ(llm.questions.size(), 3U);
}

TEST_F(LlmTest, RemembersAnswersForATime) {
  auto harness = make("output: a, cache: 10s");
  for (int i = 0; i < 3; ++i) harness.push(sample_at(0, "x", 1.0));
  EXPECT_EQ(llm.questions.size(), 1U);
  EXPECT_EQ(harness.out[2].find("a")->value, Value(std::string("fine")));
  clock.advance(11s);
  harness.push(sample_at(0, "x", 1.0));
  EXPECT_EQ(llm.questions.size(), 2U);
}

TEST_F(LlmTest, HoldsABoundedNumber) {
  llm.held = true;
  auto harness = make("output: a, in_flight: 2, waiting: 3, on_error: skip");
  for (int i = 0; i < 6; ++i) harness.push(sample_at(i, "x", i));
  EXPECT_EQ(llm.questions.size(), 2U);
  EXPECT_EQ(harness.errors.size(), 1U);
  EXPECT_TRUE(harness.step->busy());
  for (std::size_t i = 0; i < llm.waiting.size(); ++i) llm.waiting[i]("ok");
  EXPECT_EQ(harness.out.size(), 5U);
  EXPECT_FALSE(harness.step->busy());
}

TEST_F(LlmTest, AnAnswerAfterTheEndFindsNobody) {
  llm.held = true;
  {
    auto harness = make("output: a");
    harness.push(sample_at(0, "x", 1.0));
  }
  llm.waiting.at(0)("late");
}

TEST_F(LlmTest, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_llm, "{ model: chat }").report, testing::HasSubstr("prompt"));
  EXPECT_THAT(make("output: { }").report, testing::HasSubstr("names no field"));
  EXPECT_THAT(make("output: a, at_most: 0/min").report, testing::HasSubstr("more than nothing"));
  EXPECT_THAT(make("output: a, when: \"x >\"").report, testing::HasSubstr("column"));
  EXPECT_THAT(make("output: a, budget: 1USD").report, testing::HasSubstr("budget"));
}

}  // namespace
}  // namespace penstock::ext::steps
