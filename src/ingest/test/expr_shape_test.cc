#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ingest/contracts.h"
#include "ingest/expr.h"
#include "ingest/shape.h"

namespace penstock::ingest {
namespace {

using testing::HasSubstr;
using Kind = FieldType::Kind;

Shape machine(bool open = false) {
  Shape shape;
  shape.open = open;
  shape.fields = {{"temp", {Kind::number, "degC"}}, {"vib", {Kind::number, "mm/s"}},  {"vib[]", {Kind::array, "mm/s"}},
                  {"state", {Kind::text, ""}},      {"running", {Kind::boolean, ""}}, {"count", {Kind::number, ""}},
                  {"load", {Kind::number, "%"}},    {"odd", {Kind::number, "bogus"}}, {"raw", {Kind::unknown, ""}}};
  return shape;
}

// "number degC", or the problem.
std::string gives(std::string_view text, const Shape& in = machine(),
                  Expression::Wants wants = Expression::Wants::any) {
  auto expression = Expression::compile(text, wants);
  if (!expression) return "refused: " + expression.error().detail;
  StepPlan plan;
  const FieldType type = expression->gives(in, plan);
  if (!plan.problems.empty()) return plan.problems[0];
  return fmt::format("{}{}{}", to_string(type.kind), type.unit.empty() ? "" : " ", type.unit);
}

TEST(ExprShape, KnowsKindsAndUnits) {
  EXPECT_EQ(gives("temp"), "number degC");
  EXPECT_EQ(gives("odd"), "number bogus");
  EXPECT_EQ(gives("temp - 20degC"), "number K");
  EXPECT_EQ(gives("temp + 5K"), "number degC");
  EXPECT_EQ(gives("to(temp, \"degF\")"), "number degF");
  EXPECT_EQ(gives("temp > 80degC"), "boolean");
  EXPECT_EQ(gives("vib[]"), "array mm/s");
  EXPECT_EQ(gives("vib[-1]"), "number mm/s");
  EXPECT_EQ(gives("vib * 2"), "number mm/s");
  EXPECT_EQ(gives("2 * vib"), "number mm/s");
  EXPECT_EQ(gives("vib * load"), "number mm/s");
  EXPECT_EQ(gives("vib * temp"), "number");
  EXPECT_EQ(gives("max(vib[])"), "number mm/s");
  EXPECT_EQ(gives("running ? temp : 0degC"), "number degC");
  EXPECT_EQ(gives("state == \"on\" ? 1 : 0"), "number");
  EXPECT_EQ(gives("raw"), "any");
  EXPECT_EQ(gives("text(temp)"), "text");
  EXPECT_EQ(gives("device"), "text");
}

TEST(ExprShape, SaysWhatCannotBeThere) {
  EXPECT_EQ(gives("tmp > 80"),
            "in the expression \"tmp > 80\", column 1: there is no field 'tmp' here; did you mean 'temp'?");
  EXPECT_THAT(gives("1 + pressure"), HasSubstr("column 5: there is no field 'pressure' here; there are count, load,"));
  EXPECT_THAT(gives("x", Shape{.fields = {}, .open = false, .samples_per_second = {}}),
              HasSubstr("the samples have none"));
  EXPECT_EQ(gives("tmp > 80", machine(true)), "boolean");
  EXPECT_EQ(gives("has(tmp)"), "boolean");
  EXPECT_EQ(gives("is_null(tmp)"), "boolean");
  EXPECT_EQ(gives("tags.tmp"), "text");
}

TEST(ExprShape, SaysWhatDoesNotFit) {
  EXPECT_THAT(gives("state + 1"), HasSubstr("column 1: arithmetic takes a number, not a text"));
  EXPECT_THAT(gives("temp > 5mm"), HasSubstr("column 6: degC is a temperature and mm a length"));
  EXPECT_THAT(gives("temp + vib"), HasSubstr("degC is a temperature and mm/s a speed"));
  EXPECT_THAT(gives("state == 5"), HasSubstr("a text never equals a number"));
  EXPECT_THAT(gives("state[0]"), HasSubstr("'state' is a text and has no elements"));
  EXPECT_THAT(gives("vib[] > 3"), HasSubstr("an array has no order"));
  EXPECT_THAT(gives("state", machine(), Expression::Wants::condition), HasSubstr("this gives a text; expected is"));
  EXPECT_EQ(gives("running", machine(), Expression::Wants::condition), "boolean");
  EXPECT_EQ(gives("count", machine(), Expression::Wants::condition), "number");  // bits of machines
}

TEST(ExprShape, ShapesAreMerged) {
  const Shape left{
      .fields = {{"a", {Kind::number, "mm"}}, {"b", {Kind::text, ""}}}, .open = false, .samples_per_second = 5};
  const Shape right{
      .fields = {{"a", {Kind::number, "m"}}, {"b", {Kind::number, ""}}}, .open = false, .samples_per_second = 2};
  EXPECT_EQ(to_text(merged(left, right)), "a number, b any; at most 7 samples/s");
  EXPECT_EQ(to_text(alternative(left, right)), "a number, b any; at most 5 samples/s");
  EXPECT_EQ(to_text(merged(left, Shape{})), "a number mm, b text, others");
  EXPECT_EQ(to_text(Shape{}), "any fields");
}

}  // namespace
}  // namespace penstock::ingest
