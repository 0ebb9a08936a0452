#include <gmock/gmock.h>

#include "mock/test/running_mock.h"
#include "mock/traits.h"

namespace penstock::mock {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kVersion = "anthropic-version: 2023-06-01\r\n";

json::Value parsed(std::string_view text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value.has_value()) << text;
  return value ? *value : json::Value();
}

// "a/0/b" in a document; null when it is not there.
json::Value at(const json::Value& value, std::string_view pointer) {
  boost::system::error_code error;
  const json::Value* found = value.find_pointer(pointer, error);
  return found != nullptr ? *found : json::Value();
}

std::string text_at(const json::Value& value, std::string_view pointer) {
  json::Value found = at(value, pointer);
  return found.is_string() ? std::string(found.get_string()) : std::string();
}

TEST(Traits, AreReadFromModelNames) {
  Traits traits = traits_of("mock-think+crlf+cut");
  EXPECT_TRUE(traits.has(Trait::think) && traits.has(Trait::crlf));
  EXPECT_EQ(traits.failure.kind, Failure::Kind::cut);
  EXPECT_EQ(traits_of("mock-503").failure.status, 503);
  EXPECT_TRUE(traits_of("mock-rate-limited").has(Trait::rate_limited));
  EXPECT_FALSE(traits_of("mock-think+nonsense").odd());
  EXPECT_FALSE(traits_of("mock-small").odd());
  EXPECT_FALSE(traits_of("think").odd());
}

constexpr std::string_view kSchema =
    R"({"type":"object","properties":{"city":{"type":"string"},"unit":{"type":"string","enum":["C","F"]}},"required":["city","unit"]})";

json::Value openai_call(std::string_view text) {
  return parsed(fmt::format(
      R"({{"model":"m","messages":[{{"role":"user","content":"{}"}}],"tools":[{{"type":"function","function":{{"name":"weather","parameters":{}}}}},{{"type":"function","function":{{"name":"now"}}}}]}})",
      text, kSchema));
}
json::Value anthropic_call(std::string_view text) {
  return parsed(fmt::format(
      R"({{"model":"m","max_tokens":2000,"messages":[{{"role":"user","content":"{}"}}],"tools":[{{"name":"weather","input_schema":{}}},{{"name":"now","input_schema":{{"type":"object","properties":{{}}}}}}]}})",
      text, kSchema));
}
json::Value gemini_call(std::string_view text) {
  return parsed(fmt::format(
      R"({{"contents":[{{"role":"user","parts":[{{"text":"{}"}}]}}],"tools":[{{"functionDeclarations":[{{"name":"weather","parameters":{}}},{{"name":"now"}}]}}]}})",
      text, kSchema));
}

TEST_F(Running, CallsTheSameToolsInEveryDialect) {
  std::string_view asked = "Please call weather and now.";
  json::Value openai = ask("/v1/chat/completions", openai_call(asked));
  json::Value arguments = parsed(text_at(openai, "/choices/0/message/tool_calls/0/function/arguments"));
  EXPECT_EQ(text_at(openai, "/choices/0/message/tool_calls/1/function/name"), "now");
  EXPECT_EQ(text_at(openai, "/choices/0/message/tool_calls/1/function/arguments"), "{}");
  EXPECT_NE(text_at(arguments, "/city"), "");

  json::Value anthropic = ask("/v1/messages", anthropic_call(asked), kVersion);
  EXPECT_EQ(at(anthropic, "/content/0/input"), arguments);
  EXPECT_EQ(at(anthropic, "/content/1/input"), json::Value(json::Object()));
  EXPECT_EQ(text_at(anthropic, "/stop_reason"), "tool_use");

  json::Value gemini = ask("/v1beta/models/m:generateContent", gemini_call(asked));
  EXPECT_EQ(at(gemini, "/candidates/0/content/parts/0/functionCall/args"), arguments);
  EXPECT_EQ(text_at(gemini, "/candidates/0/finishReason"), "STOP");

  json::Value body = openai_call(asked);
  body.as_object()["stream"] = false;
  json::Value ollama = ask("/api/chat", body);
  EXPECT_EQ(at(ollama, "/message/tool_calls/0/function/arguments"), arguments);
  EXPECT_EQ(text_at(ollama, "/done_reason"), "stop");

  json::Value responses = ask(
      "/v1/responses",
      parsed(fmt::format(
          R"({{"model":"m","input":"{}","tools":[{{"type":"function","name":"weather","parameters":{}}},{{"type":"function","name":"now"}}]}})",
          asked, kSchema)));
  EXPECT_EQ(parsed(text_at(responses, "/output/0/arguments")), arguments);
}

