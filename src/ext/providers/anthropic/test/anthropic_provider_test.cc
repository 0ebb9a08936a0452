#include "ext/providers/anthropic/anthropic_provider.h"

#include <gmock/gmock.h>

#include <limits>

namespace penstock::ext::anthropic {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

AnthropicProvider make(MessagesOptions messages = {}, std::vector<std::string> betas = {}) {
  AnthropicProvider::Options options;
  http::Origin origin;
  origin.url = *net::parse_http_url("http://127.0.0.1:9001/v1");
  options.origin = std::make_shared<const http::Origin>(std::move(origin));
  options.api_key = base::Secret("sk-secret");
  options.messages = messages;
  options.betas = std::move(betas);
  return AnthropicProvider(std::move(options));
}

llm::UpstreamRequest encode(const AnthropicProvider& provider, const std::string& body, std::string_view lines = {}) {
  constexpr std::array<std::string_view, 1> kNames{"model"};
  auto peeked = json::peek(body, kNames);
  llm::Request request;
  request.family = chat::Family::anthropic;
  request.body = body;
  request.model = peeked->fields[0];
  request.lines = lines;
  return std::move(*provider.encode(request, "real", "id-1"));
}

TEST(AnthropicProvider, ReplacesNothingButTheModel) {
  std::string body = " {\"x\":1.0e+0, \"model\" : \"chat\" ,\"messages\":[{\"model\":\"chat\"}]}\n";
  llm::UpstreamRequest upstream = encode(make(), body);
  EXPECT_EQ(upstream.body.joined(), " {\"x\":1.0e+0, \"model\" : \"real\" ,\"messages\":[{\"model\":\"chat\"}]}\n");
  EXPECT_THAT(*upstream.head, StartsWith("POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1:9001\r\n"));
  EXPECT_THAT(*upstream.head, HasSubstr("x-api-key: sk-secret\r\n"));
  EXPECT_THAT(*upstream.head, HasSubstr("anthropic-version: 2023-06-01\r\n"));
  EXPECT_THAT(*upstream.head, HasSubstr(fmt::format("content-length: {}\r\n", upstream.body.bytes())));
}

TEST(AnthropicProvider, KeepsTheClientsVersionAndBetas) {
  std::string body = R"({"model":"real"})";
  llm::UpstreamRequest upstream =
      encode(make({}, {"one", "two"}), body, "Anthropic-Version: 2024-01-01\r\nanthropic-beta: three\r\n");
  EXPECT_THAT(*upstream.head, Not(HasSubstr("2023-06-01")));
  EXPECT_THAT(*upstream.head, HasSubstr("Anthropic-Version: 2024-01-01\r\n"));
  EXPECT_THAT(*upstream.head, HasSubstr("anthropic-beta: one,two\r\n"));
  EXPECT_THAT(*upstream.head, HasSubstr("anthropic-beta: three\r\n"));
  EXPECT_EQ(upstream.body.joined(), body);
}

TEST(AnthropicProvider, CountsCachedTokensAsInput) {
  auto usage = make().read_answer(
      llm::Operation::chat, R"({"usage":{"input_tokens":3,"output_tokens":9,"cache_read_input_tokens":100,)"
                            R"("cache_creation_input_tokens":20,"cache_creation":{"ephemeral_1h_input_tokens":5}}})");
  ASSERT_TRUE(usage.has_value());
  EXPECT_EQ(
      *usage,
      (llm::Usage{.known = true, .input = 123, .output = 9, .cached = 100, .cache_write = 20, .cache_write_hour = 5}));
}

TEST(AnthropicProvider, ReadsUsageAndTheEndOfStreams) {
  AnthropicProvider provider = make();
  llm::Usage usage;
  auto see = [&](std::string_view name, std::string_view data) {
    return provider.read_event({}, {.raw = data, .data = data, .name = name}, usage);
  };
  see("message_start",
      R"({"type":"message_start","message":{"usage":{"input_tokens":3,"cache_read_input_tokens":10,"output_tokens":1}}})");
  EXPECT_EQ(usage.input, 13);
  see("content_block_delta", R"({"type":"content_block_delta","delta":{"text":"usage"}})");
  see("message_delta", R"({"type":"message_delta","delta":{},"usage":{"output_tokens":42}})");
  EXPECT_EQ(usage.input, 13);
  EXPECT_EQ(usage.output, 42) << "it is the sum already";
  EXPECT_TRUE(see("message_stop", R"({"type":"message_stop"})").last);
  EXPECT_TRUE(see("error", R"({"type":"error","error":{"type":"overloaded_error"}})").error);
  EXPECT_TRUE(see("", R"({"type":"message_stop"})").last) << "some servers leave the names out";
}

std::string said(const MessagesOptions& options, chat::Request request, chat::Dropped& dropped) {
  request.messages = {{.role = chat::Role::user, .parts = {{chat::Text{"hi"}}}}};
  return make(options).encode(request, "m", "id", dropped)->body.joined();
}

TEST(AnthropicProvider, SaysEffortInAWordWhereThinkingIsAdaptive) {
  chat::Dropped dropped;
  chat::Request request;
  request.reasoning.effort = "minimal";
  std::string body = said({.adaptive_thinking = true}, request, dropped);
  EXPECT_THAT(body, HasSubstr(R"("thinking":{"type":"adaptive"})"));
  EXPECT_THAT(body, HasSubstr(R"("output_config":{"effort":"low"})"));
  EXPECT_THAT(body, HasSubstr(R"("max_tokens":8192)"));
  EXPECT_FALSE(dropped.any());
}

TEST(AnthropicProvider, AsksForASchemaByATool) {
  chat::Dropped dropped;
  chat::Request request;
  request.format.kind = chat::OutputFormat::Kind::schema;
  request.format.schema = *json::parse(R"({"type":"object","properties":{"a":{"type":"integer"}}})");
  request.tools = {{.name = "answer_in_json"}};
  request.reasoning.effort = "low";
  std::string body = said({.format_by_tool = true}, request, dropped);
  EXPECT_THAT(body, HasSubstr(R"("name":"answer_in_json_")")) << "the name is taken";
  EXPECT_THAT(body, HasSubstr(R"("tool_choice":{"type":"any"})"));
  EXPECT_THAT(body, Not(HasSubstr("output_config")));
  EXPECT_TRUE(dropped.has(chat::Field::reasoning)) << "a forced tool and thoughts are an error there";
}

TEST(AnthropicProvider, ReadsErrorsByTypeAndStatus) {
  chat::ProviderError error =
      make().read_error(529, R"({"type":"error","error":{"type":"overloaded_error","message":"busy"}})");
  EXPECT_EQ(error.status, 503);
  EXPECT_EQ(error.message, "busy");
  EXPECT_EQ(make().read_error(502, "<html>").message, "");
  EXPECT_EQ(make().read_error(502, "<html>").type, "server_error");
}

TEST(AnthropicProvider, TakesOutThoughtsOfOtherFamilies) {
  std::string body =
      R"({"model":"chat","thinking":{"type":"enabled","budget_tokens":1024},"other":1,"messages":[)"
      R"({"role":"user","content":"a"},)"
      R"({"role":"assistant","content":[{"type":"thinking","thinking":"x","signature": ""}]},)"
      R"({"role":"assistant","content":[{"type":"thinking","thinking":"own","signature":"c2VhbA=="},)"
      R"({"type":"redacted_thinking","data":"penstock:gemini:x"},{"type":"text","text":"penstock: b"}]},)"
      R"({"role":"user","content":"c"},)"
      R"({"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"penstock:openai:y"},)"
      R"({"type":"tool_use","id":"1","name":"f","input":{}}]},)"
      R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"1"}]}]})";
  llm::UpstreamRequest upstream = encode(make(), body);
  EXPECT_EQ(*json::parse(upstream.body.joined()),
            *json::parse(R"({"model":"real","other":1,"messages":[{"role":"user","content":"a"},
              {"role":"assistant","content":[{"type":"thinking","thinking":"own","signature":"c2VhbA=="},
                                             {"type":"text","text":"penstock: b"}]},
              {"role":"user","content":"c"},
              {"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]},
              {"role":"user","content":[{"type":"tool_result","tool_use_id":"1"}]}]})"))
      << upstream.body.joined();
  EXPECT_THAT(*upstream.head, HasSubstr(fmt::format("content-length: {}\r\n", upstream.body.bytes())));
  std::string own = R"({"model":"real", "messages":[{"role":"user","content":"penstock: \"signature\":\"\""}]})";
  EXPECT_EQ(encode(make(), own).body.joined(), own) << "words are no seals";
}

