#include "ext/providers/gemini/gemini_provider.h"

#include <gmock/gmock.h>

#include "json/value.h"

namespace penstock::ext {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

GeminiProvider provider() {
  GeminiProvider::Options options;
  http::Origin origin;
  origin.url = *net::parse_http_url("http://127.0.0.1:9001/v1beta");
  options.origin = std::make_shared<const http::Origin>(std::move(origin));
  options.api_key = base::Secret("key-1");
  return GeminiProvider(std::move(options));
}

llm::UpstreamRequest encoded(llm::Operation operation, std::string_view body, bool stream, std::string_view model) {
  llm::Request request;
  request.family = llm::Family::gemini;
  request.operation = operation;
  request.body = body;
  request.stream = stream;
  auto upstream = provider().encode(request, model, "id-1");
  EXPECT_TRUE(upstream.has_value());
  return std::move(*upstream);
}

llm::EventVerdict read(std::string_view data, llm::Usage& usage, std::string_view body = "{}") {
  llm::Request request;
  request.body = body;
  return provider().read_event(request, {.raw = data, .data = data, .name = {}}, usage);
}

TEST(GeminiProvider, SendsTheClientsBytesToThePathOfTheModel) {
  std::string body = R"({"contents": [{"parts":[{"text":"\"model\":"}]}] })";
  auto upstream = encoded(llm::Operation::chat, body, true, "lab/small v2");
  EXPECT_EQ(upstream.body.joined(), body);
  EXPECT_THAT(*upstream.head,
              StartsWith("POST /v1beta/models/lab/small%20v2:streamGenerateContent?alt=sse HTTP/1.1\r\n"));
  EXPECT_THAT(*upstream.head, HasSubstr("x-goog-api-key: key-1\r\n"));
  EXPECT_THAT(*encoded(llm::Operation::chat, body, false, "models/m").head,
              StartsWith("POST /v1beta/models/m:generateContent HTTP/1.1\r\n"));
}

TEST(GeminiProvider, ReplacesTheNameWhereItStandsAgain) {
  std::string batch = R"({"requests":[{"model":"models/a","content":{"parts":[]}}, {"model": "models/a"}]})";
  auto upstream = encoded(llm::Operation::embeddings, batch, false, "b");
  EXPECT_EQ(upstream.body.joined(),
            R"({"requests":[{"model":"models/b","content":{"parts":[]}}, {"model": "models/b"}]})");
  EXPECT_THAT(*upstream.head, HasSubstr("/models/b:batchEmbedContents "));
  EXPECT_THAT(*encoded(llm::Operation::embeddings, R"({"content":{}})", false, "b").head, HasSubstr(":embedContent "));
  std::string count = R"({"generateContentRequest":{"model":"models/a"}})";
  EXPECT_EQ(encoded(llm::Operation::count_tokens, count, false, "b").body.joined(),
            R"({"generateContentRequest":{"model":"models/b"}})");
}

TEST(GeminiProvider, TellsUsageErrorsAndTheEndOfAStream) {
  llm::Usage usage;
  std::string_view begun =
      R"({"candidates":[{"content":{"parts":[{"text":"finishReason"}]}}],"usageMetadata":{"promptTokenCount":3}})";
  EXPECT_FALSE(read(begun, usage).last);
  EXPECT_EQ(usage.input, 3);
  std::string_view end = R"({"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,
      "candidatesTokenCount":4,"thoughtsTokenCount":5,"cachedContentTokenCount":2}})";
  EXPECT_TRUE(read(end, usage).last);
  EXPECT_EQ(usage.output, 9);
  EXPECT_EQ(usage.reasoning, 5);
  EXPECT_EQ(usage.cached, 2);
  EXPECT_FALSE(read(end, usage, R"({"generationConfig":{"candidateCount":2}})").last);
  EXPECT_FALSE(read(end, usage, R"({"generation_config":{"candidate_count":2}})").last);
  EXPECT_TRUE(read(R"({"error":{"code":503,"message":"x"}})", usage).error);
}

TEST(GeminiProvider, ReadsEmbeddingsOneForEachInput) {
  chat::EmbeddingsRequest request;
  request.texts = {"a", "b"};
  auto answer = provider().read_embeddings(request, R"({"embeddings":[{"values":[1,0.5]},{"values":[2]}]})");
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->vectors, (std::vector<std::vector<float>>{{1, 0.5}, {2}}));
  EXPECT_FALSE(provider().read_embeddings(request, R"({"embeddings":[{"values":[1]}]})"));
  EXPECT_FALSE(provider().read_embeddings(request, R"({"embeddings":[{"values":["x"]},{}]})"));
}

TEST(GeminiProvider, TellsWhatItClampsOfThinking) {
  struct Case {
    std::string_view model;
    chat::Reasoning reasoning;
    json::Value config;
    bool dropped;
  };
  const Case cases[] = {
      {"gemini-2.5-flash", {.effort = "none"}, json::Object{{"thinkingBudget", 0}}, false},
      {"gemini-2.5-pro", {.effort = "none"}, json::Object{{"thinkingBudget", 128}}, true},
      {"gemini-2.5-pro", {.budget_tokens = 40'000}, json::Object{{"thinkingBudget", 32'768}}, true},
      {"gemini-2.5-flash-lite", {.budget_tokens = 100}, json::Object{{"thinkingBudget", 512}}, true},
      {"gemini-2.5-flash-lite", {.budget_tokens = 0}, json::Object{{"thinkingBudget", 0}}, false},
      {"gemini-3-flash", {.effort = "none"}, json::Object{{"thinkingLevel", "minimal"}}, true},
      {"gemini-3-flash", {.effort = "minimal"}, json::Object{{"thinkingLevel", "minimal"}}, false},
      {"gemini-3-pro", {.effort = "minimal"}, json::Object{{"thinkingLevel", "low"}}, true},
      {"gemini-3-pro", {.effort = "max"}, json::Object{{"thinkingLevel", "high"}}, true},
      {"gemini-3-pro", {.effort = "high"}, json::Object{{"thinkingLevel", "high"}}, false},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(std::string(each.model) + " " + each.reasoning.effort);
    chat::Request request;
    request.messages.push_back({.role = chat::Role::user, .parts = {{chat::Text{"hi"}}}});
    request.reasoning = each.reasoning;
    chat::Dropped dropped;
    auto body = write_generate(request, each.model, ToolSchema::json_schema, dropped);
    ASSERT_TRUE(body.has_value());
    EXPECT_EQ(json::dump(body->at("generationConfig").at("thinkingConfig")), json::dump(each.config));
    EXPECT_EQ(dropped.has(chat::Field::reasoning), each.dropped);
  }
}

}  // namespace
}  // namespace penstock::ext
