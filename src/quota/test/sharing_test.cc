#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "quota/book.h"

namespace penstock::quota {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// The store: sums that only grow.
struct Store {
  std::map<std::string, std::int64_t> sums;
  std::vector<SharedSum> exchange(const std::vector<SharedUse>& uses) {
    std::vector<SharedSum> answer;
    for (const SharedUse& use : uses) {
      EXPECT_GE(use.used, 0);
      std::int64_t& sum = sums[use.meter];
      sum = std::max(sum, use.known) + use.used;
      answer.push_back({use.meter, use.used, sum});
    }
    return answer;
  }
};

struct Gateway {
  explicit Gateway(const Rules& rules) : key(book.account("key:k", "the API key 'k'", rules)) {}
  void exchange(Store& store, const Now& now) { book.apply(store.exchange(book.shared_uses(now)), now); }
  std::expected<Reservation, Denial> reserve(const Ask& ask, const Now& now) {
    std::array<Account*, 1> accounts{key.get()};
    return book.reserve(accounts, ask, now);
  }
  Book book;
  std::shared_ptr<Account> key;
  std::vector<std::pair<Reservation, std::int64_t>> open;
};

struct Fleet {
  Fleet(int size, std::string_view rules) {
    for (int i = 0; i < size; ++i) gateways.push_back(std::make_unique<Gateway>(*parse_rules(rules)));
    set(true);
  }
  void set(bool connected) {
    for (auto& gateway : gateways) {
      gateway->book.set_sharing({.on = true, .connected = connected, .gateways = static_cast<int>(gateways.size())},
                                now());
    }
  }
  Now now() const { return {clock.steady(), clock.wall()}; }
  base::FakeClock clock;
  Store store;
  std::vector<std::unique_ptr<Gateway>> gateways;
};

constexpr std::int64_t kAmount = 1'000'000;
constexpr std::int64_t kSlice = kAmount / 50;

// Random calls on three gateways, each of which exchanges now and then; what was granted in all.
std::int64_t run(Fleet& fleet, std::mt19937& random, int steps, bool exchanges) {
  std::int64_t used = 0;
  auto between = [&](int least, int most) { return std::uniform_int_distribution<int>(least, most)(random); };
  for (int step = 0; step < steps; ++step) {
    Gateway& gateway = *fleet.gateways[static_cast<std::size_t>(between(0, 2))];
    int what = between(0, 9);
    if (what < 5) {
      std::int64_t cost = between(1, static_cast<int>(kSlice));
      auto granted = gateway.reserve({.cost = cost}, fleet.now());
      if (granted) gateway.open.emplace_back(std::move(*granted), between(0, static_cast<int>(cost)));
    } else if (what < 8 && !gateway.open.empty()) {
      auto& [reservation, cost] = gateway.open.back();
      reservation.settle({.cost = cost}, fleet.now());
      used += cost;
      gateway.open.pop_back();
    } else if (exchanges) {
      gateway.exchange(fleet.store, fleet.now());
    }
    fleet.clock.advance(milliseconds(between(0, 20)));
  }
  for (auto& gateway : fleet.gateways) {
    for (auto& [reservation, cost] : gateway->open) {
      std::int64_t held = reservation.held_cost();
      reservation.settle({.cost = held}, fleet.now());
      used += held;
    }
    gateway->open.clear();
  }
  return used;
}

TEST(Sharing, KeepsTheSumWithinTheAmountAndASliceOfEachOther) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    std::mt19937 random(seed);
    Fleet fleet(3, "budget: 1USD/month");
    std::int64_t used = run(fleet, random, 4000, true);
    EXPECT_LE(used, kAmount + 2 * kSlice) << seed;
    EXPECT_GE(used, kAmount - 3 * kSlice) << seed;
  }
}

TEST(Sharing, KeepsTheSumWithinTheAmountAndASliceOfEachWhenTheStoreIsLost) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    std::mt19937 random(seed);
    Fleet fleet(3, "budget: 1USD/month");
    std::int64_t used = run(fleet, random, 100 + static_cast<int>(seed) * 5, true);
    fleet.set(false);
    used += run(fleet, random, 3000, false);
    EXPECT_LE(used, kAmount + 3 * kSlice) << seed;
    EXPECT_GE(used, kAmount - 6 * kSlice) << seed;
    fleet.set(true);
    for (int round = 0; round < 2; ++round) {
      for (auto& gateway : fleet.gateways) {
        auto none = gateway->reserve({.cost = 0}, fleet.now());
        gateway->exchange(fleet.store, fleet.now());
      }
    }
    used += run(fleet, random, 1000, true);
    EXPECT_LE(used, kAmount + 3 * kSlice) << seed;
  }
}

