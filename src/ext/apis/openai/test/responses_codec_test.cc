#include "ext/apis/openai/responses_codec.h"

#include <gmock/gmock.h>

#include "ext/apis/openai/responses_stream_writer.h"
#include "wire/sse.h"

namespace penstock::ext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const ResponsesCodec kCodec(chat::Operation::responses);

chat::Request read(std::string_view body) {
  auto request = kCodec.read_request(body);
  if (!request) {
    ADD_FAILURE() << request.error().detail;
    return {};
  }
  request->id = "r";
  return *request;
}

std::string mistake(std::string_view body) {
  auto request = kCodec.read_request(body);
  return request ? "" : request.error().detail;
}

std::vector<json::Value> events_of(std::string_view stream) {
  wire::SseSplitter splitter;
  EXPECT_TRUE(splitter.feed(stream));
  std::vector<json::Value> events;
  while (auto event = splitter.next()) {
    auto parsed = json::parse(event->data);
    EXPECT_TRUE(parsed);
    EXPECT_EQ(json::string_or(*parsed, "type", ""), event->name);
    EXPECT_EQ(json::int_or(*parsed, "sequence_number", -1), static_cast<std::int64_t>(events.size()));
    events.push_back(std::move(*parsed));
  }
  return events;
}

std::vector<std::string> types_of(const std::vector<json::Value>& events) {
  std::vector<std::string> types;
  for (const json::Value& event : events) types.emplace_back(json::string_or(event, "type", ""));
  return types;
}

TEST(ResponsesCodec, WhatWasThoughtAndCalledIsOneMessageOfTheModel) {
  chat::Request request = read(R"({"model":"m","input":[
    {"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"a"},{"type":"summary_text","text":"b"}]},
    {"role":"assistant","content":"c"},
    {"type":"function_call","call_id":"1","name":"f","arguments":""},
    {"type":"function_call_output","call_id":"1","output":[{"type":"input_image","image_url":"https://x/y.png"}]}]})");
  ASSERT_EQ(request.messages.size(), 2U);
  const auto& parts = request.messages[0].parts;
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(std::get<chat::Thinking>(parts[0].content).text, "a\n\nb");
  EXPECT_EQ(std::get<chat::ToolCall>(parts[2].content).arguments, "{}");
  const auto& result = std::get<chat::ToolResult>(request.messages[1].parts[0].content);
  EXPECT_EQ(result.name, "f");
  EXPECT_EQ(std::get<chat::Media>(result.content[0]).url, "https://x/y.png");
}

TEST(ResponsesCodec, SealsComeBackToWhatTheyWereOn) {
  chat::Answer answer;
  answer.choices.push_back({.parts = {{.content = chat::Thinking{"why", {"s1", chat::Family::anthropic}}},
                                      {.content = chat::Thinking{"", {"s2", chat::Family::anthropic}, true}},
                                      {.content = chat::Thinking{"", {"s3", chat::Family::anthropic}}},
                                      {.content = chat::ToolCall{"1", "f", "{}", {"s4", chat::Family::gemini}}}},
                            .finish = chat::Finish::tool_calls});
  auto response = json::parse(kCodec.write_answer(read(R"({"model":"m","input":"x"})"), answer));
  ASSERT_TRUE(response);
  chat::Request next = read(json::dump(json::Object{{"model", "m"}, {"input", *json::find(*response, "output")}}));
  ASSERT_EQ(next.messages.size(), 1U);
  const auto& parts = next.messages[0].parts;
  ASSERT_EQ(parts.size(), 4U);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& before = std::get<chat::Thinking>(answer.choices[0].parts[i].content);
    const auto& after = std::get<chat::Thinking>(parts[i].content);
    EXPECT_EQ(after.text, before.text);
    EXPECT_EQ(after.redacted, before.redacted) << i;
    EXPECT_EQ(after.signature.bytes, before.signature.bytes);
    EXPECT_EQ(after.signature.family, chat::Family::anthropic);
  }
  EXPECT_EQ(std::get<chat::ToolCall>(parts[3].content).signature.bytes, "s4");
}

TEST(ResponsesCodec, CitationsCountCharactersOfTheirPart) {
  chat::Answer answer;
  answer.choices.push_back({.parts = {{.content = chat::Text{"Grüße"}},
                                      {.content = chat::ToolCall{"1", "f", "{}"}},
                                      {.content = chat::Text{"über alles",
                                                             {{.url = "https://a", .title = "t", .begin = 5, .end = 9},
                                                              {.title = "doc", .document = 2}}}}},
                            .finish = chat::Finish::stop});
  auto response = json::parse(kCodec.write_answer(read(R"({"model":"m","input":"x"})"), answer));
  ASSERT_TRUE(response);
  EXPECT_THAT(
      json::dump(*response),
      HasSubstr(R"("annotations":[{"type":"url_citation","start_index":0,"end_index":4,"url":"https://a",)"
                R"("title":"t"},{"type":"file_citation","file_id":"document_2","index":10,"filename":"doc"}])"));
}

