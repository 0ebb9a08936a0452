#include "token/openai_chat.h"

#include <gmock/gmock.h>

#include "json/value.h"
#include "token/chat_count.h"
#include "token/openai_message.h"
#include "token/test/tables.h"

namespace penstock::token {
namespace {

using testing::HasSubstr;

// By way of the canonical model, as it is for calls that are translated.
std::int64_t count_canonical(const json::Value& body, const Encoding& by, std::string_view model) {
  chat::Request request;
  for (const json::Value& message : body.at("messages").as_array())
    request.messages.push_back(read_openai_message(message));
  read_openai_settings(body, request);
  return count(request, by, model);
}

void expect_count(const std::string& body, std::string_view model, std::int64_t wanted) {
  PENSTOCK_NEED_ENCODING(by, model.starts_with("gpt-4o") ? "o200k_base" : "cl100k_base");
  EXPECT_EQ(count_openai_chat(body, *by, model).value_or(-1), wanted) << body;
  EXPECT_EQ(count_canonical(*json::parse(body), *by, model), wanted) << body;
}

TEST(ChatCount, GivesThePublishedCounts) {
  auto lines = test::shared_lines("chat_token_counts_gpt4o.jsonl");
  if (lines.empty()) GTEST_SKIP() << "the published counts are not here; set PENSTOCK_SHARED";
  for (const std::string& line : lines) expect_count(line, "gpt-4o", json::int_or(*json::parse(line), "tokens", -1));
}

// OpenAI's cookbook, "How to count tokens with tiktoken", with what its API answered.
TEST(ChatCount, GivesWhatTheCookbookSaysTheApiCounts) {
  std::string weather = R"({"messages":[
    {"role":"system","content":"You are a helpful assistant that can answer to questions about the weather."},
    {"role":"user","content":"What's the weather like in San Francisco?"}],
    "tools":[{"type":"function","function":{"name":"get_current_weather",
      "description":"Get the current weather in a given location","parameters":{"type":"object","properties":{
        "location":{"type":"string","description":"The city and state, e.g. San Francisco, CA"},
        "unit":{"type":"string","description":"The unit of temperature to return","enum":["celsius","fahrenheit"]}},
      "required":["location"]}}}]})";
  expect_count(weather, "gpt-4o", 101);
  expect_count(weather, "gpt-4", 105);
}

TEST(ChatCount, CountsWhatChatsAreMadeOf) {
  // 3 to begin the answer; a message 3, and 1 for its role.
  expect_count(R"({"messages":[]})", "gpt-4o", 3);
  expect_count(R"({"messages":[{"role":"user","content":"hello"}],"stream":true,"n":3})", "gpt-4o", 8);
  expect_count(R"({"messages":[{"content":"hello","role":"developer"}]})", "gpt-4o", 8);
  expect_count(R"({"messages":[{"role":"user","content":null}]})", "gpt-4o", 7);
  expect_count(
      R"({"messages":[{"role":"user","content":[{"type":"text","text":"hello"},{"text":"hello","type":"text"}]}]})",
      "gpt-4o", 9);
  expect_count(R"({"messages":[{"role":"user","name":"hello","content":"h\u0065llo"}]})", "gpt-4o", 10);
  expect_count(R"({"messages":[{"role":"assistant","content":null,"tool_calls":[
                 {"id":"a","type":"function","function":{"name":"hello","arguments":"hello"}},
                 {"id":"b","type":"function","function":{"name":"hello","arguments":"hello"}}]},
                 {"role":"tool","tool_call_id":"a","content":"hello"},
                 {"role":"tool","tool_call_id":"b","content":[{"type":"text","text":"hello"}]}]})",
               "gpt-4o", 3 + 4 + 2 * 5 + 2 * 5);
  expect_count(R"({"messages":[{"role":"assistant","reasoning_content":"hello","content":"hello","refusal":"hello"}]})",
               "gpt-4o", 10);
  expect_count(R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":
                 {"url":"https://example.org/a.png","detail":"low"}},{"type":"text","text":"hello"}]}]})",
               "gpt-4o", 8 + 85);
  expect_count(R"({"messages":[{"role":"user","content":[{"type":"file","file":
                 {"file_data":"data:text/plain;base64,aGVsbG8=","filename":"a.txt"}}]}]})",
               "gpt-4o", 8);
  expect_count(R"({"messages":[{"role":"user","content":"hello"}],"tool_choice":"none"})", "gpt-4o", 9);
  expect_count(R"({"messages":[{"role":"user","content":"hello"}],"tool_choice":"required"})", "gpt-4o", 8);
  expect_count(
      R"({"messages":[{"role":"user","content":"hello"}],"tool_choice":{"type":"function","function":{"name":"hello"}}})",
      "gpt-4o", 13);
  expect_count(R"({"messages":[{"role":"user","content":"hello"}],"response_format":{"type":"json_schema","json_schema":
                 {"name":"hello","schema":{"type":"object"}}}})",
               "gpt-4o", 8 + 1 + 5);
}

