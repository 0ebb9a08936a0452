#include "base/quantity.h"

#include <gtest/gtest.h>

namespace penstock::base {
namespace {

using namespace std::chrono_literals;

TEST(Quantity, ReadsDurationsWithUnits) {
  EXPECT_EQ(parse_duration("20ms").value(), 20ms);
  EXPECT_EQ(parse_duration("1.5s").value(), 1500ms);
  EXPECT_EQ(parse_duration("7d").value(), 168h);
  EXPECT_EQ(parse_duration("0").value(), 0s);
}

TEST(Quantity, RefusesDurationsWithoutUnitsOrNegative) {
  for (const char* text : {"20", "-1s", "ms", "", "1 fortnight", "nan", "1e400s", "999999999w"}) {
    EXPECT_FALSE(parse_duration(text).has_value()) << text;
  }
}

TEST(Quantity, FormatsDurationsInTheLargestExactUnit) {
  EXPECT_EQ(format_duration(90s), "90s");
  EXPECT_EQ(format_duration(1500ms), "1500ms");
  EXPECT_EQ(format_duration(2h), "2h");
}

TEST(Quantity, ReadsSizes) {
  EXPECT_EQ(parse_size("64KiB").value(), 65536U);
  EXPECT_EQ(parse_size("2GB").value(), 2'000'000'000U);
  EXPECT_FALSE(parse_size("512").has_value());
  EXPECT_EQ(format_size(65536), "64KiB");
  EXPECT_EQ(format_size(10'000'000), "10MB");
}

TEST(Quantity, ReadsPercentRateAndMoney) {
  EXPECT_DOUBLE_EQ(parse_percent("2.5%").value(), 0.025);
  EXPECT_FALSE(parse_percent("101%").has_value());
  EXPECT_DOUBLE_EQ(parse_rate("60/min").value(), 1.0);
  EXPECT_FALSE(parse_rate("60").has_value());
  EXPECT_EQ(parse_usd_micros("0.15USD").value(), 150'000);
  EXPECT_EQ(parse_budget("5USD/day").value().period, "day");
  EXPECT_FALSE(parse_budget("5USD/fortnight").has_value());
}

TEST(Quantity, SuggestsTheClosestName) {
  std::vector<std::string> names{"listen", "admin", "providers", "models"};
  EXPECT_EQ(closest("lisen", names), "listen");
  EXPECT_EQ(closest("provider", names), "providers");
  EXPECT_EQ(closest("zzzzzz", names), std::nullopt);
  EXPECT_EQ(closest("tsl", {"cert", "tls"}), "tls") << "swapped letters are one slip";
  EXPECT_EQ(closest("chta", {"chat", "embed"}), "chat");
  EXPECT_EQ(closest("ab", {"cd"}), std::nullopt);
}

}  // namespace
}  // namespace penstock::base
