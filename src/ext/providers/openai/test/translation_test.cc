// Requests said in OpenAI's dialect, and whole answers and errors heard in it.
#include <gmock/gmock.h>

#include "chat/turns.h"
#include "ext/providers/openai/answer_reader.h"
#include "ext/providers/openai/embeddings_translator.h"
#include "ext/providers/openai/error_reader.h"
#include "ext/providers/openai/request_writer.h"

namespace penstock::ext {
namespace {

using chat::Field;
using chat::Role;
using testing::ElementsAre;
using testing::HasSubstr;

struct Said {
  json::Value body;
  chat::Dropped dropped;
};

Said say(const chat::Request& request, bool compatible = false) {
  Said said;
  std::string text;
  auto written = write_openai_chat_request(request, "m", compatible, said.dropped, text);
  EXPECT_TRUE(written.has_value()) << written.error().detail;
  if (!written) return said;
  auto parsed = json::parse(text);
  EXPECT_TRUE(parsed.has_value()) << text;
  if (parsed) said.body = *parsed;
  return said;
}

json::Value json_of(std::string_view text) { return json::parse(text).value(); }

chat::Request asking(std::vector<chat::Part> parts) {
  chat::Request request;
  request.messages.push_back({.role = Role::user, .parts = std::move(parts)});
  return request;
}

TEST(OpenAiRequestWriter, SaysNothingThatWasNotSaid) {
  EXPECT_EQ(say(asking({{.content = chat::Text{"hi"}}})).body,
            json_of(R"({"model":"m","messages":[{"role":"user","content":"hi"}]})"));
}

TEST(OpenAiRequestWriter, KeepsToWhatCompatibleServersKnow) {
  chat::Request request = asking({{.content = chat::Text{"hi"}}});
  request.messages.insert(request.messages.begin(), {.role = Role::developer, .parts = {{.content = chat::Text{"d"}}}});
  request.max_output_tokens = 5;
  request.top_k = 3;
  request.min_p = 0.5;
  request.repeat_penalty = 1.5;
  request.stop = {"a", "b", "c", "d", "e"};
  Said other = say(request, true);
  EXPECT_EQ(other.body, json_of(R"({"model":"m","messages":[{"role":"system","content":"d"},)"
                                R"({"role":"user","content":"hi"}],"top_k":3,"min_p":0.5,"repetition_penalty":1.5,)"
                                R"("stop":["a","b","c","d","e"],"max_tokens":5})"));
  EXPECT_FALSE(other.dropped.any());
  Said own = say(request);
  EXPECT_EQ(own.body, json_of(R"({"model":"m","messages":[{"role":"developer","content":"d"},)"
                              R"({"role":"user","content":"hi"}],"stop":["a","b","c","d"],)"
                              R"("max_completion_tokens":5})"));
  EXPECT_THAT(own.dropped.list(), ElementsAre(Field::top_k, Field::min_p, Field::repeat_penalty, Field::stop));
}

TEST(OpenAiRequestWriter, ClampsTheTemperature) {
  chat::Request request = asking({});
  request.temperature = 3;
  Said said = say(request);
  EXPECT_EQ(said.body.at("temperature").to_number<double>(), 2);
  EXPECT_TRUE(said.dropped.has(Field::temperature));
}

TEST(OpenAiRequestWriter, LeavesOutMediaThatOpenAiDoesNotTake) {
  using Kind = chat::Media::Kind;
  Said said = say(asking({{.content = chat::Text{"t"}},
                          {.content = chat::Media{.kind = Kind::video, .data = "AA=="}},
                          {.content = chat::Media{.kind = Kind::audio, .type = "audio/ogg", .data = "AA=="}},
                          {.content = chat::Media{.kind = Kind::image, .file = "file-1"}},
                          {.content = chat::Media{.kind = Kind::document, .url = "https://x/a.pdf"}}}));
  EXPECT_EQ(said.body.at("messages").at(0).at("content"), json_of(R"([{"type":"text","text":"t"}])"));
  EXPECT_THAT(said.dropped.list(),
              testing::UnorderedElementsAre(Field::video, Field::audio, Field::file, Field::document_url));
}

TEST(OpenAiRequestWriter, NamesDetails) {
  Said said = say(asking({{.content = chat::Media{.url = "https://x", .detail = "low"}}}));
  EXPECT_EQ(said.body.at("messages").at(0).at("content"),
            json_of(R"([{"type":"image_url","image_url":{"url":"https://x","detail":"low"}}])"));
}

TEST(OpenAiRequestWriter, RefusesAMessageOfWhichNothingIsLeft) {
  chat::Media file{.kind = chat::Media::Kind::document, .file = "file-1"};
  chat::Request request = asking({{.content = chat::Text{}}, {.content = file}});
  chat::Dropped dropped;
  std::string text;
  auto written = write_openai_chat_request(request, "m", false, dropped, text);
  ASSERT_FALSE(written.has_value());
  EXPECT_EQ(written.error().code, Errc::invalid_argument);
  EXPECT_THAT(written.error().detail, testing::AllOf(HasSubstr("messages[0].content"), HasSubstr("file")));
  // Results of tools say something.
  request.messages[0].parts[0] = {.content = chat::ToolResult{"c", "", {chat::Text{"r"}, file}}};
  Said said = say(request);
  EXPECT_EQ(said.body.at("messages"), json_of(R"([{"role":"tool","tool_call_id":"c","content":"r"}])"));
  EXPECT_THAT(said.dropped.list(), ElementsAre(Field::file));
}

TEST(OpenAiRequestWriter, ChoosesNoToolsWhereThereAreNone) {
  chat::Request request = asking({});
  request.tool_choice.mode = chat::ToolChoice::Mode::required;
  request.parallel_tool_calls = false;
  Said said = say(request);
  EXPECT_EQ(said.body, json_of(R"({"model":"m","messages":[{"role":"user","content":""}]})"));
  EXPECT_THAT(said.dropped.list(), ElementsAre(Field::tool_choice, Field::parallel_tool_calls));
}

TEST(OpenAiAnswerReader, ReadsEverything) {
  auto answer = read_openai_chat_answer(R"({"id":"c","created":7,"model":"m","service_tier":"flex",
    "system_fingerprint":"fp","choices":[{"index":1,"message":{"content":"b"},"finish_reason":"length"},
    {"index":0,"finish_reason":"stop","logprobs":{"content":[]},"message":{"reasoning_content":"hm","content":"a",
    "refusal":"no","tool_calls":[{"id":"t","function":{"name":"f","arguments":""}},{"function":{"name":"g","arguments":{"x":1}}}]}}],
    "usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":8,"audio_tokens":1},
    "completion_tokens_details":{"reasoning_tokens":3,"audio_tokens":2}}})");
  ASSERT_TRUE(answer.has_value()) << answer.error().detail;
  EXPECT_EQ(answer->id, "c");
  EXPECT_EQ(answer->created, 7);
  EXPECT_EQ(answer->service_tier, "flex");
  EXPECT_EQ(answer->system_fingerprint, "fp");
  ASSERT_EQ(answer->choices.size(), 2U);
  const chat::Choice& first = answer->choices[0];
  EXPECT_EQ(first.finish, chat::Finish::tool_calls) << "an answer with calls ended for them";
  ASSERT_EQ(first.parts.size(), 5U);
  EXPECT_EQ(std::get<chat::Thinking>(first.parts[0].content).text, "hm");
  EXPECT_EQ(std::get<chat::Text>(first.parts[1].content).text, "a");
  EXPECT_EQ(std::get<chat::Refusal>(first.parts[2].content).text, "no");
  EXPECT_EQ(std::get<chat::ToolCall>(first.parts[3].content).arguments, "{}");
  EXPECT_EQ(std::get<chat::ToolCall>(first.parts[4].content).arguments, "{\"x\":1}");
  EXPECT_EQ(std::get<chat::ToolCall>(first.parts[4].content).id, chat::make_call_id("c", 0, 1, "g"));
  EXPECT_EQ(answer->choices[1].finish, chat::Finish::length);
  EXPECT_EQ(
      answer->usage,
      (chat::Usage{
          .known = true, .input = 10, .output = 4, .cached = 8, .reasoning = 3, .audio_input = 1, .audio_output = 2}));
}

TEST(OpenAiAnswerReader, AddsThoughtsThatWereCountedBesideTheAnswer) {
  auto usage = read_openai_usage(json_of(R"({"usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":17,
    "completion_tokens_details":{"reasoning_tokens":3}}})"));
  EXPECT_EQ(usage.output, 7);
}

