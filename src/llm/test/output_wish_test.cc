#include "llm/output_wish.h"

#include <gtest/gtest.h>

namespace penstock::llm {
namespace {

constexpr std::array<std::string_view, 2> kNames{"max_completion_tokens", "max_tokens"};

OutputWish wish_of(std::string_view body) {
  std::array<json::Field, 2> fields;
  auto peeked = json::peek(body, kNames, fields);
  EXPECT_TRUE(peeked.has_value()) << body;
  OutputWish wish;
  for (const json::Field& field : fields) wish.take(field);
  wish.insert(1, 1, R"("max_tokens":)", ",");
  return wish;
}

// The body with its maximum lowered.
std::string lowered(std::string_view body, std::int64_t most, std::string_view before = {}) {
  std::string inserted;
  Splice splice(body, inserted);
  lower_output(wish_of(body), most, splice, before);
  return splice.pieces().joined();
}

TEST(OutputWish, TellsWhatTheClientAllows) {
  EXPECT_EQ(wish_of(R"({"max_tokens":7})").tokens, 7);
  EXPECT_EQ(wish_of(R"({"max_tokens":7,"max_completion_tokens":9})").tokens, 9);
  EXPECT_EQ(wish_of(R"({"max_tokens":1e3})").tokens, 1000);
  for (std::string_view open :
       {R"({})", R"({"max_tokens":null})", R"({"max_tokens":-1})", R"({"max_tokens":0})", R"({"max_tokens":"7"})"}) {
    EXPECT_EQ(wish_of(open).tokens, 0) << open;
  }
}

TEST(OutputWish, TouchesNothingButTheNumber) {
  std::string_view body = "{ \"a\" : [1.50, \"\\u00e9\"] ,\"max_tokens\"\t:  500 , \"z\":{}}";
  EXPECT_EQ(lowered(body, 42), "{ \"a\" : [1.50, \"\\u00e9\"] ,\"max_tokens\"\t:  42 , \"z\":{}}");
  EXPECT_EQ(lowered(body, 500), body);
  EXPECT_EQ(lowered(body, 0), body) << "no bound";
}

TEST(OutputWish, LowersEveryNameOfIt) {
  EXPECT_EQ(lowered(R"({"max_tokens":9,"max_completion_tokens":3})", 5),
            R"({"max_tokens":5,"max_completion_tokens":3})");
  EXPECT_EQ(lowered(R"({"max_tokens":9,"max_completion_tokens":8})", 5),
            R"({"max_tokens":5,"max_completion_tokens":5})");
}

TEST(OutputWish, ReplacesWhatBoundsNothing) {
  EXPECT_EQ(lowered(R"({"max_tokens":null,"a":1})", 5), R"({"max_tokens":5,"a":1})");
  EXPECT_EQ(lowered(R"({"max_tokens":-2})", 5), R"({"max_tokens":5})");
  EXPECT_EQ(lowered(R"({"max_tokens":"many"})", 5), R"({"max_tokens":5})");
}

TEST(OutputWish, PutsAMaximumIn) {
  EXPECT_EQ(lowered(R"({"a":1})", 5), R"({"max_tokens":5,"a":1})");
  EXPECT_EQ(lowered(R"({"a":1})", 5, R"("max_completion_tokens":)"), R"({"max_completion_tokens":5,"a":1})");
}

TEST(OutputWish, CountsAnswersWantedAtOnce) {
  OutputWish wish;
  auto take = [&wish](std::string_view body) {
    constexpr std::array<std::string_view, 1> kName{"n"};
    std::array<json::Field, 1> fields;
    EXPECT_TRUE(json::peek(body, kName, fields)) << body;
    return wish.take_answers(fields[0], "n");
  };
  EXPECT_TRUE(take("{}"));
  EXPECT_TRUE(take(R"({"n":null})"));
  EXPECT_EQ(wish.answers, 1);
  EXPECT_TRUE(take(R"({"n":3})"));
  EXPECT_TRUE(take(R"({"n":2})"));
  EXPECT_EQ(wish.answers, 3);
  // Some provider may take these for a number.
  for (std::string_view other : {R"({"n":100.0})", R"({"n":"100"})", R"({"n":0})", R"({"n":-4})", R"({"n":1e2})",
                                 R"({"n":true})", R"({"n":[100]})"}) {
    auto taken = take(other);
    ASSERT_FALSE(taken) << other;
    EXPECT_EQ(taken.error().detail, "the field 'n' must be an integer of 1 or more");
  }
}

TEST(Splice, KeepsTheOrderOfThePlacesAndJoinsWhatIsTooMany) {
  std::string body = "0123456789";
  std::string inserted;
  Splice splice(body, inserted);
  for (std::size_t at : {8U, 2U, 6U, 4U, 0U}) splice.replace(at, at + 1) += "<" + std::to_string(at) + ">";
  net::Pieces pieces = splice.pieces();
  EXPECT_EQ(pieces.joined(), "<0>1<2>3<4>5<6>7<8>9");
  EXPECT_LE(pieces.items().size(), net::Pieces::kMax - 3);
}

}  // namespace
}  // namespace penstock::llm
