#include "ext/apis/openai/chat_codec.h"

#include <gmock/gmock.h>

#include "json/value.h"

namespace penstock::ext {
namespace {

using chat::Role;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const OpenAiChatCodec& codec() {
  static const OpenAiChatCodec instance;
  return instance;
}

chat::Request read(std::string_view body) {
  auto request = codec().read_request(body);
  EXPECT_TRUE(request.has_value()) << body << "\n" << request.error().detail;
  return request.value_or(chat::Request{});
}

// The members of a request whose only message is "x".
chat::Request with(std::string_view members) {
  return read(fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"x"}}],{}}})", members));
}

// Requests that hold these messages.
chat::Request saying(std::string_view messages) {
  return read(fmt::format(R"({{"model":"m","messages":[{}]}})", messages));
}

std::string refusal(std::string_view body) {
  auto request = codec().read_request(body);
  EXPECT_FALSE(request.has_value()) << body;
  return request ? "" : request.error().detail;
}

std::string refusal_of_message(std::string_view message) {
  return refusal(fmt::format(R"({{"model":"m","messages":[{}]}})", message));
}

std::string refusal_with(std::string_view members) {
  return refusal(fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"x"}}],{}}})", members));
}

std::string refusal_of_part(std::string_view part) {
  return refusal_of_message(fmt::format(R"({{"role":"user","content":[{}]}})", part));
}

template <class T>
const T& part(const chat::Message& message, std::size_t index) {
  return std::get<T>(message.parts.at(index).content);
}

TEST(OpenAiChatCodec, ReadsEverySetting) {
  chat::Request request = with(R"("temperature":0.5,"top_p":0.25,"top_k":3,"min_p":0.125,"repetition_penalty":1.5,
    "frequency_penalty":-1,"presence_penalty":1,"seed":7,"n":2,"max_tokens":10,"max_completion_tokens":20,
    "stop":["a","b"],"logit_bias":{"5":-100},"logprobs":true,"top_logprobs":4,"service_tier":"flex","user":"u",
    "metadata":{"k":"v"},"reasoning_effort":"xhigh","verbosity":"low","parallel_tool_calls":false,
    "stream":true,"stream_options":{"include_usage":true})");
  EXPECT_EQ(request.model, "m");
  EXPECT_EQ(request.temperature, 0.5);
  EXPECT_EQ(request.top_p, 0.25);
  EXPECT_EQ(request.top_k, 3);
  EXPECT_EQ(request.min_p, 0.125);
  EXPECT_EQ(request.repeat_penalty, 1.5);
  EXPECT_EQ(request.frequency_penalty, -1);
  EXPECT_EQ(request.presence_penalty, 1);
  EXPECT_EQ(request.seed, 7);
  EXPECT_EQ(request.n, 2);
  EXPECT_EQ(request.max_output_tokens, 20) << "the newer field counts";
  EXPECT_THAT(request.stop, ElementsAre("a", "b"));
  EXPECT_EQ(request.logit_bias.at("5"), -100);
  EXPECT_EQ(request.logprobs, true);
  EXPECT_EQ(request.top_logprobs, 4);
  EXPECT_EQ(request.service_tier, "flex");
  EXPECT_EQ(request.user, "u");
  EXPECT_EQ(request.metadata.at("k"), "v");
  EXPECT_EQ(request.reasoning.effort, "xhigh");
  EXPECT_EQ(request.verbosity, "low");
  EXPECT_EQ(request.parallel_tool_calls, false);
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.include_usage);
  EXPECT_THAT(request.unread, IsEmpty());
}

TEST(OpenAiChatCodec, TakesNullForAbsent) {
  chat::Request request = with(R"("temperature":null,"stop":null,"tools":null,"tool_choice":null,"stream":null,
    "stream_options":null,"n":null,"response_format":null,"metadata":null,"made_up":null,"store":null)");
  EXPECT_FALSE(request.temperature);
  EXPECT_FALSE(request.stream);
  EXPECT_FALSE(request.include_usage);
  EXPECT_THAT(request.unread, IsEmpty());
}