TEST(OpenAiAnswerReader, KeepsSealsOfOtherFamilies) {
  auto answer = read_openai_chat_answer(R"({"choices":[{"message":{"content":null,
    "thinking_blocks":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"redacted_thinking","data":"d"}],
    "reasoning_content":"t","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"},
    "extra_content":{"google":{"thought_signature":"g"}}}]}}]})");
  ASSERT_TRUE(answer.has_value()) << answer.error().detail;
  const auto& parts = answer->choices[0].parts;
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(std::get<chat::Thinking>(parts[0].content).signature.bytes, "s");
  EXPECT_TRUE(std::get<chat::Thinking>(parts[1].content).redacted);
  EXPECT_EQ(std::get<chat::ToolCall>(parts[2].content).signature.family, chat::Family::gemini);
  EXPECT_FALSE(answer->usage.known);
}

TEST(OpenAiAnswerReader, RefusesWhatIsNoAnswer) {
  for (std::string_view body : {"", "[]", "{}", R"({"choices":[]})", R"({"choices":{}})", R"({"choices":[1]})",
                                R"({"choices":[{"message":{"tool_calls":[{}]}}]})",
                                R"({"choices":[{"message":{"tool_calls":[{"function":{"name":""}}]}}]})"}) {
    EXPECT_FALSE(read_openai_chat_answer(body).has_value()) << body;
  }
  auto failed = read_openai_chat_answer(R"({"error":{"message":"no memory"},"choices":[]})");
  EXPECT_THAT(failed.error().detail, HasSubstr("no memory"));
}