TEST(Sharing, OfANewPeriodGivesOutOnlyItsPartWhileTheStoreIsLost) {
  Fleet fleet(3, "budget: 1USD/day");
  fleet.set(false);
  fleet.clock.advance(std::chrono::hours(24));
  std::mt19937 random(1);
  std::int64_t used = run(fleet, random, 2000, false);
  EXPECT_LE(used, kAmount);
  EXPECT_GE(used, kAmount * 9 / 10);
}

TEST(Sharing, OfWhatWasNotAskedForGivesOutOnlyASliceWhileTheStoreIsLost) {
  Fleet fleet(3, "budget: 1USD/month");
  for (int i = 0; i < 60; ++i) {
    auto granted = fleet.gateways[0]->reserve({.cost = kSlice}, fleet.now());
    if (granted) granted->settle({.cost = kSlice}, fleet.now());
    fleet.gateways[0]->exchange(fleet.store, fleet.now());
  }
  fleet.set(false);
  EXPECT_FALSE(fleet.gateways[1]->reserve({.cost = kSlice + 1}, fleet.now()));
  auto slice = fleet.gateways[1]->reserve({.cost = kSlice}, fleet.now());
  ASSERT_TRUE(slice);
  auto more = fleet.gateways[1]->reserve({.cost = 1}, fleet.now());
  ASSERT_FALSE(more);
  EXPECT_THAT(more.error().error.detail, testing::HasSubstr("cannot be reached"));
}

TEST(Sharing, TellsWhatWasSpentLongAgoWhenTheStoreLostItsData) {
  for (std::string_view rules : {"budget: 1USD/month", "budget: 1USD/30d", "limits: { requests: 10/day }"}) {
    Fleet fleet(2, rules);
    auto granted = fleet.gateways[0]->reserve({.cost = kSlice}, fleet.now());
    ASSERT_TRUE(granted) << rules;
    granted->settle({.cost = kSlice}, fleet.now());
    fleet.gateways[0]->exchange(fleet.store, fleet.now());
    fleet.clock.advance(seconds(3));
    for (int i = 0; i < 2; ++i) fleet.gateways[0]->exchange(fleet.store, fleet.now());
    const auto before = fleet.store.sums;
    fleet.store.sums.clear();
    fleet.set(false);
    fleet.set(false);
    fleet.gateways[0]->exchange(fleet.store, fleet.now());
    fleet.gateways[1]->exchange(fleet.store, fleet.now());
    EXPECT_EQ(fleet.store.sums, before) << rules;
  }
}

