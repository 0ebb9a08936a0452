#include "infer/tensor.h"

#include <gtest/gtest.h>

#include <cmath>

namespace penstock::infer {
namespace {

TEST(Datatype, NamesReadBack) {
  for (int i = 0; i <= static_cast<int>(Datatype::bytes); ++i) {
    auto datatype = static_cast<Datatype>(i);
    EXPECT_EQ(parse_datatype(to_string(datatype)), datatype);
  }
  EXPECT_EQ(parse_datatype("FLOAT32"), std::nullopt);
  EXPECT_EQ(parse_datatype("fp32"), std::nullopt);
}

TEST(ElementCount, RefusesNegativeAndOverlongShapes) {
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(element_count(Shape{}).value(), 1U);
  EXPECT_EQ(element_count(Shape{2, 3, 4}).value(), 24U);
  EXPECT_EQ(element_count(Shape{0, 5}).value(), 0U);
  EXPECT_FALSE(element_count(Shape{-1, 5}));
  EXPECT_FALSE(element_count(Shape{1LL << 32, 1LL << 32}));
  EXPECT_FALSE(element_count(Shape{0, 1LL << 32, 1LL << 32}));
  EXPECT_FALSE(element_count(Shape(kRankMax + 1, 1)));
}

TEST(Half, EveryValueReadsBack) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    auto half = static_cast<std::uint16_t>(bits);
    if (std::isnan(from_half(half))) {
      ASSERT_TRUE(std::isnan(from_half(to_half(from_half(half)))));
    } else {
      ASSERT_EQ(to_half(from_half(half)), half);
    }
    if (!std::isnan(from_bfloat(half))) ASSERT_EQ(to_bfloat(from_bfloat(half)), half);
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(to_half(1.0F + 0x1p-11F), to_half(1.0F));
  EXPECT_EQ(to_half(1.0F + 3 * 0x1p-11F), to_half(1.0F) + 2);
  EXPECT_EQ(to_half(65519.0F), 0x7BFF);
  EXPECT_EQ(to_half(65520.0F), 0x7C00);
  EXPECT_EQ(to_half(0x1p-25F), 0);
  EXPECT_EQ(to_half(0x1.8p-25F), 1);
  EXPECT_EQ(to_half(-2.0F), 0xC000);
  EXPECT_EQ(to_bfloat(1.0F + 0x1p-8F), to_bfloat(1.0F));
}

TEST(Buffer, CopiesAndMoves) {
  Buffer a(3);
  a.copy("abc");
  Buffer b = a;
  Buffer c = std::move(a);
  EXPECT_EQ(std::memcmp(b.data(), c.data(), 3), 0);
  EXPECT_NE(b.data(), c.data());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.data()) % Buffer::kAlignment, 0U);
}

}  // namespace
}  // namespace penstock::infer
