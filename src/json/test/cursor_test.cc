#include "json/cursor.h"

#include <gtest/gtest.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>

#include "json/value.h"

namespace penstock::json {
namespace {

bool accepts(std::string_view text) {
  Cursor in(text);
  in.skip();
  return in.finish();
}

template <class T>
std::optional<T> number(std::string_view text) {
  Cursor in(text);
  T value{};
  if (!in.read_number(value) || !in.finish()) return std::nullopt;
  return value;
}

TEST(Cursor, ReadsAnObjectMemberByMember) {
  Cursor in(R"( { "name" : "a\u00e9\n\ud83d\ude00", "n":[1, 2,3], "deep": {"x":[{}]}, "ok":true } )");
  std::string_view key;
  std::string name;
  std::array<int, 3> numbers{};
  bool ok = false;
  ASSERT_TRUE(in.open_object());
  while (in.next_member(key)) {
    if (key == "name") {
      in.read_string(name);
    } else if (key == "n") {
      in.read_array(numbers.data(), numbers.size());
    } else if (key == "ok") {
      in.read_bool(ok);
    } else {
      in.skip();
    }
  }
  EXPECT_TRUE(in.finish()) << in.error();
  EXPECT_EQ(name, "a\xC3\xA9\n\xF0\x9F\x98\x80");
  EXPECT_EQ(numbers, (std::array{1, 2, 3}));
  EXPECT_TRUE(ok);
}

TEST(Cursor, UnescapesKeys) {
  Cursor in(R"({"d\u0061ta":1})");
  std::string_view key;
  ASSERT_TRUE(in.open_object());
  ASSERT_TRUE(in.next_member(key));
  EXPECT_EQ(key, "data");
}

TEST(Cursor, RefusesWhatIsNotJson) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[",
                           "[1",
                           "[1,",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "[1}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{,}",
                           "01",
                           "-",
                           "-01",
                           "1.",
                           ".5",
                           "1e",
                           "1e+",
                           "+1",
                           "0x1",
                           "NaN",
                           "Infinity",
                           "-Infinity",
                           "nul",
                           "truee",
                           "\"a",
                           "\"\\x\"",
                           "\"\\u12g4\"",
                           "\"\\u-123\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800\\u0041\"",
                           "\"\xff\"",
                           "\"\t\"",
                           "\"\\",
                           "1 1",
                           "\xEF\xBB\xBF{}",
                           "[]]",
                           "{\"a\":1}}",
                           "'a'",
                           "[1]//"}) {
    EXPECT_FALSE(accepts(text)) << text;
  }
  EXPECT_FALSE(accepts(std::string("[1]\0", 4)));
  EXPECT_TRUE(accepts(std::string(kDepthMax, '[') + std::string(kDepthMax, ']')));
  EXPECT_FALSE(accepts(std::string(kDepthMax + 1, '[') + std::string(kDepthMax + 1, ']')));
  EXPECT_FALSE(accepts(std::string(100000, '[')));
}

