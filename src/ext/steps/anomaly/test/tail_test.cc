#include "ext/steps/anomaly/tail.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace penstock::ext::anomaly {
namespace {

TEST(Tail, SaysNothingBeforeItsFirstBlocks) {
  Tail tail(0.05);
  for (int i = 0; i < 8 * Tail::kShortestBlock - 1; ++i) {
    tail.add(i % 10);
    ASSERT_FALSE(tail.ready());
    ASSERT_EQ(tail.surprise(1e6, 0), 0);
  }
  tail.add(0);
  EXPECT_TRUE(tail.ready());
  EXPECT_GT(tail.surprise(1e6, 0), 0);
}

TEST(Tail, EstimatesTheProbabilityOfAnExponentialTail) {
  std::mt19937 random(1);
  std::exponential_distribution<double> values(1);
  Tail tail(0.05);
  for (int i = 0; i < 16'000; ++i) tail.add(values(random));
  // -ln P(X >= x) is x for the unit exponential.
  for (const double x : {8.0, 9.0, 10.0, 12.0}) EXPECT_NEAR(tail.surprise(x, 0), x, 1.5) << x;
}

TEST(Tail, GrowsWithTheValueUpToALimit) {
  std::mt19937 random(2);
  std::normal_distribution<double> values(0, 1);
  Tail tail(0.05);
  for (int i = 0; i < 5000; ++i) tail.add(values(random));
  EXPECT_EQ(tail.surprise(0, 0), 0);
  double last = 0;
  for (double x = tail.threshold() + 0.1; x < 20; x += 0.5) {
    const double surprise = tail.surprise(x, 0);
    EXPECT_GT(surprise, last) << x;
    last = surprise;
  }
  EXPECT_EQ(tail.surprise(1e300, 0), Tail::kSurpriseMost);
}

TEST(Tail, TakesNoScaleBelowTheResolution) {
  Tail tail(0.05);
  for (int i = 0; i < 1000; ++i) tail.add(5);
  EXPECT_EQ(tail.surprise(5, 1), 0);
  EXPECT_EQ(tail.surprise(5.1, 0), Tail::kSurpriseMost);
  EXPECT_LT(tail.surprise(5.1, 1), 8);
}

TEST(Tail, ForgetsWhatIsLongPast) {
  Tail tail(0.05);
  for (int i = 0; i < 1000; ++i) tail.add(100 + i % 10);
  for (int i = 0; i < 30'000; ++i) tail.add(i % 10);
  EXPECT_LT(tail.threshold(), 10);
  EXPECT_GT(tail.surprise(50, 0.1), 10);
}

}  // namespace
}  // namespace penstock::ext::anomaly
