#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quota/book.h"
#include "quota/carried.h"

namespace penstock::quota {
namespace {

constexpr std::string_view kRules =
    "{ limits: { requests: 10/day }, budget: [ 1USD/day, { amount: 500tokens, rolling: 24h } ] }";

std::expected<Reservation, Denial> reserve(Book& book, const std::shared_ptr<Account>& key, const Ask& ask,
                                           const Now& now) {
  std::array<Account*, 1> accounts{key.get()};
  return book.reserve(accounts, ask, now);
}

TEST(Checkpoints, OutliveTheProcess) {
  base::FakeClock clock;
  std::vector<Checkpoint> kept;
  {
    Book book;
    EXPECT_TRUE(book.restore({}, {clock.steady(), clock.wall()}).empty());
    auto key = book.account("key", "the key", *parse_rules(kRules));
    Now now{clock.steady(), clock.wall()};
    reserve(book, key, {.tokens = 300, .cost = 300'000}, now)->settle({200, 250'000}, now);
    auto held = reserve(book, key, {.tokens = 100, .cost = 100'000}, now);
    kept = book.take_checkpoints(now);
    ASSERT_EQ(kept.size(), 1U);
    EXPECT_TRUE(book.take_checkpoints(now).empty());
  }
  // Another machine's steady clock, an hour later.
  base::FakeClock later;
  later.set_wall(clock.wall() + 3'600'000'000);
  Now now{later.steady(), later.wall()};
  Book book;
  EXPECT_TRUE(book.restore(kept, now).empty());
  auto key = book.account("key", "the key", *parse_rules(kRules));
  AccountState state = key->state(now);
  EXPECT_EQ(state.budgets[0].spent, 350'000);  // what was held counts as spent
  EXPECT_EQ(state.budgets[0].held, 0);
  EXPECT_EQ(state.budgets[1].spent, 300);
  EXPECT_EQ(state.rates[0].remaining, 8);
  later.advance(std::chrono::hours(25));
  state = key->state({later.steady(), later.wall()});
  EXPECT_EQ(state.budgets[0].spent, 0);
  EXPECT_EQ(state.budgets[1].spent, 0);
  EXPECT_EQ(state.rates[0].remaining, 10);
}

TEST(Checkpoints, OfAnotherProcessAreAddedByTheirDifference) {
  base::FakeClock clock;
  Now now{clock.steady(), clock.wall()};
  Book old_book, new_book;
  EXPECT_TRUE(old_book.restore({}, now).empty());
  auto old_key = old_book.account("key", "the key", *parse_rules(kRules));
  auto held = reserve(old_book, old_key, {.tokens = 100, .cost = 100'000}, now);
  std::vector<Checkpoint> before = old_book.take_checkpoints(now);
  EXPECT_TRUE(new_book.restore(before, now).empty());
  auto missing = new_book.restore({carried("key", before[0].state, before[0].state)}, now);
  ASSERT_EQ(missing.size(), 1U);
  EXPECT_EQ(missing[0].code, Errc::not_found);
  auto key = new_book.account("key", "the key", *parse_rules(kRules));
  reserve(new_book, key, {.tokens = 50, .cost = 50'000}, now)->settle({50, 50'000}, now);
  // What was held counts as spent until it settles with less.
  EXPECT_EQ(key->state(now).budgets[0].spent, 150'000);
  held->settle({30, 30'000}, now);
  reserve(old_book, old_key, {.tokens = 5, .cost = 5'000}, now)->settle({5, 5'000}, now);
  std::vector<Checkpoint> after = old_book.take_checkpoints(now);
  ASSERT_EQ(after.size(), 1U);
  EXPECT_TRUE(new_book.restore({carried("key", before[0].state, after[0].state)}, now).empty());
  AccountState state = key->state(now);
  EXPECT_EQ(state.budgets[0].spent, 85'000);
  EXPECT_EQ(state.budgets[1].spent, 85);
  EXPECT_EQ(state.rates[0].remaining, 7);
  EXPECT_EQ(new_book.take_checkpoints(now).size(), 1U);
}

TEST(Checkpoints, TwoProcessesGiveOutNoMoreThanThereIs) {
  base::FakeClock clock;
  Now now{clock.steady(), clock.wall()};
  SharingState split;
  split.gateways = 2;
  std::int64_t granted = 0;
  for (int process = 0; process < 2; ++process) {
    Book book;
    EXPECT_TRUE(book.restore({}, now).empty());
    auto key = book.account("key", "the key", *parse_rules("{ budget: 1USD/day }"));
    book.set_sharing(split, now);
    std::int64_t here = 0;
    while (true) {
      auto call = reserve(book, key, {.cost = 70'000}, now);
      if (!call) {
        EXPECT_TRUE(call.error().may_wait);
        break;
      }
      call->settle({0, 70'000}, now);
      here += 70'000;
    }
    EXPECT_EQ(here, 490'000);
    granted += here;
    book.set_sharing({}, now);
    EXPECT_TRUE(reserve(book, key, {.cost = 70'000}, now));
  }
  EXPECT_LE(granted, 1'000'000);
}

TEST(Checkpoints, ThatAreDamagedOrNewerAreLeftOut) {
  base::FakeClock clock;
  Now now{clock.steady(), clock.wall()};
  Book book;
  std::vector<Checkpoint> bad;
  for (std::string_view state :
       {"{", "[]", "{\"v\":2}", "{\"v\":1,\"rates\":3}", "{\"v\":1,\"rates\":[[1,2,3]]}", "{\"v\":1,\"budgets\":[[]]}",
        "{\"v\":1,\"budgets\":[[\"USD\",\"day\",\"UTC\",[[1]]]]}",
        "{\"v\":1,\"budgets\":[[\"USD\",\"year\",\"UTC\",[]]]}",
        "{\"v\":1,\"budgets\":[[\"USD\",\"day\",\"UTC\",[[5,4,0,0,0,0]]]]}",
        "{\"v\":1,\"budgets\":[[\"tokens\",3600,0]]}"}) {
    bad.push_back({fmt::format("key{}", bad.size()), std::string(state)});
  }
  bad.push_back({"long gone", R"({"v":1,"budgets":[["USD","day","UTC",[[0,86400000000,5,0,0,0]]]]})"});
  auto errors = book.restore(bad, now);
  ASSERT_EQ(errors.size(), 10U);
  EXPECT_EQ(errors[2].code, Errc::unimplemented);
  EXPECT_EQ(errors[2].source, "key2");
  auto told = book.take_checkpoints(now);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].id, "long gone");
  EXPECT_EQ(told[0].state, "");
}

TEST(Checkpoints, SayWhenAnAccountIsNoMore) {
  base::FakeClock clock;
  Now now{clock.steady(), clock.wall()};
  Book book;
  (void)book.take_checkpoints(now);
  auto key = book.account("key", "the key", *parse_rules(kRules));
  reserve(book, key, {.cost = 5}, now)->settle({.cost = 5}, now);
  EXPECT_EQ(book.take_checkpoints(now).size(), 1U);
  key.reset();
  book.prune();
  auto told = book.take_checkpoints(now);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].state, "");
}

TEST(Checkpoints, AlertOncePerPeriod) {
  base::FakeClock clock;
  Now now{clock.steady(), clock.wall()};
  std::vector<Checkpoint> kept;
  auto rules = *parse_rules("budget: { amount: 1USD, per: day, alert: [50%, 80%] }");
  {
    Book book;
    (void)book.restore({}, now);
    auto key = book.account("key", "the key", rules);
    reserve(book, key, {.cost = 490'000}, now)->settle({.cost = 490'000}, now);
    EXPECT_TRUE(book.take_alerts().empty());
    reserve(book, key, {.cost = 20'000}, now)->settle({.cost = 20'000}, now);
    auto alerts = book.take_alerts();
    ASSERT_EQ(alerts.size(), 1U);
    EXPECT_EQ(alerts[0].account, "key");
    EXPECT_EQ(alerts[0].share, 0.5);
    EXPECT_EQ(alerts[0].spent, 510'000);
    kept = book.take_checkpoints(now);
  }
  Book book;
  (void)book.restore(kept, now);
  auto key = book.account("key", "the key", rules);
  reserve(book, key, {.cost = 10'000}, now)->settle({.cost = 10'000}, now);
  EXPECT_TRUE(book.take_alerts().empty());
  reserve(book, key, {.cost = 400'000}, now)->settle({.cost = 400'000}, now);
  EXPECT_EQ(book.take_alerts().size(), 1U);
}

}  // namespace
}  // namespace penstock::quota
