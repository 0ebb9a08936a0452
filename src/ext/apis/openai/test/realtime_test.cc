#include "ext/apis/openai/realtime_relay.h"

#include <gtest/gtest.h>

#include "json/value.h"

namespace penstock::ext {
namespace {

TEST(RealtimeUsage, IsReadFromFinishedResponses) {
  auto used = realtime_usage(R"({"type":"response.done","response":{"usage":{"total_tokens":30,"input_tokens":20,
      "output_tokens":10,"input_token_details":{"cached_tokens":5,"text_tokens":12,"audio_tokens":8},
      "output_token_details":{"text_tokens":4,"audio_tokens":6}}}})");
  ASSERT_TRUE(used);
  EXPECT_EQ(used->input, 20);
  EXPECT_EQ(used->output, 10);
  EXPECT_EQ(used->cached, 5);
  EXPECT_EQ(used->audio_input, 8);
  EXPECT_EQ(used->audio_output, 6);
}

TEST(RealtimeUsage, IsReadFromTranscriptions) {
  auto used = realtime_usage(R"({"type":"conversation.item.input_audio_transcription.completed",
      "usage":{"type":"tokens","input_tokens":7,"output_tokens":3}})");
  ASSERT_TRUE(used);
  EXPECT_EQ(used->input + used->output, 10);
}

TEST(RealtimeUsage, IsNotReadFromAnythingElse) {
  for (std::string_view other :
       {R"({"type":"response.created","response":{"usage":null}})", R"({"type":"response.done","response":{}})",
        R"({"type":"response.output_text.delta","usage":{"input_tokens":5}})", R"({"type":"response.done","usage":)",
        R"({"type":"response.done","response":{"usage":"usage"}})", "[]", ""}) {
    EXPECT_FALSE(realtime_usage(other)) << other;
  }
}

TEST(RealtimeUsage, NonsenseCountsAsNothing) {
  auto used =
      realtime_usage(R"({"type":"response.done","response":{"usage":{"input_tokens":-5,"output_tokens":"x"}}})");
  ASSERT_TRUE(used);
  EXPECT_EQ(used->input, 0);
  EXPECT_EQ(used->output, 0);
}

TEST(RealtimeError, HasOpenAisShape) {
  auto event = json::parse(realtime_error({Errc::resource_exhausted, "over \"it\""}));
  ASSERT_TRUE(event);
  EXPECT_EQ(json::string_or(*event, "type", ""), "error");
  const json::Value* error = json::find(*event, "error");
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(json::string_or(*error, "type", ""), "rate_limit_error");
  EXPECT_EQ(json::string_or(*error, "code", ""), "rate_limit_exceeded");
  EXPECT_EQ(json::string_or(*error, "message", ""), "over \"it\"");
}

}  // namespace
}  // namespace penstock::ext
