#include "ext/apis/oip/generate_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::ext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const GenerateCodec kCodec;

std::string refusal(std::string_view body) {
  auto request = kCodec.read_request(body);
  return request ? std::string() : request.error().detail;
}

TEST(GenerateCodec, ReadsARequest) {
  auto request = kCodec.read_request(
      R"({"id":"7","text_input":"hello","parameters":{"max_tokens":64,"temperature":0.5,"top_p":1,"top_k":5,"seed":-3,)"
      R"("stop":["a","b"],"stream":true,"details":false,"bad_words":"x"},"presence_penalty":0.25,"ignored":null})");
  ASSERT_TRUE(request) << request.error().detail;
  ASSERT_EQ(request->messages.size(), 1U);
  EXPECT_EQ(std::get<chat::Text>(request->messages[0].parts.at(0).content).text, "hello");
  EXPECT_EQ(request->max_output_tokens, 64);
  EXPECT_EQ(request->temperature, 0.5);
  EXPECT_EQ(request->top_p, 1);
  EXPECT_EQ(request->top_k, 5);
  EXPECT_EQ(request->seed, -3);
  EXPECT_EQ(request->presence_penalty, 0.25);
  EXPECT_THAT(request->stop, ElementsAre("a", "b"));
  EXPECT_THAT(request->unread, ElementsAre("parameters.bad_words"));
}

TEST(GenerateCodec, SaysWhatIsWrong) {
  EXPECT_THAT(refusal(""), HasSubstr("malformed JSON"));
  EXPECT_THAT(refusal("[]"), HasSubstr("'text_input'"));
  EXPECT_THAT(refusal("{}"), HasSubstr("text_input: must be a text"));
  EXPECT_THAT(refusal(R"({"text_input":["a"]})"), HasSubstr("text_input: must be a text"));
  auto with = [](std::string_view parameters) {
    return refusal(fmt::format(R"({{"text_input":"a","parameters":{}}})", parameters));
  };
  EXPECT_THAT(with("[]"), HasSubstr("parameters: must be an object"));
  EXPECT_THAT(with(R"({"max_tokens":0})"), HasSubstr("parameters.max_tokens: must be a whole number from 1 on"));
  EXPECT_THAT(with(R"({"max_tokens":1.5})"), HasSubstr("parameters.max_tokens"));
  EXPECT_THAT(with(R"({"temperature":"hot"})"), HasSubstr("parameters.temperature: must be a number"));
  EXPECT_THAT(with(R"({"stop":[1]})"), HasSubstr("parameters.stop: must be a text or a list of texts"));
  EXPECT_THAT(with(R"({"details":1})"), HasSubstr("parameters.details: must be true or false"));
  EXPECT_THAT(refusal(R"({"text_input":"a","id":7})"), HasSubstr("id: must be a text"));
}

chat::Request request_of(std::string_view body) {
  auto request = kCodec.read_request(body);
  EXPECT_TRUE(request);
  request->model = "chat";
  return *request;
}

TEST(GenerateCodec, WritesAnswers) {
  chat::Answer answer;
  answer.choices.emplace_back();
  answer.choices[0].parts = {{.content = chat::Thinking{"hm"}}, {.content = chat::Text{"good \"day\""}}};
  answer.choices[0].finish = chat::Finish::length;
  EXPECT_EQ(kCodec.write_answer(request_of(R"({"text_input":"a"})"), answer),
            R"({"model_name":"chat","model_version":"1","text_output":"good \"day\""})");
  EXPECT_EQ(kCodec.write_answer(request_of(R"({"id":"x","text_input":"a","parameters":{"details":true}})"), answer),
            R"({"id":"x","model_name":"chat","model_version":"1","text_output":"good \"day\"",)"
            R"("details":{"finish_reason":"length","logprobs":[]}})");
  answer.choices[0].finish = chat::Finish::error;
  EXPECT_THAT(kCodec.write_answer(request_of(R"({"text_input":"a"})"), answer), HasSubstr(R"({"error":")"));
}

TEST(GenerateCodec, WritesStreams) {
  chat::Request request = request_of(R"({"text_input":"a","parameters":{"details":true}})");
  auto writer = kCodec.stream_writer(request);
  writer->begin({.id = "i", .model = "m"});
  writer->thinking(0, "hm");
  writer->text(0, "one");
  writer->text(1, "of another choice");
  writer->finish(0, chat::Finish::stop_sequence, "x");
  writer->end();
  EXPECT_EQ(writer->output(),
            "data: {\"model_name\":\"chat\",\"model_version\":\"1\",\"text_output\":\"one\"}\n\n"
            "data: {\"model_name\":\"chat\",\"model_version\":\"1\",\"text_output\":\"\","
            "\"details\":{\"finish_reason\":\"stop_sequence\",\"logprobs\":[]}}\n\n");
  auto broken = kCodec.stream_writer(request);
  broken->error({.message = "overloaded"});
  EXPECT_EQ(broken->output(), "data: {\"error\":\"overloaded\"}\n\n");
}

}  // namespace
}  // namespace penstock::ext