TEST(OpenAiErrorReader, ReadsEveryShape) {
  struct Row {
    int status;
    std::string_view body, type, message;
  };
  constexpr Row kRows[] = {
      {400, R"({"error":{"message":"m","type":"invalid_request_error"}})", "invalid_request_error", "m"},
      {429, R"({"error":{"message":"m","type":"insufficient_quota"}})", "insufficient_quota", "m"},
      {400, R"({"object":"error","message":"m","type":"BadRequestError","code":400})", "invalid_request_error", "m"},
      {503, R"({"error":"loading"})", "server_error", "loading"},
      {404, R"({"detail":"Not Found"})", "not_found_error", "Not Found"},
      {422, R"({"detail":[{"loc":["body"],"msg":"a"},{"msg":"b"}]})", "invalid_request_error", "a; b"},
      {401, R"({"message":"who?"})", "authentication_error", "who?"},
      {400, R"([{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}])", "invalid_request_error", "m"},
      {502, " bad gateway \n", "server_error", "bad gateway"},
      {502, "<html><body>502</body></html>", "server_error", ""},
      {500, "", "server_error", ""},
      {500, "\xff", "server_error", ""},
      {500, "{\"error\":", "server_error", ""},
  };
  for (const Row& row : kRows) {
    chat::ProviderError error = read_openai_error(row.status, row.body);
    EXPECT_EQ(error.status, row.status);
    EXPECT_EQ(error.type, row.type) << row.body;
    EXPECT_EQ(error.message, row.message) << row.body;
  }
  chat::ProviderError error = read_openai_error(404, R"({"error":{"message":"m","param":"model","code":"gone"}})");
  EXPECT_EQ(error.param, "model");
  EXPECT_EQ(error.code, "gone");
}

chat::EmbeddingsRequest two_texts() {
  chat::EmbeddingsRequest request;
  request.texts = {"a", "b"};
  return request;
}

TEST(OpenAiEmbeddings, AreAskedForAndRead) {
  chat::EmbeddingsRequest request = two_texts();
  request.dimensions = 2;
  request.user = "u";
  std::string body;
  write_openai_embeddings_request(request, "m", body);
  EXPECT_EQ(body, R"({"model":"m","input":["a","b"],"dimensions":2,"user":"u"})");
  auto answer = read_openai_embeddings(request, R"({"data":[{"embedding":[1,2.5],"index":1},
    {"index":0,"embedding":"AACAPwAAAMA="}],"model":"e","usage":{"prompt_tokens":3,"total_tokens":3}})");
  ASSERT_TRUE(answer.has_value()) << answer.error().detail;
  EXPECT_THAT(answer->vectors, ElementsAre(ElementsAre(1, -2), ElementsAre(1, 2.5)));
  EXPECT_EQ(answer->model, "e");
  EXPECT_EQ(answer->usage.input, 3);
}

TEST(OpenAiEmbeddings, SayOneInputWithoutAList) {
  chat::EmbeddingsRequest request;
  request.tokens = {{1, 2}};
  request.single = true;
  std::string body;
  write_openai_embeddings_request(request, "m", body);
  EXPECT_EQ(body, R"({"model":"m","input":[1,2]})");
}

TEST(OpenAiEmbeddings, RefuseWhatIsNoAnswer) {
  chat::EmbeddingsRequest request = two_texts();
  for (std::string_view body :
       {"", "{}", R"({"data":[]})", R"({"data":[{"embedding":[1]}]})",
        R"({"data":[{"embedding":[1]},{"embedding":[]}]})",
        R"({"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]})",
        R"({"data":[{"index":9,"embedding":[1]},{"index":0,"embedding":[1]}]})",
        R"({"data":[{"embedding":"AAA"},{"embedding":"AAAA"}]})", R"({"data":[{"embedding":["x"]},1]})"}) {
    EXPECT_FALSE(read_openai_embeddings(request, body).has_value()) << body;
  }
}

}  // namespace
}  // namespace penstock::ext
