#include "ext/providers/openai/openai_provider.h"

#include <gmock/gmock.h>

#include "json/value.h"

namespace penstock::ext {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::shared_ptr<const llm::Provider> provider(std::string key = "sk-secret") {
  OpenAiProvider::Options options;
  http::Origin origin;
  origin.url = *net::parse_http_url("http://127.0.0.1:9001/v1");
  options.origin = std::make_shared<const http::Origin>(std::move(origin));
  options.api_key = base::Secret(std::move(key));
  return std::make_shared<const OpenAiProvider>(std::move(options));
}

// A request as the OpenAI API reads it. The text must outlive it.
struct Spoken {
  std::string text;
  llm::Request request;

  explicit Spoken(std::string body) : text(std::move(body)) {
    constexpr std::array<std::string_view, 3> kNames{"model", "stream", "stream_options"};
    auto peeked = json::peek(text, kNames);
    EXPECT_TRUE(peeked.has_value()) << peeked.error().detail;
    request.body = text;
    request.model = peeked->fields[0];
    request.stream = peeked->fields[1].boolean;
    request.stream_options = peeked->fields[2];
    request.object_begin = peeked->object_begin;
    if (request.stream_options.kind == json::Field::Kind::object) {
      auto options = json::parse(
          text.substr(request.stream_options.begin, request.stream_options.end - request.stream_options.begin));
      request.wants_usage = options && json::bool_or(*options, "include_usage", false);
    }
  }
};

std::string encoded(std::string body, std::string_view model = "real") {
  Spoken spoken(std::move(body));
  auto upstream = provider()->encode(spoken.request, model, "id-1");
  EXPECT_TRUE(upstream.has_value());
  EXPECT_THAT(*upstream->head, HasSubstr(fmt::format("content-length: {}\r\n", upstream->body.bytes())));
  return upstream->body.joined();
}

TEST(OpenAiProviderPassThrough, SaysWhoItIsAndHowLongTheBodyIs) {
  llm::PassHead head{.method = "POST",
                     .path = "/audio/speech",
                     .content_type = "application/json",
                     .accept = {},
                     .has_body = true,
                     .body_bytes = 12};
  std::string lines = *provider()->pass_through(head, "id-1");
  EXPECT_THAT(lines, StartsWith("POST /v1/audio/speech HTTP/1.1\r\nhost: 127.0.0.1:9001\r\n"));
  for (std::string_view line : {"authorization: Bearer sk-secret\r\n", "accept: */*\r\n", "x-request-id: id-1\r\n",
                                "content-type: application/json\r\n", "content-length: 12\r\n"}) {
    EXPECT_THAT(lines, HasSubstr(std::string(line)));
  }
  head.body_bytes.reset();
  lines = *provider()->pass_through(head, "id-1");
  EXPECT_THAT(lines, HasSubstr("transfer-encoding: chunked\r\n"));
  EXPECT_THAT(lines, Not(HasSubstr("content-length")));
  head.has_body = false;
  head.content_type = {};
  lines = *provider()->pass_through(head, "id-1");
  EXPECT_THAT(lines, Not(HasSubstr("content-")));
  EXPECT_THAT(lines, Not(HasSubstr("transfer-encoding")));
}

// --- encode ---

TEST(OpenAiProviderEncode, ReplacesNothingButTheModel) {
  EXPECT_EQ(encoded(R"({"model":"chat","messages":[]})"), R"({"model":"real","messages":[]})");
  EXPECT_EQ(encoded("  {\n\t\"messages\" : [ ] ,\r\n \"model\"  :  \"chat\"  , \"temperature\":1.0e+0 }\n"),
            "  {\n\t\"messages\" : [ ] ,\r\n \"model\"  :  \"real\"  , \"temperature\":1.0e+0 }\n");
  EXPECT_EQ(
      encoded(R"({"seed":9007199254740993,"x":"\u00e4\ud83d\ude00\/","y":"é","model":"chat","x":1,"x":2,"n":-0.0})"),
      R"({"seed":9007199254740993,"x":"\u00e4\ud83d\ude00\/","y":"é","model":"real","x":1,"x":2,"n":-0.0})")
      << "escapes, large numbers and unknown keys that appear twice are the provider's business";
  EXPECT_EQ(encoded(R"({"messages":[{"model":"chat","content":"\"model\":\"chat\""}],"model":"chat"})"),
            R"({"messages":[{"model":"chat","content":"\"model\":\"chat\""}],"model":"real"})")
      << "only the field of the request itself";
}

