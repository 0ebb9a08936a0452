#include "json/log_line.h"

#include <gtest/gtest.h>

#include "json/value.h"

namespace penstock::json {
namespace {

TEST(LogLine, IsOneJsonObjectWhateverItSays) {
  std::string members;
  add_member(members, "topic", "a\"b\n\xff");
  const std::string line = log_line(1'700'000'000'123'000, "warn", "it's \"odd\"", members + ",\"n\":3");
  auto value = parse(line);
  ASSERT_TRUE(value) << line;
  EXPECT_EQ(string_or(*value, "ts", ""), "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(string_or(*value, "level", ""), "warn");
  EXPECT_EQ(string_or(*value, "msg", ""), "it's \"odd\"");
  EXPECT_EQ(int_or(*value, "n", 0), 3);
  EXPECT_EQ(line.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace penstock::json
