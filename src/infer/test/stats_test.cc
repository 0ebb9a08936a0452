#include "infer/stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace penstock::infer {
namespace {

using std::chrono::microseconds;

TEST(Stats, CountsByPhaseAndBound) {
  Stats stats;
  Phases phases{.queue = microseconds(20),
                .input = microseconds(1),
                .compute = microseconds(10),
                .output = microseconds(2),
                .total = microseconds(300)};
  stats.executed(3, phases);  // one run of two requests
  stats.succeeded(1, phases, 5'000'000, false);
  stats.succeeded(2, phases, 6'000'000, false);
  phases = {.compute = std::chrono::seconds(9), .total = std::chrono::seconds(9)};
  stats.executed(1, phases);
  stats.succeeded(1, phases, 7'000'000, true);
  StatsView view = stats.view();
  EXPECT_EQ(view.success.count, 3U);
  EXPECT_EQ(view.success.nanoseconds, 9'000'600'000U);
  EXPECT_EQ(view.queue.count, 3U);
  EXPECT_EQ(view.queue.nanoseconds, 40'000U);
  EXPECT_EQ(view.compute.count, 3U);
  EXPECT_EQ(view.input.nanoseconds, 2'000U);
  EXPECT_EQ(view.output.nanoseconds, 4'000U);
  EXPECT_EQ(view.inferences, 4U);
  EXPECT_EQ(view.executions, 2U);
  EXPECT_EQ(view.inline_runs, 1U);
  EXPECT_EQ(view.last_millis, 7'000U);
  EXPECT_EQ(view.compute_within[0], 2U);   // up to and including 10 us
  EXPECT_EQ(view.compute_within[16], 1U);  // above 5 s
  EXPECT_EQ(view.queue_within[0], 1U);     // the inline one
  EXPECT_EQ(view.queue_within[1], 2U);
  EXPECT_EQ(view.total_within[5], 2U);
  EXPECT_EQ(std::accumulate(view.total_within.begin(), view.total_within.end(), 0U), 3U);
}

TEST(Stats, CountsRunsByRows) {
  Stats stats;
  Phases phases{.input = microseconds(1), .compute = microseconds(10), .output = microseconds(2)};
  for (std::size_t rows : {1UL, 8UL, 8UL, 128UL, 129UL, 256UL, 257UL, 1UL << 40}) stats.executed(rows, phases);
  StatsView view = stats.view();
  std::vector<std::pair<std::size_t, std::uint64_t>> sizes;
  for (const BatchTally& batch : view.batches) sizes.emplace_back(batch.rows, batch.compute.count);
  EXPECT_THAT(sizes, ::testing::ElementsAre(std::pair(1, 1), std::pair(8, 2), std::pair(128, 1), std::pair(256, 2),
                                            std::pair(512, 1), std::pair(1UL << 40, 1)));
  EXPECT_EQ(view.batches[1].input.nanoseconds, 2'000U);
  EXPECT_EQ(view.batches[1].compute.nanoseconds, 20'000U);
  EXPECT_EQ(view.batches[1].output.nanoseconds, 4'000U);
  EXPECT_EQ(view.executions, 8U);
}

TEST(Stats, TellsFailuresApart) {
  Stats stats;
  stats.failed(Failure::runtime, microseconds(5), 1'000'000);
  stats.failed(Failure::invalid, microseconds(5), 1'000'000);
  stats.failed(Failure::rejected, microseconds(5), 1'000'000);
  stats.failed(Failure::cancelled, microseconds(5), 2'000'000);
  StatsView view = stats.view();
  EXPECT_EQ(view.failure.count, 4U);
  EXPECT_EQ(view.failure.nanoseconds, 20'000U);
  EXPECT_EQ(view.rejected, 1U);
  EXPECT_EQ(view.cancelled, 1U);
  EXPECT_EQ(view.invalid, 1U);
  EXPECT_EQ(view.last_millis, 2'000U);
}

}  // namespace
}  // namespace penstock::infer
