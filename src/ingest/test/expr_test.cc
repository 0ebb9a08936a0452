#include "ingest/expr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Sample press() {
  Sample sample;
  sample.event_time = 1'700'000'000'500'000;
  sample.device = "press-1";
  sample.set("temp", 81.5, "degC");
  sample.set("speed", 2.0, "mm/s");
  sample.set("plain", 10.0);
  sample.set("count", std::int64_t{7});
  sample.set("stop", true);
  sample.set("state", std::string("Running"));
  sample.set("odd-name", 3.0);
  sample.set("motor.temp", 40.0);
  sample.set("vib", 4.0);
  sample.set("vib[]", std::vector<double>{1, 2, 3, 4});
  sample.set("y", std::vector<double>{0.25, 0.75});
  sample.set("widgets", 5.0, "widget");
  sample.tags = {{"line", "A"}};
  return sample;
}

std::string run(std::string_view text) {
  auto compiled = Expression::compile(text);
  if (!compiled) return "error: " + compiled.error().detail;
  Sample sample = press();
  return to_text(compiled->evaluate(sample));
}

struct Row {
  const char* text;
  const char* result;
};

TEST(Expression, Evaluates) {
  const Row rows[] = {
      {"1 + 2 * 3", "7"},
      {"(1 + 2) * 3", "9"},
      {"-2 - -3", "1"},
      {"7 % 4", "3"},
      {"10 - 2 - 3", "5"},
      {"1e3 / 4", "250"},
      {"temp > 80", "true"},
      {"not temp > 80", "false"},
      {"temp > 80 and state == \"Running\"", "true"},
      {"temp < 80 or stop", "true"},
      {"stop == 1", "true"},
      {"count == 7 ? \"seven\" : \"other\"", "seven"},
      {"count", "7"},
      {"device == 'press-1'", "true"},
      {"tags.line == \"A\"", "true"},
      {"tags.none == \"A\"", "false"},
      {"quality == \"good\"", "true"},
      {"`odd-name` * 2", "6"},
      {"motor.temp", "40"},
      {"time", "1.7e+09s"},
      {"abs(-3)", "3"},
      {"min(3, 1, 2)", "1"},
      {"max(vib[])", "4"},
      {"mean(vib[])", "2.5"},
      {"sum(vib[]) + len(vib[])", "14"},
      {"stddev([2, 4, 4, 4, 5, 5, 7, 9])", "2"},
      {"clamp(plain, 0, 5)", "5"},
      {"round(3.14159, 2)", "3.14"},
      {"sqrt(16) + pow(2, 3)", "12"},
      {"y[0]", "0.25"},
      {"y[-1]", "0.75"},
      {"vib[2]", "3"},
      {"vib", "4"},
      {"len([plain, vib[], 1])", "6"},
      {"mean(vib[] - mean(vib[]))", "0"},
      {"sum(vib[] * vib[])", "30"},
      {"contains(lower(state), \"run\")", "true"},
      {"starts_with(state, \"Run\") and ends_with(state, \"ing\")", "true"},
      {"upper(device)", "PRESS-1"},
      {"number(\"12.5\") + 1", "13.5"},
      {"has(temp)", "true"},
      {"has(nothing)", "false"},
      {"coalesce(nothing, plain)", "10"},
  };
  for (const Row& row : rows) EXPECT_EQ(run(row.text), row.result) << row.text;
}

TEST(Expression, MissingValuesAreNullAndComparisonsWithThemFalse) {
  const Row rows[] = {
      {"nothing", "null"},       {"nothing + 1", "null"},       {"nothing > 1", "false"},
      {"nothing != 1", "false"}, {"not (nothing > 1)", "true"}, {"is_null(nothing)", "true"},
      {"1 / 0", "null"},         {"sqrt(-1)", "null"},          {"y[2]", "null"},
      {"y[-3]", "null"},         {"nothing[0]", "null"},        {"state + 1", "null"},
      {"mean(nothing)", "null"}, {"nothing ? 1 : 2", "2"},      {"nothing and true", "false"},
      {"[1, nothing]", "null"},  {"vib[] + [1, 2]", "null"},    {"pow(10, 400)", "null"},
      {"state > 5", "null"},     {"number(\"12x\")", "null"},
  };
  for (const Row& row : rows) EXPECT_EQ(run(row.text), row.result) << row.text;
}