TEST(ChatCount, ManyMessagesThatTakeADocumentEach) {
  std::string body = R"({"tools":[],"messages":[)";
  for (int i = 0; i < 200; ++i)
    body += R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a","detail":"low"}}]},)";
  body.back() = ']';
  expect_count(body + "}", "gpt-4o", 3 + 200 * (4 + 85));
}

TEST(ChatCount, WithoutAnEncodingItMeasuresBytes) {
  constexpr std::string_view kBody =
      R"({"messages":[{"role":"user","content":"a\nb"},{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]})";
  auto size = measure_openai_chat(kBody, "claude-sonnet-4");
  ASSERT_TRUE(size);
  EXPECT_EQ(size->text_bytes, 3);
  EXPECT_EQ(size->tokens, 3 + 2 * 4 + 1600);
  chat::Request request;
  request.messages.push_back({.parts = {{.content = chat::Text{"a\nb"}}}});
  EXPECT_EQ(measure(request, "any").text_bytes, 3);
}

TEST(ChatCount, BodiesThatAreNoChatAreErrors) {
  for (std::string_view body : {"", "[]", "{", R"({"messages":"hello"})", R"({"messages":[})", R"({"model":"m"})",
                                R"({"messages":[]} x)", "{\"messages\":[\"\xFF\"]}"}) {
    auto size = measure_openai_chat(body, "m");
    ASSERT_FALSE(size) << body;
    EXPECT_EQ(size.error().code, Errc::invalid_argument);
    EXPECT_FALSE(size.error().detail.empty());
  }
}

// What a provider would refuse: counted as far as it can be read.
TEST(ChatCount, OddMessagesAreNoErrors) {
  for (std::string_view message :
       {"1", "null", "[]", "{}", R"({"role":7})", R"({"role":"user","content":7})", R"({"role":"user","content":[7]})",
        R"({"role":"user","content":[{"type":"image_url"}]})", R"({"role":"user","content":[[[[]]]]})",
        R"({"role":"assistant","tool_calls":[1,{"function":2},{"function":{"arguments":{"a":1}}}]})",
        R"({"role":"tool","content":{"a":1}})",
        R"({"role":"user","content":[{"type":"file","file":{"file_data":"data:text/plain;base64,%%"}}]})"}) {
    auto size = measure_openai_chat(R"({"messages":[)" + std::string(message) + "]}", "m");
    ASSERT_TRUE(size) << message;
    EXPECT_GE(size->tokens, 3) << message;
  }
  EXPECT_TRUE(measure_openai_chat(
      R"({"messages":[],"tools":[1,{"function":{"parameters":{"properties":{"a":1}}}}],"functions":[2],"tool_choice":[],"function_call":1,"response_format":[]})",
      "m"));
}

TEST(ChatCount, CountsWhatItDoesNotKnowByItsText) {
  PENSTOCK_NEED_ENCODING(by, "o200k_base");
  std::string words;
  for (int i = 0; i < 1000; ++i) words += " word";
  auto in_message = [](const std::string& message) {
    return R"({"messages":[{"role":"user","content":"x"},)" + message + "]}";
  };
  auto with_tool = [](const std::string& tool) {
    return R"({"messages":[{"role":"user","content":"x"}],"tools":[)" + tool + "]}";
  };
  for (const std::string& body :
       {in_message(R"({"role":"assistant","tool_calls":[{"type":"custom","custom":{"input":")" + words + R"("}}]})"),
        in_message(R"({"role":"user","content":[{"type":"input_text","text":")" + words + R"("}]})"),
        in_message(R"({"role":"user","content":{"text":")" + words + R"("}})"),
        in_message(R"({"role":"tool","content":[{"type":"output","text":")" + words + R"("}]})"),
        with_tool(R"({"type":"custom","custom":{"description":")" + words + R"("}})"),
        with_tool(R"({"type":"function","name":"t","description":")" + words + R"("})"),
        R"({"messages":[],"response_format":{"type":"grammar","grammar":")" + words + R"("}})"}) {
    bool known = true;
    EXPECT_GE(count_openai_chat(body, *by, "gpt-4o", &known).value_or(0), 1000) << body.substr(0, 120);
    EXPECT_FALSE(known) << body.substr(0, 120);
    EXPECT_GE(measure_openai_chat(body, "gpt-4o")->text_bytes, 5000) << body.substr(0, 120);
  }
}

TEST(ChatCount, SaysThatItKnowsWhatItKnows) {
  PENSTOCK_NEED_ENCODING(by, "o200k_base");
  bool known = true;
  EXPECT_TRUE(count_openai_chat(R"({"messages":[{"role":"user","content":"hello"},
    {"role":"assistant","content":null,"tool_calls":[{"type":"function","function":{"name":"f","arguments":"{}"}}]},
    {"role":"tool","tool_call_id":"1","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]})",
                                *by, "gpt-4o", &known));
  EXPECT_TRUE(known);
}

TEST(ChatCount, TakesALinkForAPicture) {
  PENSTOCK_NEED_ENCODING(by, "o200k_base");
  constexpr std::string_view kBody =
      R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":"http://a/b.png"}]}]})";
  EXPECT_GE(count_openai_chat(kBody, *by, "gpt-4o").value_or(0), 85 + 8 * 170);
}

}  // namespace
}  // namespace penstock::token