TEST(AnthropicProvider, LeavesOutSamplingWhereThinkingIsAdaptive) {
  chat::Dropped dropped;
  chat::Request request;
  request.temperature = 0.5;
  request.top_p = 0.5;
  request.top_k = 5;
  std::string body = said({.adaptive_thinking = true}, request, dropped);
  EXPECT_THAT(body, Not(HasSubstr("temperature")));
  EXPECT_THAT(body, Not(HasSubstr("top_")));
  EXPECT_THAT(dropped.list(), testing::ElementsAre(chat::Field::temperature, chat::Field::top_p, chat::Field::top_k));
}

TEST(AnthropicProvider, BoundsBudgetsAndLeavesRoomForAnAnswer) {
  chat::Dropped dropped;
  chat::Request request;
  request.reasoning.budget_tokens = std::numeric_limits<std::int64_t>::max();
  std::string body = said({}, request, dropped);
  EXPECT_THAT(body, HasSubstr(R"("budget_tokens":1000000)"));
  EXPECT_THAT(body, HasSubstr(R"("max_tokens":1008192)"));
  request.reasoning = {.effort = "medium"};
  request.max_output_tokens = 8193;
  EXPECT_THAT(said({}, request, dropped), HasSubstr(R"("max_tokens":16385)")) << "one token is no answer";
}