TEST(OpenAiChatCodec, NamesWhatItCannotCarry) {
  chat::Request request =
      with(R"("store":true,"prediction":{"type":"content","content":"x"},"modalities":["text","audio"],
    "audio":{"voice":"alloy","format":"wav"},"web_search_options":{},"prompt_cache_key":"k","made_up":1,
    "tools":[{"type":"custom","custom":{"name":"c"}},{"type":"function","function":{"name":"f","made_up":1}}])");
  EXPECT_THAT(request.unread,
              testing::UnorderedElementsAre("store", "prediction", "modalities", "audio", "web_search_options",
                                            "prompt_cache_key", "made_up", "tools[0]", "tools[1].function.made_up"));
  EXPECT_EQ(request.tools.size(), 1U);
  EXPECT_THAT(with(R"("store":false,"modalities":["text"],"stream_options":{"include_obfuscation":false})").unread,
              IsEmpty());
}

TEST(OpenAiChatCodec, ReadsTheMeasuresOfSafety) {
  EXPECT_EQ(with(R"("safety_identifier":"s")").user, "s");
  EXPECT_EQ(with(R"("safety_identifier":"s","user":"u")").user, "u");
  EXPECT_THAT(with(R"("stop":"END")").stop, ElementsAre("END"));
}

TEST(OpenAiChatCodec, ReadsEveryRole) {
  chat::Request request =
      saying(R"({"role":"developer","content":"d"},{"role":"system","content":[{"type":"text","text":"s"}]},
    {"role":"user","name":"ann","content":"u"},
    {"role":"assistant","content":null,"refusal":null,"annotations":[],"audio":null,"function_call":null,
     "tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":" {\"a\":1}"}}]},
    {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"r"}]},
    {"role":"assistant","refusal":"no"},{"role":"user","content":""})");
  ASSERT_EQ(request.messages.size(), 7U);
  EXPECT_EQ(request.messages[0].role, Role::developer);
  EXPECT_EQ(part<chat::Text>(request.messages[1], 0).text, "s");
  EXPECT_EQ(request.messages[2].name, "ann");
  const auto& call = part<chat::ToolCall>(request.messages[3], 0);
  EXPECT_EQ(call.name, "f");
  EXPECT_EQ(call.arguments, " {\"a\":1}");
  const auto& result = part<chat::ToolResult>(request.messages[4], 0);
  EXPECT_EQ(result.id, "c1");
  EXPECT_EQ(result.name, "f");
  EXPECT_EQ(std::get<chat::Text>(result.content.at(0)).text, "r");
  EXPECT_EQ(part<chat::Refusal>(request.messages[5], 0).text, "no");
  EXPECT_THAT(request.messages[6].parts, IsEmpty());
  EXPECT_THAT(request.unread, IsEmpty());
}

TEST(OpenAiChatCodec, TiesTheOlderFunctionsTogether) {
  chat::Request request = read(R"({"model":"m","functions":[{"name":"f","description":"d","parameters":{}}],
    "function_call":{"name":"f"},"messages":[{"role":"user","content":"x"},
    {"role":"assistant","content":null,"function_call":{"name":"f","arguments":""}},
    {"role":"function","name":"f","content":"r"}]})");
  EXPECT_EQ(request.tools.at(0).name, "f");
  EXPECT_EQ(request.tool_choice.name, "f");
  const auto& call = part<chat::ToolCall>(request.messages[1], 0);
  EXPECT_EQ(call.arguments, "{}");
  EXPECT_FALSE(call.id.empty());
  EXPECT_EQ(part<chat::ToolResult>(request.messages[2], 0).id, call.id);
}

