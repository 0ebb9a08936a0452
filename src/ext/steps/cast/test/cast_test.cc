#include "ext/steps/cast/cast.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ext::steps {
namespace {

using ingest::sample_at;
using ingest::StepHarness;
using ingest::Value;

// What becomes of one value; nothing when the sample failed.
std::optional<Value> cast_one(Value value, const std::string& to) {
  StepHarness harness(make_cast, "{ x: " + to + " }");
  harness.push(sample_at(0, "x", std::move(value)));
  if (harness.out.empty()) return std::nullopt;
  return harness.out[0].find("x")->value;
}

TEST(Cast, Table) {
  using namespace std::string_literals;
  const struct {
    Value from;
    const char* to;
    std::optional<Value> wanted;
  } cases[] = {
      {" 12.5 "s, "number", Value(12.5)},
      {"+3"s, "number", Value(3.0)},
      {"12,5"s, "number", std::nullopt},
      {"nan"s, "number", std::nullopt},
      {""s, "number", std::nullopt},
      {true, "number", Value(1.0)},
      {std::vector<double>{1}, "number", std::nullopt},
      {-2.9, "integer", Value(std::int64_t{-2})},
      {"9223372036854775807"s, "integer", Value(std::int64_t{9223372036854775807})},
      {"1e3"s, "integer", Value(std::int64_t{1000})},
      {1e19, "integer", std::nullopt},
      {"yes"s, "boolean", Value(true)},
      {"off"s, "boolean", Value(false)},
      {"maybe"s, "boolean", std::nullopt},
      {0.5, "boolean", Value(true)},
      {std::int64_t{7}, "text", Value("7"s)},
      {0.1, "text", Value("0.1"s)},
      {true, "text", Value("true"s)},
      {std::vector<double>{1}, "text", std::nullopt},
  };
  for (const auto& one : cases) EXPECT_EQ(cast_one(one.from, one.to), one.wanted) << one.to << one.from.index();
}

TEST(Cast, WhatDoesNotReadIsTreatedAsAsked) {
  for (const auto& [rule, left] : {std::pair("remove", 1U), std::pair("keep", 2U)}) {
    StepHarness harness(make_cast, std::string("{ x: number, on_error: ") + rule + " }");
    auto sample = sample_at(0, "x", std::string("warm"));
    sample.set("y", 1.0);
    harness.push(sample);
    ASSERT_EQ(harness.out.size(), 1U);
    EXPECT_EQ(harness.out[0].fields.size(), left) << rule;
    EXPECT_TRUE(harness.errors.empty());
  }
  StepHarness harness(make_cast, "{ x: number }");
  harness.push(sample_at(0, "x", std::string("warm")));
  EXPECT_TRUE(harness.out.empty());
  EXPECT_THAT(harness.errors, testing::ElementsAre("cast: 'x' does not read as a number"));
}

TEST(Cast, PlansKinds) {
  StepHarness harness(make_cast, "{ x: text, y: number }");
  ingest::Shape in;
  in.fields["x"] = {ingest::FieldType::Kind::number, "degC"};
  auto plan = harness.step->plan(in);
  EXPECT_EQ(plan.out.fields.at("x"), (ingest::FieldType{ingest::FieldType::Kind::text, ""}));
  EXPECT_EQ(plan.out.fields.at("y").kind, ingest::FieldType::Kind::number);
  in.open = false;
  EXPECT_EQ(harness.step->plan(in).problems.size(), 1U);
}

TEST(Cast, RefusesNonsense) {
  EXPECT_THAT(StepHarness(make_cast, "{ on_error: keep }").report, testing::HasSubstr("casts nothing"));
  EXPECT_THAT(StepHarness(make_cast, "{ x: float }").report, testing::HasSubstr("number"));
}

}  // namespace
}  // namespace penstock::ext::steps
