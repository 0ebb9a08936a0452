#include <gmock/gmock.h>

#include "chat/data_url.h"
#include "chat/effort.h"
#include "chat/field.h"
#include "chat/signature.h"
#include "chat/stream.h"
#include "chat/turns.h"

namespace penstock::chat {
namespace {

using testing::ElementsAre;

TEST(Finish, ReadsEachWordItWrites) {
  for (std::size_t i = 0; i < kFamilies; ++i) {
    auto family = static_cast<Family>(i);
    EXPECT_EQ(write_finish(family, Finish::none), "");
    for (Finish finish : {Finish::stop, Finish::length}) {
      EXPECT_EQ(read_finish(family, write_finish(family, finish), false), finish) << to_string(family);
    }
    EXPECT_EQ(read_finish(family, write_finish(family, Finish::tool_calls), true), Finish::tool_calls);
    EXPECT_EQ(read_finish(family, "", true), Finish::none);
  }
}

TEST(Finish, CallsCountUnlessTheAnswerWasCut) {
  EXPECT_EQ(read_finish(Family::gemini, "STOP", true), Finish::tool_calls);
  EXPECT_EQ(read_finish(Family::ollama, "length", true), Finish::length);
  EXPECT_EQ(read_finish(Family::openai, "eos", false), Finish::stop);
  EXPECT_EQ(read_finish(Family::gemini, "MALFORMED_FUNCTION_CALL", true), Finish::error);
  EXPECT_EQ(read_finish(Family::gemini, "CONTINUATION", false), Finish::pause);
  EXPECT_EQ(read_finish(Family::gemini, "ESCALATION", true), Finish::content_filter);
}

TEST(Effort, ChangesWordsAndTokensIntoEachOther) {
  for (std::string_view word : {"none", "minimal", "low", "medium", "high"})
    EXPECT_EQ(effort_of_tokens(tokens_of_effort(word)), word);
  EXPECT_EQ(effort_of_tokens(5000), "medium");
  EXPECT_EQ(effort_of_tokens(1'000'000), "high");
  EXPECT_EQ(tokens_of({.budget_tokens = 77}), 77);
  EXPECT_EQ(effort_of({.on = false, .effort = "high"}), "none");
  EXPECT_TRUE(is_off({.budget_tokens = 0}));
}

TEST(Signature, IsBareOnlyAtHome) {
  Signature signature{"abc:/+=", Family::gemini};
  EXPECT_EQ(write_signature(signature, Family::gemini), "abc:/+=");
  std::string abroad = write_signature(signature, Family::anthropic);
  EXPECT_EQ(abroad, "penstock:gemini:abc:/+=");
  Signature back = read_signature(abroad, Family::anthropic);
  EXPECT_EQ(back.bytes, signature.bytes);
  EXPECT_EQ(back.family, Family::gemini);
  EXPECT_EQ(read_signature("xyz", Family::anthropic).family, Family::anthropic);
  EXPECT_EQ(read_signature("penstock:nobody:x", Family::openai).bytes, "penstock:nobody:x");
}

TEST(Turns, AlternateAndPutResultsFirst) {
  Request request;
  request.messages = {{.role = Role::system, .parts = {{Text{"be kind"}}}},
                      {.role = Role::user, .parts = {{Text{"a"}}, {Text{""}}}},
                      {.role = Role::user, .parts = {{Text{"b"}}}},
                      {.role = Role::assistant, .parts = {{ToolCall{"1", "f", "{}"}}, {ToolCall{"2", "g", "{}"}}}},
                      {.role = Role::tool, .parts = {{ToolResult{"1", "f"}}}},
                      {.role = Role::user, .parts = {{Text{"c"}}}},
                      {.role = Role::tool, .parts = {{ToolResult{"2", "g"}}}}};
  Conversation got = alternate(request);
  EXPECT_EQ(got.instructions.size(), 1U);
  ASSERT_EQ(got.turns.size(), 3U);
  EXPECT_EQ(got.turns[0].parts.size(), 2U);
  EXPECT_TRUE(got.turns[1].assistant);
  ASSERT_EQ(got.turns[2].parts.size(), 3U);
  EXPECT_EQ(std::get<ToolResult>(got.turns[2].parts[0]->content).id, "1");
  EXPECT_EQ(std::get<ToolResult>(got.turns[2].parts[1]->content).id, "2");
  EXPECT_EQ(std::get<Text>(got.turns[2].parts[2]->content).text, "c");
}

TEST(Turns, TieCallsWithoutIdsToTheirResults) {
  std::vector<Message> messages = {
      {.role = Role::assistant,
       .parts = {{ToolCall{"", "f", "{}"}}, {ToolCall{"", "g", "{}"}}, {ToolCall{"x", "f", "{}"}}}},
      {.role = Role::tool, .parts = {{ToolResult{"", "g"}}, {ToolResult{"", "f"}}, {ToolResult{"x", ""}}}}};
  tie_calls(messages);
  std::vector<std::string> ids;
  std::vector<std::string> names;
  for (const Part& part : messages[1].parts) {
    ids.push_back(std::get<ToolResult>(part.content).id);
    names.push_back(std::get<ToolResult>(part.content).name);
  }
  EXPECT_THAT(ids, ElementsAre("call_1", "call_0", "x"));
  EXPECT_THAT(names, ElementsAre("g", "f", "f"));
}

TEST(CallId, DependsOnEverything) {
  std::string id = make_call_id("a", 0, 1, "f");
  EXPECT_EQ(id.size(), 29U);
  EXPECT_EQ(id, make_call_id("a", 0, 1, "f"));
  EXPECT_NE(id, make_call_id("a", 1, 1, "f"));
  EXPECT_NE(id, make_call_id("a", 0, 2, "f"));
  EXPECT_NE(id, make_call_id("b", 0, 1, "f"));
}

TEST(DataUrl, IsTakenApart) {
  auto url = read_data_url("data:image/png;charset=x;base64,AAAA");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->type, "image/png");
  EXPECT_EQ(url->data, "AAAA");
  EXPECT_FALSE(read_data_url("https://x/y.png"));
  EXPECT_FALSE(read_data_url("data:text/plain,hello"));
  EXPECT_FALSE(read_data_url("data:image/png;base64"));
  EXPECT_EQ(write_data_url("image/png", "AAAA"), "data:image/png;base64,AAAA");
  EXPECT_EQ(sniff_media_type("iVBORw0KGgo="), "image/png");
  EXPECT_EQ(sniff_media_type("JVBERi0xLjQK"), "application/pdf");
  EXPECT_EQ(sniff_media_type("!!"), "");
  EXPECT_EQ(media_type_of_name("a.b.JPG?x=1"), "image/jpeg");
  EXPECT_EQ(media_type_of_name("noending"), "");
}

TEST(AnswerCollector, GivesBackWhatWasReplayed) {
  Answer answer;
  answer.id = "1";
  answer.usage = {.known = true, .input = 3, .output = 4};
  answer.choices.resize(2);
  answer.choices[0].parts = {{Thinking{"hm", {"sig", Family::anthropic}}},
                             {Thinking{"", {"blob", Family::anthropic}, true}},
                             {Thinking{"more"}},
                             {Text{"hello", {{.url = "u"}}}},
                             {ToolCall{"c", "f", R"({"a":1})"}}};
  answer.choices[0].finish = Finish::tool_calls;
  answer.choices[1].parts = {{Refusal{"no"}}};
  AnswerCollector sink;
  replay(answer, sink);
  EXPECT_TRUE(sink.ended());
  const Answer& got = sink.answer();
  ASSERT_EQ(got.choices.size(), 2U);
  ASSERT_EQ(got.choices[0].parts.size(), 5U);
  EXPECT_EQ(std::get<Thinking>(got.choices[0].parts[1].content).signature.bytes, "blob");
  EXPECT_EQ(std::get<Thinking>(got.choices[0].parts[2].content).text, "more");
  EXPECT_EQ(std::get<Text>(got.choices[0].parts[3].content).citations.size(), 1U);
  EXPECT_EQ(std::get<ToolCall>(got.choices[0].parts[4].content).arguments, R"({"a":1})");
  EXPECT_EQ(got.choices[0].finish, Finish::tool_calls);
  EXPECT_EQ(std::get<Refusal>(got.choices[1].parts[0].content).text, "no");
  EXPECT_EQ(got.usage, answer.usage);
}

TEST(Dropped, ListsFieldsByName) {
  Dropped dropped;
  EXPECT_FALSE(dropped.any());
  dropped.add(Field::seed);
  dropped.add(Field::cached_content);
  ASSERT_EQ(dropped.list().size(), 2U);
  EXPECT_EQ(to_string(dropped.list()[0]), "seed");
  EXPECT_EQ(to_string(dropped.list()[1]), "cached_content");
}

}  // namespace
}  // namespace penstock::chat
