#include "ext/providers/openai/chat_stream_reader.h"

#include <gmock/gmock.h>

#include "chat/turns.h"

namespace penstock::ext {
namespace {

using testing::HasSubstr;

// The calls of the sink, a line each.
class Recorder : public chat::StreamSink {
 public:
  std::string lines;
  void begin(const chat::StreamHead& head) override { add("begin {} {} {}", head.id, head.model, head.created); }
  void text(int choice, std::string_view text) override { add("text {} {}", choice, text); }
  void citation(int choice, const chat::Citation& c) override { add("citation {} {} {}", choice, c.url, c.end); }
  void refusal(int choice, std::string_view text) override { add("refusal {} {}", choice, text); }
  void thinking(int choice, std::string_view text) override { add("thinking {} {}", choice, text); }
  void thinking_end(int choice, const chat::Signature& signature, bool redacted) override {
    add("thinking_end {} {} {}", choice, signature.bytes, redacted);
  }
  void media(int choice, const chat::Media& media) override { add("media {} {} {}", choice, media.type, media.data); }
  void call(int choice, int call, std::string_view id, std::string_view name, const chat::Signature& seal) override {
    add("call {} {} {} {} {}", choice, call, id, name, seal.bytes);
  }
  void arguments(int choice, int call, std::string_view fragment) override {
    add("arguments {} {} {}", choice, call, fragment);
  }
  void logprobs(int choice, const json::Value& logprobs) override {
    add("logprobs {} {}", choice, json::dump(logprobs));
  }
  void finish(int choice, chat::Finish finish, std::string_view) override {
    add("finish {} {}", choice, chat::to_string(finish));
  }
  void usage(const chat::Usage& usage) override { add("usage {} {}", usage.input, usage.output); }
  void error(const chat::ProviderError& error) override { add("error {} {}", error.type, error.message); }
  void end() override { add("end"); }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    lines += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }
};

std::string chunk(std::string_view choices, std::string_view more = "") {
  return fmt::format(R"(data: {{"id":"c","model":"m","created":7,"choices":{}{}}})", choices, more) + "\n\n";
}

std::string delta(std::string_view delta, std::string_view finish = "null") {
  return chunk(fmt::format(R"([{{"index":0,"delta":{},"finish_reason":{}}}])", delta, finish));
}

constexpr std::string_view kDone = "data: [DONE]\n\n";

// What the sink hears, and the error if there is one. The same for pieces of every size.
std::string heard(std::string_view bytes) {
  std::string first;
  for (std::size_t size : {bytes.size(), std::size_t{1}, std::size_t{7}}) {
    OpenAiChatStreamReader reader;
    Recorder sink;
    Result<void> fed;
    for (std::size_t i = 0; i < bytes.size() && fed; i += size) fed = reader.feed(bytes.substr(i, size), sink);
    if (fed) fed = reader.finish(sink);
    std::string all = sink.lines + (fed ? "" : "failed: " + fed.error().detail + "\n");
    if (first.empty()) first = all;
    EXPECT_EQ(all, first) << "in pieces of " << size;
  }
  return first;
}

TEST(OpenAiChatStreamReader, ReadsText) {
  EXPECT_EQ(heard(delta(R"({"role":"assistant","content":""})") + delta(R"({"content":"he"})") +
                  delta(R"({"content":"llo"})") + delta("{}", "\"stop\"") +
                  chunk("[]", R"(,"usage":{"prompt_tokens":3,"completion_tokens":2})") + std::string(kDone)),
            "begin c m 7\ntext 0 he\ntext 0 llo\nfinish 0 stop\nusage 3 2\nend\n");
}

TEST(OpenAiChatStreamReader, SurvivesChunksWithoutChoices) {
  std::string absent = "data: {\"id\":\"\",\"prompt_filter_results\":[]}\n\n";
  EXPECT_EQ(heard(absent + chunk("null") + chunk("[]") + ": ping\n\n" + delta(R"({"content":"a"})", "\"stop\"") +
                  std::string(kDone)),
            "begin c m 7\ntext 0 a\nfinish 0 stop\nend\n");
}

TEST(OpenAiChatStreamReader, InventsNoReasonWhereNoneIsGiven) {
  EXPECT_EQ(heard(chunk(R"([{"index":0,"delta":{"content":"a"}}])") + std::string(kDone)),
            "begin c m 7\ntext 0 a\nend\n");
}

TEST(OpenAiChatStreamReader, ReadsUsageOfTheLastChunk) {
  EXPECT_EQ(heard(chunk(R"([{"index":0,"delta":{"content":"a"},"finish_reason":"length"}])",
                        R"(,"usage":{"prompt_tokens":1,"completion_tokens":1})")),
            "begin c m 7\ntext 0 a\nfinish 0 length\nusage 1 1\nend\n")
      << "many servers leave the end mark out";
}

TEST(OpenAiChatStreamReader, RefusesStreamsThatWereCut) {
  EXPECT_THAT(heard(delta(R"({"content":"a"})")), HasSubstr("text 0 a\nfailed: the provider's stream ended before"));
  EXPECT_EQ(heard(" "), "failed: the provider's stream ended before the answer did\n");
  EXPECT_THAT(heard(kDone), HasSubstr("failed: "));
  EXPECT_THAT(heard("data: {\"id\":\n\n"), HasSubstr("not JSON"));
}

TEST(OpenAiChatStreamReader, ReadsCallsInPieces) {
  EXPECT_EQ(
      heard(
          delta(R"({"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]})") +
          delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]})") +
          delta(
              R"({"tool_calls":[{"index":0,"function":{"arguments":":1}"}},{"index":1,"id":"b","function":{"name":"g"}}]})") +
          delta("{}", "\"stop\"") + std::string(kDone)),
      "begin c m 7\ncall 0 0 a f \narguments 0 0 {\"x\"\narguments 0 0 :1}\ncall 0 1 b g \narguments 0 1 {}\n"
      "finish 0 tool_calls\nend\n");
}

