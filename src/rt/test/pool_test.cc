#include "rt/pool.h"

#include <gtest/gtest.h>

#include <future>
#include <set>

#include "rt/attempt.h"

namespace penstock::rt {
namespace {

// Keeps one pool thread busy until released. What the thread waits for is its own: it may still look at it when this is
// gone.
class Plug {
 public:
  explicit Plug(Pool& pool) {
    auto entered = std::make_shared<std::promise<void>>();
    std::future<void> inside = entered->get_future();
    auto released = std::make_shared<std::future<void>>(release_.get_future());
    EXPECT_TRUE(pool.submit([entered, released] {
      entered->set_value();
      released->wait();
    }));
    inside.wait();
  }
  void release() { release_.set_value(); }

 private:
  std::promise<void> release_;
};

TEST(Pool, RunsWorkInOrderOfSubmission) {
  std::vector<int> order;
  {
    Pool pool("test", 1, 100);
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(pool.submit([&order, i] { order.push_back(i); }));
  }
  ASSERT_EQ(order.size(), 50U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(Pool, RefusesWhenTheQueueIsFullAndKeepsTheWork) {
  std::atomic<int> ran = 0;
  {
    Pool pool("test", 1, 2);
    Plug plug(pool);
    EXPECT_TRUE(pool.submit([&] { ++ran; }));
    EXPECT_TRUE(pool.submit([&] { ++ran; }));
    EXPECT_EQ(pool.queued(), 2U);
    Pool::Work third = [&] { ran += 10; };
    auto refused = pool.submit(std::move(third));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Errc::backpressure);
    ASSERT_TRUE(third);
    third();
    plug.release();
  }
  EXPECT_EQ(ran, 12);
}

TEST(Pool, HasNoThreadsBeforeTheFirstWork) {
  Pool pool("test", 2, 4);
  EXPECT_EQ(pool.threads(), 0U);
  Plug plug(pool);
  EXPECT_EQ(pool.threads(), 2U);
  plug.release();
}

TEST(Pool, UsesAllItsThreads) {
  Pool pool("test", 2, 4);
  Plug first(pool);
  Plug second(pool);  // enters only when a second thread exists
  first.release();
  second.release();
}

TEST(Pool, FinishesWhatIsQueuedBeforeItEnds) {
  std::atomic<int> ran = 0;
  {
    Pool pool("test", 2, 1000);
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(pool.submit([&] { ++ran; }));
  }
  EXPECT_EQ(ran, 1000);
}

TEST(Pool, HandsTheResultBackOnTheLoop) {
  Loop loop;
  Pool pool("test", 2, 8);
  std::thread::id worked;
  std::unique_ptr<int> result;
  ASSERT_TRUE(pool.run(
      loop,
      [&] {
        worked = std::this_thread::get_id();
        return std::make_unique<int>(7);
      },
      [&](std::unique_ptr<int> value) {
        EXPECT_EQ(Loop::current(), &loop);
        result = std::move(value);
        loop.stop();
      }));
  loop.run();
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 7);
  EXPECT_NE(worked, std::this_thread::get_id());
}

TEST(Attempt, MakesAnErrorOfWhatIsThrown) {
  auto memory = []() -> Result<int> { throw std::bad_alloc(); };
  EXPECT_EQ(attempt(memory).error().code, Errc::resource_exhausted);
  auto other = []() -> Result<int> { throw std::length_error("too long"); };
  EXPECT_EQ(attempt(other).error().code, Errc::internal);
  auto good = []() -> Result<int> { return 7; };
  EXPECT_EQ(attempt(good), 7);
}

}  // namespace
}  // namespace penstock::rt