TEST(OpenAiChatCodec, ReadsMedia) {
  using Kind = chat::Media::Kind;
  chat::Request request = saying(R"({"role":"user","content":[
    {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}},
    {"type":"image_url","image_url":{"url":"https://x/a"}},
    {"type":"input_audio","input_audio":{"data":"AAAA","format":"mp3"}},
    {"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBERi0="}},
    {"type":"file","file":{"file_id":"file-1"}},
    {"type":"file","file":{"filename":"n.txt","file_data":"aGk="}},
    {"type":"video_url","video_url":{"url":"https://x/v.mp4"}}]})");
  const chat::Message& message = request.messages.at(0);
  EXPECT_EQ(part<chat::Media>(message, 0).type, "image/png");
  EXPECT_EQ(part<chat::Media>(message, 0).data, "AAAA");
  EXPECT_EQ(part<chat::Media>(message, 0).detail, "low");
  EXPECT_EQ(part<chat::Media>(message, 1).url, "https://x/a");
  EXPECT_EQ(part<chat::Media>(message, 2).type, "audio/mpeg");
  EXPECT_EQ(part<chat::Media>(message, 3).kind, Kind::document);
  EXPECT_EQ(part<chat::Media>(message, 3).name, "a.pdf");
  EXPECT_EQ(part<chat::Media>(message, 4).file, "file-1");
  EXPECT_EQ(part<chat::Media>(message, 5).data, "hi") << "text is kept as text";
  EXPECT_EQ(part<chat::Media>(message, 6).kind, Kind::video);
}

TEST(OpenAiChatCodec, ReadsThoughtsAndTheirSeals) {
  chat::Request request = saying(R"({"role":"user","content":"x"},{"role":"assistant","content":"a",
    "reasoning_content":"hm","thinking_blocks":[{"type":"thinking","thinking":"hm","signature":"s"},
    {"type":"redacted_thinking","data":"penstock:gemini:d"}],"tool_calls":[{"id":"c","type":"function",
    "function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"g"}}}]},
    {"role":"tool","tool_call_id":"c","content":"r"},{"role":"assistant","reasoning":"only text","content":"b"})");
  const chat::Message& message = request.messages.at(1);
  ASSERT_EQ(message.parts.size(), 4U) << "what the blocks say is not said twice";
  EXPECT_EQ(part<chat::Thinking>(message, 0).signature.bytes, "s");
  EXPECT_EQ(part<chat::Thinking>(message, 0).signature.family, chat::Family::anthropic);
  EXPECT_TRUE(part<chat::Thinking>(message, 1).redacted);
  EXPECT_EQ(part<chat::Thinking>(message, 1).signature.family, chat::Family::gemini);
  EXPECT_EQ(part<chat::ToolCall>(message, 3).signature.bytes, "g");
  EXPECT_EQ(part<chat::ToolCall>(message, 3).signature.family, chat::Family::gemini);
  EXPECT_EQ(part<chat::Thinking>(request.messages.at(3), 0).text, "only text");
}

TEST(OpenAiChatCodec, ReadsBreakpointsOfTheCache) {
  chat::Request request = read(R"({"model":"m","tools":[{"type":"function","function":{"name":"f"},
    "cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[{"type":"text","text":"x",
    "cache_control":{"type":"ephemeral","ttl":"1h"}}]},{"role":"user","content":"y",
    "cache_control":{"type":"ephemeral"}}]})");
  EXPECT_EQ(request.tools.at(0).cache, "5m");
  EXPECT_EQ(request.messages.at(0).parts.at(0).cache, "1h");
  EXPECT_EQ(request.messages.at(1).parts.at(0).cache, "5m");
}

TEST(OpenAiChatCodec, ReadsWhichToolsToUse) {
  using Mode = chat::ToolChoice::Mode;
  EXPECT_EQ(with(R"("tool_choice":"auto")").tool_choice.mode, Mode::automatic);
  EXPECT_EQ(with(R"("tool_choice":"none")").tool_choice.mode, Mode::none);
  EXPECT_EQ(with(R"("tool_choice":"required")").tool_choice.mode, Mode::required);
  auto one = with(R"("tool_choice":{"type":"function","function":{"name":"f"}})").tool_choice;
  EXPECT_EQ(one.mode, Mode::one);
  EXPECT_EQ(one.name, "f");
  auto some = with(R"("tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required",
    "tools":[{"type":"function","function":{"name":"f"}}]}})")
                  .tool_choice;
  EXPECT_EQ(some.mode, Mode::required);
  EXPECT_THAT(some.allowed, ElementsAre("f"));
}

