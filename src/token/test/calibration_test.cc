#include "token/calibration.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace penstock::token {
namespace {

TEST(Calibration, StartsAtAQuarterAndLearns) {
  Calibration calibration;
  EXPECT_EQ(calibration.estimate(0), 0);
  EXPECT_EQ(calibration.estimate(400), 100);
  EXPECT_EQ(calibration.estimate(401), 101) << "rounded up";
  calibration.learn(1000, 500);
  EXPECT_NEAR(calibration.tokens_per_byte(), 0.375, 1e-6) << "the first sample counts as much as the start";
  for (int i = 0; i < 60; ++i) calibration.learn(1000, 500);
  EXPECT_NEAR(calibration.tokens_per_byte(), 0.5, 0.01);
  for (int i = 0; i < 16; ++i) calibration.learn(1000, 300);
  EXPECT_NEAR(calibration.tokens_per_byte(), 0.37, 0.02) << "moves on with what comes";
}

TEST(Calibration, StaysWithinItsBounds) {
  Calibration calibration;
  calibration.learn(39, 1000);
  calibration.learn(1000, 0);
  calibration.learn(1000, -5);
  calibration.learn(-1000, 5);
  EXPECT_EQ(calibration.tokens_per_byte(), Calibration::kStart);
  for (int i = 0; i < 200; ++i) calibration.learn(40, INT64_MAX);
  EXPECT_NEAR(calibration.tokens_per_byte(), Calibration::kMost, 1e-3);
  EXPECT_LE(calibration.tokens_per_byte(), Calibration::kMost);
  for (int i = 0; i < 200; ++i) calibration.learn(INT64_MAX, 1);
  EXPECT_NEAR(calibration.tokens_per_byte(), Calibration::kLeast, 1e-3);
}

TEST(Calibration, ManyThreadsMayTeachIt) {
  Calibration calibration;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int sample = 0; sample < 5000; ++sample) calibration.learn(1000, 400);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_NEAR(calibration.tokens_per_byte(), 0.4, 1e-3);
}

}  // namespace
}  // namespace penstock::token
