#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quota/book.h"

namespace penstock::quota {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Setting {
  explicit Setting(BookOptions options = {}) : book(options) {}
  base::FakeClock clock;
  Book book;
  Now now() const { return {clock.steady(), clock.wall()}; }
  std::shared_ptr<Account> account(const std::string& id, const std::string& rules) {
    auto parsed = parse_rules(rules);
    EXPECT_TRUE(parsed) << parsed.error().detail;
    return book.account(id, fmt::format("the key '{}'", id), *parsed);
  }
  std::expected<Reservation, Denial> reserve(std::vector<Account*> accounts, const Ask& ask) {
    return book.reserve(accounts, ask, now());
  }
};

// A call that waits, as a loop sees it.
struct Caller {
  Caller(Setting& set, std::vector<Account*> accounts, const Ask& ask)
      : ticket(set.book.wait(accounts, ask, set.now(), [this] { ++woken; })) {
    poll(set);
  }
  void poll(Setting& set) {
    if (auto said = ticket->poll(set.now())) answer = std::move(said);
  }
  bool granted() const { return answer && *answer; }
  bool refused() const { return answer && !*answer; }
  int woken = 0;
  std::optional<std::expected<Reservation, Denial>> answer;
  std::unique_ptr<Ticket> ticket;
};

TEST(Waiting, IsServedWhenAnotherCallSettles) {
  Setting set;
  auto key = set.account("key", "budget: 1USD/day");
  auto first = set.reserve({key.get()}, {.cost = 800'000});
  Caller caller(set, {key.get()}, {.cost = 500'000});
  EXPECT_EQ(set.book.waiting(), 1);
  EXPECT_FALSE(caller.answer);
  first->settle({.cost = 400'000}, set.now());
  EXPECT_EQ(caller.woken, 1);
  caller.poll(set);
  ASSERT_TRUE(caller.granted());
  EXPECT_EQ(set.book.waiting(), 0);
  (*caller.answer)->settle({.cost = 500'000}, set.now());
  EXPECT_EQ(key->state(set.now()).budgets[0].spent, 900'000);
}

TEST(Waiting, IsRefusedAsSoonAsItCanNeverBeServed) {
  Setting set;
  auto key = set.account("key", "budget: 1USD/day");
  auto first = set.reserve({key.get()}, {.cost = 800'000});
  Caller caller(set, {key.get()}, {.cost = 500'000});
  first->settle({.cost = 800'000}, set.now());
  EXPECT_EQ(caller.woken, 1);
  caller.poll(set);
  ASSERT_TRUE(caller.refused());
  EXPECT_FALSE(caller.answer->error().may_wait);
}

TEST(Waiting, GoesByTheClockForRates) {
  Setting set;
  auto key = set.account("key", "limits: { requests: 10/s, throttle: 1s }");
  std::vector<Reservation> held;
  for (int i = 0; i < 10; ++i) held.push_back(std::move(*set.reserve({key.get()}, {})));
  Caller first(set, {key.get()}, {});
  Caller second(set, {key.get()}, {});
  EXPECT_EQ(first.ticket->due() - set.now().steady, milliseconds(100));
  set.clock.advance(milliseconds(100));
  second.poll(set);
  EXPECT_FALSE(second.answer);
  EXPECT_EQ(first.woken, 1);
  first.poll(set);
  EXPECT_TRUE(first.granted());
  EXPECT_EQ(second.ticket->due() - set.now().steady, milliseconds(100));
  set.clock.advance(milliseconds(100));
  second.poll(set);
  EXPECT_TRUE(second.granted());
}

TEST(Waiting, EndsWithThePatience) {
  Setting set;
  auto key = set.account("key", "limits: { concurrent: 1, throttle: 2s }");
  auto first = set.reserve({key.get()}, {});
  Caller caller(set, {key.get()}, {});
  EXPECT_EQ(caller.ticket->due() - set.now().steady, seconds(2));
  set.clock.advance(milliseconds(1999));
  caller.poll(set);
  EXPECT_FALSE(caller.answer);
  set.clock.advance(milliseconds(1));
  caller.poll(set);
  ASSERT_TRUE(caller.refused());
  EXPECT_EQ(caller.answer->error().why, Denial::Why::concurrent);
  EXPECT_EQ(set.book.waiting(), 0);
}

TEST(Waiting, LetsNobodyOvertake) {
  Setting set;
  auto key = set.account("key", "budget: 1USD/day");
  auto first = set.reserve({key.get()}, {.cost = 800'000});
  Caller big(set, {key.get()}, {.cost = 500'000});
  auto small = set.reserve({key.get()}, {.cost = 1});
  ASSERT_FALSE(small);
  EXPECT_TRUE(small.error().may_wait);
  EXPECT_TRUE(set.reserve({key.get()}, {.cost = 1, .priority = 1}));
}

// What does not fit yet keeps nobody from what is free, but not for ever.
TEST(Waiting, SmallCallsOfOtherPayersPassALargeOneSevenTimes) {
  Setting set;
  auto team = set.account("team", "budget: 1USD/day");
  auto large = set.account("large", "");
  auto first = set.reserve({team.get()}, {.cost = 200'000});
  Caller big(set, {team.get()}, {.cost = 900'000, .payer = large.get()});
  Caller own(set, {team.get()}, {.cost = 1, .payer = large.get()});
  EXPECT_FALSE(big.answer);
  EXPECT_FALSE(own.answer) << "the calls of one payer keep their order";
  std::vector<std::shared_ptr<Account>> payers;
  int passed = 0;
  std::vector<std::unique_ptr<Caller>> small;
  for (int i = 0; i < 20; ++i) {
    payers.push_back(set.account(fmt::format("small {}", i), ""));
    small.push_back(
        std::make_unique<Caller>(set, std::vector{team.get()}, Ask{.cost = 1000, .payer = payers.back().get()}));
    if (!small.back()->granted()) continue;
    ++passed;
    (*small.back()->answer)->settle({.cost = 0}, set.now());
  }
  EXPECT_EQ(passed, 7);
  first->settle({.cost = 0}, set.now());
  big.poll(set);
  EXPECT_TRUE(big.granted());
}

TEST(Waiting, ServesHigherClassesFirstButStarvesNobody) {
  Setting set;
  auto key = set.account("key", "limits: { concurrent: 1, throttle: 10s }");
  auto busy = std::move(*set.reserve({key.get()}, {}));
  Caller low(set, {key.get()}, {.priority = 3});
  std::vector<std::unique_ptr<Caller>> high;
  for (int i = 0; i < 20; ++i)
    high.push_back(std::make_unique<Caller>(set, std::vector{key.get()}, Ask{.priority = 0}));
  int turns = 0;
  while (!low.answer) {
    busy.settle({}, set.now());
    low.poll(set);
    for (auto& caller : high) {
      if (caller->answer) continue;
      caller->poll(set);
      if (!caller->granted()) continue;
      busy = std::move(**caller->answer);
      ++turns;
    }
    ASSERT_LT(turns, 20);
  }
  EXPECT_EQ(turns, 7);
}

TEST(Waiting, SharesTurnsBetweenPayers) {
  Setting set;
  auto team = set.account("team", "limits: { concurrent: 1, throttle: 10s }");
  auto heavy = set.account("heavy", "");
  auto light = set.account("light", "");
  auto busy = std::move(*set.reserve({team.get()}, {}));
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 20; ++i) {
    callers.push_back(std::make_unique<Caller>(set, std::vector{team.get()}, Ask{.payer = heavy.get()}));
  }
  for (int i = 0; i < 5; ++i) {
    callers.push_back(std::make_unique<Caller>(set, std::vector{team.get()}, Ask{.payer = light.get()}));
  }
  std::string order;
  for (int turn = 0; turn < 10; ++turn) {
    busy.settle({}, set.now());
    for (std::size_t i = 0; i < callers.size(); ++i) {
      if (callers[i]->answer) continue;
      callers[i]->poll(set);
      if (!callers[i]->granted()) continue;
      order += i < 20 ? 'h' : 'l';
      busy = std::move(**callers[i]->answer);
    }
  }
  EXPECT_EQ(std::count(order.begin(), order.end(), 'l'), 5) << order;
}

TEST(Waiting, GivesBackWhatWasGrantedToSomebodyWhoLeft) {
  Setting set;
  auto key = set.account("key", "budget: 1USD/day");
  auto first = set.reserve({key.get()}, {.cost = 1'000'000});
  auto gone = std::make_unique<Caller>(set, std::vector{key.get()}, Ask{.cost = 700'000});
  Caller stays(set, {key.get()}, {.cost = 700'000});
  first->settle({.cost = 0}, set.now());
  EXPECT_EQ(key->state(set.now()).budgets[0].held, 700'000);
  gone.reset();
  EXPECT_EQ(stays.woken, 1);
  stays.poll(set);
  EXPECT_TRUE(stays.granted());
}

TEST(Waiting, IsBounded) {
  Setting set({.waiting_max = 1});
  auto key = set.account("key", "limits: { concurrent: 1, throttle: 10s }");
  auto busy = set.reserve({key.get()}, {});
  Caller first(set, {key.get()}, {});
  Caller second(set, {key.get()}, {});
  EXPECT_FALSE(first.answer);
  ASSERT_TRUE(second.refused());
  EXPECT_FALSE(second.answer->error().may_wait);
}

TEST(Waiting, MovesToTheAccountThatRefusesItNext) {
  Setting set;
  auto key = set.account("key", "limits: { concurrent: 1, throttle: 10s }");
  auto team = set.account("team", "budget: 1USD/day");
  auto of_key = set.reserve({key.get()}, {});
  auto of_team = set.reserve({team.get()}, {.cost = 1'000'000});
  Caller caller(set, {key.get(), team.get()}, {.cost = 10});
  of_key->settle({}, set.now());
  caller.poll(set);
  EXPECT_FALSE(caller.answer);
  EXPECT_EQ(set.book.waiting(), 1);
  of_team->settle({.cost = 5}, set.now());
  caller.poll(set);
  EXPECT_TRUE(caller.granted());
}

}  // namespace
}  // namespace penstock::quota