TEST(OpenAiChatCodec, ReadsFormats) {
  using Kind = chat::OutputFormat::Kind;
  EXPECT_EQ(with(R"("response_format":{"type":"text"})").format.kind, Kind::text);
  EXPECT_EQ(with(R"("response_format":{"type":"json_object"})").format.kind, Kind::json);
  auto format = with(R"("response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d",
    "schema":{"type":"object"},"strict":true}})")
                    .format;
  EXPECT_EQ(format.kind, Kind::schema);
  EXPECT_EQ(format.name, "n");
  EXPECT_EQ(format.description, "d");
  EXPECT_EQ(json::dump(format.schema), R"({"type":"object"})");
  EXPECT_EQ(format.strict, true);
}

TEST(OpenAiChatCodec, LeavesOutCustomToolsWithTheirResults) {
  chat::Request request = saying(R"({"role":"user","content":"x"},{"role":"assistant","tool_calls":[
    {"id":"c","type":"custom","custom":{"name":"n","input":"i"}}]},{"role":"tool","tool_call_id":"c","content":"r"})");
  EXPECT_EQ(request.messages.size(), 2U);
  EXPECT_THAT(request.unread, ElementsAre("messages[1].tool_calls[0].custom", "messages[2]"));
}

TEST(OpenAiChatCodec, SaysWhereAMistakeIs) {
  EXPECT_THAT(refusal("[]"), HasSubstr("the request: must be an object"));
  EXPECT_THAT(refusal("{"), HasSubstr("malformed JSON"));
  EXPECT_THAT(refusal(R"({"model":"m"})"), HasSubstr("messages: must be a list"));
  EXPECT_THAT(refusal(R"({"messages":[{"role":"user","content":"x"}]})"), HasSubstr("model: must be"));
  struct Row {
    std::string (*read)(std::string_view);
    std::string_view text, wanted;
  };
  constexpr Row kRows[] = {
      {refusal_with, R"("temperature":"hot")", "temperature: must be a number"},
      {refusal_with, R"("n":0)", "n: must be from 1 to 128"},
      {refusal_with, R"("seed":1.5)", "seed: must be a whole number"},
      {refusal_with, R"("max_tokens":0)", "max_tokens: must be at least 1"},
      {refusal_with, R"("stop":[1])", "stop: must be a string or a list of strings"},
      {refusal_with, R"("stream":"yes")", "stream: must be true or false"},
      {refusal_with, R"("stream_options":[])", "stream_options: must be an object"},
      {refusal_with, R"("logit_bias":{"a":"b"})", "logit_bias: must map tokens to numbers"},
      {refusal_with, R"("metadata":{"a":1})", "metadata: must map names to strings"},
      {refusal_with, R"("reasoning_effort":"lots")", "reasoning_effort: must be none"},
      {refusal_with, R"("response_format":{"type":"xml"})", "response_format.type: must be text"},
      {refusal_with, R"("response_format":{"type":"json_schema"})", "response_format.json_schema: is missing"},
      {refusal_with, R"("tools":{})", "tools: must be a list"},
      {refusal_with, R"("tools":[1])", "tools[0]: must be an object"},
      {refusal_with, R"("tools":[{"type":"function"}])", "tools[0].function: is missing"},
      {refusal_with, R"("tools":[{"type":"function","function":{"name":"f","parameters":1}}])",
       "tools[0].function.parameters: must be an object"},
      {refusal_with, R"("tool_choice":"any")", "tool_choice: must be auto"},
      {refusal_with, R"("tool_choice":{"type":"custom"})", "tool_choice.type: only functions can be chosen"},
      {refusal_of_message, "1", "messages[0]: must be an object"},
      {refusal_of_message, R"({"role":"robot"})", "messages[0].role: must be system"},
      {refusal_of_message, R"({"role":"user","content":1})", "messages[0].content: must be a string or a list"},
      {refusal_of_message, R"({"role":"tool","content":"x"})", "messages[0].tool_call_id: must be the id"},
      {refusal_of_message, R"({"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":[]}}]})",
       "messages[0].tool_calls[0].function.arguments: must be a string"},
      {refusal_of_message, R"({"role":"assistant","tool_calls":[{"function":{"name":"f"}}]})",
       "messages[0].tool_calls[0].id: must be the id"},
      {refusal_of_message, R"({"role":"assistant","thinking_blocks":[{"type":"x"}]})",
       "messages[0].thinking_blocks[0].type: must be thinking"},
      {refusal_of_message, R"({"role":"system","content":[{"type":"image_url","image_url":{"url":"https://x"}}]})",
       "messages[0].content: instructions are text only"},
      {refusal_of_part, R"({"type":"image_url","image_url":"https://x"})",
       "messages[0].content[0].image_url: must be an object"},
      {refusal_of_part, R"({"type":"image_url","image_url":{"url":"ftp://x"}})",
       "messages[0].content[0].image_url.url: must be a URL"},
      {refusal_of_part, R"({"type":"text"})", "messages[0].content[0].text: is missing"},
      {refusal_of_part, R"({"type":"hologram"})", "messages[0].content[0].type: must be text"},
      {refusal_of_part, R"({"type":"file","file":{}})", "messages[0].content[0].file: must have either"},
      {refusal_of_part, R"({"type":"input_audio","input_audio":{"format":"wav"}})",
       "messages[0].content[0].input_audio.data: must be the sound"},
      {refusal_of_part, R"({"type":"text","text":"x","cache_control":{"type":"ephemeral","ttl":"2h"}})",
       "messages[0].content[0].cache_control.ttl: must be 5m or 1h"},
  };
  for (const Row& row : kRows) EXPECT_THAT(row.read(row.text), HasSubstr(row.wanted)) << row.text;
}