TEST_F(Running, AnthropicStreamsItsEventsInOrder) {
  json::Value body = anthropic_call("call weather");
  body.as_object()["stream"] = true;
  body.as_object()["thinking"] = {{"type", "enabled"}, {"budget_tokens", 1024}};
  std::string stream = body_of(post("/v1/messages", json::dump(body), kVersion));
  std::vector<std::string> order;
  for (std::size_t i = stream.find("event: "); i != std::string::npos; i = stream.find("event: ", i + 1)) {
    std::string name = stream.substr(i + 7, stream.find('\n', i) - i - 7);
    if (order.empty() || order.back() != name) order.push_back(std::move(name));
  }
  EXPECT_THAT(order, testing::ElementsAre("message_start", "content_block_start", "ping", "content_block_delta",
                                          "content_block_stop", "content_block_start", "content_block_delta",
                                          "content_block_stop", "message_delta", "message_stop"));
  EXPECT_THAT(stream, HasSubstr("signature_delta"));
  EXPECT_THAT(stream, Not(HasSubstr("[DONE]")));
}

TEST_F(Running, AnthropicWantsItsThoughtsBack) {
  json::Value body = anthropic_call("call weather");
  body.as_object()["thinking"] = {{"type", "enabled"}, {"budget_tokens", 1024}};
  json::Value answer = ask("/v1/messages", body, kVersion);
  json::Value turn = {{"role", "assistant"}, {"content", at(answer, "/content")}};
  json::Value result = {{"type", "tool_result"}, {"tool_use_id", at(answer, "/content/1/id")}, {"content", "21 C"}};
  json::Value results = {{"role", "user"}, {"content", json::Array()}};
  results.as_object()["content"].as_array().push_back(result);
  json::Value next = body;
  next.as_object()["messages"].as_array().push_back(turn);
  next.as_object()["messages"].as_array().push_back(results);
  EXPECT_THAT(text_at(ask("/v1/messages", next, kVersion), "/content/1/text"), HasSubstr("21 C"));

  json::Value changed = next;
  changed.at_pointer("/messages/1/content/0/thinking") = "something else";
  EXPECT_THAT(text_at(ask("/v1/messages", changed, kVersion), "/error/message"), HasSubstr("Invalid `signature`"));
  json::Value without = next;
  without.at_pointer("/messages/1/content")
      .as_array()
      .erase(without.at_pointer("/messages/1/content").as_array().begin());
  EXPECT_THAT(text_at(ask("/v1/messages", without, kVersion), "/error/message"), HasSubstr("Expected `thinking`"));
  json::Value unanswered = next;
  unanswered.at_pointer("/messages/2/content") = "hello";
  EXPECT_THAT(text_at(ask("/v1/messages", unanswered, kVersion), "/error/message"),
              HasSubstr("without `tool_result` blocks"));
}

struct Refused {
  std::string_view body;
  std::string_view says;
};

TEST_F(Running, AnthropicRefusesWhatItsApiRefuses) {
  for (
      const Refused& bad : {
          Refused{R"({"model":"m","messages":[{"role":"user","content":"x"}]})", "max_tokens: Field required"},
          Refused{R"({"model":"m","max_tokens":9,"messages":[{"role":"system","content":"x"}]})", "Unexpected role"},
          Refused{R"({"model":"m","max_tokens":9,"messages":[]})", "at least one message"},
          Refused{
              R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"user","content":"y"}]})",
              "roles must alternate"},
          Refused{R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":""}]}]})",
                  "must be non-empty"},
          Refused{R"({"model":"m","max_tokens":9,"n":2,"messages":[{"role":"user","content":"x"}]})",
                  "n: Extra inputs are not permitted"},
      }) {
    std::string answer = post("/v1/messages", bad.body, kVersion);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << bad.body;
    EXPECT_THAT(body_of(answer), HasSubstr(bad.says)) << bad.body;
    EXPECT_EQ(text_at(parsed(body_of(answer)), "/error/type"), "invalid_request_error");
  }
  EXPECT_TRUE(post("/v1/messages", "{}").starts_with("HTTP/1.1 400 "));
}

TEST_F(Running, AnthropicCountsItsCache) {
  json::Value body = parsed(
      R"({"model":"m","max_tokens":9,"system":[{"type":"text","text":"A long text.","cache_control":{"type":"ephemeral","ttl":"1h"}}],"messages":[{"role":"user","content":"x"}]})");
  json::Value first = ask("/v1/messages", body, kVersion);
  json::Value second = ask("/v1/messages", body, kVersion);
  std::int64_t written = at(first, "/usage/cache_creation/ephemeral_1h_input_tokens").as_int64();
  EXPECT_GT(written, 0);
  EXPECT_EQ(at(first, "/usage/cache_read_input_tokens").as_int64(), 0);
  EXPECT_EQ(at(second, "/usage/cache_read_input_tokens").as_int64(), written);
  EXPECT_EQ(at(second, "/usage/cache_creation_input_tokens").as_int64(), 0);
}