TEST(AnthropicProvider, TrimsTheLastTextThatGoesOutAndShowsNothingForTheModel) {
  chat::Request request;
  request.messages = {
      {.role = chat::Role::user, .parts = {{chat::Text{"a"}}}},
      {.role = chat::Role::assistant,
       .parts = {
           {chat::Text{"b  "}}, {chat::Thinking{.text = "x"}}, {chat::Media{.type = "image/png", .data = "AA=="}}}}};
  chat::Dropped dropped;
  std::string body = make().encode(request, "m", "id", dropped)->body.joined();
  EXPECT_THAT(body, HasSubstr(R"("content":[{"type":"text","text":"b"}])"));
  EXPECT_THAT(dropped.list(), testing::ElementsAre(chat::Field::thinking, chat::Field::image));
}

TEST(AnthropicProvider, AnySchemaOfStrictToolsAndFormatsIsUnderstood) {
  auto schema = *json::parse(R"({"type":"object","$schema":"s","additionalProperties":{"type":"string"},"properties":{
      "a":{"oneOf":[{"type":"string","pattern":"^x$","format":"uri"},{"type":"null"}]},
      "b":{"type":"string","format":"int-date","description":"d"},
      "c":{"$ref":"#/$defs/e","description":"gone"},
      "e":{"type":"array","prefixItems":[{"type":"string"}],"minItems":2}},
      "required":["a"],"$defs":{"e":{"enum":["x",1]}}})");
  auto understood = *json::parse(R"j({"type":"object","additionalProperties":false,"properties":{
      "a":{"anyOf":[{"type":"string","format":"uri","description":"(pattern: \"^x$\")"},{"type":"null"}]},
      "b":{"type":"string","description":"d\n\n(format: \"int-date\")"},
      "c":{"$ref":"#/$defs/e"},
      "e":{"type":"array","description":"(prefixItems: [{\"type\":\"string\"}], minItems: 2)"}},
      "required":["a"],"$defs":{"e":{"enum":["x",1]}}})j");
  chat::Request request;
  request.tools = {{.name = "f", .schema = schema, .strict = true}, {.name = "g", .schema = schema}};
  request.format = {.kind = chat::OutputFormat::Kind::schema, .description = "what", .schema = schema};
  chat::Dropped dropped;
  auto body = *json::parse(said({}, request, dropped));
  EXPECT_EQ(body.at("tools").at(0).at("input_schema"), understood) << json::dump(body);
  EXPECT_EQ(body.at("tools").at(1).at("input_schema"), schema);
  understood.get_object()["description"] = "what";
  EXPECT_EQ(body.at("output_config").at("format").at("schema"), understood);
  EXPECT_FALSE(dropped.any());
  request.format.schema.get_object()["description"] = "its own";
  said({}, request, dropped);
  EXPECT_THAT(dropped.list(), testing::ElementsAre(chat::Field::response_format));
}

TEST(AnthropicProvider, AFormatWithoutASchemaIsAnyJson) {
  chat::Request request;
  request.format.kind = chat::OutputFormat::Kind::schema;
  chat::Dropped dropped;
  std::string body = said({}, request, dropped);
  EXPECT_THAT(body, Not(HasSubstr("output_config")));
  EXPECT_THAT(body, HasSubstr(R"("tool_choice":{"type":"tool","name":"answer_in_json"})"));
  EXPECT_FALSE(dropped.any());
}

// The body as it goes out when at most so many tokens are allowed; the error's text when it cannot.
std::string lowered(const std::string& body, std::int64_t most) {
  constexpr std::array<std::string_view, 2> kNames{"model", "max_tokens"};
  auto peeked = json::peek(body, kNames);
  llm::Request request;
  request.family = chat::Family::anthropic;
  request.body = body;
  request.model = peeked->fields[0];
  request.output.take(peeked->fields[1]);
  request.output.insert(1, 1, R"("max_tokens":)", ",");
  request.output_most = most;
  auto upstream = make().encode(request, "real", "id-1");
  return upstream ? upstream->body.joined() : upstream.error().detail;
}

TEST(AnthropicProvider, LowersTheOutputAndWhatIsThoughtOfIt) {
  EXPECT_EQ(lowered(R"({"model":"real", "max_tokens" : 9000,"x":1.50})", 4000),
            R"({"model":"real", "max_tokens" : 4000,"x":1.50})");
  EXPECT_EQ(lowered(R"({"model":"chat","max_tokens":9000,"thinking":{"type":"enabled", "budget_tokens":8000 }})", 4000),
            R"({"model":"real","max_tokens":4000,"thinking":{"type":"enabled", "budget_tokens":3999 }})");
  EXPECT_EQ(lowered(R"({"model":"real","max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":2000}})", 4000),
            R"({"model":"real","max_tokens":4000,"thinking":{"type":"enabled","budget_tokens":2000}})");
  EXPECT_THAT(lowered(R"({"model":"real","max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":2000}})", 500),
              HasSubstr("at most 500 are allowed"));
}

TEST(AnthropicProvider, TakesNonsenseForNoReport) {
  auto usage = make().read_answer(llm::Operation::chat, R"({"usage":{"input_tokens":-3,"output_tokens":9}})");
  ASSERT_TRUE(usage.has_value());
  EXPECT_FALSE(usage->known);
}

}  // namespace
}  // namespace penstock::ext::anthropic