TEST(OpenAiProviderEncode, LeavesTheBodyAloneWhenTheNameIsRightAlready) {
  std::string body = R"({ "model" : "\u0072eal" , "messages":[] })";
  EXPECT_EQ(encoded(body), body) << "an escaped name is still that name";
}

TEST(OpenAiProviderEncode, QuotesTheModel) {
  EXPECT_EQ(encoded(R"({"model":"chat"})", "a\"b\\c/d:8b"), R"({"model":"a\"b\\c/d:8b"})");
}

TEST(OpenAiProviderEncode, AsksForUsageInStreams) {
  EXPECT_EQ(encoded(R"({"model":"chat","stream":true})"),
            R"({"stream_options":{"include_usage":true},"model":"real","stream":true})");
  EXPECT_EQ(encoded(R"( { "model":"chat","stream":true})"),
            R"( {"stream_options":{"include_usage":true}, "model":"real","stream":true})");
  EXPECT_EQ(encoded(R"({"stream":true,"stream_options":null,"model":"chat"})"),
            R"({"stream":true,"stream_options":{"include_usage":true},"model":"real"})");
  EXPECT_EQ(encoded(R"({"model":"chat","stream_options":{"include_usage":false},"stream":true})"),
            R"({"model":"real","stream_options":{"include_usage":true},"stream":true})");
  EXPECT_EQ(encoded(R"({"model":"chat","stream_options": {} ,"stream":true})"),
            R"({"model":"real","stream_options": {"include_usage":true} ,"stream":true})");
  EXPECT_EQ(encoded(R"({"stream_options":{"include_obfuscation":false},"model":"chat","stream":true})"),
            R"({"stream_options":{"include_obfuscation":false,"include_usage":true},"model":"real","stream":true})");
}

TEST(OpenAiProviderEncode, LeavesStreamOptionsAloneWhereNothingIsMissing) {
  std::string asked = R"({"model":"real","stream":true,"stream_options":{ "include_usage" : true }})";
  EXPECT_EQ(encoded(asked), asked);
  std::string whole = R"({"model":"real","stream":false,"stream_options":null})";
  EXPECT_EQ(encoded(whole), whole);
}

TEST(OpenAiProviderEncode, NeverMakesAFieldAppearTwice) {
  for (const char* wrong : {R"("yes")", "[]", "1", "true"}) {
    std::string body = fmt::format(R"({{"model":"real","stream":true,"stream_options":{}}})", wrong);
    EXPECT_EQ(encoded(body), body) << "what is wrong is the provider's to refuse";
  }
}

TEST(OpenAiProviderEncode, EditsStayValidJson) {
  for (const char* body :
       {R"({"model":"chat","stream":true})", R"({"stream_options":{"a":[1,{"b":null}]},"stream":true,"model":"chat"})",
        "\n{\n}\n", R"({"model":"","stream":true,"stream_options":{"include_usage":"x"}})"}) {
    if (std::string_view(body).find("model") == std::string_view::npos) continue;
    std::string out = encoded(body);
    auto parsed = json::parse(out);
    ASSERT_TRUE(parsed.has_value()) << out;
    EXPECT_EQ(json::string_or(*parsed, "model", ""), "real");
    EXPECT_TRUE(json::bool_or(*json::find(*parsed, "stream_options"), "include_usage", false)) << out;
  }
}