TEST_F(Running, SpeaksOfFailuresInEachDialect) {
  std::string overloaded = post(
      "/v1/messages", R"({"model":"mock-529","max_tokens":9,"messages":[{"role":"user","content":"x"}]})", kVersion);
  EXPECT_TRUE(overloaded.starts_with("HTTP/1.1 529 "));
  EXPECT_EQ(text_at(parsed(body_of(overloaded)), "/error/type"), "overloaded_error");
  std::string limited = post("/v1beta/models/mock-429:generateContent", R"({"contents":[{"parts":[{"text":"x"}]}]})");
  EXPECT_EQ(text_at(parsed(body_of(limited)), "/error/status"), "RESOURCE_EXHAUSTED");
  std::string ollama = post("/api/chat", R"({"model":"mock-503","messages":[{"role":"user","content":"x"}]})");
  EXPECT_TRUE(ollama.starts_with("HTTP/1.1 503 "));
  EXPECT_NE(text_at(parsed(body_of(ollama)), "/error"), "");
  std::string both =
      post("/v1/chat/completions", R"({"model":"mock-rate-limited","messages":[{"role":"user","content":"x"}]})");
  EXPECT_THAT(both, testing::AllOf(HasSubstr("retry-after: 1"), HasSubstr("retry-after-ms: 250")));
}

TEST_F(Running, GeminiRefusesWhatItsApiRefuses) {
  for (
      const Refused& bad : {
          Refused{R"({})", "contents is not specified"},
          Refused{R"({"stream":true,"contents":[{"parts":[{"text":"x"}]}]})", "Unknown name \\\"stream\\\""},
          Refused{R"({"contents":[{"role":"assistant","parts":[{"text":"x"}]}]})", "valid role"},
          Refused{R"({"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"max_tokens":1}})", "Unknown name"},
          Refused{
              R"({"contents":[{"parts":[{"text":"x"}]}],"tools":[{"functionDeclarations":[{"name":"a","parameters":{"type":"object","$schema":"x"}}]}]})",
              "Unknown name \\\"$schema\\\""},
          Refused{
              R"({"contents":[{"parts":[{"text":"x"}]},{"role":"user","parts":[{"functionResponse":{"name":"a","response":{}}}]}]})",
              "number of function response parts"},
      }) {
    std::string answer = post("/v1beta/models/m:generateContent", bad.body);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 ")) << bad.body;
    EXPECT_THAT(answer, HasSubstr(bad.says)) << bad.body;
  }
  // A JSON schema has a field of its own, where all of it may stand.
  EXPECT_TRUE(
      post(
          "/v1beta/models/m:generateContent",
          R"({"contents":[{"parts":[{"text":"x"}]}],"tools":[{"function_declarations":[{"name":"a","parametersJsonSchema":{"type":"object","additionalProperties":false}}]}]})")
          .starts_with("HTTP/1.1 200 "));
}

TEST_F(Running, GeminiStreamsEventsOrAnArray) {
  std::string_view body = R"({"contents":[{"parts":[{"text":"x"}]}],"generationConfig":{"maxOutputTokens":3}})";
  json::Value array = parsed(body_of(post("/v1beta/models/m:streamGenerateContent", body)));
  ASSERT_EQ(array.as_array().size(), 4U);
  EXPECT_EQ(text_at(array, "/3/candidates/0/finishReason"), "MAX_TOKENS");
  std::string events = body_of(post("/v1beta/models/m:streamGenerateContent?alt=sse", body));
  EXPECT_TRUE(events.starts_with("data: {"));
  EXPECT_THAT(events, Not(HasSubstr("[DONE]")));
  json::Value blocked = ask("/v1beta/models/mock-refusal:generateContent", parsed(body));
  EXPECT_EQ(text_at(blocked, "/promptFeedback/blockReason"), "SAFETY");
  EXPECT_TRUE(at(blocked, "/candidates").is_null());
}

TEST_F(Running, OllamaSendsLines) {
  std::string lines = body_of(
      post("/api/chat", R"({"model":"m","options":{"num_predict":2},"messages":[{"role":"user","content":"x"}]})"));
  EXPECT_EQ(std::ranges::count(lines, '\n'), 3);
  json::Value last = parsed(lines.substr(lines.rfind('\n', lines.size() - 2) + 1));
  EXPECT_EQ(text_at(last, "/done_reason"), "length");
  EXPECT_EQ(at(last, "/eval_count").as_int64(), 2);
  std::string_view cached = R"({"model":"mock-cache","stream":false,"messages":[{"role":"user","content":"x"}]})";
  EXPECT_THAT(post("/api/chat", cached), HasSubstr("prompt_eval_count"));
  EXPECT_THAT(post("/api/chat", cached), Not(HasSubstr("prompt_eval_count")));
  EXPECT_THAT(post("/api/chat", R"({"model":"m","messages":[{"role":"user","content":[]}]})"),
              HasSubstr("cannot unmarshal array"));
}