TEST(OpenAiChatCodec, WritesErrorsWithAllTheirKeys) {
  EXPECT_EQ(codec().write_error({.status = 400, .message = "m"}),
            R"({"error":{"message":"m","type":"invalid_request_error","param":null,"code":null}})");
  EXPECT_EQ(
      codec().write_error({.status = 429, .type = "insufficient_quota", .message = "m", .param = "p", .code = "c"}),
      R"({"error":{"message":"m","type":"insufficient_quota","param":"p","code":"c"}})");
  struct Row {
    int status;
    std::string_view type;
  };
  for (const Row& row : {Row{401, "authentication_error"}, Row{403, "permission_error"}, Row{404, "not_found_error"},
                         Row{413, "invalid_request_error"}, Row{429, "rate_limit_error"}, Row{503, "server_error"}})
    EXPECT_THAT(codec().write_error({.status = row.status}), HasSubstr(row.type)) << row.status;
}

TEST(OpenAiChatCodec, WritesWholeAnswers) {
  chat::Request request;
  request.id = "req-1";
  request.created = 7;
  request.model = "alias";
  chat::Citation citation{.url = "https://x", .title = "t", .begin = 1, .end = 3};
  chat::Answer answer{.id = "", .model = "", .choices = {}, .usage = {}};
  answer.choices.push_back({.parts = {{.content = chat::Thinking{"hm", {"g", chat::Family::gemini}}},
                                      {.content = chat::Text{"a", {citation}}},
                                      {.content = chat::Media{.type = "image/png", .data = "AA=="}},
                                      {.content = chat::ToolCall{"c", "f", "{}", {"s", chat::Family::gemini}}}},
                            .finish = chat::Finish::tool_calls});
  answer.choices.push_back({.parts = {{.content = chat::Refusal{"no"}}}, .finish = chat::Finish::none});
  EXPECT_EQ(
      codec().write_answer(request, answer),
      R"({"id":"chatcmpl-req-1","object":"chat.completion","created":7,"model":"alias","choices":[{"index":0,)"
      R"("message":{"role":"assistant","content":"a","refusal":null,"reasoning_content":"hm",)"
      R"("thinking_blocks":[{"type":"thinking","thinking":"hm","signature":"penstock:gemini:g"}],)"
      R"("annotations":[{"type":"url_citation","url_citation":{"start_index":1,"end_index":3,"url":"https://x","title":"t"}}],)"
      R"("images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}],)"
      R"("tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"},)"
      R"("extra_content":{"google":{"thought_signature":"s"}}}]},"logprobs":null,"finish_reason":"tool_calls"},)"
      R"({"index":1,"message":{"role":"assistant","content":null,"refusal":"no"},"logprobs":null,"finish_reason":null}]})");
}

