#include "ext/steps/anomaly/pattern.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace penstock::ext::anomaly {
namespace {

double observe_cycle(PatternMemory& memory, int cycles, double height) {
  double distance = 0;
  for (int i = 0; i < cycles * 12; ++i) distance = memory.observe(height * (i % 12 < 6 ? 0 : 1)).value_or(distance);
  return distance;
}

TEST(PatternMemory, KnowsAShapeItHasSeen) {
  PatternMemory memory(6, 1, 64);
  EXPECT_NEAR(observe_cycle(memory, 50, 10), 0, 1e-3);
}

TEST(PatternMemory, MeasuresHowFarANewShapeIs) {
  PatternMemory memory(6, 1, 64);
  observe_cycle(memory, 50, 10);
  double farthest = 0;
  // The same two levels in an order that never came before.
  for (int i = 0; i < 12; ++i) farthest = std::max(farthest, memory.observe(i % 2 == 0 ? 10 : 0).value_or(0));
  EXPECT_GT(farthest, 3);
}

TEST(PatternMemory, AnswersOncePerStride) {
  PatternMemory memory(4, 5, 8);
  int answers = 0;
  for (int i = 0; i < 100; ++i) answers += memory.observe(i).has_value() ? 1 : 0;
  EXPECT_EQ(answers, 20 - 4) << "three means to fill the course, one course to compare with";
}

TEST(PatternMemory, ForgetsTheShapeUnusedLongestWhenFull) {
  PatternMemory memory(2, 1, 4);
  for (int i = 0; i < 20; ++i) memory.observe(0);
  for (int i = 1; i < 40; ++i) memory.observe(1000.0 * i);
  double distance = 0;
  for (int i = 0; i < 3; ++i) distance = std::max(distance, memory.observe(0).value_or(0));
  EXPECT_GT(distance, 1000) << "the flat line at 0 is no longer remembered";
}

}  // namespace
}  // namespace penstock::ext::anomaly