TEST(OpenAiChatStreamReader, TellsCallsApartThatHaveNoIndex) {
  std::string made = chat::make_call_id("c", 0, 1, "g");
  EXPECT_EQ(heard(delta(R"({"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]})") +
                  delta(R"({"tool_calls":[{"function":{"arguments":"}"}}]})") +
                  delta(R"({"tool_calls":[{"function":{"name":"g","arguments":{"y":2}}}]})", "\"tool_calls\"")),
            "begin c m 7\ncall 0 0 a f \narguments 0 0 {\narguments 0 0 }\ncall 0 1 " + made +
                " g \narguments 0 1 {\"y\":2}\nfinish 0 tool_calls\nend\n");
}

TEST(OpenAiChatStreamReader, TellsCallsApartThatAllHaveIndexZero) {
  EXPECT_EQ(
      heard(delta(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]})") +
            delta(R"({"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]})", "\"stop\"")),
      "begin c m 7\ncall 0 0 a f \narguments 0 0 {}\ncall 0 1 b f \narguments 0 1 {}\nfinish 0 tool_calls\nend\n");
}

TEST(OpenAiChatStreamReader, GivesEveryCallAnIdOfItsOwn) {
  std::string made = chat::make_call_id("c", 0, 1, "g");
  EXPECT_THAT(heard(delta(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f"}},)"
                          R"({"index":1,"id":"a","function":{"name":"g"}}]})",
                          "\"stop\"")),
              HasSubstr("call 0 1 " + made + " g \n"));
}

TEST(OpenAiChatStreamReader, KeepsArgumentsUntilTheNameIsThere) {
  EXPECT_THAT(heard(delta(R"({"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{}"}}]})") +
                    delta(R"({"tool_calls":[{"index":0,"function":{"name":"f"}}]})", "\"tool_calls\"")),
              HasSubstr("call 0 0 a f \narguments 0 0 {}\nfinish"));
  EXPECT_THAT(heard(delta(R"({"tool_calls":[{"index":0,"id":"a","function":{}}]})", "\"stop\"")),
              HasSubstr("failed: the provider's stream is broken: a tool call without a name"));
}

TEST(OpenAiChatStreamReader, ReadsTheOlderFunctionCall) {
  EXPECT_THAT(heard(delta(R"({"function_call":{"name":"f","arguments":"{"}})") +
                    delta(R"({"function_call":{"arguments":"}"}})", "\"function_call\"")),
              HasSubstr(" f \narguments 0 0 {\narguments 0 0 }\nfinish 0 tool_calls\nend\n"));
}

TEST(OpenAiChatStreamReader, ReadsThoughtsAndTheirSeals) {
  EXPECT_EQ(heard(delta(R"({"reasoning_content":"h"})") + delta(R"({"reasoning":"m"})") +
                  delta(R"({"thinking_blocks":[{"type":"thinking","thinking":"hm","signature":"s"}]})") +
                  delta(R"({"thinking_blocks":[{"type":"redacted_thinking","data":"d"}]})") +
                  delta(R"({"content":"a"})", "\"stop\"")),
            "begin c m 7\nthinking 0 h\nthinking 0 m\nthinking_end 0 s false\nthinking_end 0 d true\ntext 0 a\n"
            "finish 0 stop\nend\n");
}

TEST(OpenAiChatStreamReader, ReadsEverythingElse) {
  EXPECT_EQ(
      heard(delta(R"({"content":[{"type":"text","text":"a"}]})") +
            delta(R"({"annotations":[{"type":"url_citation","url_citation":{"url":"https://x","end_index":1}}]})") +
            delta(R"({"images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]})") +
            delta(R"({"refusal":"no"})") +
            chunk(R"([{"index":0,"delta":{},"logprobs":{"content":[{"token":"a"}]},"finish_reason":"stop"}])")),
      "begin c m 7\ntext 0 a\ncitation 0 https://x 1\nmedia 0 image/png AA==\nrefusal 0 no\n"
      "logprobs 0 {\"content\":[{\"token\":\"a\"}]}\nfinish 0 stop\nend\n");
}

TEST(OpenAiChatStreamReader, ReadsSeveralChoices) {
  EXPECT_EQ(heard(chunk(R"([{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}])") +
                  chunk(R"([{"index":0,"delta":{},"finish_reason":"stop"}])") +
                  chunk(R"([{"index":1,"delta":{},"finish_reason":"length"}])") +
                  chunk(R"([{"index":1,"delta":{},"finish_reason":"length"}])")),
            "begin c m 7\ntext 1 b\ntext 0 a\nfinish 0 stop\nfinish 1 length\nend\n");
  EXPECT_THAT(heard(chunk(R"([{"index":4000000000,"delta":{}}])")), HasSubstr("out of range"));
}

TEST(OpenAiChatStreamReader, PassesErrorsOnAndReadsNoFurther) {
  EXPECT_EQ(
      heard(delta(R"({"content":"a"})") + "data: {\"error\":{\"message\":\"busy\",\"type\":\"server_error\"}}\n\n" +
            delta(R"({"content":"b"})")),
      "begin c m 7\ntext 0 a\nerror server_error busy\n");
  EXPECT_EQ(heard("event: error\ndata: out of memory\n\n"), "error server_error out of memory\n");
}

}  // namespace
}  // namespace penstock::ext
