#include "base/backoff.h"

#include <gtest/gtest.h>

namespace penstock::base {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, DoublesUpToTheCeilingWithinItsJitter) {
  Backoff backoff(500ms, 30s, 7);
  Duration step = 500ms;
  for (int attempt = 0; attempt < 20; ++attempt) {
    const Duration wait = backoff.next();
    EXPECT_GE(wait, step / 2);
    EXPECT_LE(wait, step);
    step = std::min<Duration>(step * 2, 30s);
  }
  EXPECT_EQ(step, Duration(30s));
}

TEST(Backoff, StartsSmallAgainAfterASuccess) {
  Backoff backoff(500ms, 30s, 7);
  for (int attempt = 0; attempt < 10; ++attempt) backoff.next();
  backoff.reset();
  EXPECT_LE(backoff.next(), Duration(500ms));
}

}  // namespace
}  // namespace penstock::base
