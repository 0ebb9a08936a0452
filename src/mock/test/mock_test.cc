#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "json/peek.h"
#include "json/value.h"
#include "mock/completion.h"
#include "mock/instance.h"
#include "mock/render.h"
#include "mock/test/running_mock.h"
#include "wire/sse.h"

namespace penstock::mock {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

TEST(FailRule, ReadsShareAndFailure) {
  auto rule = parse_fail_rule("5%:503");
  ASSERT_TRUE(rule.has_value());
  EXPECT_DOUBLE_EQ(rule->share, 0.05);
  EXPECT_EQ(rule->failure.kind, Failure::Kind::status);
  EXPECT_EQ(rule->failure.status, 503);
  EXPECT_EQ(parse_fail_rule("0.5%:cut")->failure.kind, Failure::Kind::cut);
  EXPECT_EQ(parse_fail_rule("1%:error-in-stream")->failure.kind, Failure::Kind::error_in_stream);
  for (std::string_view bad : {"503", "5:503", "5%:200", "5%:600", "5%:50x", "5%:", "101%:cut", "%:cut", "5%:cuts"}) {
    EXPECT_FALSE(parse_fail_rule(bad).has_value()) << bad;
  }
}

TEST(Options, RefusesWhatItCannotServe) {
  Options options;
  EXPECT_TRUE(validate(options).has_value());
  options.dialect = "klingon";
  ASSERT_FALSE(validate(options).has_value());
  EXPECT_THAT(validate(options).error().detail, HasSubstr("klingon"));
  options = {};
  options.fail = {*parse_fail_rule("60%:503"), *parse_fail_rule("50%:cut")};
  EXPECT_FALSE(validate(options).has_value());
  options = {};
  options.tokens = 0;
  EXPECT_FALSE(validate(options).has_value());
}

std::expected<Completion, Refusal> chat(std::string_view body, const Options& options = {}) {
  return complete_chat(body, options);
}

TEST(Completion, DependsOnSeedAndBodyOnly) {
  std::string_view body = R"({"model":"m","messages":[{"role":"user","content":"hi"}]})";
  Options other;
  other.seed = 8;
  EXPECT_EQ(render_plain(*chat(body), true), render_plain(*chat(body), true));
  EXPECT_NE(chat(body)->choices[0].content.text, chat(body, other)->choices[0].content.text);
  EXPECT_NE(chat(body)->choices[0].content.text,
            chat(R"({"model":"m","messages":[{"role":"user","content":"ho"}]})")->choices[0].content.text);
  EXPECT_EQ(chat(body)->completion_tokens, 32);
  EXPECT_EQ(chat(body)->prompt_tokens, 11);  // 32 bytes of messages are 8 tokens, and 3
}

TEST(Completion, HonoursLengthStopAndChoices) {
  auto cut = chat(R"({"model":"m","max_completion_tokens":5,"n":3,"messages":[{"role":"user","content":"hi"}]})");
  ASSERT_TRUE(cut.has_value());
  ASSERT_EQ(cut->choices.size(), 3U);
  EXPECT_EQ(cut->completion_tokens, 15);
  EXPECT_EQ(cut->choices[2].finish, "length");
  auto stopped = chat(R"({"model":"m","stop":["e","xyz"],"messages":[{"role":"user","content":"hi"}]})");
  EXPECT_THAT(stopped->choices[0].content.text, Not(HasSubstr("e")));
  EXPECT_EQ(stopped->choices[0].finish, "stop");
  EXPECT_EQ(stopped->choices[0].content.ends.empty() ? 0 : stopped->choices[0].content.ends.back(),
            stopped->choices[0].content.text.size());
}

constexpr std::string_view kTools =
    R"("tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":)"
    R"({"city":{"type":"string"},"unit":{"enum":["C","F"]},"days":{"type":"integer","minimum":2,"maximum":4}},"required":["city"]}}}])";

std::string with_tools(std::string_view asked, std::string_view more) {
  return fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"{}"}}],{}{}}})", asked, kTools, more);
}