TEST(Expression, ConvertsUnits) {
  const Row rows[] = {
      {"temp > 80degC", "true"},
      {"temp > 178degF", "true"},   // 81.1 degC
      {"temp > 180degF", "false"},  // 82.2 degC
      {"temp > 354K", "true"},      // 80.85 degC
      {"to(temp, \"degF\")", "178.7degF"},
      {"to(temp, \"K\")", "354.65K"},
      {"speed >= 0.002m/s", "true"},
      {"1000mm + 1m", "2000mm"},
      {"temp + 5K", "86.5degC"},
      {"temp - 80degC", "1.5K"},
      {"temp - 20K", "61.5degC"},
      {"plain * 5%", "0.5"},
      {"plain > 5%", "true"},  // a field without a unit is taken in the literal's
      {"3s == 3000ms", "true"},
      {"9.80665m/s2 == 1g", "true"},
      {"14.5psi < 1bar", "true"},
      {"3000rpm == 50Hz", "true"},
      {"1KiB == 1024B", "true"},
      {"max(1m, 150cm)", "1.5m"},
      {"10m / 4m", "2.5"},
      {"6m / 2", "3m"},
      {"to(plain, \"bar\")", "10bar"},
      {"temp > 3s", "null"},  // known only at run time
      {"widgets > 3s", "null"},
      {"widgets > 3", "true"},
      {"5 % 2", "1"},
  };
  for (const Row& row : rows) EXPECT_EQ(run(row.text), row.result) << row.text;
}

TEST(Expression, RefusesWithColumnAndHint) {
  const Row rows[] = {
      {"", "column 1: the expression is empty"},
      {"temp >", "column 7: the expression ends where a value is expected"},
      {"temp > 80degX", "column 10: unknown unit 'degX'; did you mean 'deg"},
      {"temp && stop", "column 6: '&&' is no operator here; write 'and'"},
      {"temp = 3", "to compare, write '=='"},
      {"meen(vib[])", "column 1: unknown function 'meen'; did you mean 'mean'?"},
      {"clamp(temp)", "column 1: clamp() takes 3 value(s), not 1"},
      {"10degC > 3s", "column 8: degC is a temperature and s a time"},
      {"to(3s, \"degF\")", "column 1: s is a time and degF a temperature"},
      {"to(temp, \"widget\")", "column 10: to() takes a unit"},
      {"10degC + 10degC", "write the difference in K"},
      {"1 < 2 < 3", "column 7: comparisons do not chain"},
      {"\"a\" + 1", "column 1: arithmetic takes a number, not a text"},
      {"\"a\" == 1", "never equals"},
      {"temp == null", "write is_null(x)"},
      {"(1 + 2", "column 7: the expression ends where ')' is missing"},
      {"state == Running x", "column 18: an operator is expected before 'x'"},
      {"\"open", "column 1: the closing \" is missing"},
      {"temp > 3 for 3s", "column 10: 'for' belongs to alarm conditions only"},
      {"has(1)", "has() takes the name of a field"},
      {"a \x01 b", "column 3: unexpected character"},
  };
  for (const Row& row : rows) EXPECT_THAT(run(row.text), HasSubstr(row.result)) << row.text;
}

TEST(Expression, RefusesWhatCannotBeACondition) {
  auto compiled = Expression::compile("1 + 2", Expression::Wants::condition);
  ASSERT_FALSE(compiled.has_value());
  EXPECT_THAT(compiled.error().detail, HasSubstr("this gives a number; expected is a condition"));
  EXPECT_TRUE(Expression::compile("stop", Expression::Wants::condition).has_value());
}

