#include "wire/lines.h"

#include <gmock/gmock.h>

namespace penstock::wire {
namespace {

using testing::ElementsAre;

std::vector<std::string> lines_of(std::string_view text, std::size_t piece) {
  LineSplitter splitter;
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    EXPECT_TRUE(splitter.feed(text.substr(at, piece)));
    while (auto line = splitter.next()) lines.emplace_back(*line);
  }
  if (auto line = splitter.last()) lines.emplace_back(*line);
  EXPECT_FALSE(splitter.last());
  return lines;
}

TEST(LineSplitter, GivesTheSameLinesForAnySplit) {
  for (std::size_t piece = 1; piece < 20; ++piece) {
    EXPECT_THAT(lines_of("{\"a\":1}\n\r\n  \n{\"b\":2}\r\n{\"c\":3}", piece),
                ElementsAre("{\"a\":1}", "{\"b\":2}", "{\"c\":3}"));
  }
}

TEST(LineSplitter, RefusesALineOverTheLimit) {
  LineSplitter splitter(10);
  EXPECT_TRUE(splitter.feed("1234567890\n"));
  EXPECT_TRUE(splitter.next());
  EXPECT_TRUE(splitter.feed("1234567890"));
  EXPECT_FALSE(splitter.feed("1"));
}

}  // namespace
}  // namespace penstock::wire