TEST(Completion, CallsToolsWhenAsked) {
  auto asked = chat(with_tools("Weather in Paris?", ""));
  ASSERT_TRUE(asked.has_value());
  ASSERT_EQ(asked->choices[0].calls.size(), 1U);
  EXPECT_EQ(asked->choices[0].finish, "tool_calls");
  auto arguments = json::parse(asked->choices[0].calls[0].arguments);
  ASSERT_TRUE(arguments.has_value());
  EXPECT_NE(json::string_or(*arguments, "city", ""), "");
  EXPECT_GE(json::int_or(*arguments, "days", 0), 2);
  EXPECT_LE(json::int_or(*arguments, "days", 9), 4);
  EXPECT_TRUE(chat(with_tools("hello", ""))->choices[0].calls.empty());
  EXPECT_FALSE(chat(with_tools("hello", R"(,"tool_choice":"required")"))->choices[0].calls.empty());
  EXPECT_FALSE(chat(with_tools("hello", R"(,"tool_choice":{"type":"function","function":{"name":"get_weather"}})"))
                   ->choices[0]
                   .calls.empty());
  EXPECT_TRUE(chat(with_tools("weather", R"(,"tool_choice":"none")"))->choices[0].calls.empty());
}

TEST(Completion, RefusesBadBodies) {
  for (std::string_view bad :
       {"", "[]", "{", R"({"messages":[]})", R"({"model":"m"})", R"({"model":"m","messages":[]})",
        R"({"model":1,"messages":[{}]})", R"({"model":"m","messages":[{}],"n":0})",
        R"({"model":"m","messages":[{}],"max_tokens":-1})", R"({"model":"m","messages":[{}],"stream":"yes"})"}) {
    EXPECT_FALSE(chat(bad).has_value()) << bad;
  }
}

TEST(Instance, FollowsSchemas) {
  auto schema = json::parse(
      R"({"type":"object","$defs":{"p":{"type":"object","properties":{"x":{"type":"number"},"next":{"$ref":"#/$defs/p"}},"required":["x"]}},
    "properties":{"p":{"$ref":"#/$defs/p"},"list":{"type":"array","minItems":3,"items":{"const":"a"}},"either":{"anyOf":[{"type":"null"},{"type":"string"}]},
    "when":{"type":"string","format":"date"},"all":{"allOf":[{"type":"object","properties":{"a":{"type":"boolean"}}},{"type":"object","properties":{"b":{"type":["integer","null"]}}}]}}})");
  ASSERT_TRUE(schema.has_value());
  json::Value value = instance_of(*schema, 1);
  EXPECT_EQ(json::find(value, "list")->get_array().size(), 3U);
  EXPECT_TRUE(json::find(value, "either")->is_null());
  EXPECT_EQ(json::string_or(value, "when", ""), "2024-01-15");
  EXPECT_TRUE(json::find(*json::find(value, "p"), "x")->is_number());
  EXPECT_TRUE(json::find(*json::find(value, "all"), "b")->is_int64());
  auto endless = json::parse(R"({"type":"object","properties":{"me":{"$ref":"#"}},"required":["me"]})");
  EXPECT_TRUE(instance_of(*endless, 1).is_object());
}

std::vector<std::string> events_of(const Completion& completion) {
  std::vector<std::string> events;
  StreamRenderer renderer(completion, true);
  while (true) {
    std::string_view event = renderer.next();
    if (event.empty()) return events;
    events.emplace_back(event);
    EXPECT_TRUE(event.starts_with("data: ") && event.ends_with("\n\n")) << event;
    if (event != "data: [DONE]\n\n") EXPECT_TRUE(json::parse(event.substr(6, event.size() - 8)).has_value()) << event;
  }
}

