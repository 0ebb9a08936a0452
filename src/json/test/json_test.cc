#include <gtest/gtest.h>

#include "json/peek.h"
#include "json/value.h"

namespace penstock::json {
namespace {

Result<Peeked> peek_text(std::string text, std::vector<std::string_view> names) { return peek(text, names); }

TEST(Peek, FindsFieldsAndTheirBytes) {
  std::string text = R"({ "messages":[{"model":"inner"}], "model" : "ch\u0061t" , "stream":true,"n":2,"max":1.5 })";
  std::array<std::string_view, 5> names{"model", "stream", "n", "messages", "absent"};
  auto peeked = peek(text, names);
  ASSERT_TRUE(peeked.has_value()) << peeked.error().detail;
  const auto& f = peeked->fields;
  EXPECT_EQ(f[0].string, "chat");
  EXPECT_EQ(text.substr(f[0].begin, f[0].end - f[0].begin), "\"ch\\u0061t\"");
  EXPECT_TRUE(f[1].boolean);
  EXPECT_EQ(text.substr(f[1].begin, f[1].end - f[1].begin), "true");
  EXPECT_EQ(f[2].integer, 2);
  EXPECT_EQ(f[3].elements, 1U);
  EXPECT_EQ(text.substr(f[3].begin, f[3].end - f[3].begin), R"([{"model":"inner"}])");
  EXPECT_EQ(f[4].kind, Field::Kind::absent);
}

TEST(Peek, AValueEndsBeforeTheBlanksBehindIt) {
  for (std::string_view value : {"{}", "[1, 2]", "{\"a\": {} }", "\"x\"", "12", "true", "null"}) {
    auto peeked = peek_text(fmt::format("{{\"f\": {} \n\t ,\"g\":1}}", value), {"f"});
    ASSERT_TRUE(peeked.has_value()) << value;
    EXPECT_EQ(peeked->fields[0].end - peeked->fields[0].begin, value.size()) << value;
  }
}

TEST(Peek, RefusesDuplicatesOfWhatPolicyReads) {
  EXPECT_FALSE(peek_text(R"({"model":"a","model":"b"})", {"model"}).has_value());
  EXPECT_FALSE(peek_text(R"({"model":"a","mod\u0065l":"b"})", {"model"}).has_value());
  EXPECT_TRUE(peek_text(R"({"x":1,"x":2,"model":"b"})", {"model"}).has_value());
  // To some parsers these are one and the same field.
  EXPECT_FALSE(peek_text(R"({"model":"a","Model":"b"})", {"model"}).has_value());
  EXPECT_FALSE(peek_text(R"({"MODEL":"b"})", {"model"}).has_value());
  EXPECT_TRUE(peek_text(R"({"model":"a","nodel":"b","inner":{"Model":1}})", {"model"}).has_value());
}

TEST(Peek, RefusesWhatIsNotOneJsonObject) {
  for (const char* text : {"", "[]", "1", "{", "{}}", R"({"model":"a" "b":1})", R"({"model":[1 2]})",
                           "{\"a\":\"\xff\"}", R"({"a":01})", "\xEF\xBB\xBF{}"}) {
    EXPECT_FALSE(peek_text(text, {"model"}).has_value()) << text;
  }
  EXPECT_FALSE(peek_text("{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}", {"model"}).has_value());
}

TEST(Value, ParsesStrictly) {
  EXPECT_TRUE(parse(R"({"a":[1,2,{"b":null}]})").has_value());
  for (const char* text : {"", "{", "{}x", "[1,]", "nul", "\"\xff\""}) EXPECT_FALSE(parse(text).has_value()) << text;
  EXPECT_FALSE(parse(std::string(1000, '[')).has_value());
}

TEST(Value, ReadsMembersWithFallbacks) {
  Value v = parse(R"({"s":"x","i":7,"b":true})").value();
  EXPECT_EQ(string_or(v, "s", ""), "x");
  EXPECT_EQ(string_or(v, "i", "none"), "none");
  EXPECT_EQ(int_or(v, "i", 0), 7);
  EXPECT_TRUE(bool_or(v, "b", false));
  EXPECT_EQ(find(v, "zzz"), nullptr);
}

TEST(Value, EscapesEveryByteAndKeepsWhatIsValid) {
  for (int byte = 0; byte < 256; ++byte) {
    for (std::size_t before : {0U, 3U, 20U}) {
      std::string words = std::string(before, 'x') + static_cast<char>(byte) + "\xC3\xA9 end";
      std::string out;
      append_quoted(out, words);
      auto parsed = parse(out);
      ASSERT_TRUE(parsed.has_value()) << out;
      std::string expected = byte < 0x80 ? words : std::string(before, 'x') + "\xEF\xBF\xBD\xC3\xA9 end";
      EXPECT_EQ(std::string(parsed->get_string()), expected);
    }
  }
}

TEST(Value, EscapesWhateverAStrangerSends) {
  std::string out;
  append_quoted(out, "a\"b\\\n\x01\xff\xc3\xa9");
  EXPECT_EQ(out, "\"a\\\"b\\\\\\n\\u0001\xEF\xBF\xBD\xC3\xA9\"");
  EXPECT_TRUE(parse(out).has_value());
}

}  // namespace
}  // namespace penstock::json