TEST(OpenAiProviderEncode, WritesTheHead) {
  Spoken spoken(R"({"model":"chat","input":"x"})");
  spoken.request.operation = llm::Operation::embeddings;
  std::string head = provider()->encode(spoken.request, "real", "id-7")->head.operator*();
  EXPECT_THAT(head, StartsWith("POST /v1/embeddings HTTP/1.1\r\nhost: 127.0.0.1:9001\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nauthorization: Bearer sk-secret\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\nx-request-id: id-7\r\n"));
  EXPECT_THAT(head, HasSubstr("\r\naccept: application/json\r\n"));
  EXPECT_TRUE(head.ends_with("\r\n") && !head.ends_with("\r\n\r\n"));
  Spoken stream(R"({"model":"chat","stream":true})");
  EXPECT_THAT(provider()->encode(stream.request, "real", "id")->head.operator*(),
              HasSubstr("POST /v1/chat/completions "));
  EXPECT_THAT(provider()->encode(stream.request, "real", "id")->head.operator*(),
              HasSubstr("\r\naccept: text/event-stream\r\n"));
  EXPECT_THAT(provider("")->encode(stream.request, "real", "id")->head.operator*(), Not(HasSubstr("authorization")));
  EXPECT_THAT(provider()->probe_head(), StartsWith("GET /v1/models HTTP/1.1\r\n"));
}

TEST(OpenAiProviderEncode, AsksForNoUsageInEmbeddings) {
  Spoken spoken(R"({"model":"real","input":"x","stream":true})");
  spoken.request.operation = llm::Operation::embeddings;
  EXPECT_EQ(provider()->encode(spoken.request, "real", "id")->body.joined(), spoken.text);
}

// --- read_answer ---

Result<llm::Usage> usage_of(std::string body) { return provider()->read_answer(llm::Operation::chat, body); }

TEST(OpenAiProviderReadAnswer, FindsUsage) {
  auto usage = usage_of(
      R"({"id":"x","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,"prompt_tokens_details":{"cached_tokens":5,"cache_write_tokens":3}}})");
  ASSERT_TRUE(usage.has_value());
  EXPECT_TRUE(usage->known);
  EXPECT_EQ(usage->input, 11);
  EXPECT_EQ(usage->output, 7);
  EXPECT_EQ(usage->cached, 5);
  EXPECT_EQ(usage->cache_write, 3);
  auto embeddings = usage_of(R"({"data":[],"usage":{"prompt_tokens":4,"total_tokens":4}})");
  EXPECT_TRUE(embeddings->known);
  EXPECT_EQ(embeddings->output, 0);
  EXPECT_EQ(usage_of(R"({"usage":{"prompt_tokens":4,"prompt_tokens_details":null}})")->cached, 0);
}

TEST(OpenAiProviderReadAnswer, TakesAnAnswerWithoutUsage) {
  for (const char* body : {R"({"choices":[]})", R"({"usage":null})", R"({"usage":"7"})", R"({"usage":[1]})", "{}"}) {
    auto usage = usage_of(body);
    ASSERT_TRUE(usage.has_value()) << body;
    EXPECT_FALSE(usage->known) << body;
  }
}

TEST(OpenAiProviderReadAnswer, DoesNotBelieveEveryNumber) {
  auto usage = usage_of(
      R"({"usage":{"prompt_tokens":-5,"completion_tokens":"7","prompt_tokens_details":{"cached_tokens":1.5}}})");
  ASSERT_TRUE(usage.has_value());
  EXPECT_EQ(usage->input, 0);
  EXPECT_EQ(usage->output, 0);
  EXPECT_EQ(usage->cached, 0);
  auto huge = usage_of(R"({"usage":{"prompt_tokens":9223372036854775807,"completion_tokens":9223372036854775807}})");
  EXPECT_EQ(huge->input, 0);
  EXPECT_EQ(huge->output, 0);
}

TEST(OpenAiProviderReadAnswer, RefusesWhatIsNoAnswer) {
  for (const char* body : {"", "<html>502</html>", "[]", R"({"usage":)", R"({"usage":{}}x)", "null"})
    EXPECT_FALSE(usage_of(body).has_value()) << body;
}

// --- read_event ---

struct Read {
  llm::EventVerdict verdict;
  llm::Usage usage;
};

