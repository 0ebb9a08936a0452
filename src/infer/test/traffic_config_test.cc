#include "infer/traffic_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::infer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// What is read of `text`; mistakes go to `report`.
TrafficConfig read(const std::string& text, std::string* report = nullptr) {
  auto document = config::Document::parse(text, "t.yaml");
  EXPECT_TRUE(document) << text;
  config::Map root = document->root().map();
  TrafficConfig traffic = parse_traffic(root);
  root.done();
  if (report != nullptr) *report = document->report();
  if (report == nullptr) EXPECT_FALSE(document->failed()) << document->report();
  return traffic;
}

std::string refusal(const std::string& text) {
  std::string report;
  read(text, &report);
  return report;
}

TEST(TrafficConfig, ReadsAllOfIt) {
  TrafficConfig traffic = read(
      "labels: { stable: 3, canary: 4 }\n"
      "split: { 2: 25%, 3: 75% }\n"
      "sticky: { header: x-user }\n"
      "canary: { version: 4, share: 10%, rollback_if: \"errors > 0.5% or p99.9 > 20ms or disagreement > 2%\",\n"
      "          promote_after: 30m, error_rate: 1% }\n"
      "shadow: { version: 5, share: 5% }\n"
      "compare: { as: classes, tolerance: 0.1% }\n");
  EXPECT_THAT(traffic.labels, ElementsAre(Pair("canary", 4), Pair("stable", 3)));
  EXPECT_THAT(traffic.split, ElementsAre(Pair(2, 0.25), Pair(3, 0.75)));
  EXPECT_EQ(traffic.sticky, TrafficConfig::Sticky::header);
  EXPECT_EQ(traffic.sticky_name, "x-user");
  ASSERT_TRUE(traffic.canary);
  EXPECT_EQ(traffic.canary->version, 4);
  EXPECT_EQ(traffic.canary->promote_after, std::chrono::minutes(30));
  ASSERT_EQ(traffic.canary->rules.size(), 3U);
  EXPECT_DOUBLE_EQ(traffic.canary->rules[0].share, 0.005);
  EXPECT_EQ(traffic.canary->rules[1].kind, CanaryRule::Kind::latency);
  EXPECT_NEAR(traffic.canary->rules[1].share, 0.001, 1e-12);
  EXPECT_EQ(traffic.canary->rules[1].bound, std::chrono::milliseconds(20));
  EXPECT_EQ(traffic.canary->rules[1].text, "p99.9 > 20ms");
  EXPECT_EQ(traffic.canary->rules[2].kind, CanaryRule::Kind::disagreement);
  EXPECT_EQ(traffic.shadow->version, 5);
  EXPECT_EQ(traffic.compare.as, CompareConfig::As::classes);
  EXPECT_EQ(read("sticky: key").sticky, TrafficConfig::Sticky::key);
  EXPECT_EQ(read("sticky: { parameter: user }").sticky, TrafficConfig::Sticky::parameter);
}

TEST(TrafficConfig, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(refusal("split: { 3: 90%, 4: 20% }"), HasSubstr("t.yaml:1:8: split: the shares add up to 110 %"));
  EXPECT_THAT(refusal("split: { stable: 100% }"), HasSubstr("'stable' is no version"));
  EXPECT_THAT(refusal("split: { 03: 100% }"), HasSubstr("'03' is no version"));
  EXPECT_THAT(refusal("split: { 3: 1 }"), HasSubstr("version 3: '1' is not a percentage"));
  EXPECT_THAT(refusal("labels: { stable: x }"), HasSubstr("label 'stable': 'x' is no version"));
  EXPECT_THAT(refusal("labels: { 7: 3 }"), HasSubstr("'7' cannot be a label"));
  EXPECT_THAT(refusal("labels: { \"a b\": 3 }"), HasSubstr("'a b' cannot be a label"));
  EXPECT_THAT(refusal("sticky: ip"), HasSubstr("'ip'"));
  EXPECT_THAT(refusal("sticky: { header: a, parameter: b }"), HasSubstr("or one of"));
  EXPECT_THAT(refusal("canary: { share: 5% }"), HasSubstr("version"));
  EXPECT_THAT(refusal("canary: { version: 0 }"), HasSubstr("out of range"));
  EXPECT_THAT(refusal("canary: { version: 4, share: 0% }"), HasSubstr("more than 0 %"));
  EXPECT_THAT(refusal("canary: { version: 4, promote_after: 1h }"), HasSubstr("`promote_after` needs `rollback_if`"));
  EXPECT_THAT(refusal("canary: { version: 4, error_rate: 60% }"), HasSubstr("wrong decisions"));
  EXPECT_THAT(refusal("canary: { version: 4, weight: 1 }"), HasSubstr("weight"));
  EXPECT_THAT(refusal("{ canary: { version: 4 }, split: { 4: 100% } }"), HasSubstr("is in `split` too"));
  EXPECT_THAT(refusal("{ canary: { version: 4 }, labels: { stable: 4 } }"), HasSubstr("labelled `stable` too"));
  EXPECT_THAT(refusal("shadow: { version: 4, share: 0% }"), HasSubstr("more than 0 %"));
  EXPECT_THAT(refusal("compare: { as: vectors }"), HasSubstr("vectors"));
}

TEST(TrafficConfig, RulesSayWhichPartIsWrong) {
  auto wrong = [](std::string_view text) {
    auto rules = parse_rules(text);
    return rules ? std::string("fine") : rules.error().detail;
  };
  EXPECT_EQ(wrong("errors > 0.5%"), "fine");
  EXPECT_EQ(wrong("  p95>1.5s   or   p50 > 250us "), "fine");
  EXPECT_THAT(wrong(""), HasSubstr("has no '>'"));
  EXPECT_THAT(wrong("errors > 1% or "), HasSubstr("'' has no '>'"));
  EXPECT_THAT(wrong("errors > 1% and p99 > 1s"), HasSubstr("1% and p99 > 1s"));
  EXPECT_THAT(wrong("errors < 1%"), HasSubstr("'errors < 1%' has no '>'"));
  EXPECT_THAT(wrong("errors > 1"), HasSubstr("'1' is not a percentage"));
  EXPECT_THAT(wrong("errors > 0%"), HasSubstr("between 0 % and 100 %"));
  EXPECT_THAT(wrong("errors > 100%"), HasSubstr("between 0 % and 100 %"));
  EXPECT_THAT(wrong("p99 > 20"), HasSubstr("'20'"));
  EXPECT_THAT(wrong("p99 > 0"), HasSubstr("every call takes longer"));
  EXPECT_THAT(wrong("p100 > 1s"), HasSubstr("from p1 to p99.999"));
  EXPECT_THAT(wrong("p0 > 1s"), HasSubstr("from p1 to p99.999"));
  EXPECT_THAT(wrong("pnan > 1s"), HasSubstr("from p1 to p99.999"));
  EXPECT_THAT(wrong("error > 1%"), HasSubstr("'error' is not errors"));
  EXPECT_THAT(wrong("errors > 1% or errors > 2%"), HasSubstr("about the same"));
  EXPECT_THAT(wrong("p1 > 1s or p2 > 1s or p3 > 1s or p4 > 1s or p5 > 1s"), HasSubstr("at most 4"));
}

TEST(TrafficConfig, SharesReadWell) {
  EXPECT_EQ(format_share(0.005), "0.5 %");
  EXPECT_EQ(format_share(1), "100 %");
  EXPECT_EQ(format_share(0.1234567), "12.35 %");
}

}  // namespace
}  // namespace penstock::infer
