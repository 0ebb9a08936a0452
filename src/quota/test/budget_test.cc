#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quota/book.h"

namespace penstock::quota {
namespace {

using testing::HasSubstr;

struct Setting {
  base::FakeClock clock;
  Book book;
  Now now() const { return {clock.steady(), clock.wall()}; }
  std::shared_ptr<Account> account(const std::string& id, const std::string& rules) {
    auto parsed = parse_rules(rules);
    EXPECT_TRUE(parsed) << parsed.error().detail;
    return book.account(id, fmt::format("the key '{}'", id), *parsed);
  }
  std::expected<Reservation, Denial> reserve(const std::shared_ptr<Account>& account, const Ask& ask) {
    std::array<Account*, 1> accounts{account.get()};
    return book.reserve(accounts, ask, now());
  }
};

TEST(Budget, HoldsThenSpendsAndNeverMoreThanItsAmount) {
  Setting set;
  auto key = set.account("key", "budget: 1USD/day");
  auto first = set.reserve(key, {.cost = 600'000});
  ASSERT_TRUE(first);
  auto second = set.reserve(key, {.cost = 600'000});
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().may_wait);
  first->settle({.cost = 100'000}, set.now());
  second = set.reserve(key, {.cost = 900'000});
  ASSERT_TRUE(second);
  second->settle({.cost = 900'000}, set.now());
  auto third = set.reserve(key, {.cost = 1});
  ASSERT_FALSE(third);
  EXPECT_FALSE(third.error().may_wait);
  EXPECT_EQ(third.error().error.code, Errc::resource_exhausted);
  EXPECT_THAT(third.error().error.detail, HasSubstr("it renews 2023-11-15T00:00:00.000Z (in 1 h 46 min)"));
  set.clock.advance(std::chrono::hours(2));
  EXPECT_TRUE(set.reserve(key, {.cost = 1'000'000}));
}

TEST(Budget, GivesBackWhatACallThatNeverWentOutHeld) {
  Setting set;
  auto key = set.account("key", "{ limits: { rpm: 2, tpm: 1000, concurrent: 1 }, budget: 1USD/day }");
  {
    ASSERT_TRUE(set.reserve(key, {.tokens = 1000, .cost = 1'000'000}));
  }
  auto again = set.reserve(key, {.tokens = 1000, .cost = 1'000'000});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->requests()->remaining, 0);
}

TEST(Budget, RefusesWhatHasNoPrice) {
  Setting set;
  auto key = set.account("key", "budget: 1USD/day");
  auto refused = set.reserve(key, {.cost = std::nullopt});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error.code, Errc::failed_precondition);
  EXPECT_THAT(refused.error().error.detail, HasSubstr("the key 'key' has the budget 1USD/day"));
}

}  // namespace
}  // namespace penstock::quota
