#include "infer/lane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/task.h"

namespace penstock::infer {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

const base::SteadyTime kStart{std::chrono::hours(1)};

struct Hall {
  Lane lane;
  std::uint64_t numbers = 0;

  explicit Hall(BatchConfig batch = {}, InstanceConfig instances = {}) : lane(batch, instances) {}

  TaskPtr add(base::Duration at, std::uint32_t priority = 1, std::string signature = {}, std::size_t rows = 1,
              base::Duration wait = {}) {
    auto task = std::make_shared<Task>(Job{.rows = rows});
    task->signature = std::move(signature);
    task->turn = {
        .rank = Turn::Rank::normal, .due = kStart + at + (priority - 1) * Lane::kPatience, .number = ++numbers};
    task->hold = kStart + at + wait;
    lane.push(task);
    return task;
  }
  // The numbers of the tasks of the next run.
  std::vector<std::uint64_t> take(base::Duration at = {}) {
    std::vector<std::uint64_t> taken;
    for (const TaskPtr& task : lane.take(kStart + at)) taken.push_back(task->turn.number);
    return taken;
  }
};

TEST(Lane, ServesInOrderOneByOne) {
  Hall hall;
  EXPECT_EQ(hall.lane.ready_at(), base::SteadyTime::max());
  for (int i = 0; i < 3; ++i) hall.add(milliseconds(i));
  EXPECT_EQ(hall.lane.ready_at(), base::SteadyTime::min());
  EXPECT_THAT(hall.take(), ElementsAre(1));
  EXPECT_THAT(hall.take(), ElementsAre(2));
  EXPECT_THAT(hall.take(), ElementsAre(3));
  EXPECT_TRUE(hall.lane.empty());
}

TEST(Lane, ServesTheHighestPriorityFirstAndStarvesNobody) {
  Hall hall;
  hall.add(milliseconds(0), 3);
  hall.add(milliseconds(1), 2);
  hall.add(milliseconds(2), 1);
  hall.add(seconds(3), 1);  // the first has waited longer than its two levels are worth
  EXPECT_THAT(hall.take(), ElementsAre(3));
  EXPECT_THAT(hall.take(), ElementsAre(2));
  EXPECT_THAT(hall.take(), ElementsAre(1));
  EXPECT_THAT(hall.take(), ElementsAre(4));
}

TEST(Lane, PutsWhatIsDelayedBehindAllOthers) {
  Hall hall;
  TaskPtr late = hall.add(milliseconds(0), 1);
  hall.add(milliseconds(1), 3);
  TaskPtr shadow = std::make_shared<Task>(Job{});
  shadow->turn = {.rank = Turn::Rank::shadow, .due = kStart - seconds(9), .number = 99};
  hall.lane.push(shadow);
  hall.lane.delay(*late);
  EXPECT_THAT(hall.take(), ElementsAre(2));
  EXPECT_THAT(hall.take(), ElementsAre(1));
  EXPECT_THAT(hall.take(), ElementsAre(99));
}

TEST(Lane, WaitsForCompanyNoLongerThanTold) {
  Hall hall({.max = 4, .wait = milliseconds(2), .preferred = {}});
  hall.add(milliseconds(0), 1, "s", 1, milliseconds(2));
  hall.add(milliseconds(1), 1, "s", 1, milliseconds(2));
  EXPECT_EQ(hall.lane.ready_at(), kStart + milliseconds(2));
  EXPECT_THAT(hall.take(milliseconds(2)), ElementsAre(1, 2));
}

TEST(Lane, AFullBatchGoesAtOnceAndTakesNoMore) {
  Hall hall({.max = 4, .wait = seconds(1), .preferred = {}});
  for (std::size_t rows : {1U, 2U, 3U, 1U}) hall.add(milliseconds(0), 1, "s", rows, seconds(1));
  EXPECT_EQ(hall.lane.ready_at(), base::SteadyTime::min());
  EXPECT_THAT(hall.take(), ElementsAre(1, 2));  // the third would be a row too many, and nobody passes it
  EXPECT_THAT(hall.take(), ElementsAre(3, 4));
  EXPECT_TRUE(hall.lane.empty());
}

TEST(Lane, APreferredSizeGoesAtOnce) {
  Hall hall({.max = 8, .wait = seconds(1), .preferred = {2, 4}});
  hall.add(milliseconds(0), 1, "s", 1, seconds(1));
  EXPECT_GT(hall.lane.ready_at(), kStart);
  for (int i = 0; i < 4; ++i) hall.add(milliseconds(0), 1, "s", 1, seconds(1));
  EXPECT_EQ(hall.lane.ready_at(), base::SteadyTime::min());
  EXPECT_THAT(hall.take(), ElementsAre(1, 2, 3, 4));
  EXPECT_GT(hall.lane.ready_at(), kStart);
  EXPECT_THAT(hall.take(seconds(1)), ElementsAre(5));  // waited long enough, whatever the size
}

TEST(Lane, OnlyTheSameSignatureSharesARun) {
  Hall hall({.max = 4, .wait = milliseconds(2), .preferred = {}});
  hall.add(milliseconds(0), 1, "a", 1, milliseconds(2));
  hall.add(milliseconds(0), 1, "b", 1, milliseconds(2));
  hall.add(milliseconds(1), 1, "a", 1, milliseconds(2));
  hall.add(milliseconds(1), 1, "", 1);  // alone
  EXPECT_THAT(hall.take(milliseconds(5)), ElementsAre(1, 3));
  EXPECT_THAT(hall.take(milliseconds(5)), ElementsAre(2));
  EXPECT_THAT(hall.take(milliseconds(5)), ElementsAre(4));
}

TEST(Lane, AFullBatchDoesNotWaitForAnotherThatDoes) {
  Hall hall({.max = 2, .wait = seconds(1), .preferred = {}});
  hall.add(milliseconds(0), 1, "a", 1, seconds(1));
  hall.add(milliseconds(1), 1, "b", 1, seconds(1));
  hall.add(milliseconds(1), 1, "b", 1, seconds(1));
  EXPECT_THAT(hall.take(milliseconds(1)), ElementsAre(2, 3));
}

TEST(Lane, LetsGoOfWhatIsWithdrawn) {
  Hall hall({.max = 4, .wait = {}, .preferred = {}});
  TaskPtr first = hall.add(milliseconds(0), 1, "s", 3);
  hall.add(milliseconds(0), 1, "s", 3);
  hall.add(milliseconds(0), 1, "s", 1);
  EXPECT_EQ(hall.lane.remove(*first), first);
  EXPECT_EQ(hall.lane.waiting(), 2U);
  EXPECT_THAT(hall.take(), ElementsAre(2, 3));
}

TEST(Lane, GrowsWithItsQueueAndShrinksWithoutOne) {
  Hall hall({}, {.min = 1, .max = 3});
  hall.add(milliseconds(0));
  EXPECT_EQ(hall.lane.instances(), 1U);
  for (int i = 0; i < 9; ++i) hall.add(milliseconds(0));
  EXPECT_EQ(hall.lane.instances(), 3U);
  hall.lane.shrink();
  EXPECT_EQ(hall.lane.instances(), 3U);  // there is work
  while (!hall.lane.empty()) hall.take();
  for (int i = 0; i < 5; ++i) hall.lane.shrink();
  EXPECT_EQ(hall.lane.instances(), 1U);
}

}  // namespace
}  // namespace penstock::infer
