#include "quota/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::quota {
namespace {

using testing::HasSubstr;

TEST(Rules, AreReadAndWrittenInOneForm) {
  struct Case {
    std::string_view text;
    std::string_view canonical;
  };
  constexpr std::array<Case, 8> kCases{{
      {"", ""},
      {"limits: { rpm: 600, tpm: 200000 }", R"({"limits":{"requests":["600/min"],"tokens":["200000/min"]}})"},
      {"limits: { requests: [10000/day, 10/s], tokens: 5000000/day, concurrent: 20, input: 32000, output: 4096, "
       "throttle: 2s }",
       R"({"limits":{"requests":["10/s","10000/day"],"tokens":["5000000/day"],"concurrent":20,"input":32000,)"
       R"("output":4096,"throttle":"2s"}})"},
      {"budget: 5USD/day", R"({"budget":[{"amount":"5USD","per":"day"}]})"},
      {"budget: [ 0.15USD/month, 2000000tokens/week ]",
       R"({"budget":[{"amount":"0.15USD","per":"month"},{"amount":"2000000tokens","per":"week"}]})"},
      {"budget: 5USD/24h", R"({"budget":[{"amount":"5USD","rolling":"1d"}]})"},
      {"budget: { amount: 5USD, per: week, zone: Europe/Berlin, alert: [80%, 7%, 12.5%], hard: false }",
       R"({"budget":[{"amount":"5USD","per":"week","zone":"Europe/Berlin","alert":["7%","12.5%","80%"],"hard":false}]})"},
      {"{ limits: { concurrent: 1 }, budget: { amount: 3tokens, rolling: 90m, alert: 50% } }",
       R"({"limits":{"concurrent":1},"budget":[{"amount":"3tokens","rolling":"90m","alert":["50%"]}]})"},
  }};
  for (const Case& test : kCases) {
    auto rules = parse_rules(test.text);
    ASSERT_TRUE(rules) << test.text << ": " << rules.error().detail;
    EXPECT_EQ(to_text(*rules), test.canonical);
    auto again = parse_rules(to_text(*rules));
    ASSERT_TRUE(again) << again.error().detail;
    EXPECT_EQ(*again, *rules);
  }
}

TEST(Rules, NameTheMistakeAndItsPlace) {
  struct Case {
    std::string_view text;
    std::string_view error;
  };
  constexpr std::array<Case, 28> kCases{{
      {"limits: { requests: 10/fortnight }", "'10/fortnight' is not a rate; write a whole number per s, min, h or day"},
      {"limits: { requests: -3/s }", "rules:1:21: limits.requests: '-3/s' is not a rate"},
      {"limits: { requests: 0/s }", "'0/s' lets nothing through"},
      {"limits: { requests: 1000000001/s }", "more than 1000000000 requests"},
      {"limits: { tokens: 1000000000001/day }", "more than 1000000000000 tokens"},
      {"limits: { tokens: 99999999999999999999/day }", "is not a rate"},
      {"limits: { rpm: many }", "'many' is not a whole number of requests"},
      {"limits: { concurrent: 1000001 }", "more than 1000000 requests"},
      {"limits: { throttle: 11m }", "'11m' is longer than 10m"},
      {"limits: { rpm: 5, requests: 7/min }", "a second limit of requests per min"},
      {"limits: { requests: [5/h, 7/h] }", "a second limit of requests per h"},
      {"limits: { requests: [100/min, 50/day] }", "100/min requests can never be reached: 50/day is less"},
      {"limits: { rmp: 5 }", "unknown key 'rmp'"},
      {"budget: 5EUR/day", "'5EUR' is not an amount of a budget"},
      {"budget: 5USD", "'5USD' is not a budget; write an amount per period"},
      {"budget: 0USD/day", "lets nothing through"},
      {"budget: -1USD/day", "'-1USD' is not an amount"},
      {"budget: 1000000000USD/day", "is not an amount"},
      {"budget: 5USD/year", "'year' is no period of a budget; write day, week or month"},
      {"budget: 5USD/30s", "'30s' is no period"},
      {"budget: 5USD/367d", "'367d' is no period"},
      {"budget: { amount: 5USD }", "needs one of 'per'"},
      {"budget: { amount: 5USD, per: day, rolling: 24h }", "needs one of 'per'"},
      {"budget: { amount: 5USD, per: day, zone: Europe/Berln }", "did you mean 'Europe/Berlin'?"},
      {"budget: { amount: 5USD, per: day, alert: 120% }", "'120%' is no share of a budget"},
      {"budget: { amount: 5USD, per: day, alert: 0% }", "'0%' is no share of a budget"},
      {"budget: [ 5USD/day, 6USD/day ]", "a second budget of the same unit, period and zone"},
      {"budget: [ 50USD/day, 10USD/month ]", "50USD/day can never be reached: 10USD/month is less"},
  }};
  for (const Case& test : kCases) {
    auto rules = parse_rules(test.text);
    ASSERT_FALSE(rules) << test.text;
    EXPECT_EQ(rules.error().code, Errc::invalid_argument);
    EXPECT_THAT(rules.error().detail, HasSubstr(test.error)) << test.text;
  }
}

TEST(Rules, ReadNoVariables) {
  setenv("QUOTA_TEST", "5/s", 1);
  EXPECT_FALSE(parse_rules("limits: { requests: \"${QUOTA_TEST}\" }"));
}

}  // namespace
}  // namespace penstock::quota
