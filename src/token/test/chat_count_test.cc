#include "token/chat_count.h"

#include <gtest/gtest.h>

#include "json/value.h"
#include "token/openai_chat.h"
#include "token/openai_message.h"
#include "token/test/tables.h"

namespace penstock::token {
namespace {

using test::encoding;

// By way of the canonical model, as it is for calls that are translated.
std::int64_t count_canonical(const json::Value& body, const Encoding& by, std::string_view model) {
  chat::Request request;
  for (const json::Value& message : body.at("messages").as_array())
    request.messages.push_back(read_openai_message(message));
  read_openai_settings(body, request);
  return count(request, by, model);
}

void expect_count(const std::string& body, std::string_view model, std::int64_t wanted) {
  const Encoding* by = encoding(model.starts_with("gpt-4o") ? "o200k_base" : "cl100k_base");
  ASSERT_NE(by, nullptr);
  EXPECT_EQ(count_openai_chat(body, *by, model).value_or(-1), wanted) << body;
  EXPECT_EQ(count_canonical(*json::parse(body), *by, model), wanted) << body;
}

TEST(ChatCount, GivesThePublishedCounts) {
  auto lines = test::shared_lines("chat_token_counts_gpt4o.jsonl");
  if (lines.empty()) GTEST_SKIP() << "the published counts are not here";
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

}  // namespace
}  // namespace penstock::token
