#include "ext/apis/anthropic/anthropic_dialect.h"

#include <gmock/gmock.h>

#include "chat/unshown.h"
#include "ext/apis/anthropic/anthropic_codec.h"
#include "flow/test/api_harness.h"
#include "json/value.h"

namespace penstock::ext::anthropic {
namespace {

using testing::HasSubstr;

// As an API: a refused call and one with limits.
struct Refusing : flow::ApiHarness {
  Refusing() {
    front.dialect("anthropic", std::make_unique<AnthropicDialect>());
    front.route("GET", "/refused", "anthropic", [](flow::Call& call, http::Params) {
      call.request_limit = flow::ShownLimit{.limit = 50, .remaining = 49, .reset = std::chrono::seconds(60)};
      call.token_limit = flow::ShownLimit{.limit = 1000, .remaining = 0, .reset = std::chrono::milliseconds(1500)};
      call.event.at = 1'700'000'000'000'000;
      return flow::refuse(call, {Errc::resource_exhausted, "too much"});
    });
  }
};

TEST(AnthropicDialect, ShowsTheIdOfTheCall) {
  Refusing api;
  http::FakeExchange exchange(api.loop, "GET", "/refused");
  exchange.field("x-request-id", "mine-1");
  api.run(exchange);
  EXPECT_EQ(exchange.answer_field("request-id"), "mine-1");
  auto body = json::parse(exchange.answer());
  ASSERT_TRUE(body.has_value()) << exchange.answer();
  EXPECT_EQ(body->at("type"), "error");
  EXPECT_EQ(body->at("error").at("type"), "rate_limit_error");
  EXPECT_EQ(body->at("request_id"), "mine-1");
}

TEST(AnthropicDialect, ShowsLimitsInAnthropicsFields) {
  Refusing api;
  http::FakeExchange exchange(api.loop, "GET", "/refused");
  api.run(exchange);
  EXPECT_EQ(exchange.answer_field("anthropic-ratelimit-requests-limit"), "50");
  EXPECT_EQ(exchange.answer_field("anthropic-ratelimit-requests-remaining"), "49");
  EXPECT_EQ(exchange.answer_field("anthropic-ratelimit-requests-reset"), "2023-11-14T22:14:20.000Z");
  EXPECT_EQ(exchange.answer_field("anthropic-ratelimit-tokens-limit"), "1000");
  EXPECT_EQ(exchange.answer_field("anthropic-ratelimit-tokens-remaining"), "0");
  EXPECT_EQ(exchange.answer_field("anthropic-ratelimit-tokens-reset"), "2023-11-14T22:13:21.500Z");
  EXPECT_EQ(exchange.answer_field("x-ratelimit-limit-requests"), "");
}

TEST(AnthropicDialect, ErrorsOfProvidersNameTheCall) {
  std::string body = AnthropicCodec(chat::Operation::chat)
                         .write_error({.status = 404, .message = "no such model", .request_id = "mine-2"});
  EXPECT_THAT(body, HasSubstr(R"("type":"not_found_error")"));
  EXPECT_THAT(body, HasSubstr(R"("request_id":"mine-2")"));
}

TEST(AnthropicDialect, TheIdsOfMessagesBeginAsAnthropicsDo) {
  AnthropicCodec codec(chat::Operation::chat);
  chat::Request request;
  request.id = "req-1";
  auto id = [&](std::string said) {
    chat::Answer answer;
    answer.id = std::move(said);
    auto body = json::parse(codec.write_answer(request, answer));
    return body ? std::string(json::string_or(*body, "id", "")) : body.error().detail;
  };
  EXPECT_EQ(id("msg_01"), "msg_01");
  EXPECT_EQ(id("chatcmpl-7"), "msg_7");
  EXPECT_EQ(id(""), "msg_req-1");
}

TEST(AnthropicStream, BeginsWithTheUsageThatIsKnownBeforeTheContent) {
  AnthropicCodec codec(chat::Operation::chat);
  chat::Request request;
  auto writer = codec.stream_writer(request);
  writer->begin({.id = "r1", .model = "m"});
  EXPECT_EQ(writer->output(), "");
  writer->usage({.known = true, .input = 7, .output = 1});
  EXPECT_THAT(writer->output(), HasSubstr(R"("usage":{"input_tokens":7)"));
  writer->output().clear();
  writer->text(0, "hi");
  EXPECT_THAT(writer->output(), testing::StartsWith("event: content_block_start"));
}

TEST(AnthropicStream, BeginsWithTheContentWhenNoUsageCame) {
  AnthropicCodec codec(chat::Operation::chat);
  chat::Request request;
  auto writer = codec.stream_writer(request);
  writer->begin({.id = "r1", .model = "m"});
  writer->text(0, "hi");
  EXPECT_THAT(writer->output(), testing::StartsWith("event: message_start"));
  EXPECT_THAT(writer->output(), HasSubstr(R"("usage":{"input_tokens":0)"));
  auto silent = codec.stream_writer(request);
  silent->begin({.id = "r1", .model = "m"});
  silent->finish(0, chat::Finish::stop, {});
  silent->end();
  EXPECT_THAT(silent->output(), testing::StartsWith("event: message_start"));
}

TEST(AnthropicAnswer, NamesWhatItHasNoPlaceFor) {
  chat::Citation page{.url = "https://a.example"};
  chat::Citation document{.title = "a document"};
  chat::Answer answer;
  answer.choices.resize(1);
  auto& parts = answer.choices[0].parts;
  parts.push_back({.content = chat::Text{"one", {page}}});
  AnthropicCodec codec(chat::Operation::chat);
  EXPECT_THAT(chat::unshown(answer, codec), testing::IsEmpty());
  parts.push_back({.content = chat::Text{"two", {page, document}}});
  parts.push_back({.content = chat::Media{.kind = chat::Media::Kind::image, .data = "QQ=="}});
  parts.push_back({.content = chat::Media{.kind = chat::Media::Kind::image, .data = "QQ=="}});
  parts.push_back({.content = chat::Media{.kind = chat::Media::Kind::audio, .data = "QQ=="}});
  EXPECT_THAT(chat::unshown(answer, codec), testing::ElementsAre("answer.citations", "answer.image", "answer.audio"));
}

}  // namespace
}  // namespace penstock::ext::anthropic
