#include "ext/sources/modbus/read_plan.h"

#include <gmock/gmock.h>

#include <random>

namespace penstock::ext::modbus {
namespace {

std::vector<Point> points(std::initializer_list<const char*> texts) {
  std::vector<Point> all;
  for (const char* text : texts) EXPECT_TRUE(parse_point(text, all.emplace_back())) << text;
  return all;
}

TEST(ModbusReadPlan, PutsNeighboursTogether) {
  const auto blocks = plan_reads(points({"h40003:f32", "h40001:f32", "h40010", "i30001", "c17", "c1"}), {});
  ASSERT_EQ(blocks.size(), 3U);
  EXPECT_EQ(blocks[0].table, Table::coils);
  EXPECT_EQ(blocks[0].count, 17);
  EXPECT_EQ(blocks[1].table, Table::holding_registers);
  EXPECT_EQ(blocks[1].address, 0);
  EXPECT_EQ(blocks[1].count, 10);
  EXPECT_THAT(blocks[1].points, testing::ElementsAre(1, 0, 2));
  EXPECT_TRUE(blocks[1].bridges);
}

TEST(ModbusReadPlan, KeepsToTheLimits) {
  EXPECT_EQ(plan_reads(points({"h1", "h10"}), {.gap = 8}).size(), 1U);
  EXPECT_EQ(plan_reads(points({"h1", "h11"}), {.gap = 8}).size(), 2U);
  EXPECT_EQ(plan_reads(points({"h1", "h3"}), {.gap = 0}).size(), 2U);
  EXPECT_EQ(plan_reads(points({"h1:f32", "h3:f32"}), {.registers = 3}).size(), 2U);
  // One that is larger than the limit is still read whole.
  EXPECT_EQ(plan_reads(points({"h1:f64"}), {.registers = 3})[0].count, 4);
}

TEST(ModbusReadPlan, OverlappingPointsAreReadOnce) {
  const auto blocks = plan_reads(points({"h40001:u32", "h40001", "h40001.3", "h40002"}), {});
  ASSERT_EQ(blocks.size(), 1U);
  EXPECT_EQ(blocks[0].count, 2);
  EXPECT_FALSE(blocks[0].bridges);
}

TEST(ModbusReadPlan, EveryPointIsInOneBlockWhole) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<Point> all;
    for (int i = 0; i < 60; ++i) {
      const char* types[] = {"u16", "f32", "f64", "u16x7"};
      ASSERT_TRUE(parse_point(fmt::format("{}#{}:{}", random() % 2 ? 'h' : 'i', random() % 600, types[random() % 4]),
                              all.emplace_back()));
    }
    const RequestLimits limits{.registers = static_cast<std::uint16_t>(4 + random() % 122),
                               .gap = static_cast<std::uint16_t>(random() % 20)};
    std::vector<int> seen(all.size());
    for (const Block& block : plan_reads(all, limits)) {
      EXPECT_LE(block.count, std::max<int>(limits.registers, 7));
      for (std::size_t index : block.points) {
        ++seen[index];
        EXPECT_EQ(all[index].table, block.table);
        EXPECT_GE(all[index].address, block.address);
        EXPECT_LE(all[index].address + all[index].width(), block.address + block.count);
      }
    }
    EXPECT_THAT(seen, testing::Each(1));
  }
}

}  // namespace
}  // namespace penstock::ext::modbus
