#include "ext/apis/anthropic/request_reader.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace penstock::ext::anthropic {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

chat::Request read(const std::string& fields) {
  auto request = read_messages_request(R"({"model":"m","max_tokens":9,)" + fields + "}", false);
  EXPECT_TRUE(request.has_value()) << request.error().detail;
  return request.value_or(chat::Request{});
}

std::string refusal(const std::string& body, bool counts = false) {
  auto request = read_messages_request(body, counts);
  EXPECT_FALSE(request.has_value()) << body;
  return request ? "" : request.error().detail;
}

std::string content_refusal(const std::string& role, const std::string& content) {
  return refusal(R"({"model":"m","max_tokens":9,"messages":[{"role":")" + role + R"(","content":)" + content + "}]}");
}

TEST(AnthropicRequest, NamesTheFieldThatIsWrong) {
  EXPECT_THAT(refusal("[]"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(refusal("{"), HasSubstr("byte"));
  EXPECT_THAT(refusal(R"({"max_tokens":9,"messages":[{"role":"user","content":"a"}]})"), HasSubstr("model: must be"));
  EXPECT_THAT(refusal(R"({"model":"m","messages":[{"role":"user","content":"a"}]})"), HasSubstr("max_tokens: must be"));
  EXPECT_THAT(refusal(R"({"model":"m","max_tokens":9})"), HasSubstr("messages: must be a list"));
  EXPECT_THAT(refusal(R"({"model":"m","max_tokens":9.5,"messages":[{"role":"user","content":"a"}]})"),
              HasSubstr("max_tokens: must be an integer"));
  EXPECT_THAT(content_refusal("robot", R"("a")"), HasSubstr("messages[0].role: must be user, assistant or system"));
  EXPECT_THAT(content_refusal("user", "7"), HasSubstr("messages[0].content: must be a string or a list of blocks"));
  EXPECT_THAT(content_refusal("user", R"([{"type":"image","source":"x"}])"),
              HasSubstr("messages[0].content[0].source: must be an object"));
  EXPECT_THAT(content_refusal("user", R"([{"type":"image","source":{"type":"tape"}}])"),
              HasSubstr("messages[0].content[0].source.type: must be"));
  EXPECT_THAT(content_refusal("user", R"([{"type":"tool_use","id":"1","name":"f","input":{}}])"),
              HasSubstr("they are the assistant's"));
  EXPECT_THAT(content_refusal("assistant", R"([{"type":"tool_result","tool_use_id":"1"}])"),
              HasSubstr("they are the user's"));
  EXPECT_THAT(content_refusal("user", R"([{"type":"text","text":"a","cache_control":{"ttl":"2h"}}])"),
              HasSubstr("messages[0].content[0].cache_control.ttl: must be 5m or 1h"));
}

TEST(AnthropicRequest, CountsNeedNoLimit) {
  EXPECT_TRUE(read_messages_request(R"({"model":"m","messages":[{"role":"user","content":"a"}]})", true));
}

TEST(AnthropicRequest, SplitsResultsFromTheUsersWords) {
  chat::Request request =
      read(R"("messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{"x":1}}]},)"
           R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","is_error":true,"content":"no"},)"
           R"({"type":"text","text":"so?"}]}])");
  ASSERT_EQ(request.messages.size(), 3U);
  EXPECT_EQ(request.messages[1].role, chat::Role::tool);
  const auto& result = std::get<chat::ToolResult>(request.messages[1].parts[0].content);
  EXPECT_EQ(result.name, "f");
  EXPECT_TRUE(result.error);
  EXPECT_EQ(request.messages[2].role, chat::Role::user);
}

TEST(AnthropicRequest, ListsWhatNoTranslationCarries) {
  chat::Request request = read(
      R"("container":"c","mcp_servers":[{}],"unheard_of":1,"inference_geo":null,)"
      R"("tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"f","input_schema":{},"defer_loading":true}],)"
      R"("messages":[{"role":"user","content":[{"type":"container_upload","file_id":"f"},{"type":"text","text":"a"}]}])");
  EXPECT_THAT(request.unread, UnorderedElementsAre("container", "mcp_servers", "unheard_of", "tools[0]",
                                                   "tools[1].defer_loading", "messages[0].content[0]"));
  EXPECT_EQ(request.tools.size(), 1U);
}

TEST(AnthropicRequest, ReadsThoughtsByteByByte) {
  chat::Request request =
      read(R"("messages":[{"role":"assistant","content":[{"type":"thinking","thinking":" h\n","signature":"+/=="},)"
           R"({"type":"redacted_thinking","data":"penstock:gemini:abc"}]}])");
  const auto& thought = std::get<chat::Thinking>(request.messages[0].parts[0].content);
  EXPECT_EQ(thought.text, " h\n");
  EXPECT_EQ(thought.signature.bytes, "+/==");
  const auto& redacted = std::get<chat::Thinking>(request.messages[0].parts[1].content);
  EXPECT_TRUE(redacted.redacted);
  EXPECT_EQ(redacted.signature.family, chat::Family::gemini);
}

TEST(AnthropicRequest, TakesNobodysHiddenThoughtForTheSealOfACall) {
  auto parts = [](std::string_view family) {
    auto request =
        read_messages_request(fmt::format(R"({{"model":"m","max_tokens":9,"messages":[{{"role":"assistant","content":[
            {{"type":"redacted_thinking","data":"penstock:{}:seal"}},
            {{"type":"tool_use","id":"1","name":"f","input":{{}}}}]}}]}})",
                                          family),
                              false);
    return request->messages[0].parts;
  };
  EXPECT_EQ(parts("openai").size(), 2U);
  ASSERT_EQ(parts("gemini").size(), 1U);
  EXPECT_EQ(std::get<chat::ToolCall>(parts("gemini")[0].content).signature.bytes, "seal");
}

TEST(AnthropicRequest, MarksTheLastBlockForTheWholeRequest) {
  chat::Request request =
      read(R"("cache_control":{"type":"ephemeral","ttl":"1h"},"messages":[{"role":"user","content":"a"}])");
  EXPECT_EQ(request.messages[0].parts[0].cache, "1h");
}

TEST(AnthropicRequest, MakesDocumentsOfContent) {
  chat::Request request = read(
      R"("messages":[{"role":"user","content":[{"type":"document","title":"t","context":"about","source":{"type":"content",)"
      R"("content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]}])");
  const auto& parts = request.messages[0].parts;
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(std::get<chat::Text>(parts[0].content).text, "about");
  const auto& document = std::get<chat::Media>(parts[1].content);
  EXPECT_EQ(document.type, "text/plain");
  EXPECT_EQ(document.data, "a\nb");
  EXPECT_EQ(document.name, "t");
}

}  // namespace
}  // namespace penstock::ext::anthropic