TEST(Expression, IsBounded) {
  std::string deep(200, '(');
  EXPECT_THAT(run(deep), HasSubstr("nested more than 64 deep"));
  EXPECT_THAT(run(std::string(5000, '1')), HasSubstr("longer than 4096 bytes"));
  std::string wide = "1";
  for (int i = 0; i < 1500; ++i) wide += "+1";
  EXPECT_THAT(run(wide), HasSubstr("more than 1024 parts"));
}

TEST(Expression, ReportsThePlaceInTheFile) {
  auto document = config::Document::parse("steps:\n  - filter: \"temp >> 3\"\n", "edge.yaml");
  ASSERT_TRUE(document.has_value());
  auto node = document->root().map().get("steps").items()[0].map().get("filter");
  EXPECT_FALSE(Expression::compile(node).has_value());
  EXPECT_THAT(document->report(),
              HasSubstr("edge.yaml:2:13: steps[0].filter: in the expression \"temp >> 3\", column 7: "));
}

TEST(Condition, ReadsHoldTime) {
  auto condition = Condition::compile("temp > 80degC for 3s");
  ASSERT_TRUE(condition.has_value()) << condition.error().detail;
  EXPECT_EQ(condition->hold, 3s);
  EXPECT_TRUE(condition->when.test(press()));
  EXPECT_EQ(condition->when.explain(press()), "temp = 81.5degC");
  EXPECT_EQ(Condition::compile("temp > 80 for 5m")->hold, 5min);
  EXPECT_EQ(Condition::compile("temp > 80")->hold, 0s);
  EXPECT_FALSE(Condition::compile("temp > 80 for 3").has_value());
  EXPECT_FALSE(Condition::compile("temp + 80").has_value());
}

TEST(Condition, ExplainsNoMoreThanCanBeKept) {
  Sample sample;
  std::string condition = "name == \"x\"";
  std::string longest;
  for (int i = 0; i < 100; ++i) longest += "ü";
  sample.set("name", "a" + longest + longest);
  for (int i = 0; i < 30; ++i) {
    condition += fmt::format(" or t{} == \"x\"", i);
    sample.set(fmt::format("t{}", i), std::string(100'000, 'x'));
  }
  const std::string told = Condition::compile(condition)->when.explain(sample);
  // Whole characters: one byte and 99 times two.
  EXPECT_TRUE(told.starts_with("name = a" + longest.substr(0, 198) + "..., t0 = " + std::string(200, 'x') + "..., "))
      << told;
  EXPECT_TRUE(told.ends_with("..."));
  EXPECT_LT(told.size(), 2500U);
}

TEST(Condition, ItsGroundsAreWhatItReads) {
  Sample sample = press();
  sample.fields.clear();
  for (const char* name : {"temp", "vib", "vib[]", "other", "line"}) sample.set(name, 1.0);
  sample.tags = {{"line", "A"}, {"temp", "b"}};
  const Sample grounds =
      Condition::compile("temp > 80 or vib[0] > 3 or tags.line == 'A' or missing > 2")->when.grounds(sample);
  std::vector<std::string> names;
  for (const Field& field : grounds.fields) names.push_back(field.name);
  EXPECT_THAT(names, testing::ElementsAre("temp", "vib", "vib[]"));
  EXPECT_THAT(grounds.tags, testing::ElementsAre(testing::Pair("line", "A")));
  EXPECT_EQ(grounds.device, sample.device);
}

TEST(Condition, KnowsWhetherItConcernsASample) {
  auto condition = Condition::compile("score > 0.8");
  EXPECT_FALSE(condition->when.concerns(press()));
  EXPECT_TRUE(Condition::compile("score > 0.8 or temp > 3")->when.concerns(press()));
  EXPECT_TRUE(Condition::compile("device == 'x'")->when.concerns(press()));
}

}  // namespace
}  // namespace penstock::ingest
