#include "app/text_table.h"

#include <gtest/gtest.h>

namespace penstock::app {
namespace {

TEST(TextTable, AlignsTextLeftAndFiguresRight) {
  TextTable table({"NAME", ">TOKENS", "STATE"});
  EXPECT_TRUE(table.empty());
  table.add({"app", "1,200", "active"});
  table.add({"a-long-name", "7", ""});
  EXPECT_EQ(table.text(),
            "NAME         TOKENS  STATE\n"
            "app           1,200  active\n"
            "a-long-name       7  -\n");
}

TEST(TextTable, CountsCharactersAndLetsNoNameMoveTheCursor) {
  TextTable table({"NAME", "X"});
  table.add({"gr\xc3\xbc\xc3\x9f", "1"});
  table.add({"a\x1b[2J\n", "2"});
  EXPECT_EQ(table.text(),
            "NAME    X\n"
            "gr\xc3\xbc\xc3\x9f    1\n"
            "a?[2J?  2\n");
}

TEST(TextTable, WritesFiguresForPeople) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'000), "1,000");
  EXPECT_EQ(grouped(-1'234'567), "-1,234,567");
  EXPECT_EQ(grouped(-100), "-100");
  EXPECT_EQ(dollars(0), "0.00 USD");
  EXPECT_EQ(dollars(1'250'000), "1.25 USD");
  EXPECT_EQ(dollars(42), "0.000042 USD");
  EXPECT_EQ(dollars(-5'500'000), "-5.50 USD");
  EXPECT_EQ(dollars(INT64_MIN), "-9223372036854.775808 USD");
}

}  // namespace
}  // namespace penstock::app