TEST(StreamRenderer, SaysWhatThePlainAnswerSays) {
  auto completion = chat(
      R"({"model":"m","n":2,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]})");
  auto events = events_of(*completion);
  ASSERT_EQ(events.size(), 2U + 64U + 2U + 2U);
  std::string text;
  for (const std::string& event : events) {
    auto value = json::parse(std::string_view(event).substr(6, event.size() - 8));
    if (!value || json::find(*value, "choices")->get_array().empty()) continue;
    const auto& choice = json::find(*value, "choices")->get_array().front();
    if (json::int_or(choice, "index", 0) == 1) text += json::string_or(*json::find(choice, "delta"), "content", "");
  }
  EXPECT_EQ(text, completion->choices[1].content.text);
  EXPECT_THAT(events[events.size() - 2],
              HasSubstr(R"("choices":[],"usage":{"prompt_tokens":11,"completion_tokens":64)"));
  EXPECT_EQ(events.back(), "data: [DONE]\n\n");
}

TEST(StreamRenderer, CutsToolArgumentsInFragments) {
  auto completion = chat(with_tools("Weather?", ""));
  std::string arguments;
  for (const std::string& event : events_of(*completion)) {
    auto value = json::parse(std::string_view(event).substr(6, event.size() - 8));
    if (!value) continue;
    const auto* calls =
        json::find(*json::find(json::find(*value, "choices")->get_array().front(), "delta"), "tool_calls");
    if (calls != nullptr)
      arguments += json::string_or(*json::find(calls->get_array().front(), "function"), "arguments", "");
  }
  EXPECT_EQ(arguments, completion->choices[0].calls[0].arguments);
}

std::string chat_body(std::string_view model, bool stream) {
  return fmt::format(R"({{"model":"{}","stream":{},"messages":[{{"role":"user","content":"hi"}}]}})", model, stream);
}