Read read(std::string_view data, bool wants_usage = false, std::string_view name = {}) {
  llm::Request request;
  request.stream = true;
  request.wants_usage = wants_usage;
  Read result;
  result.verdict = provider()->read_event(request, {.raw = data, .data = data, .name = name}, result.usage);
  return result;
}

constexpr std::string_view kUsageChunk =
    R"({"id":"c","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}})";

TEST(OpenAiProviderReadEvent, KeepsTheUsageChunkNobodyAskedFor) {
  Read ours = read(kUsageChunk);
  EXPECT_FALSE(ours.verdict.forward);
  EXPECT_TRUE(ours.usage.known);
  EXPECT_EQ(ours.usage.input, 3);
  EXPECT_EQ(ours.usage.output, 2);
  Read theirs = read(kUsageChunk, true);
  EXPECT_TRUE(theirs.verdict.forward);
  EXPECT_TRUE(theirs.usage.known);
}

TEST(OpenAiProviderReadEvent, ForwardsUsageThatComesWithText) {
  Read read_one = read(R"({"choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}})");
  EXPECT_TRUE(read_one.verdict.forward);
  EXPECT_TRUE(read_one.usage.known);
}

TEST(OpenAiProviderReadEvent, ForwardsEverythingElse) {
  for (const char* data : {
           R"({"choices":[{"delta":{"content":"hi"}}]})",
           R"({"choices":[{"delta":{"content":"hi"}}],"usage":null})",
           R"({"choices":[],"usage":null})",
           R"({"choices":[], "usage": null})",
           R"({"choices":[],"prompt_filter_results":[]})",
           R"({"choices":[{"delta":{"content":"\"usage\":{\"prompt_tokens\":9}"}}]})",
           R"({"choices":[{"delta":{"content":"usage"}}]})",
           R"({"choices":[{"delta":{"content":"error"}}]})",
           R"({"choices":[{"delta":{"content":"{\"error\":1}"}}]})",
           R"({"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{\"error\": \"usage\"}"}}]}}]})",
           R"({"choices":[{"delta":{"error":"deeper down is no failure"}}]})",
           R"({"error":null,"choices":[{"delta":{}}]})",
           R"({"object":"chat.completion.chunk","error":null,"choices":[]})",
           "not json with \"usage\" and \"error\"",
           "",
       }) {
    Read read_one = read(data);
    EXPECT_TRUE(read_one.verdict.forward) << data;
    EXPECT_FALSE(read_one.verdict.error) << data;
    EXPECT_FALSE(read_one.verdict.last) << data;
    EXPECT_FALSE(read_one.usage.known) << data;
  }
}

TEST(OpenAiProviderReadEvent, FindsUsageBehindAnEmptyOne) {
  Read read_one = read(R"({"x":{"usage":null},"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}})");
  EXPECT_TRUE(read_one.usage.known);
  EXPECT_FALSE(read_one.verdict.forward);
}

TEST(OpenAiProviderReadEvent, FindsErrorsInEveryShape) {
  for (
      const char* data : {
          R"({"error":{"message":"overloaded","type":"server_error","code":503}})",
          R"({ "error" : "overloaded" })",
          R"({"error":{"message":"x"},"choices":[]})",
          R"({"id":"gen-1","object":"chat.completion.chunk","created":1,"model":"m","error":{"code":502,"message":"gone"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]})",
          R"({"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400})",
          R"({"message":"x", "error":true})",
      }) {
    EXPECT_TRUE(read(data).verdict.error) << data;
    EXPECT_TRUE(read(data).verdict.forward) << data;
  }
  EXPECT_TRUE(read(R"({"message":"overloaded"})", false, "error").verdict.error) << "named so by its event field";
  EXPECT_TRUE(read("overloaded", false, "error").verdict.error);
}

TEST(OpenAiProviderReadEvent, KnowsTheEndMark) {
  EXPECT_TRUE(read("[DONE]").verdict.last);
  EXPECT_TRUE(read("[DONE]").verdict.forward);
  EXPECT_FALSE(read(R"("[DONE]")").verdict.last);
}

}  // namespace
}  // namespace penstock::ext
