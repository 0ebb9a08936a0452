// The codecs of completions and embeddings.
#include <gmock/gmock.h>

#include "ext/apis/openai/completions_codec.h"
#include "ext/apis/openai/embeddings_codec.h"
#include "json/value.h"

namespace penstock::ext {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(OpenAiCompletionsCodec, ShowsLogprobsAsLists) {
  OpenAiCompletionsCodec codec;
  auto request = codec.read_request(R"({"model":"m","prompt":"x","logprobs":1})");
  ASSERT_TRUE(request.has_value()) << request.error().detail;
  chat::Answer answer{.id = "i", .model = "m", .created = 1, .choices = {}, .usage = {}};
  answer.choices.push_back(
      {.parts = {{.content = chat::Text{"éb"}}},
       .finish = chat::Finish::stop,
       .logprobs =
           json::parse(R"({"content":[{"token":"é","logprob":-0.5,"top_logprobs":[{"token":"\"","logprob":-0.5}]},
                               {"token":"b","logprob":-1}]})")
               .value()});
  EXPECT_EQ(
      json::parse(codec.write_answer(*request, answer)).value(),
      json::parse(R"({"id":"i","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"éb",
              "logprobs":{"tokens":["é","b"],"token_logprobs":[-0.5,-1],"top_logprobs":[{"\"":-0.5},{}],
              "text_offset":[0,1]},"finish_reason":"stop"}]})")
          .value());
  auto writer = codec.stream_writer(*request);
  writer->begin({.id = "i", .model = "m", .created = 1});
  writer->text(0, "ab");
  writer->output().clear();
  writer->text(0, "c");
  writer->logprobs(0, json::parse(R"({"content":[{"token":"c","logprob":-1}]})").value());
  EXPECT_THAT(writer->output(), HasSubstr(R"("logprobs":{"tokens":["c"],)"));
  EXPECT_THAT(writer->output(), HasSubstr(R"("text_offset":[2]})"));
}

TEST(OpenAiCompletionsCodec, SaysRefusalsAsText) {
  OpenAiCompletionsCodec codec;
  chat::Answer answer{.id = "i", .model = "m", .created = 1, .choices = {}, .usage = {}};
  answer.choices.push_back({.parts = {{.content = chat::Thinking{"hm"}}, {.content = chat::Refusal{"no"}}}});
  EXPECT_THAT(codec.write_answer({}, answer), HasSubstr(R"("text":"no")"));
}

chat::EmbeddingsRequest read(std::string_view body) {
  auto request = OpenAiEmbeddingsCodec().read_request(body);
  EXPECT_TRUE(request.has_value()) << body << request.error().detail;
  return request.value_or(chat::EmbeddingsRequest{});
}

TEST(OpenAiEmbeddingsCodec, ReadsEveryKindOfInput) {
  EXPECT_THAT(read(R"({"model":"m","input":"a"})").texts, ElementsAre("a"));
  EXPECT_TRUE(read(R"({"model":"m","input":"a"})").single);
  EXPECT_THAT(read(R"({"model":"m","input":["a","b"]})").texts, ElementsAre("a", "b"));
  EXPECT_THAT(read(R"({"model":"m","input":[1,2]})").tokens, ElementsAre(ElementsAre(1, 2)));
  EXPECT_THAT(read(R"({"model":"m","input":[[1],[2]]})").tokens, ElementsAre(ElementsAre(1), ElementsAre(2)));
  chat::EmbeddingsRequest request =
      read(R"({"model":"m","input":"a","dimensions":2,"encoding_format":"base64","user":"u","made_up":1})");
  EXPECT_EQ(request.dimensions, 2);
  EXPECT_TRUE(request.base64);
  EXPECT_EQ(request.user, "u");
  EXPECT_THAT(request.unread, ElementsAre("made_up"));
}

TEST(OpenAiEmbeddingsCodec, SaysWhereAMistakeIs) {
  struct Row {
    std::string_view members, wanted;
  };
  constexpr Row kRows[] = {{R"("user":"u")", "input: is missing"},
                           {R"("input":[])", "input: must be a string"},
                           {R"("input":1)", "input: must be a string"},
                           {R"("input":[1,"a"])", "input: must be a string"},
                           {R"("input":["a",1])", "input[1]: must be a string"},
                           {R"("input":["a",[1]])", "input[1]: must be a string"},
                           {R"("input":[[1],"a"])", "input[1]: must be a string"},
                           {R"("input":"a","encoding_format":"int8")", "encoding_format: must be float or base64"},
                           {R"("input":"a","dimensions":0)", "dimensions: must be at least 1"}};
  for (const Row& row : kRows) {
    auto request = OpenAiEmbeddingsCodec().read_request(fmt::format(R"({{"model":"m",{}}})", row.members));
    ASSERT_FALSE(request.has_value()) << row.members;
    EXPECT_THAT(request.error().detail, HasSubstr(row.wanted)) << row.members;
  }
}

TEST(OpenAiEmbeddingsCodec, WritesNumbersThatReadBackTheSame) {
  chat::EmbeddingsAnswer answer{.model = "e", .vectors = {{0.1F, -3e-20F, 1}}, .usage = {.known = true, .input = 3}};
  EXPECT_EQ(OpenAiEmbeddingsCodec().write_answer(read(R"({"model":"m","input":"a"})"), answer),
            R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-3e-20,1]}],"model":"e",)"
            R"("usage":{"prompt_tokens":3,"total_tokens":3}})");
}

}  // namespace
}  // namespace penstock::ext
