#include "llm/usage_reader.h"

#include <gtest/gtest.h>

namespace penstock::llm {
namespace {

chat::Usage read(std::string_view type, std::string_view answer, std::size_t step = 1000) {
  UsageReader reader(type);
  for (std::size_t at = 0; at < answer.size(); at += step) reader.feed(answer.substr(at, step));
  return reader.read();
}

chat::Usage tokens(std::int64_t input, std::int64_t output, std::int64_t cached = 0) {
  return {.known = true, .input = input, .output = output, .cached = cached};
}

constexpr std::string_view kJson = "application/json";

TEST(UsageReader, KnowsTheNamesThatProvidersUse) {
  EXPECT_EQ(read(kJson, R"({"data":[],"usage":{"total_tokens":9,"input_tokens":5,"output_tokens":4,
                           "input_tokens_details":{"cached_tokens":2}}})"),
            tokens(5, 4, 2));
  EXPECT_EQ(read(kJson, R"({"usage":{"prompt_tokens":7,"total_tokens":7},"results":[]})", 1), tokens(7, 0));
  EXPECT_EQ(read(kJson, R"({"results":[],"usage":{"total_tokens":815}})"), tokens(815, 0));
}

TEST(UsageReader, KnowsNothingWhereNothingIsSaid) {
  for (std::string_view answer :
       {R"({"results":[{"usage":{"input_tokens":5}}]})", R"({"usage":{"type":"duration","seconds":9}})",
        R"({"usage":null})", R"({"usage":{"input_tokens":"5"}})", R"({"usage":{"input_tokens":5)", ""}) {
    EXPECT_EQ(read(kJson, answer), chat::Usage{}) << answer;
  }
  EXPECT_EQ(read("audio/mpeg", R"({"usage":{"input_tokens":5}})"), chat::Usage{});
  EXPECT_EQ(read(kJson, R"({"usage":{"input_tokens":-5,"output_tokens":1e30}})"), chat::Usage{});
}

TEST(UsageReader, FindsTheReportOfTheLastEvent) {
  std::string stream =
      "data: {\"type\":\"partial\",\"b64_json\":\"\\\"usage\\\":{\"}\n\n"
      "data: {\"type\":\"done\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}\n\n"
      "data: {\"about\":\"usage\"}\n\ndata: [DONE]\n\n";
  for (std::size_t step : {1UL, 7UL, 1000UL})
    EXPECT_EQ(read("text/event-stream; charset=utf-8", stream, step), tokens(3, 4));
  EXPECT_EQ(read("text/event-stream", "data: {\"usage\":{\"input_tokens\":3"), chat::Usage{});
}

TEST(UsageReader, LooksAtTheEndOfALongAnswer) {
  std::string picture(1'000'000, 'A');
  std::string answer =
      R"({"data":[{"b64_json":")" + picture + R"("}], "usage" : {"input_tokens":5,"output_tokens":4}, "size":"1"})";
  EXPECT_EQ(read(kJson, answer), tokens(5, 4));
  EXPECT_EQ(read(kJson, R"({"usage":{"input_tokens":5},"data":")" + picture + R"("})"), chat::Usage{});
}

}  // namespace
}  // namespace penstock::llm