TEST(ResponsesCodec, CallsWhoseFragmentsAlternateAreToldApart) {
  chat::Request request = read(R"({"model":"m","input":"x","stream":true})");
  ResponsesStreamWriter writer(request);
  writer.begin({.id = "a", .model = "m"});
  writer.call(0, 0, "1", "f", {});
  writer.call(0, 1, "2", "g", {});
  for (std::string_view piece : {"{\"a\"", ":1}"}) {
    writer.arguments(0, 1, piece);
    writer.arguments(0, 0, piece);
  }
  writer.arguments(0, 7, "nobody's");
  writer.finish(0, chat::Finish::tool_calls, "");
  writer.end();
  auto events = events_of(writer.output());
  EXPECT_THAT(types_of(events),
              ElementsAre("response.created", "response.in_progress", "response.output_item.added",
                          "response.output_item.added", "response.function_call_arguments.delta",
                          "response.function_call_arguments.delta", "response.function_call_arguments.delta",
                          "response.function_call_arguments.delta", "response.function_call_arguments.done",
                          "response.output_item.done", "response.function_call_arguments.done",
                          "response.output_item.done", "response.completed"));
  EXPECT_EQ(json::int_or(events[4], "output_index", -1), 1);
  EXPECT_EQ(json::string_or(events[8], "arguments", ""), R"({"a":1})");
  EXPECT_EQ(json::string_or(events[10], "arguments", ""), R"({"a":1})");
}

TEST(ResponsesCodec, WhatIsSaidBetweenFragmentsOfACallCutsNothing) {
  chat::Request request = read(R"({"model":"m","input":"x","stream":true})");
  ResponsesStreamWriter writer(request);
  writer.begin({.id = "a", .model = "m"});
  writer.call(0, 0, "1", "f", {});
  writer.arguments(0, 0, "{\"a\"");
  writer.text(0, "wait");
  writer.arguments(0, 0, ":1");
  writer.thinking(0, "hm");
  writer.media(0, {.type = "image/png", .data = "AAAA"});
  writer.arguments(0, 0, "}");
  writer.finish(0, chat::Finish::tool_calls, "");
  writer.end();
  auto events = events_of(writer.output());
  const json::Value* output = json::find(*json::find(events.back(), "response"), "output");
  ASSERT_EQ(output->get_array().size(), 4U);
  EXPECT_EQ(json::string_or(output->at(0), "arguments", ""), R"({"a":1})");
  EXPECT_EQ(json::string_or(output->at(0), "status", ""), "completed");
  EXPECT_EQ(json::string_or(output->at(1), "type", ""), "message");
  EXPECT_EQ(json::string_or(output->at(2), "type", ""), "reasoning");
  EXPECT_EQ(json::string_or(output->at(3), "type", ""), "image_generation_call");
}

TEST(ResponsesCodec, LogprobsGoWithTheTextTheyAreOf) {
  chat::Request request = read(R"({"model":"m","input":"x","top_logprobs":1,"stream":true})");
  EXPECT_EQ(request.logprobs, true);
  ResponsesStreamWriter writer(request);
  writer.begin({.id = "a", .model = "m"});
  auto logprobs = json::parse(
      R"({"content":[{"token":"a","logprob":-1,"bytes":null,"top_logprobs":[{"token":"a","logprob":-1}]}]})");
  writer.text(0, "a");
  writer.logprobs(0, *logprobs);
  writer.text(0, "b");
  writer.finish(0, chat::Finish::length, "");
  writer.end();
  auto events = events_of(writer.output());
  constexpr std::string_view kEntry =
      R"([{"token":"a","logprob":-1,"bytes":[],"top_logprobs":[{"token":"a","logprob":-1,"bytes":[]}]}])";
  EXPECT_EQ(json::dump(*json::find(events[4], "logprobs")), kEntry);
  EXPECT_EQ(json::dump(*json::find(events[5], "logprobs")), "[]");
  EXPECT_EQ(json::dump(*json::find(events[6], "logprobs")), kEntry);
  EXPECT_EQ(json::string_or(events.back(), "type", ""), "response.incomplete");
}

