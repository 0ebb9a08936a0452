#include "token/work_limit.h"

#include <gtest/gtest.h>

#include <random>

#include "token/test/tables.h"

namespace penstock::token {
namespace {

std::string random_letters(std::size_t bytes) {
  std::mt19937 random(1);
  std::string text;
  while (text.size() < bytes) text += static_cast<char>('a' + random() % 26);
  return text;
}

std::string many(std::string_view word, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += word;
  return text;
}

TEST(WorkLimit, LeavesOrdinaryPromptsExact) {
  PENSTOCK_NEED_ENCODING(by, "o200k_base");
  std::string prose = many("The quick brown fox jumps over the lazy dog, unquestionably. ", 20'000);
  std::size_t exact = by->count(prose);
  WorkLimit limit;
  EXPECT_EQ(by->count(prose), exact);
  EXPECT_FALSE(limit.exceeded());
}

TEST(WorkLimit, BoundsWhatIsSlowToCount) {
  PENSTOCK_NEED_ENCODING(by, "o200k_base");
  std::string word = random_letters(1'000'000);
  std::size_t exact = by->count(word);
  WorkLimit limit;
  std::size_t counted = by->count(word);
  EXPECT_TRUE(limit.exceeded());
  EXPECT_GE(counted, exact);
  EXPECT_LE(counted, word.size());
}

TEST(WorkLimit, IsOneForAllTextsAndLimitsWithinIt) {
  PENSTOCK_NEED_ENCODING(by, "o200k_base");
  std::string word = random_letters(100);
  WorkLimit limit(100 * 70);
  std::size_t exact = by->count(word);
  EXPECT_FALSE(limit.exceeded());
  {
    WorkLimit within;
    EXPECT_EQ(by->count(word), 63);
    EXPECT_GE(63, exact);
    EXPECT_TRUE(within.exceeded());
  }
  EXPECT_TRUE(limit.exceeded());
}

TEST(WorkLimit, EndsWithItsScope) {
  PENSTOCK_NEED_ENCODING(by, "o200k_base");
  {
    WorkLimit limit(0);
  }
  EXPECT_EQ(WorkLimit::current(), nullptr);
  EXPECT_EQ(by->count("hello"), 1);
}

TEST(WorkLimit, MostTokensIsNoLessThanTheCount) {
  PENSTOCK_NEED_ENCODING(by, "cl100k_base");
  std::string strange = many("\xF0\x9F\x98\x80\xF0\x90\x90\x80 \x01\x02{};#", 1000);
  for (const std::string& text : {random_letters(20'000), strange, many("qx zv ", 5000), many("7 ", 5000)})
    EXPECT_GE(most_tokens(text), static_cast<std::int64_t>(by->count(text))) << text.substr(0, 30);
}

}  // namespace
}  // namespace penstock::token
