#include "ext/apis/ollama/answer_writer.h"

#include <gmock/gmock.h>

namespace penstock::ext {
namespace {

using testing::HasSubstr;
using testing::Not;

chat::Request asked() {
  chat::Request request;
  request.model = "chat";
  request.created = 1'700'000'000;
  return request;
}

constexpr std::string_view kHead = R"({"model":"m","created_at":"2023-11-14T22:13:20.000Z",)";

std::string chunk(std::string_view message) {
  return fmt::format("{}\"message\":{{\"role\":\"assistant\",{}}},\"done\":false}}\n", kHead, message);
}

TEST(OllamaStreamWriter, CallsGoOutWholeInOneLine) {
  chat::Request request = asked();
  auto writer = make_ollama_stream_writer(OllamaForm::chat, request);
  EXPECT_EQ(writer->content_type(), "application/x-ndjson");
  EXPECT_EQ(writer->keep_alive(), "");
  writer->begin({.id = "x", .model = "m"});
  writer->thinking(0, "hm \"");
  writer->text(0, "a\nb");
  writer->call(0, 0, "c0", "look", {});
  writer->call(0, 1, "c1", "stop", {});
  writer->arguments(0, 1, "{}");
  writer->arguments(0, 0, "{\n\"at\":");
  writer->arguments(0, 0, "1}");
  EXPECT_EQ(writer->output(), chunk(R"("content":"","thinking":"hm \"")") + chunk(R"("content":"a\nb")"));
  writer->output().clear();
  writer->finish(0, chat::Finish::tool_calls, {});
  EXPECT_EQ(
      writer->output(),
      chunk(R"("content":"","tool_calls":[{"id":"c0","function":{"index":0,"name":"look","arguments":{ "at":1}}},)"
            R"({"id":"c1","function":{"index":1,"name":"stop","arguments":{}}}])"));
  writer->output().clear();
  writer->usage({.known = true, .input = 3, .output = 4});
  writer->end();
  EXPECT_EQ(writer->output(), std::string(kHead) + R"("message":{"role":"assistant","content":""},"done":true,)"
                                                   R"("done_reason":"stop","prompt_eval_count":3,"eval_count":4})"
                                                   "\n");
}

TEST(OllamaStreamWriter, InventsNeitherEndingsNorUsage) {
  chat::Request request = asked();
  auto writer = make_ollama_stream_writer(OllamaForm::generate, request);
  writer->end();
  EXPECT_EQ(writer->output(),
            "{\"model\":\"chat\",\"created_at\":\"2023-11-14T22:13:20.000Z\",\"response\":\"\",\"done\":true}\n");
}

TEST(OllamaStreamWriter, ErrorsAreLines) {
  chat::Request request = asked();
  auto writer = make_ollama_stream_writer(OllamaForm::chat, request);
  writer->error({.message = "out of\nmemory"});
  EXPECT_EQ(writer->output(), "{\"error\":\"out of\\nmemory\"}\n");
  writer = make_ollama_stream_writer(OllamaForm::chat, request);
  writer->finish(0, chat::Finish::error, {});
  writer->end();
  EXPECT_THAT(writer->output(), testing::StartsWith("{\"error\":"));
}

TEST(OllamaStreamWriter, LeavesOutWhatWasCut) {
  chat::Request request = asked();
  auto writer = make_ollama_stream_writer(OllamaForm::chat, request);
  writer->begin({.id = {}, .model = "m"});
  writer->call(0, 0, "c", "look", {});
  writer->arguments(0, 0, "{\"at\":");
  writer->finish(0, chat::Finish::length, {});
  EXPECT_EQ(writer->output(), "");
  writer->end();
  EXPECT_THAT(writer->output(), HasSubstr(R"("done_reason":"length")"));
}

TEST(OllamaStreamWriter, HasOneChoice) {
  chat::Request request = asked();
  auto writer = make_ollama_stream_writer(OllamaForm::chat, request);
  writer->text(1, "other");
  writer->call(1, 0, "c", "look", {});
  writer->arguments(1, 0, "{}");
  writer->finish(1, chat::Finish::tool_calls, {});
  EXPECT_EQ(writer->output(), "");
}

TEST(OllamaAnswerWriter, SaysWhatTheStreamSays) {
  chat::Answer answer;
  answer.model = "m";
  answer.created = 1'700'000'000;
  auto& choice = answer.choices.emplace_back();
  choice.parts = {{.content = chat::Thinking{"hm"}},
                  {.content = chat::Text{"a"}},
                  {.content = chat::Refusal{"b"}},
                  {.content = chat::Media{.type = "image/png", .data = "AAAA"}},
                  {.content = chat::ToolCall{"c", "look", "{}"}}};
  choice.finish = chat::Finish::content_filter;
  choice.logprobs = json::Object{{"content", json::Array{json::Object{{"token", "a"}, {"logprob", 0}}}}};
  EXPECT_EQ(write_ollama_answer(OllamaForm::chat, asked(), answer),
            std::string(kHead) + R"("message":{"role":"assistant","content":"ab","thinking":"hm","images":["AAAA"],)"
                                 R"("tool_calls":[{"id":"c","function":{"index":0,"name":"look","arguments":{}}}]},)"
                                 R"("done":true,"done_reason":"stop","logprobs":[{"token":"a","logprob":0}]})");
  choice.logprobs = nullptr;
  EXPECT_EQ(write_ollama_answer(OllamaForm::generate, asked(), answer),
            std::string(kHead) + R"("response":"ab","thinking":"hm","image":"AAAA",)"
                                 R"("tool_calls":[{"id":"c","function":{"index":0,"name":"look","arguments":{}}}],)"
                                 R"("done":true,"done_reason":"stop"})");
}

TEST(OllamaAnswerWriter, FailuresAreNoAnswers) {
  chat::Answer answer;
  answer.choices.emplace_back().finish = chat::Finish::error;
  EXPECT_THAT(write_ollama_answer(OllamaForm::chat, asked(), answer), testing::StartsWith("{\"error\":"));
  EXPECT_THAT(write_ollama_answer(OllamaForm::chat, asked(), chat::Answer{}), Not(HasSubstr("done_reason")));
}

}  // namespace
}  // namespace penstock::ext
