#include <gtest/gtest.h>

#include "json/integers.h"
#include "json/value.h"

namespace penstock::json {
namespace {

constexpr std::int64_t kMost = 1'000'000'000'000;

struct Usage {
  bool known = false;
  std::int64_t input = 0;
  std::int64_t output = 0;
  std::int64_t cached = 0;
  bool operator==(const Usage&) const = default;
};

std::optional<Usage> read(std::string_view text) {
  std::array<IntegerAt, 3> wanted{{{.path = {"usage", "prompt_tokens"}},
                                   {.path = {"usage", "completion_tokens"}},
                                   {.path = {"usage", "prompt_tokens_details", "cached_tokens"}}}};
  if (!read_integers(text, wanted)) return std::nullopt;
  return Usage{wanted[0].parent, wanted[0].up_to(kMost), wanted[1].up_to(kMost), wanted[2].up_to(kMost)};
}

// The same by way of a document.
std::optional<Usage> read_document(std::string_view text) {
  auto document = parse(text);
  if (!document) return std::nullopt;
  Usage found;
  const Value* usage = find(*document, "usage");
  if (usage == nullptr || !usage->is_object()) return found;
  auto tokens = [](const Value& value, std::string_view name) {
    std::int64_t count = int_or(value, name, 0);
    return count >= 0 && count <= kMost ? count : 0;
  };
  found = {true, tokens(*usage, "prompt_tokens"), tokens(*usage, "completion_tokens"), 0};
  if (const Value* details = find(*usage, "prompt_tokens_details")) found.cached = tokens(*details, "cached_tokens");
  return found;
}

TEST(ReadIntegers, FindsUsageWhereverItStands) {
  Usage usage{true, 12, 34, 5};
  EXPECT_EQ(
      read(R"({"usage":{"prompt_tokens":12,"completion_tokens":34,"prompt_tokens_details":{"cached_tokens":5}}})"),
      usage);
  EXPECT_EQ(
      read(R"({"x":{"usage":{"prompt_tokens":9}},"us\u0061ge" : {"prompt_tokens_details":{"y":[],"cached_tokens":5},
                     "completion_tokens":34 , "prompt_tokens":12 },"choices":[{"prompt_tokens":7}]})"),
      usage);
}

TEST(ReadIntegers, TellsAbsentFromPresent) {
  EXPECT_EQ(read("{}"), Usage{});
  EXPECT_EQ(read("[]"), Usage{});
  EXPECT_EQ(read(R"({"usage":null})"), Usage{});
  EXPECT_EQ(read(R"({"usage":{}})"), (Usage{.known = true}));
  EXPECT_EQ(read(R"({"usage":[{"prompt_tokens":1}]})"), Usage{});
}

TEST(ReadIntegers, TakesNumbersAsTheDocumentDoes) {
  for (const char* number : {"0",
                             "-0",
                             "7",
                             "-7",
                             "12.0",
                             "12.5",
                             "1e3",
                             "1e-3",
                             "1e13",
                             "1e19",
                             "1e400",
                             "\"7\"",
                             "null",
                             "true",
                             "[7]",
                             "{\"cached_tokens\":3}",
                             "9223372036854775807",
                             "9223372036854775808",
                             "99999999999999999999999",
                             "-1e30",
                             "1000000000001"}) {
    std::string text = fmt::format(
        R"({{"usage":{{"prompt_tokens":{0},"completion_tokens":{0},"prompt_tokens_details":{0},"prompt_tokens":{0}}}}})",
        number);
    EXPECT_EQ(read(text), read_document(text)) << text;
  }
}

TEST(ReadIntegers, TheLastOfTwoMembersCounts) {
  for (const char* text : {R"({"usage":{"prompt_tokens":1,"completion_tokens":2},"usage":{"prompt_tokens":3}})",
                           R"({"usage":{"prompt_tokens":1},"usage":null})",
                           R"({"usage":1,"usage":{"prompt_tokens":1,"prompt_tokens":"x"}})",
                           R"({"usage":{"prompt_tokens_details":{"cached_tokens":4},"prompt_tokens_details":{}}})"}) {
    EXPECT_EQ(read(text), read_document(text)) << text;
  }
}

TEST(ReadIntegers, RefusesWhatIsNotJson) {
  for (const char* text : {"", "{", "{}}", R"({"usage":{"prompt_tokens":01}})", R"({"usage":{"prompt_tokens":1})",
                           "{\"a\":\"\xff\"}", R"({"a":1,})", R"({"a":"\ud800"})"}) {
    EXPECT_FALSE(read(text).has_value()) << text;
  }
}

TEST(ReadIntegers, ForgetsWhatWasThereBefore) {
  std::array<IntegerAt, 1> wanted{{{.path = {"a"}, .parent = true, .value = 3}}};
  ASSERT_TRUE(read_integers(R"({"b":1})", wanted));
  EXPECT_TRUE(wanted[0].parent);
  EXPECT_FALSE(wanted[0].value.has_value());
  ASSERT_TRUE(read_integers(R"({"a":4})", wanted));
  EXPECT_EQ(wanted[0].value, 4);
}

TEST(MayHold, SeesTheNameUnlessItsValueIsNull) {
  std::string filler(40, 'x');
  for (std::size_t before = 0; before < 40; ++before) {
    for (std::size_t after = 0; after < 20; ++after) {
      auto wrapped = [&](std::string_view middle) {
        return std::string(before, '"') + std::string(middle) + std::string(after, ' ');
      };
      EXPECT_TRUE(may_hold(wrapped(R"("usage":{)"), "usage")) << before << " " << after;
      EXPECT_FALSE(may_hold(wrapped(R"("usage":null)"), "usage")) << before << " " << after;
      EXPECT_FALSE(may_hold(wrapped(R"("usag":null,"usages":1)"), "usage")) << before << " " << after;
      EXPECT_TRUE(may_hold(wrapped(R"("usage" : null,"x":{"usage":1}})"), "usage")) << before << " " << after;
      EXPECT_FALSE(may_hold(wrapped(R"(\"usage\":1)"), "usage")) << before << " " << after;
    }
  }
  EXPECT_FALSE(may_hold("", "usage"));
  EXPECT_TRUE(may_hold("\"usage\"", "usage"));
}

}  // namespace
}  // namespace penstock::json