TEST_F(Running, KeepsResponses) {
  json::Value first = ask("/v1/responses", parsed(R"({"model":"m","input":"hi"})"));
  std::string id = text_at(first, "/id");
  json::Value second =
      ask("/v1/responses", parsed(fmt::format(R"({{"model":"m","input":"and","previous_response_id":"{}"}})", id)));
  EXPECT_GT(at(second, "/usage/input_tokens").as_int64(), at(first, "/usage/input_tokens").as_int64());
  json::Value items = parsed(body_of(get(fmt::format("/v1/responses/{}/input_items", text_at(second, "/id")))));
  EXPECT_EQ(at(items, "/data").as_array().size(), 3U);
  EXPECT_EQ(parsed(body_of(get("/v1/responses/" + id))), first);
  EXPECT_TRUE(get("/v1/responses/resp_none").starts_with("HTTP/1.1 404 "));
  std::string stream = body_of(post("/v1/responses", R"({"model":"m","input":"hi","stream":true})"));
  std::int64_t number = 0;
  for (std::size_t i = stream.find("data: "); i != std::string::npos; i = stream.find("data: ", i + 1)) {
    json::Value event = parsed(stream.substr(i + 6, stream.find('\n', i) - i - 6));
    EXPECT_EQ(at(event, "/sequence_number").as_int64(), number++);
  }
  EXPECT_THAT(stream, HasSubstr("event: response.completed"));
}

std::string odd_stream(const Running& mock, std::string_view traits) {
  json::Value body = openai_call("call weather and now");
  body.as_object()["model"] = fmt::format("mock-{}", traits);
  body.as_object()["stream"] = true;
  body.as_object()["stream_options"] = {{"include_usage", true}};
  return Running::body_of(mock.post("/v1/chat/completions", json::dump(body)));
}

TEST_F(Running, IsOddAsTold) {
  EXPECT_THAT(odd_stream(*this, "choices-null"), HasSubstr(R"("choices":null)"));
  EXPECT_THAT(odd_stream(*this, "no-finish"), Not(HasSubstr(R"("finish_reason":null)")));
  EXPECT_THAT(odd_stream(*this, "no-done"), Not(HasSubstr("[DONE]")));
  EXPECT_THAT(odd_stream(*this, "calls-stop"), HasSubstr(R"("finish_reason":"stop")"));
  EXPECT_THAT(odd_stream(*this, "calls-together"), HasSubstr(R"({"index":1,"id":)"));
  EXPECT_THAT(odd_stream(*this, "usage-on-finish"), Not(HasSubstr(R"("choices":[])")));
  std::string framed = odd_stream(*this, "crlf+bom+comments+no-space+multi-line");
  EXPECT_TRUE(framed.starts_with("\xEF\xBB\xBF: a comment\r\n")) << framed.substr(0, 100);
  EXPECT_THAT(framed, HasSubstr("data:{\r\ndata:\"id\""));
  std::string lengthy = odd_stream(*this, "long-lines");
  EXPECT_GT(lengthy.find('\n'), 65'536U);
  // Every byte is a chunk of its own.
  EXPECT_THAT(post("/v1/completions", R"({"model":"mock-split","max_tokens":1,"stream":true,"prompt":"x"})"),
              HasSubstr("1\r\nd\r\n1\r\na\r\n1\r\nt\r\n1\r\na\r\n"));
  EXPECT_TRUE(odd_stream(*this, "error-first").starts_with(R"(data: {"error":)"));
}

TEST_F(Running, TellsWhatItReceived) {
  post("/v1/messages", R"({"model":"m"})", "anthropic-version: v\r\nx-api-key: k\r\nanthropic-beta: b\r\n");
  post("/api/chat", R"({"model":"m"})");
  json::Value requests = parsed(body_of(get("/mock/requests?n=2")));
  EXPECT_EQ(text_at(requests, "/0/headers/x-api-key"), "k");
  EXPECT_EQ(text_at(requests, "/0/headers/anthropic-beta"), "b");
  EXPECT_EQ(text_at(requests, "/1/path"), "/api/chat");
  EXPECT_EQ(text_at(parsed(body_of(get("/mock/last"))), "/body"), R"({"model":"m"})");
}

struct OnlyOllama : Running {
  OnlyOllama()
      : Running([] {
          Options options;
          options.dialect = "ollama";
          return options;
        }()) {}
};

TEST_F(OnlyOllama, KnowsNoOtherPaths) {
  EXPECT_TRUE(get("/api/version").starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(post("/v1/chat/completions", "{}").starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(post("/v1/messages", "{}", kVersion).starts_with("HTTP/1.1 404 "));
}

}  // namespace
}  // namespace penstock::mock
