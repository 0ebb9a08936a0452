#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rt/await.h"
#include "rt/cores.h"
#include "rt/loop.h"
#include "rt/task.h"

namespace penstock::rt {
namespace {

using namespace std::chrono_literals;

Task<int> answer() { co_return 42; }
Task<int> twice() {
  int a = co_await answer();
  int b = co_await answer();
  co_return a + b;
}

TEST(Task, NestsAndReturns) {
  int result = 0;
  auto body = [](int* out) -> Task<void> { *out = co_await twice(); };
  spawn(body(&result));
  EXPECT_EQ(result, 84);
}

Task<int> countdown(int n) {
  if (n == 0) co_return 0;
  co_return 1 + co_await countdown(n - 1);
}

TEST(Task, ManySequentialAwaitsUseNoStack) {
  int result = 0;
  auto body = [](int* out) -> Task<void> {
    for (int i = 0; i < 100'000; ++i) *out += co_await countdown(1);
  };
  spawn(body(&result));
  EXPECT_EQ(result, 100'000);
}

TEST(Task, CarriesExceptionsToTheAwaiter) {
  auto thrower = []() -> Task<int> {
    throw std::runtime_error("x");
    co_return 1;
  };
  bool caught = false;
  auto body = [](Task<int> inner, bool* flag) -> Task<void> {
    try {
      (void)co_await inner;
    } catch (const std::runtime_error&) {
      *flag = true;
    }
  };
  spawn(body(thrower(), &caught));
  EXPECT_TRUE(caught);
}

TEST(Loop, FiresTimersInOrderAndNeverEarly) {
  Loop loop;
  std::vector<int> order;
  std::vector<std::unique_ptr<Timer>> timers;
  auto start = std::chrono::steady_clock::now();
  for (int i : {3, 1, 2, 5, 4}) {
    timers.push_back(std::make_unique<Timer>(loop));
    timers.back()->arm_in(std::chrono::milliseconds(i * 3), [&, i] {
      EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(i * 3));
      order.push_back(i);
      if (i == 5) loop.stop();
    });
  }
  Timer cancelled(loop);
  cancelled.arm_in(1ms, [] { FAIL() << "cancelled timers do not fire"; });
  cancelled.cancel();
  loop.run();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4, 5}));
}

TEST(Loop, RunsAgainAfterAStop) {
  Loop loop;
  int runs = 0;
  for (int i = 0; i < 3; ++i) {
    loop.post([&] {
      ++runs;
      loop.stop();
    });
    loop.run();
  }
  EXPECT_EQ(runs, 3);
  loop.stop();
  loop.run();
}

TEST(Loop, RunsPostedWorkFromOtherThreadsInOrder) {
  LoopThread thread(0, "test");
  thread.start();
  std::vector<int> seen;
  for (int i = 0; i < 1000; ++i) thread.loop().post([&, i] { seen.push_back(i); });
  thread.run_and_wait([&] { EXPECT_TRUE(thread.loop().on_this_thread()); });
  thread.stop();
  ASSERT_EQ(seen.size(), 1000U);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
}

TEST(Loop, AnnouncesReadinessAndHangUp) {
  std::array<int, 2> pair{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair.data()), 0);
  struct Recorder : Listener {
    Loop* loop = nullptr;
    bool read = false;
    void on_ready(bool readable, bool, bool hang_up) override {
      read = read || readable;
      if (hang_up) loop->stop();
    }
  } recorder;
  Loop loop;
  recorder.loop = &loop;
  ASSERT_EQ(loop.add(pair[0], &recorder), 0);
  loop.post([&] {
    ASSERT_EQ(write(pair[1], "x", 1), 1);
    close(pair[1]);
  });
  loop.run();
  EXPECT_TRUE(recorder.read);
  loop.remove(pair[0], &recorder);
  close(pair[0]);
}

Task<void> sleeper(Loop& loop, int* count) {
  co_await Sleep(loop, 2ms);
  ++*count;
}

// Work that is there again at the end of every turn.
struct Treadmill : Listener {
  Loop loop;
  int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  int turns = 0;
  base::Duration seen{};
  Treadmill() { loop.add(fd, this); }
  ~Treadmill() override { ::close(fd); }
  void poke() const {
    std::uint64_t one = 1;
    ASSERT_EQ(::write(fd, &one, sizeof one), 8);
  }
  void on_ready(bool, bool, bool) override {
    seen = loop.lag();
    auto end = std::chrono::steady_clock::now() + 5ms;
    while (std::chrono::steady_clock::now() < end) continue;
    if (++turns == 4) return loop.stop();
    poke();
  }
};

TEST(Loop, KnowsHowLongWorkWaitedForIt) {
  Treadmill mill;
  mill.poke();
  mill.loop.run();
  EXPECT_GE(mill.seen, 5ms);
}

TEST(Loop, HasNoLagAfterItSlept) {
  Loop loop;
  Timer busy(loop);
  Timer later(loop);
  base::Duration seen = 1h;
  busy.arm_in(1ms, [] {
    auto end = std::chrono::steady_clock::now() + 10ms;
    while (std::chrono::steady_clock::now() < end) continue;
  });
  later.arm_in(100ms, [&] {
    seen = loop.lag();
    loop.stop();
  });
  loop.run();
  EXPECT_EQ(seen, 0ms);
  EXPECT_EQ(loop.take_least_lag(), 0ms);
}

TEST(TaskScope, WaitsForEveryTask) {
  Loop loop;
  int count = 0;
  TaskScope scope(loop);
  auto body = [](Loop& l, TaskScope& s, int& n) -> Task<void> {
    for (int i = 0; i < 10; ++i) s.spawn(sleeper(l, &n));
    co_await s.idle();
    EXPECT_EQ(n, 10);
    l.stop();
  };
  spawn(body(loop, scope, count));
  loop.run();
  EXPECT_EQ(count, 10);
}

TEST(Event, RemembersASetBeforeTheWait) {
  Loop loop;
  Event event(loop);
  event.set();
  bool done = false;
  auto body = [](Event& e, bool& flag) -> Task<void> {
    co_await e;
    flag = true;
  };
  spawn(body(event, done));
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace penstock::rt
