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

}  // namespace
}  // namespace penstock::ext
