#include "chat/schema.h"

#include <gmock/gmock.h>

namespace penstock::chat {
namespace {

json::Value parsed(std::string_view text) { return *json::parse(text); }

void expect_openapi(std::string_view schema, std::string_view expected) {
  auto out = to_openapi(parsed(schema));
  ASSERT_TRUE(out.has_value()) << out.error().detail;
  EXPECT_EQ(*out, parsed(expected)) << json::dump(*out);
}

TEST(SchemaReferences, AreWrittenOut) {
  auto out = inline_references(parsed(R"({"$schema":"x","properties":{"a":{"$ref":"#/$defs/A%7E1B","description":"d"}},
                                          "$defs":{"A/B":{"type":"string","description":"other"}}})"));
  ASSERT_TRUE(out.has_value()) << out.error().detail;
  EXPECT_EQ(*out, parsed(R"({"properties":{"a":{"type":"string","description":"d"}}})"));
}

TEST(SchemaReferences, AreCutWhereASchemaContainsItself) {
  auto out = inline_references(parsed(R"({"type":"object","properties":{"next":{"$ref":"#"}}})"));
  ASSERT_TRUE(out.has_value());
  EXPECT_EQ(
      *out,
      parsed(R"({"type":"object","properties":{"next":{"type":"object","properties":{"next":{"type":"object"}}}}})"));
}

TEST(SchemaReferences, NamesOfPropertiesAreNoKeywords) {
  std::string_view text = R"({"type":"object","properties":{"$ref":{"type":"string"},"$defs":{"type":"string"}}})";
  EXPECT_EQ(*inline_references(parsed(text)), parsed(text));
}

TEST(SchemaReferences, ToNothingAndTooManyAreErrors) {
  EXPECT_THAT(inline_references(parsed(R"({"$ref":"https://example.org/x"})")).error().detail,
              testing::HasSubstr("names nothing"));
  std::string bomb = R"({"$ref":"#/$defs/d0","$defs":{)";
  for (int i = 0; i < 20; ++i) {
    std::string next = "{\"$ref\":\"#/$defs/d" + std::to_string(i + 1) + "\"}";
    bomb += "\"d" + std::to_string(i) + "\":{\"anyOf\":[" + next + "," + next + "]},";
  }
  bomb += R"("d20":{}}})";
  EXPECT_THAT(inline_references(parsed(bomb)).error().detail, testing::HasSubstr("more than 20000 parts"));
}

TEST(SchemaReferences, ToLargeDefinitionsAreCountedInBytes) {
  std::string many = R"({"$defs":{"d":{"description":")" + std::string(200'000, 'x') + R"("}},"anyOf":[)";
  for (int i = 0; i < 100; ++i) many += R"({"$ref":"#/$defs/d"},)";
  many.back() = ']';
  EXPECT_THAT(inline_references(parsed(many + "}")).error().detail, testing::HasSubstr("name fewer or smaller"));
}

TEST(OpenApiSchema, AlternativesAreCountedWithWhatStandsBesideThem) {
  std::string many = R"({"pattern":")" + std::string(200'000, 'x') + R"(","required":["a","a"],"anyOf":[)";
  for (int i = 0; i < 100; ++i) many += R"({"type":"string"},)";
  many.back() = ']';
  EXPECT_THAT(to_openapi(parsed(many + "}")).error().detail, testing::HasSubstr("repeat too much"));
}

TEST(OpenApiSchema, HasUpperCaseTypesAndNullable) {
  expect_openapi(R"({"type":["string","null"],"minLength":2,"additionalProperties":false})",
                 R"({"type":"STRING","minLength":2,"nullable":true})");
  expect_openapi(R"({"anyOf":[{"type":"integer"},{"type":"null"}],"description":"d"})",
                 R"({"type":"INTEGER","description":"d","nullable":true})");
}

TEST(OpenApiSchema, AlternativesStandAlone) {
  expect_openapi(R"({"type":["string","integer"],"maxLength":3})",
                 R"({"anyOf":[{"type":"STRING","maxLength":3},{"type":"INTEGER","maxLength":3}]})");
}

TEST(OpenApiSchema, PartsOfAllOfBecomeOne) {
  expect_openapi(
      R"({"allOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},
                              {"properties":{"b":{"type":"string"}},"required":["b","c"]}]})",
      R"({"type":"OBJECT","properties":{"a":{"type":"STRING"},"b":{"type":"STRING"}},"required":["a","b"]})");
}

TEST(OpenApiSchema, LimitsFormatsAndChoicesItCannotSay) {
  expect_openapi(R"({"type":"integer","exclusiveMinimum":0,"exclusiveMaximum":10})",
                 R"({"type":"INTEGER","minimum":1,"maximum":9})");
  expect_openapi(R"({"type":"string","format":"uri"})", R"({"type":"STRING"})");
  expect_openapi(R"({"const":"a"})", R"({"type":"STRING","enum":["a"]})");
  expect_openapi(R"({"type":"integer","enum":[1,2]})", R"({"type":"INTEGER","description":"One of: 1, 2."})");
  expect_openapi(R"({"type":"array"})", R"({"type":"ARRAY","items":{"type":"STRING"}})");
}

TEST(OpenApiSchema, IsReadAsJsonSchema) {
  EXPECT_EQ(from_openapi(parsed(
                R"({"type":"OBJECT","properties":{"a_b":{"type":"STRING","nullable":true,"format":"enum","enum":["x"]},
                                    "n":{"type":"ARRAY","min_items":"2","items":{"type":"NUMBER"}}}})")),
            parsed(R"({"type":"object","properties":{"a_b":{"type":["string","null"],"enum":["x",null]},
                       "n":{"type":"array","minItems":2,"items":{"type":"number"}}}})"));
}

}  // namespace
}  // namespace penstock::chat