TEST(ResponsesCodec, ImagesAreItemsOfTheirOwn) {
  chat::Answer answer;
  answer.choices.push_back(
      {.parts = {{.content = chat::Media{.type = "image/png", .data = "AAAA"}}}, .finish = chat::Finish::stop});
  EXPECT_THAT(
      kCodec.write_answer(read(R"({"model":"m","input":"x"})"), answer),
      HasSubstr(R"("output":[{"id":"ig_r_0","type":"image_generation_call","status":"completed","result":"AAAA"}])"));
}

TEST(ResponsesCodec, GeneratedImagesComeBackAsTheModels) {
  chat::Request request = read(R"({"model":"m","input":[{"role":"user","content":"draw"},
    {"id":"ig_r_0","type":"image_generation_call","status":"completed","result":"iVBORw0KGgo=","size":"1x1"},
    {"type":"image_generation_call","result":null},{"role":"user","content":"bluer"}]})");
  ASSERT_EQ(request.messages.size(), 3U);
  ASSERT_EQ(request.messages[1].parts.size(), 1U);
  EXPECT_EQ(request.messages[1].role, chat::Role::assistant);
  const auto& image = std::get<chat::Media>(request.messages[1].parts[0].content);
  EXPECT_EQ(image.type, "image/png");
  EXPECT_EQ(image.data, "iVBORw0KGgo=");
  EXPECT_TRUE(request.unread.empty());
}

TEST(ResponsesCodec, UnreadFieldsAreNamedOnlySoOften) {
  std::string items;
  for (int i = 0; i < 300; ++i) items += R"({"type":"strange"},)";
  EXPECT_EQ(read(R"({"model":"m","input":[)" + items + R"({"role":"user","content":"x"}]})").unread.size(), 100U);
}

TEST(ResponsesCodec, AFailureIsAnEventAndTheEnd) {
  chat::Request request = read(R"({"model":"m","input":"x","stream":true})");
  ResponsesStreamWriter writer(request);
  writer.begin({.id = "a", .model = "m"});
  writer.error({.status = 429, .type = "rate_limit_error", .message = "slow \"down\"", .code = "rate"});
  writer.end();
  auto events = events_of(writer.output());
  EXPECT_THAT(types_of(events), ElementsAre("response.created", "response.in_progress", "error", "response.failed"));
  EXPECT_EQ(json::string_or(events[2], "code", ""), "rate");
  const json::Value* error = json::find(*json::find(events[3], "response"), "error");
  EXPECT_EQ(json::string_or(*error, "code", ""), "rate_limit_exceeded");
  EXPECT_EQ(json::string_or(*error, "message", ""), "slow \"down\"");
}

TEST(ResponsesCodec, MistakesNameTheirPlace) {
  EXPECT_THAT(mistake(R"([])"), HasSubstr("must be an object"));
  EXPECT_THAT(mistake(R"({"model":"m","input":[1]})"), HasSubstr("input[0]: must be an object"));
  EXPECT_THAT(mistake(R"({"model":"m","input":[{"id":"x"}]})"), HasSubstr("input[0].id"));
  EXPECT_THAT(mistake(R"({"model":"m","input":"x","tools":[{"type":"function"}]})"), HasSubstr("tools[0].name"));
  EXPECT_THAT(mistake(R"({"model":"m","input":"x","max_output_tokens":0})"), HasSubstr("max_output_tokens"));
  EXPECT_THAT(mistake(R"({"model":"m","input":"x","metadata":{"a":1}})"), HasSubstr("metadata"));
  EXPECT_THAT(mistake(R"({"model":"m","input":[{"type":"function_call_output","call_id":"1"}]})"),
              HasSubstr("input[0].output"));
  EXPECT_THAT(mistake(R"({"model":"m","input":[{"role":"user","content":[{"type":"input_file"}]}]})"),
              HasSubstr("input[0].content[0]"));
}

TEST(ResponsesCodec, TextFilesAreReadAndBase64IsChecked) {
  auto body = [](std::string_view data) {
    return fmt::format(R"({{"model":"m","input":[{{"role":"user","content":[{{"type":"input_file","filename":"a.txt",)"
                       R"("file_data":"data:text/plain;base64,{}"}}]}}]}})",
                       data);
  };
  chat::Request request = read(body("SGkh"));
  EXPECT_EQ(std::get<chat::Media>(request.messages[0].parts[0].content).data, "Hi!");
  EXPECT_THAT(mistake(body("/w==")), HasSubstr("file_data"));
}

}  // namespace
}  // namespace penstock::ext
