#include "llm/history.h"

#include <gmock/gmock.h>

#include "base/text.h"

namespace penstock::llm {
namespace {

using chat::Family;
using chat::Operation;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

History history_of(Family family, std::string_view body, Operation operation = Operation::chat) {
  auto read = read_history(family, operation, body);
  EXPECT_TRUE(read.has_value()) << read.error().detail;
  return read ? *read : History();
}

// "u": the user, "u*": with words, "m+a": the model calls a, "t-a": a result of it, "s": instructions.
std::string shown(const History& history) {
  std::string text;
  for (const Entry& entry : history.entries) {
    constexpr std::string_view kSpeakers = "sumt";
    base::append(text, text.empty() ? "" : " ", kSpeakers.substr(static_cast<std::size_t>(entry.speaker), 1));
    for (const std::string& id : entry.calls) base::append(text, "+", id);
    for (const std::string& id : entry.results) base::append(text, "-", id);
    if (entry.words) text += "*";
  }
  return text;
}

TEST(History, ReadsChatCompletions) {
  History history = history_of(Family::openai, R"({"model":"m","messages":[
    {"role":"system","content":"s"},{"role":"developer","content":"d"},{"content":[{"type":"text","text":"hi"}],"role":"user"},
    {"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},
      {"function":{"name":"f","arguments":"{\"id\":\"no\"}"},"id":"b"}]},
    {"role":"tool","tool_call_id":"a","content":"1"},{"role":"function","name":"f","content":"2"},
    {"role":"assistant","content":"bye"}]})");
  EXPECT_EQ(shown(history), "s s u* m+a+b t-a t m");
  EXPECT_EQ(history.list, "messages");
}

TEST(History, ReadsAnthropicsMessages) {
  History history = history_of(Family::anthropic, R"({"messages":[{"role":"user","content":"hi"},
    {"role":"assistant","content":[{"type":"text","text":"x"},{"type":"tool_use","id":"a","name":"f","input":{"id":"no"}}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"r"}]}]},
    {"role":"assistant","content":[{"type":"tool_use","id":"b","name":"f","input":{}}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"b"},{"type":"text","text":"and now"}]}]})");
  EXPECT_EQ(shown(history), "u* m+a t-a m+b t-b*");
}

TEST(History, ReadsGeminisContents) {
  History history = history_of(Family::gemini, R"({"contents":[{"parts":[{"text":"hi"}]},
    {"role":"model","parts":[{"functionCall":{"name":"f","args":{}}},{"functionCall":{"id":"a","name":"f"}}]},
    {"role":"user","parts":[{"functionResponse":{"name":"f","response":{}}},{"functionResponse":{"id":"a","name":"f"}}]},
    {"role":"model","parts":[{"function_call":{"id":"b","name":"f"}}]},
    {"role":"function","parts":[{"function_response":{"id":"b","name":"f"}}]},{"role":"model","parts":[{"text":"x"}]}]})");
  EXPECT_EQ(shown(history), "u* m+a t-a m+b t-b m");
  EXPECT_EQ(history.list, "contents");
}

TEST(History, ReadsOllamasMessages) {
  History history =
      history_of(Family::ollama, R"({"messages":[{"role":"System","content":"s"},{"role":"user","content":"u"},
    {"role":"Assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{}}}]},
    {"role":"tool","tool_name":"f","content":"1"}]})");
  EXPECT_EQ(shown(history), "s u* m t");
}

TEST(History, ReadsItemsOfResponses) {
  History history = history_of(Family::openai, R"({"input":[{"role":"user","content":"hi"},
    {"type":"reasoning","id":"rs","summary":[]},{"type":"function_call","id":"fc","call_id":"a","name":"f","arguments":"{}"},
    {"type":"function_call_output","call_id":"a","output":"1"},{"type":"message","role":"assistant","content":[]},
    {"type":"mcp_approval_request","id":"ap","name":"x"},{"type":"mcp_approval_response","approval_request_id":"ap"}]})",
                               Operation::responses);
  EXPECT_EQ(shown(history), "u* m+rs m+fc+a t-a m m+ap t-ap");
  EXPECT_THAT(history_of(Family::openai, R"({"input":"hi"})", Operation::responses).entries, IsEmpty());
}

TEST(History, ReadsNamesThatAreWrittenWithEscapes) {
  EXPECT_EQ(
      shown(history_of(Family::openai, R"({"mess\u0061ges":[{"r\u006fle":"\u0074ool","tool_call_id":"\u0061"}]})")),
      "t-a");
  EXPECT_EQ(shown(history_of(Family::openai, R"({"messages":[{"role":"user","tool_calls.id":"a"}]})")), "u*")
      << "a dot in a name makes no path";
}

TEST(History, DoesWithWhatIsNoHistory) {
  EXPECT_THAT(history_of(Family::openai, R"({"prompt":"x"})", Operation::completions).entries, IsEmpty());
  EXPECT_THAT(history_of(Family::openai, R"({"messages":{"role":"user"}})").entries, IsEmpty());
  EXPECT_EQ(shown(history_of(Family::openai, R"({"messages":[1,"a",null,[],{},{"role":7},{"role":"alien"}]})")),
            "u* u* u* u* u* u* u*");
  EXPECT_THAT(read_history(Family::openai, Operation::chat, R"({"messages":[],"messages":[]})").error().detail,
              HasSubstr("twice"));
  EXPECT_FALSE(read_history(Family::openai, Operation::chat, R"({"messages":[)").has_value());
  EXPECT_FALSE(read_history(Family::openai, Operation::chat, "").has_value());
}

TEST(History, CutsEntriesOutAndTouchesNothingElse) {
  const std::string body =
      "{ \"n\" : 1.50,\n \"messages\" : [ {\"a\":\"\\u0041\"} ,\n  {\"b\":2},{\"c\":[ 3 ]} , {\"d\":{}}\t] , \"z\": "
      "null }";
  History history = history_of(Family::openai, body);
  ASSERT_EQ(history.entries.size(), 4U);
  auto cut = [&](std::vector<std::uint32_t> dropped) { return without(body, history, dropped); };
  EXPECT_EQ(cut({}), body);
  EXPECT_EQ(cut({0}), "{ \"n\" : 1.50,\n \"messages\" : [ {\"b\":2},{\"c\":[ 3 ]} , {\"d\":{}}\t] , \"z\": null }");
  EXPECT_EQ(
      cut({1}),
      "{ \"n\" : 1.50,\n \"messages\" : [ {\"a\":\"\\u0041\"} ,\n  {\"c\":[ 3 ]} , {\"d\":{}}\t] , \"z\": null }");
  EXPECT_EQ(cut({0, 2}), "{ \"n\" : 1.50,\n \"messages\" : [ {\"b\":2},{\"d\":{}}\t] , \"z\": null }");
  EXPECT_EQ(cut({0, 1, 2}), "{ \"n\" : 1.50,\n \"messages\" : [ {\"d\":{}}\t] , \"z\": null }");
  EXPECT_EQ(body.substr(history.end), ", \"z\": null }");
}

}  // namespace
}  // namespace penstock::llm