TEST(Sharing, MakesCallsWaitForTheExchangeOnly) {
  Fleet fleet(2, "budget: 1USD/day");
  Gateway& gateway = *fleet.gateways[0];
  int asked = 0;
  gateway.book.on_slice_used([&] { ++asked; });
  auto first = gateway.reserve({.cost = 15'000}, fleet.now());
  EXPECT_EQ(asked, 1);
  auto second = gateway.reserve({.cost = 15'000}, fleet.now());
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().may_wait);
  int woken = 0;
  std::array<Account*, 1> accounts{gateway.key.get()};
  auto ticket = gateway.book.wait(accounts, {.cost = 15'000}, fleet.now(), [&] { ++woken; });
  EXPECT_FALSE(ticket->poll(fleet.now()));
  gateway.exchange(fleet.store, fleet.now());
  EXPECT_EQ(woken, 1);
  auto answer = ticket->poll(fleet.now());
  ASSERT_TRUE(answer);
  EXPECT_TRUE(*answer);
}

TEST(Sharing, CountsRatesOfOthers) {
  Fleet fleet(2, "limits: { requests: 100/min }");
  std::int64_t granted = 0;
  for (int i = 0; i < 400; ++i) {
    Gateway& gateway = *fleet.gateways[static_cast<std::size_t>(i % 2)];
    if (auto call = gateway.reserve({}, fleet.now())) {
      call->settle({}, fleet.now());
      ++granted;
    }
    gateway.exchange(fleet.store, fleet.now());
  }
  EXPECT_GE(granted, 100);
  EXPECT_LE(granted, 102);
}

// What was charged for the others while the store was lost is not charged again when they tell of it.
TEST(Sharing, WastesNothingOfARateAfterALoss) {
  Fleet fleet(2, "limits: { requests: 1000/day }");
  std::int64_t granted = 0;
  auto call = [&](int times) {
    for (int i = 0; i < times; ++i) {
      auto got = fleet.gateways[static_cast<std::size_t>(i % 2)]->reserve({}, fleet.now());
      if (!got) continue;
      got->settle({}, fleet.now());
      ++granted;
    }
  };
  fleet.set(false);
  call(400);
  EXPECT_EQ(granted, 400);
  fleet.set(true);
  for (int i = 0; i < 2000; ++i) {
    for (auto& gateway : fleet.gateways) gateway->exchange(fleet.store, fleet.now());
    call(2);
  }
  EXPECT_GE(granted, 998);
  EXPECT_LE(granted, 1040);
}

TEST(Sharing, AStoreThatForgotGivesNothingBackAndIsSetRight) {
  Fleet fleet(1, "budget: 1USD/month");
  Gateway& gateway = *fleet.gateways[0];
  auto spend = [&] {
    gateway.reserve({.cost = 10'000}, fleet.now())->settle({.cost = 10'000}, fleet.now());
    gateway.exchange(fleet.store, fleet.now());
  };
  for (int i = 0; i < 5; ++i) spend();
  fleet.store.sums.clear();
  spend();
  EXPECT_EQ(gateway.key->state(fleet.now()).budgets[0].spent, 60'000);
  std::int64_t most = 0;
  for (auto& [meter, sum] : fleet.store.sums) most = std::max(most, sum);
  EXPECT_EQ(most, 60'000);
}

TEST(Sharing, CountsNothingTwiceAfterARestart) {
  constexpr std::string_view kRules = "{ limits: { tokens: 100000/day }, budget: [ 1USD/month, 1000000tokens/24h ] }";
  Fleet fleet(2, kRules);
  for (auto& gateway : fleet.gateways) {
    (void)gateway->book.take_checkpoints(fleet.now());
    for (int round = 0; round < 3; ++round) {
      gateway->reserve({.tokens = 1000, .cost = 10'000}, fleet.now())->settle({600, 6'000}, fleet.now());
      for (auto& other : fleet.gateways) other->exchange(fleet.store, fleet.now());
    }
  }
  fleet.gateways[0]->exchange(fleet.store, fleet.now());
  auto kept = fleet.gateways[0]->book.take_checkpoints(fleet.now());
  Book book;
  EXPECT_TRUE(book.restore(kept, fleet.now()).empty());
  auto key = book.account("key:k", "the API key 'k'", *parse_rules(kRules));
  book.set_sharing({.on = true, .connected = true, .gateways = 2}, fleet.now());
  std::array<Account*, 1> accounts{key.get()};
  book.reserve(accounts, {.tokens = 10, .cost = 10}, fleet.now())->settle({10, 10}, fleet.now());
  book.apply(fleet.store.exchange(book.shared_uses(fleet.now())), fleet.now());
  AccountState state = key->state(fleet.now());
  EXPECT_EQ(state.budgets[0].spent, 36'010);
  EXPECT_EQ(state.budgets[1].spent, 3'610);
  EXPECT_EQ(state.rates[0].remaining, 100'000 - 3'610);
}

TEST(Sharing, SharesOutCallsUnderWay) {
  Fleet fleet(2, "limits: { concurrent: 5 }");
  std::vector<Reservation> held;
  for (int i = 0; i < 3; ++i) held.push_back(std::move(*fleet.gateways[0]->reserve({}, fleet.now())));
  EXPECT_FALSE(fleet.gateways[0]->reserve({}, fleet.now()));
  EXPECT_TRUE(fleet.gateways[1]->reserve({}, fleet.now()));
}

TEST(Sharing, AsksNoMoreForWhatIsNotUsed) {
  Fleet fleet(1, "budget: 1USD/day");
  Gateway& gateway = *fleet.gateways[0];
  gateway.reserve({.cost = 10}, fleet.now())->settle({.cost = 10}, fleet.now());
  EXPECT_EQ(gateway.book.shared_uses(fleet.now()).size(), 2U);
  gateway.exchange(fleet.store, fleet.now());
  fleet.clock.advance(seconds(2));
  EXPECT_EQ(gateway.book.shared_uses(fleet.now()).size(), 0U);
  gateway.reserve({.cost = 10}, fleet.now())->settle({.cost = 5}, fleet.now());
  EXPECT_EQ(gateway.book.shared_uses(fleet.now()).size(), 2U);
}

}  // namespace
}  // namespace penstock::quota
