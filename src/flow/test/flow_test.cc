#include <gtest/gtest.h>

#include <set>

#include "flow/call.h"
#include "flow/rate_bucket.h"

namespace penstock::flow {
namespace {

using namespace std::chrono_literals;

TEST(RateBucket, GrantsABucketAndThenEvenly) {
  base::FakeClock clock;
  RateBucket bucket;
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(bucket.take(clock.steady(), 1, 60).granted) << i;
  auto refused = bucket.take(clock.steady(), 1, 60);
  EXPECT_FALSE(refused.granted);
  EXPECT_EQ(refused.retry_after, 1s);
  EXPECT_EQ(refused.remaining, 0);
  clock.advance(1s);
  EXPECT_TRUE(bucket.take(clock.steady(), 1, 60).granted);
  EXPECT_FALSE(bucket.take(clock.steady(), 1, 60).granted);
  clock.advance(10min);
  EXPECT_EQ(bucket.take(clock.steady(), 0, 60).remaining, 60) << "never more than a whole bucket";
}

TEST(RateBucket, IsExactUnderRaces) {
  base::FakeClock clock;
  RateBucket bucket;
  std::atomic<int> granted{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) granted += bucket.take(clock.steady(), 1, 1000).granted ? 1 : 0;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(granted, 1000);
}

TEST(RateBucket, SettlesReservations) {
  base::FakeClock clock;
  RateBucket bucket;
  EXPECT_TRUE(bucket.take(clock.steady(), 500, 1000).granted);
  bucket.adjust(clock.steady(), -400, 1000);
  EXPECT_EQ(bucket.take(clock.steady(), 0, 1000).remaining, 900);
  bucket.adjust(clock.steady(), 1400, 1000);
  EXPECT_FALSE(bucket.take(clock.steady(), 1, 1000).granted) << "in debt";
  clock.advance(31s);
  EXPECT_TRUE(bucket.take(clock.steady(), 1, 1000).granted);
}

TEST(ErrorMapping, IsTotalAndGivesErrorStatuses) {
  for (int i = 0; i <= static_cast<int>(Errc::protocol_error); ++i) {
    auto code = static_cast<Errc>(i);
    EXPECT_GE(http_status(code), 400) << to_string(code);
    EXPECT_NE(error_type_of(code), obs::ErrorType::other) << to_string(code);
  }
}

}  // namespace
}  // namespace penstock::flow