// The chunks without what they have in common.
std::string chunks(const std::function<void(chat::StreamWriter&)>& say, bool include_usage = false) {
  chat::Request request;
  request.include_usage = include_usage;
  auto writer = codec().stream_writer(request);
  writer->begin({.id = "i", .model = "m", .created = 1});
  EXPECT_EQ(writer->output(), "") << "nothing is said before there is something to say";
  say(*writer);
  std::string text = writer->output();
  constexpr std::string_view kHead =
      R"(data: {"id":"i","object":"chat.completion.chunk","created":1,"model":"m","choices":[)";
  for (std::size_t at = 0; (at = text.find(kHead, at)) != std::string::npos;) text.replace(at, kHead.size(), "");
  return text;
}

TEST(OpenAiChatStream, PutsLogprobsIntoTheChunkOfTheirText) {
  json::Value logprobs = json::parse(R"({"content":[{"token":"a"}]})").value();
  EXPECT_EQ(
      chunks([&](chat::StreamWriter& out) {
        out.text(0, "a");
        out.logprobs(0, logprobs);
      }),
      R"({"index":0,"delta":{"role":"assistant","content":"a"},"logprobs":{"content":[{"token":"a"}]},"finish_reason":null}]})"
      "\n\n");
  EXPECT_EQ(chunks([&](chat::StreamWriter& out) {
              out.text(0, "a");
              out.output().clear();  // it was sent
              out.logprobs(0, logprobs);
            }),
            R"({"index":0,"delta":{},"logprobs":{"content":[{"token":"a"}]},"finish_reason":null}]})"
            "\n\n");
}

TEST(OpenAiChatStream, GivesEveryChoiceItsRole) {
  EXPECT_EQ(chunks([](chat::StreamWriter& out) {
              out.text(1, "b");
              out.refusal(0, "no");
              out.text(1, "c");
            }),
            "{\"index\":1,\"delta\":{\"role\":\"assistant\",\"content\":\"b\"},\"logprobs\":null,\"finish_reason\":"
            "null}]}\n\n"
            "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"},\"logprobs\":null,"
            "\"finish_reason\":null}]}\n\n"
            "{\"index\":1,\"delta\":{\"content\":\"c\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
}

TEST(OpenAiChatStream, CountsCharactersForCitations) {
  EXPECT_THAT(
      chunks([](chat::StreamWriter& out) {
        out.text(0, "é漢");
        out.citation(0, {.url = "https://x", .title = "t"});
        out.citation(0, {.title = "of a document"});
      }),
      testing::EndsWith(
          R"({"index":0,"delta":{"annotations":[{"type":"url_citation","url_citation":{"start_index":0,"end_index":2,)"
          R"("url":"https://x","title":"t"}}]},"logprobs":null,"finish_reason":null}]})"
          "\n\n"));
}

TEST(OpenAiChatStream, EndsOnceAndNotAfterAnError) {
  EXPECT_EQ(chunks([](chat::StreamWriter& out) { out.end(); }, true), "data: [DONE]\n\n") << "no usage is made up";
  EXPECT_EQ(chunks([](chat::StreamWriter& out) {
              out.error({.status = 500, .message = "m"});
              out.end();
            }),
            "data: {\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n");
}

}  // namespace
}  // namespace penstock::ext
