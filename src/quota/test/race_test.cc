// Many threads at once. Run them under ThreadSanitizer too.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <random>
#include <thread>

#include "quota/book.h"

namespace penstock::quota {
namespace {

using std::chrono::milliseconds;

Now present() { return {base::system_clock().steady(), base::system_clock().wall()}; }

// Waits for its turn as a loop does: for `wake`, or until due.
class Caller {
 public:
  std::expected<Reservation, Denial> take(Book& book, std::span<Account* const> accounts, const Ask& ask) {
    auto granted = book.reserve(accounts, ask, present());
    if (granted || !granted.error().may_wait) return granted;
    auto ticket = book.wait(accounts, ask, present(), [this] { wake(); });
    while (true) {
      if (auto answer = ticket->poll(present())) return std::move(*answer);
      std::unique_lock lock(mutex_);
      changed_.wait_until(lock, ticket->due(), [this] { return woken_; });
      woken_ = false;
    }
  }
  void wake() {
    std::scoped_lock lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

TEST(Race, NeverSpendsMoreThanTheBudgetAndWastesNothing) {
  Book book;
  auto key = book.account("key", "the key", *parse_rules("budget: 1USD/month"));
  auto team = book.account("team", "the team", *parse_rules("budget: 1USD/month"));
  std::array<Account*, 2> accounts{team.get(), key.get()};
  std::atomic<std::int64_t> spent = 0;
  std::atomic<int> served = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 500; ++i) {
    threads.emplace_back([&] {
      Caller caller;
      auto granted = caller.take(book, accounts, {.cost = 10'000});
      if (!granted) return;
      std::this_thread::yield();
      granted->settle({.cost = 4'000}, present());
      spent += 4'000;
      ++served;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LE(spent, 1'000'000);
  // The last call that could still have been held was let through: 1 USD less one reservation is spent at least.
  EXPECT_GT(spent, 1'000'000 - 10'000);
  EXPECT_EQ(key->state(present()).budgets[0].spent, spent);
  EXPECT_EQ(team->state(present()).budgets[0].spent, spent);
  EXPECT_EQ(team->state(present()).budgets[0].held, 0);
  EXPECT_EQ(book.waiting(), 0);
}

TEST(Race, LosesNoWakeAndHoldsNothingInTheEnd) {
  Book book;
  std::vector<std::shared_ptr<Account>> keys;
  for (int i = 0; i < 4; ++i) {
    keys.push_back(
        book.account(fmt::format("key{}", i), "a key", *parse_rules("limits: { concurrent: 2, throttle: 10m }")));
  }
  auto team = book.account("team", "the team",
                           *parse_rules("{ limits: { concurrent: 3, throttle: 10m }, budget: 1000USD/month }"));
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  std::atomic<int> refused = 0;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      std::mt19937 random(i);
      for (int round = 0; round < 30; ++round) {
        std::array<Account*, 2> accounts{keys[random() % 4].get(), team.get()};
        Ask ask{.tokens = 5, .cost = 7, .priority = static_cast<std::uint8_t>(random() % 4), .payer = accounts[0]};
        if (random() % 4 == 0) {
          // Gives up at some point, perhaps just as it is granted.
          auto ticket = book.wait(accounts, ask, present(), [] {});
          if (random() % 2 == 0) std::this_thread::yield();
          if (random() % 2 == 0) (void)ticket->poll(present());
          continue;
        }
        Caller caller;
        auto granted = caller.take(book, accounts, ask);
        if (!granted) {
          ++refused;
          continue;
        }
        int now_inside = ++inside;
        int seen = most.load();
        while (seen < now_inside && !most.compare_exchange_weak(seen, now_inside)) {
        }
        std::this_thread::yield();
        --inside;
        if (random() % 2 == 0) granted->settle({5, 7}, present());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(refused, 0);
  EXPECT_LE(most, 3);
  EXPECT_EQ(book.waiting(), 0);
  AccountState state = team->state(present());
  EXPECT_EQ(state.concurrent, 0);
  EXPECT_EQ(state.waiting, 0);
  EXPECT_EQ(state.budgets[0].held, 0);
}

TEST(Race, ChangesOfRulesAndCheckpointsDisturbNobody) {
  Book book;
  book.restore({}, present());
  auto key = book.account("key", "the key", *parse_rules("budget: 1000USD/month"));
  std::atomic<bool> stop = false;
  std::thread keeper([&] {
    bool more = false;
    while (!stop) {
      more = !more;
      book.account(
          "key", "the key",
          *parse_rules(more ? "{ limits: { requests: 1000000/s }, budget: 1000USD/month }" : "budget: 900USD/month"));
      (void)book.take_checkpoints(present());
      (void)book.take_alerts();
      book.prune();
    }
  });
  std::atomic<std::int64_t> spent = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      std::array<Account*, 1> accounts{key.get()};
      for (int round = 0; round < 5000; ++round) {
        auto granted = book.reserve(accounts, {.tokens = 3, .cost = 10}, present());
        if (!granted) continue;
        granted->settle({.tokens = 1, .cost = 6}, present());
        spent += 6;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  stop = true;
  keeper.join();
  AccountState state = key->state(present());
  EXPECT_EQ(state.budgets[0].spent, spent);
  EXPECT_EQ(state.budgets[0].held, 0);
  EXPECT_EQ(state.concurrent, 0);
}

}  // namespace
}  // namespace penstock::quota
