#include "mqtt/topic.h"

#include <gtest/gtest.h>

namespace penstock::mqtt {
namespace {

TEST(Topic, CountsLevelsFromZero) {
  EXPECT_EQ(level("plant/press-3/vibration", 0), "plant");
  EXPECT_EQ(level("plant/press-3/vibration", 1), "press-3");
  EXPECT_EQ(level("plant/press-3/vibration", 2), "vibration");
  EXPECT_EQ(level("plant/press-3/vibration", 3), "");
  EXPECT_EQ(level("/a", 0), "");
  EXPECT_EQ(level("/a", 1), "a");
}

TEST(Topic, FindsTheFirstWildcard) {
  EXPECT_EQ(first_wildcard("plant/+/vibration"), 1U);
  EXPECT_EQ(first_wildcard("plant/#"), 1U);
  EXPECT_EQ(first_wildcard("#"), 0U);
  EXPECT_EQ(first_wildcard("plant/press"), std::nullopt);
  EXPECT_EQ(first_wildcard("$share/gateways/plant/+/x"), 1U);
}

TEST(Topic, MatchesFilters) {
  EXPECT_EQ(without_share("$share/g/a/+"), "a/+");
  EXPECT_EQ(without_share("a/+"), "a/+");
  EXPECT_TRUE(matches("a/+/c", "a/b/c"));
  EXPECT_FALSE(matches("a/+/c", "a/b/d"));
  EXPECT_TRUE(matches("a/#", "a/b/d"));
}

TEST(Topic, ChecksFiltersAndTopics) {
  for (const char* good : {"a", "a/+/b", "#", "a/#", "$share/g/a/+", "+"}) EXPECT_TRUE(check_filter(good)) << good;
  for (const char* bad : {"", "a+", "a/#/b", "a/b#"}) EXPECT_FALSE(check_filter(bad)) << bad;
  EXPECT_FALSE(check_filter(std::string_view("a\0b", 3)));
  EXPECT_FALSE(check_filter("\xff"));
  EXPECT_TRUE(check_topic("site/press-3/score"));
  for (const char* bad : {"", "a/+", "#"}) EXPECT_FALSE(check_topic(bad)) << bad;
}

TEST(Topic, MakesOneLevelOfAnyValue) {
  EXPECT_EQ(as_level("press-3"), "press-3");
  EXPECT_EQ(as_level("a/b+c#d\n"), "a_b_c_d_");
  EXPECT_EQ(as_level(""), "_");
}

}  // namespace
}  // namespace penstock::mqtt
