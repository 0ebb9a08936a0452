#include "ext/apis/gemini/gemini_api.h"

#include <gmock/gmock.h>

#include "ext/apis/gemini/status_name.h"
#include "json/value.h"

namespace penstock::ext {
namespace {

using testing::HasSubstr;

TEST(GeminiMethod, StandsBehindTheLastColonOfThePath) {
  auto method = read_method("models/lab/small:8b:streamGenerateContent");
  ASSERT_TRUE(method.has_value());
  EXPECT_EQ(method->model, "lab/small:8b");
  EXPECT_EQ(method->operation, llm::Operation::chat);
  EXPECT_TRUE(method->stream);
  EXPECT_EQ(read_method("m:countTokens")->operation, llm::Operation::count_tokens);
  EXPECT_TRUE(read_method("m:batchEmbedContents")->batch);
  for (std::string_view path : {"m", "m:predict", ":generateContent", "models/:generateContent", ""})
    EXPECT_EQ(read_method(path).error().code, Errc::not_found) << path;
}

TEST(GeminiErrors, HaveGooglesWords) {
  EXPECT_EQ(error_json(404, "no \"x\""), R"({"error":{"code":404,"message":"no \"x\"","status":"NOT_FOUND"}})");
  EXPECT_EQ(status_name(429), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(status_name(418), "INVALID_ARGUMENT");
  EXPECT_EQ(status_name(599), "INTERNAL");
}

TEST(GeminiStream, IsOneArrayWithoutEvents) {
  auto codec = gemini_chat_codec(llm::Framing::array);
  chat::Request request;
  request.model = "m";
  auto writer = codec->stream_writer(request);
  writer->begin({"id", "m"});
  writer->text(0, "a");
  writer->finish(0, chat::Finish::stop, {});
  writer->end();
  auto whole = json::parse(writer->output());
  ASSERT_TRUE(whole.has_value()) << writer->output();
  ASSERT_EQ(whole->get_array().size(), 2U);
  EXPECT_EQ(whole->at(1).at("candidates").at(0).at("finishReason"), "STOP");
  EXPECT_THAT(writer->content_type(), HasSubstr("application/json"));
}

TEST(GeminiRequest, IsReadInSnakeCaseToo) {
  auto request = gemini_chat_codec(llm::Framing::events)
                     ->read_request(R"({"contents":{"parts":{"text":"hi"}},"system_instruction":"Be brief.",
                         "tools":[{"google_search":{}}],"generation_config":{"max_output_tokens":"5","thinking_config":{"thinking_level":"LOW"}}})");
  ASSERT_TRUE(request.has_value()) << request.error().detail;
  EXPECT_EQ(request->max_output_tokens, 5);
  EXPECT_EQ(request->reasoning.effort, "low");
  EXPECT_EQ(request->messages.size(), 2U);
  EXPECT_THAT(request->unread, testing::ElementsAre("tools[0].googleSearch"));
}

TEST(GeminiRequest, KeepsASealThatStandsAlone) {
  auto request = gemini_chat_codec(llm::Framing::events)
                     ->read_request(R"({"contents":[{"role":"model","parts":[{"thoughtSignature":"c2ln"},
                         {"inlineData":{"mimeType":"image/png","data":"iVBORw=="},"thoughtSignature":"b24="}]}]})");
  ASSERT_TRUE(request.has_value()) << request.error().detail;
  const auto& parts = request->messages.at(0).parts;
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(std::get<chat::Thinking>(parts[0].content).signature.bytes, "c2ln");
  EXPECT_TRUE(std::get<chat::Thinking>(parts[0].content).redacted);
  EXPECT_EQ(std::get<chat::Thinking>(parts[2].content).signature.bytes, "b24=");
}

TEST(GeminiStream, TellsACallBeforeTheSealBehindIt) {
  auto codec = gemini_chat_codec(llm::Framing::events);
  chat::Request request;
  auto writer = codec->stream_writer(request);
  writer->begin({"id", "m"});
  writer->call(0, 0, "c1", "f", {});
  writer->arguments(0, 0, "{}");
  writer->thinking_end(0, {"seal", chat::Family::anthropic}, true);
  std::size_t call = writer->output().find("functionCall");
  std::size_t seal = writer->output().find("thoughtSignature");
  ASSERT_NE(seal, std::string::npos);
  EXPECT_LT(call, seal);
}

TEST(GeminiAnswer, CallsACallMalformedOnlyWhereTheAnswerWasWhole) {
  auto codec = gemini_chat_codec(llm::Framing::events);
  chat::Request request;
  auto reason = [&](chat::Finish finish) {
    chat::Answer answer;
    answer.choices.push_back({.parts = {{chat::ToolCall{"c1", "f", "{\"a\":"}}}, .finish = finish});
    std::string body = codec->write_answer(request, answer);
    auto parsed = json::parse(body);
    return parsed ? std::string(json::string_or(parsed->at("candidates").at(0), "finishReason", "")) : body;
  };
  EXPECT_EQ(reason(chat::Finish::tool_calls), "MALFORMED_FUNCTION_CALL");
  EXPECT_EQ(reason(chat::Finish::length), "MAX_TOKENS");
  EXPECT_EQ(reason(chat::Finish::context_length), "MAX_TOKENS");
  EXPECT_EQ(reason(chat::Finish::content_filter), "SAFETY");
}

}  // namespace
}  // namespace penstock::ext
