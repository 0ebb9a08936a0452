#include "ext/sinks/mqtt/topic_template.h"

#include <gtest/gtest.h>

namespace penstock::ext {
namespace {

ingest::Sample sample() {
  ingest::Sample out;
  out.device = "press/3";
  out.set("line", std::string("a+b"));
  out.set("slot", std::int64_t{7});
  out.set("score", 0.25);
  out.set("on", true);
  out.set("wave", std::vector<double>{1, 2});
  out.set("none", std::string());
  auto alarm = std::make_shared<ingest::AlarmChange>();
  alarm->name = "wear";
  out.alarm = alarm;
  return out;
}

std::string render(std::string_view text) {
  auto parsed = TopicTemplate::parse(text, true);
  return parsed ? parsed->render(sample(), "guard") : "refused: " + parsed.error().detail;
}

TEST(TopicTemplate, FillsEveryPlace) {
  EXPECT_EQ(render("plain/topic"), "plain/topic");
  EXPECT_EQ(render("{pipeline}/{alarm}"), "guard/wear");
  EXPECT_EQ(render("s/{field:slot}-{field:score}/{field:on}"), "s/7-0.25/true");
}

TEST(TopicTemplate, KeepsWildcardsAndLevelsOutOfValues) {
  EXPECT_EQ(render("site/{device}/score"), "site/press_3/score");
  EXPECT_EQ(render("site/{field:line}"), "site/a_b");
  for (const char* absent : {"a/{field:wave}", "a/{field:none}", "a/{field:nowhere}"}) EXPECT_EQ(render(absent), "a/_");
}

TEST(TopicTemplate, RefusesWhatIsNoTemplate) {
  for (const char* bad : {"", "a/+", "a/#", "{device", "device}", "{}", "{devce}", "{field:}"}) {
    EXPECT_TRUE(render(bad).starts_with("refused")) << bad;
  }
  EXPECT_FALSE(TopicTemplate::parse("a/{alarm}", false));
}

}  // namespace
}  // namespace penstock::ext