TEST_F(Running, AnswersPlainAndStreamed) {
  std::string plain = post("/v1/chat/completions", chat_body("m", false));
  EXPECT_TRUE(plain.starts_with("HTTP/1.1 200 OK")) << plain;
  EXPECT_THAT(plain, HasSubstr(R"("object":"chat.completion")"));
  std::string stream = post("/v1/chat/completions", chat_body("m", true));
  EXPECT_THAT(stream, HasSubstr("content-type: text/event-stream"));
  EXPECT_TRUE(stream.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n")) << stream;
  EXPECT_THAT(post("/v1/completions", R"({"model":"m","prompt":["a","b"]})"),
              HasSubstr(R"("object":"text_completion")"));
  EXPECT_THAT(get("/v1/models"), HasSubstr("mock-small"));
  EXPECT_THAT(get("/mock/last"), HasSubstr("/v1/completions"));
}

TEST_F(Running, FailsAsTold) {
  EXPECT_TRUE(post("/v1/chat/completions", chat_body("missing-model", false)).starts_with("HTTP/1.1 404 "));
  EXPECT_THAT(post("/v1/chat/completions", chat_body("mock-429", false)), HasSubstr("retry-after: 1"));
  EXPECT_TRUE(post("/v1/chat/completions", chat_body("m", true), "x-mock-fail: 503\r\n").starts_with("HTTP/1.1 503 "));
  EXPECT_EQ(post("/v1/chat/completions", chat_body("mock-reset", false)), "");
  for (bool stream : {false, true}) {
    std::string cut = post("/v1/chat/completions", chat_body("mock-cut", stream));
    EXPECT_TRUE(cut.starts_with("HTTP/1.1 200 ") && !cut.ends_with("0\r\n\r\n")) << cut;
    EXPECT_THAT(post("/v1/chat/completions", chat_body("mock-no-usage", stream)), Not(HasSubstr("\"usage\"")));
  }
  EXPECT_THAT(post("/v1/chat/completions", chat_body("mock-error-in-stream", true)), HasSubstr(R"(data: {"error":)"));
  EXPECT_TRUE(post("/v1/chat/completions", "{").starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(get("/v1/chat/completions").starts_with("HTTP/1.1 405 "));
  EXPECT_TRUE(get("/nope").starts_with("HTTP/1.1 404 "));
}

TEST_F(Running, CountsClientsThatLeft) {
  int fd = connect();
  send(fd, request("/v1/chat/completions", chat_body("mock-hang", true)));
  while (get("/mock/stats").find(R"("active":1)") == std::string::npos) {
  }
  ::close(fd);
  while (get("/mock/stats").find(R"("active":0)") == std::string::npos) {
  }
  EXPECT_THAT(get("/mock/stats"), HasSubstr(R"({"requests":1,"active":0,"cancelled":1})"));
}

TEST_F(Running, StopsWithAnswersUnderWay) {
  int fd = connect();
  send(fd, request("/v1/chat/completions", chat_body("mock-hang", true)));
  while (get("/mock/stats").find(R"("active":1)") == std::string::npos) {
  }
  server->stop();
  char byte = 0;
  EXPECT_EQ(::recv(fd, &byte, 1, 0), 0);
  ::close(fd);
}

std::vector<double> embedding(const Running& mock, std::string_view input) {
  std::string answer = mock.post("/v1/embeddings", fmt::format(R"({{"model":"e","input":{}}})", input));
  auto value = json::parse(std::string_view(answer).substr(answer.find("\r\n\r\n") + 4));
  std::vector<double> vector;
  if (!value) return vector;
  const auto* numbers = json::find(json::find(*value, "data")->get_array().front(), "embedding");
  for (const auto& number : numbers->get_array()) vector.push_back(number.to_number<double>());
  return vector;
}

double product(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

TEST_F(Running, EmbedsNearTextsNear) {
  auto one = embedding(*this, R"("The pump is hot")");
  auto two = embedding(*this, R"("the pump is very hot")");
  auto far = embedding(*this, R"("quarterly tax report")");
  ASSERT_EQ(one.size(), 256U);
  EXPECT_NEAR(product(one, one), 1, 1e-4);
  EXPECT_GT(product(one, two), 0.7);
  EXPECT_LT(product(one, far), 0.4);
  EXPECT_EQ(embedding(*this, "[1,2,3]").size(), 256U);
  // 2 floats are 8 bytes are 12 characters.
  std::string packed =
      post("/v1/embeddings", R"({"model":"e","input":["a"],"encoding_format":"base64","dimensions":2})");
  std::size_t at = packed.find(R"("embedding":")") + 13;
  EXPECT_EQ(packed.find('"', at) - at, 12U) << packed;
}

struct Locked : Running {
  Locked()
      : Running([] {
          Options o;
          o.api_key = "k";
          return o;
        }()) {}
};

TEST_F(Locked, AsksForItsKey) {
  EXPECT_TRUE(post("/v1/chat/completions", chat_body("m", false)).starts_with("HTTP/1.1 401 "));
  EXPECT_TRUE(
      post("/v1/chat/completions", chat_body("m", false), "Authorization: Bearer k\r\n").starts_with("HTTP/1.1 200 "));
}

struct Failing : Running {
  Failing()
      : Running([] {
          Options o;
          o.fail = {*parse_fail_rule("30%:503"), *parse_fail_rule("20%:reset")};
          return o;
        }()) {}
};

TEST_F(Failing, FailsItsShare) {
  int unavailable = 0;
  int reset = 0;
  for (int i = 0; i < 400; ++i) {
    std::string answer = post("/v1/chat/completions", chat_body("m", false));
    unavailable += answer.starts_with("HTTP/1.1 503 ") ? 1 : 0;
    reset += answer.empty() ? 1 : 0;
  }
  // Decided by the seed: the same in every run.
  EXPECT_NEAR(unavailable, 120, 25);
  EXPECT_NEAR(reset, 80, 25);
}

}  // namespace
}  // namespace penstock::mock