TEST(Cursor, KeepsEveryDigitOfWholeNumbers) {
  EXPECT_EQ(number<std::int64_t>("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(number<std::int64_t>("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(number<std::int64_t>("9223372036854775808"), std::nullopt);
  EXPECT_EQ(number<std::uint64_t>("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(number<std::uint64_t>("18446744073709551616"), std::nullopt);
  EXPECT_EQ(number<std::uint64_t>("-1"), std::nullopt);
  EXPECT_EQ(number<std::uint64_t>("-0"), 0U);
  EXPECT_EQ(number<std::int8_t>("-128"), -128);
  EXPECT_EQ(number<std::int8_t>("128"), std::nullopt);
  EXPECT_EQ(number<std::uint8_t>("256"), std::nullopt);
  EXPECT_EQ(number<std::int32_t>("1.0"), std::nullopt);
  EXPECT_EQ(number<std::int32_t>("1e3"), std::nullopt);
  EXPECT_EQ(number<std::int32_t>("123456789012345678901234567890"), std::nullopt);
}

TEST(Cursor, ReadsFloatsOfEveryForm) {
  EXPECT_EQ(number<double>("100000000000000000000"), 1e20);
  EXPECT_EQ(number<double>("0.1"), 0.1);
  EXPECT_EQ(number<double>("-0.0"), 0.0);
  EXPECT_TRUE(std::signbit(*number<double>("-0")));
  EXPECT_EQ(number<double>("1e400"), std::nullopt);
  EXPECT_EQ(number<double>("-1e400"), std::nullopt);
  EXPECT_EQ(number<double>("1e-400"), 0.0);
  EXPECT_EQ(number<double>("0e99999999999999999999"), 0.0);
  EXPECT_EQ(number<float>("3.4028235e38"), std::numeric_limits<float>::max());
  EXPECT_EQ(number<float>("3.5e38"), std::nullopt);
  EXPECT_EQ(number<float>("1e-50"), 0.0F);
  EXPECT_EQ(number<float>("1e-45"), std::numeric_limits<float>::denorm_min());
  EXPECT_EQ(number<float>("0.00000000000000000000000000000000000001"), 1e-38F);
  // Exactly between two floats, and just above: rounding twice would get the second wrong.
  EXPECT_EQ(number<float>("1.00000005960464477539"), 1.0F);
  EXPECT_EQ(number<float>("1.000000059604644776"), 0x1.000002p0F);
}

// Against the standard library's own reader, over the forms clients print.
TEST(Cursor, RoundsEveryNumberCorrectly) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 200000; ++i) {
    std::string text;
    switch (i % 4) {
      case 0: text = fmt::format("{}", static_cast<double>(static_cast<std::int64_t>(random())) / 0x1p63); break;
      case 1:
        text = fmt::format(
            "{:.17g}", static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(random()) & 0xBFFFFFFF)));
        break;
      case 2: text = fmt::format("{}.{}", random() % 1000, random()); break;
      default: text = fmt::format("{}e{}", random(), static_cast<int>(random() % 40) - 20); break;
    }
    double wide = 0;
    float narrow = 0;
    ASSERT_EQ(std::from_chars(text.data(), text.data() + text.size(), wide).ec, std::errc{}) << text;
    ASSERT_EQ(number<double>(text), wide) << text;
    if (std::from_chars(text.data(), text.data() + text.size(), narrow).ec == std::errc{}) {
      ASSERT_EQ(number<float>(text), narrow) << text;
    }
  }
}

TEST(Cursor, SaysWhatIsWrongAndWhere) {
  Cursor in("[1, 2, 300]");
  std::array<std::uint8_t, 3> values{};
  EXPECT_FALSE(in.read_array(values.data(), values.size()));
  EXPECT_EQ(in.error(), "byte 7: expected a whole number from 0 to 255, found '300'");
  Cursor few("[1, 2]");
  EXPECT_FALSE(few.read_array(values.data(), values.size()));
  EXPECT_EQ(few.error(), "byte 6: 2 elements in the array, expected 3");
  Cursor many("[1, 2, 3, 4]");
  EXPECT_FALSE(many.read_array(values.data(), values.size()));
  EXPECT_EQ(many.error(), "byte 10: more than 3 elements in the array");
}

TEST(Cursor, ComesBackToAValuePassedOver) {
  Cursor in(R"({"a":[1,2],"b":3})");
  std::string_view key;
  std::size_t place = 0;
  int b = 0;
  std::array<int, 2> a{};
  ASSERT_TRUE(in.open_object());
  ASSERT_TRUE(in.next_member(key));
  place = in.offset();
  ASSERT_TRUE(in.skip());
  ASSERT_TRUE(in.next_member(key));
  ASSERT_TRUE(in.read_number(b));
  ASSERT_FALSE(in.next_member(key));
  std::size_t after = in.offset();
  in.seek(place);
  EXPECT_TRUE(in.read_array(a.data(), a.size()));
  in.seek(after);
  EXPECT_TRUE(in.finish()) << in.error();
  EXPECT_EQ(a, (std::array{1, 2}));
  EXPECT_EQ(b, 3);
}

TEST(Cursor, DecidesLikeThePublicJsonSuite) {
  const char* shared = std::getenv("PENSTOCK_SHARED");
  std::filesystem::path folder = shared != nullptr ? shared : PENSTOCK_SOURCE_DIR "/../shared";
  folder /= "data/json_suite/test_parsing";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "no JSONTestSuite at " << folder;
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    std::string name = entry.path().filename().string();
    if (name.starts_with("y_")) EXPECT_TRUE(accepts(text)) << name;
    if (name.starts_with("n_")) EXPECT_FALSE(accepts(text)) << name;
    ++files;
  }
  EXPECT_GT(files, 300);
}

}  // namespace
}  // namespace penstock::json
