#include "ext/sources/modbus/point.h"

#include <gmock/gmock.h>

#include <random>

namespace penstock::ext::modbus {
namespace {

using ingest::Value;
using testing::HasSubstr;

Point point(std::string_view text) {
  Point made{.name = "p"};
  auto parsed = parse_point(text, made);
  EXPECT_TRUE(parsed) << text << ": " << parsed.error().detail;
  return made;
}

std::string mistake(std::string_view text) {
  Point made;
  auto parsed = parse_point(text, made);
  return parsed ? "none" : parsed.error().detail;
}

TEST(ModbusPoint, ReadsAddresses) {
  const struct {
    const char* text;
    Table table;
    int address;
  } cases[] = {
      {"c1", Table::coils, 0},
      {"c17", Table::coils, 16},
      {"c65536", Table::coils, 65535},
      {"c#0", Table::coils, 0},
      {"d10003", Table::discrete_inputs, 2},
      {"d3", Table::discrete_inputs, 2},
      {"i30001", Table::input_registers, 0},
      {"i#30001", Table::input_registers, 30001},
      {"h40001", Table::holding_registers, 0},
      {"h1", Table::holding_registers, 0},
      {"h49999", Table::holding_registers, 9998},
      {"h400001", Table::holding_registers, 0},
      {"h465536", Table::holding_registers, 65535},
      {"h40000", Table::holding_registers, 39999},
      {"h#65535", Table::holding_registers, 65535},
  };
  for (const auto& one : cases) {
    const Point made = point(one.text);
    EXPECT_EQ(made.table, one.table) << one.text;
    EXPECT_EQ(made.address, one.address) << one.text;
  }
}

TEST(ModbusPoint, ReadsTypes) {
  EXPECT_EQ(point("h40001").type, Type::u16);
  EXPECT_EQ(point("c17:rw").type, Type::bit);
  EXPECT_TRUE(point("c17:rw").writable);
  const Point array = point("h40001:f32x8.cdab:rw");
  EXPECT_EQ(array.order, Order::cdab);
  EXPECT_EQ(array.count, 8);
  EXPECT_EQ(array.width(), 16);
  EXPECT_EQ(point("h40001:f32x8.cdab").order, Order::cdab);
  EXPECT_EQ(point("h40010.3").bit, 3);
  EXPECT_EQ(point("h40001:text7").width(), 4);
}

TEST(ModbusPoint, SaysWhatIsWrong) {
  EXPECT_THAT(mistake(""), HasSubstr("is no address"));
  EXPECT_THAT(mistake("x40001"), HasSubstr("write c17"));
  EXPECT_THAT(mistake("h"), HasSubstr("is no address"));
  EXPECT_THAT(mistake("h0"), HasSubstr("begin with 1"));
  EXPECT_THAT(mistake("h400000"), HasSubstr("last address"));
  EXPECT_THAT(mistake("h99999999999"), HasSubstr("is no address"));
  EXPECT_THAT(mistake("h40001:float"), HasSubstr("is no type"));
  EXPECT_THAT(mistake("h40001:f32.abdc"), HasSubstr("no order"));
  EXPECT_THAT(mistake("h40001:f32x0"), HasSubstr("how many"));
  EXPECT_THAT(mistake("h40001:f32xx"), HasSubstr("how many"));
  EXPECT_THAT(mistake("h40001:f32:u16"), HasSubstr("more than one type"));
  EXPECT_THAT(mistake("h40001:f64x40"), HasSubstr("more than 125 registers"));
  EXPECT_THAT(mistake("h#65535:f32"), HasSubstr("beyond the last"));
  EXPECT_THAT(mistake("h40001.16"), HasSubstr("0 to 15"));
  EXPECT_THAT(mistake("c1.3"), HasSubstr("only registers"));
  EXPECT_THAT(mistake("c1:u16"), HasSubstr("a bit is a bool"));
  EXPECT_THAT(mistake("h40001:bool"), HasSubstr("name its bit"));
  EXPECT_THAT(mistake("h40001:text"), HasSubstr("how many bytes"));
  EXPECT_THAT(mistake("i30001:u16:rw"), HasSubstr("cannot be written"));
}

TEST(ModbusPoint, DecodesEveryTypeAndOrder) {
  // 12.5 as a float is 0x41480000.
  for (const auto& [order, words] : {std::pair("abcd", std::vector<std::uint16_t>{0x4148, 0x0000}),
                                     std::pair("cdab", std::vector<std::uint16_t>{0x0000, 0x4148}),
                                     std::pair("badc", std::vector<std::uint16_t>{0x4841, 0x0000}),
                                     std::pair("dcba", std::vector<std::uint16_t>{0x0000, 0x4841})}) {
    EXPECT_EQ(decode(point(std::string("h1:f32.") + order), words), Value(12.5)) << order;
  }
  const auto one = [](const char* text, std::vector<std::uint16_t> words) { return decode(point(text), words); };
  EXPECT_EQ(one("h1", {65535}), Value(std::int64_t{65535}));
  EXPECT_EQ(one("h1:i16", {65535}), Value(std::int64_t{-1}));
  EXPECT_EQ(one("h1:u32", {1, 2}), Value(std::int64_t{65538}));
  EXPECT_EQ(one("h1:i32", {0xffff, 0xfffe}), Value(std::int64_t{-2}));
  EXPECT_EQ(one("h1:u64", {0, 0, 1, 0}), Value(std::int64_t{65536}));
  EXPECT_EQ(one("h1:u64", {0xffff, 0xffff, 0xffff, 0xffff}), Value(18446744073709551615.0));
  EXPECT_EQ(one("h1:i64", {0xffff, 0xffff, 0xffff, 0xffff}), Value(std::int64_t{-1}));
  EXPECT_EQ(one("h1:f64", {0x4029, 0, 0, 0}), Value(12.5));
  EXPECT_EQ(one("h1:f64.cdab", {0, 0, 0, 0x4029}), Value(12.5));
  EXPECT_EQ(one("h1:bcd16", {0x1234}), Value(1234.0));
  EXPECT_EQ(one("h1:bcd32", {0x1234, 0x5678}), Value(12345678.0));
  EXPECT_EQ(one("h1:text6", {0x4142, 0x4300, 0x4444}), Value(std::string("ABC")));
  EXPECT_EQ(one("h1:text3", {0x4142, 0x4344}), Value(std::string("ABC")));
  EXPECT_EQ(one("h1:text4.badc", {0x4241, 0x2043}), Value(std::string("ABC")));
  EXPECT_EQ(one("h1:text4", {0xb043, 0x2f73}), Value(std::string("\u00b0C/s")));  // from Latin-1
  EXPECT_EQ(one("h1:text4", {0xc2b0, 0x4320}), Value(std::string("\u00b0C")));
  EXPECT_EQ(one("h1.3", {8}), Value(true));
  EXPECT_EQ(one("h1.3", {7}), Value(false));
  EXPECT_EQ(one("c1", {1}), Value(true));
  EXPECT_EQ(one("c1:boolx3", {1, 0, 1}), Value(std::vector<double>{1, 0, 1}));
  EXPECT_EQ(one("h1:i16x2", {1, 65535}), Value(std::vector<double>{1, -1}));
}

TEST(ModbusPoint, LeavesOutWhatIsNoValue) {
  EXPECT_EQ(decode(point("h1:f32"), std::vector<std::uint16_t>{0x7fc0, 0}), std::nullopt);
  EXPECT_EQ(decode(point("h1:f32"), std::vector<std::uint16_t>{0x7f80, 0}), std::nullopt);
  EXPECT_EQ(decode(point("h1:bcd16"), std::vector<std::uint16_t>{0x123a}), std::nullopt);
  EXPECT_EQ(decode(point("h1:f32"), std::vector<std::uint16_t>{0x4148}), std::nullopt);
}

TEST(ModbusPoint, ScalesBothWays) {
  Point made = point("h1:i16:rw");
  made.scale = 0.1;
  made.offset = -40;
  EXPECT_EQ(decode(made, std::vector<std::uint16_t>{1234}), Value(1234 * 0.1 - 40));
  EXPECT_EQ(*encode(made, 83.4), std::vector<std::uint16_t>{1234});
  EXPECT_EQ(encode(made, 1e6).error().code, Errc::out_of_range);
}

TEST(ModbusPoint, RefusesWhatDoesNotFit) {
  EXPECT_EQ(encode(point("h1"), -1.0).error().code, Errc::out_of_range);
  EXPECT_EQ(encode(point("h1"), std::int64_t{65536}).error().code, Errc::out_of_range);
  EXPECT_EQ(encode(point("h1"), std::string("1")).error().code, Errc::invalid_argument);
  EXPECT_EQ(encode(point("h1"), std::nan("")).error().code, Errc::invalid_argument);
  EXPECT_EQ(encode(point("h1:f32"), 1e39).error().code, Errc::out_of_range);
  EXPECT_EQ(encode(point("h1:bcd16"), 10000.0).error().code, Errc::out_of_range);
  EXPECT_EQ(encode(point("c1"), 2.0).error().code, Errc::invalid_argument);
  EXPECT_EQ(encode(point("h1:u16x2"), 2.0).error().code, Errc::invalid_argument);
  EXPECT_EQ(encode(point("h1:text2"), std::string("abc")).error().code, Errc::out_of_range);
}

TEST(ModbusPoint, WhatIsEncodedDecodesToTheSame) {
  std::mt19937_64 random(5);
  for (const char* type : {"u16", "i16", "u32", "i32", "i64", "f32", "f64", "bcd16", "bcd32"}) {
    for (const char* order : {"abcd", "cdab", "badc", "dcba"}) {
      const Point made = point(fmt::format("h1:{}.{}", type, order));
      for (int i = 0; i < 200; ++i) {
        std::vector<std::uint16_t> words;
        for (int w = 0; w < made.width(); ++w) words.push_back(static_cast<std::uint16_t>(random()));
        const auto value = decode(made, words);
        if (!value) continue;
        const auto back = encode(made, *value);
        ASSERT_TRUE(back) << type;
        EXPECT_EQ(decode(made, *back), value) << type << order;
      }
    }
  }
}

}  // namespace
}  // namespace penstock::ext::modbus
