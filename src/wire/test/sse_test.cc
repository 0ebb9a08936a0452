#include <gtest/gtest.h>

#include "wire/sse.h"

namespace penstock::wire {
namespace {

std::vector<std::string> split_events(std::string_view bytes, std::size_t step) {
  SseSplitter splitter;
  std::vector<std::string> events;
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    EXPECT_TRUE(splitter.feed(bytes.substr(i, step)));
    while (auto event = splitter.next()) events.push_back(std::string(event->name) + "|" + std::string(event->data));
  }
  return events;
}

TEST(SseSplitter, AnySplitGivesTheSameEvents) {
  std::string_view bytes =
      "data: a\n\nevent: x\r\ndata:b\r\ndata: c\r\n\r\n: ping\r\r data: no\rdata: d\r\rdata: [DONE]\n\n";
  std::vector<std::string> expected{"|a", "x|b\nc", "|", "|d", "|[DONE]"};
  for (std::size_t step = 1; step <= bytes.size(); ++step) EXPECT_EQ(split_events(bytes, step), expected) << step;
}

TEST(SseSplitter, RawBytesAddUpToTheInput) {
  std::string_view bytes = "data: a\n\n: c\n\ndata: b\r\n\r\ndata: cut";
  SseSplitter splitter;
  splitter.feed(bytes);
  std::string joined;
  while (auto event = splitter.next()) joined += event->raw;
  joined += splitter.rest();
  EXPECT_EQ(joined, bytes);
}

TEST(SseSplitter, TheLastEventMayLackItsEmptyLine) {
  SseSplitter splitter;
  splitter.feed("data: a\n\ndata: [DONE]\n");
  EXPECT_EQ(splitter.next()->data, "a");
  EXPECT_FALSE(splitter.next().has_value());
  auto last = splitter.last();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->data, "[DONE]");
  EXPECT_EQ(last->raw, "data: [DONE]\n\n");
  EXPECT_FALSE(splitter.last().has_value());
  splitter.feed("data: cut");
  EXPECT_FALSE(splitter.last().has_value()) << "half a line is no event";
  EXPECT_EQ(splitter.rest(), "data: cut");
}

TEST(SseSplitter, TheLastLineMayLackItsEndWhenItsDataAreWhole) {
  for (std::string_view whole : {R"({"a":{"b":"}\"{"}})", "[DONE]", R"({"a":[1,2]})"}) {
    SseSplitter splitter;
    splitter.feed("event: x\ndata: ");
    splitter.feed(whole);
    EXPECT_FALSE(splitter.next().has_value());
    auto last = splitter.last();
    ASSERT_TRUE(last.has_value()) << whole;
    EXPECT_EQ(last->data, whole);
    EXPECT_EQ(last->name, "x");
    EXPECT_EQ(last->raw, "event: x\ndata: " + std::string(whole) + "\n\n");
    EXPECT_EQ(splitter.rest(), "");
  }
  for (std::string_view cut : {R"({"a":{"b":1})", R"({"a":"}")", R"({"a":"}\")", "[DON", "event: x", "12"}) {
    SseSplitter splitter;
    splitter.feed("data: ");
    splitter.feed(cut);
    EXPECT_FALSE(splitter.last().has_value()) << cut;
    EXPECT_EQ(splitter.rest(), "data: " + std::string(cut));
  }
}

TEST(SseSplitter, RefusesAnEndlessEvent) {
  SseSplitter splitter(100);
  EXPECT_FALSE(splitter.feed(std::string(101, 'x')));
}

}  // namespace
}  // namespace penstock::wire
