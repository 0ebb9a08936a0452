// Limits and budgets against slow models that keep every event, over random schedules and clocks.
#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "quota/book.h"
#include "quota/rate_meter.h"
#include "quota/zone.h"

namespace penstock::quota {
namespace {

using std::chrono::hours;
using std::chrono::nanoseconds;

// A bucket as a fraction: level / window units are used, and `amount` of level leak each nanosecond.
struct ExactBucket {
  __int128 level = 0;
  std::int64_t at = 0;
  void leak(std::int64_t now, const RateLimit& limit) {
    level = std::max<__int128>(level - __int128(now - at) * limit.amount, 0);
    at = now;
  }
  bool fits(std::int64_t units, const RateLimit& limit) const {
    return level + __int128(units) * limit.window.count() <= __int128(limit.amount) * limit.window.count();
  }
};

TEST(Model, RatesAreExact) {
  std::mt19937_64 random(7);
  auto between = [&](std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random);
  };
  constexpr std::array<base::Duration, 4> kWindows{std::chrono::seconds(1), std::chrono::minutes(1), hours(1),
                                                   std::chrono::days(1)};
  for (int round = 0; round < 200; ++round) {
    RateLimit limit{RateLimit::Unit::tokens, between(1, round % 2 == 0 ? 50 : 1'000'000'000'000),
                    kWindows[static_cast<std::size_t>(round % 4)]};
    RateMeter meter;
    ExactBucket model;
    std::int64_t now = between(0, 1'000'000'000'000'000);
    for (int step = 0; step < 300; ++step) {
      now += between(0, limit.window.count() / 4);
      base::SteadyTime time{nanoseconds(now)};
      model.leak(now, limit);
      std::int64_t units = between(0, limit.amount);
      bool fits = model.fits(units, limit);
      base::Duration delay = meter.delay(time, units, limit);
      ASSERT_EQ(delay.count() == 0, fits) << round << " " << step;
      std::int64_t left = static_cast<std::int64_t>((__int128(limit.amount) * limit.window.count() - model.level) /
                                                    limit.window.count());
      ASSERT_EQ(meter.remaining(time, limit), std::max<std::int64_t>(left, 0));
      if (!fits) {
        // It fits after the delay, and not a nanosecond sooner.
        ExactBucket later = model;
        later.leak(now + delay.count() - 1, limit);
        ASSERT_FALSE(later.fits(units, limit));
        later.leak(now + delay.count(), limit);
        ASSERT_TRUE(later.fits(units, limit));
        continue;
      }
      meter.charge(time, units, limit);
      model.level += __int128(units) * limit.window.count();
      std::int64_t back = between(0, units);
      if (back == 0) continue;
      meter.charge(time, -back, limit);
      model.level = std::max<__int128>(model.level - __int128(back) * limit.window.count(), 0);
    }
  }
}

// Every call that was admitted, with the begin of its period.
struct Event {
  std::int64_t period;
  std::int64_t held;
  std::int64_t spent;
};

struct BudgetWorld {
  BudgetWorld(const std::string& rules, unsigned seed) : random(seed) {
    auto parsed = parse_rules(rules);
    rule = parsed->budgets.at(0);
    zone = *find_zone(rule.zone);
    key = book.account("key", "the key", *parsed);
  }
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random);
  }
  Now now() const { return {clock.steady(), clock.wall()}; }
  std::int64_t period() const { return calendar_period(rule.period, zone, clock.wall()).begin; }
  std::int64_t used_in(std::int64_t begin) const {
    std::int64_t sum = 0;
    for (const Event& event : events) {
      if (event.period == begin) sum += event.held + event.spent;
    }
    return sum;
  }
  void step() {
    // Calls of an earlier period settle before it is forgotten.
    bool late = !open.empty() && events[open.front().second].period != period() && between(0, 1) == 0;
    if (late || (!open.empty() && between(0, 2) == 0)) {
      auto at = late ? 0 : static_cast<std::size_t>(between(0, static_cast<std::int64_t>(open.size()) - 1));
      auto& [reservation, event] = open[at];
      std::int64_t cost = between(0, events[event].held);
      reservation.settle({.cost = cost}, now());
      events[event].spent = cost;
      events[event].held = 0;
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
      return;
    }
    std::array<Account*, 1> accounts{key.get()};
    std::int64_t cost = between(1, rule.amount / 3);
    bool fits = used_in(period()) + cost <= rule.amount;
    auto granted = book.reserve(accounts, {.cost = cost}, now());
    ASSERT_EQ(granted.has_value(), fits);
    if (!granted) return;
    events.push_back({period(), cost, 0});
    open.emplace_back(std::move(*granted), events.size() - 1);
  }

  std::mt19937_64 random;
  base::FakeClock clock;
  Book book;
  BudgetRule rule;
  const Zone* zone = nullptr;
  std::shared_ptr<Account> key;
  std::vector<Event> events;
  std::vector<std::pair<Reservation, std::size_t>> open;
};

TEST(Model, CalendarBudgetsAreExactInEveryZone) {
  for (std::string rules : {"budget: 1USD/day", "budget: { amount: 1USD, per: day, zone: America/New_York }",
                            "budget: { amount: 1USD, per: week, zone: Europe/Berlin }",
                            "budget: { amount: 1USD, per: month, zone: Australia/Lord_Howe }",
                            "budget: { amount: 1USD, per: day, zone: America/Sao_Paulo }"}) {
    for (unsigned seed = 1; seed <= 5; ++seed) {
      BudgetWorld world(rules, seed);
      for (int i = 0; i < 1500; ++i) {
        world.clock.advance(
            std::chrono::seconds(world.between(0, world.rule.period == BudgetRule::Period::day ? 7200 : 40'000)));
        ASSERT_NO_FATAL_FAILURE(world.step()) << rules << " " << seed << " " << i;
      }
    }
  }
}

TEST(Model, ClocksThatJumpFindTheirPeriodsAgain) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    BudgetWorld world("budget: 1USD/day", seed);
    base::WallMicros start = world.clock.wall();
    // Three days, in any order: those that were there are remembered.
    for (int day = 0; day < 3; ++day) {
      world.clock.set_wall(start + day * 86'400'000'000);
      ASSERT_NO_FATAL_FAILURE(world.step());
    }
    for (int i = 0; i < 500; ++i) {
      world.clock.set_wall(start + world.between(0, 2) * 86'400'000'000);
      ASSERT_NO_FATAL_FAILURE(world.step()) << seed << " " << i;
    }
  }
}

TEST(Model, AClockSetBackMakesNoMoney) {
  BudgetWorld world("budget: 1USD/day", 1);
  std::array<Account*, 1> accounts{world.key.get()};
  world.book.reserve(accounts, {.cost = 900'000}, world.now())->settle({.cost = 900'000}, world.now());
  for (int back = 1; back < 30; ++back) {
    world.clock.set_wall(world.clock.wall() - 86'400'000'000);
    EXPECT_FALSE(world.book.reserve(accounts, {.cost = 100'001}, world.now())) << back;
  }
}

TEST(Model, RollingBudgetsNeverExceedTheirAmountInAnyWindow) {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    std::mt19937_64 random(seed);
    auto between = [&](std::int64_t least, std::int64_t most) {
      return std::uniform_int_distribution<std::int64_t>(least, most)(random);
    };
    base::FakeClock clock;
    Book book;
    auto key = book.account("key", "the key", *parse_rules("budget: 1USD/24h"));
    std::array<Account*, 1> accounts{key.get()};
    std::deque<std::pair<base::SteadyTime, std::int64_t>> events;
    std::int64_t refused_wrongly = 0;
    for (int i = 0; i < 3000; ++i) {
      clock.advance(std::chrono::seconds(between(0, 3600)));
      if (between(0, 99) == 0) clock.set_wall(clock.wall() + between(-3, 3) * 86'400'000'000);
      Now now{clock.steady(), clock.wall()};
      while (!events.empty() && events.front().first <= now.steady - hours(24)) events.pop_front();
      std::int64_t within = 0;
      std::int64_t longer = 0;
      for (auto& [time, cost] : events) within += cost;
      longer = within;
      std::int64_t cost = between(1, 200'000);
      auto granted = book.reserve(accounts, {.cost = cost}, now);
      if (granted) {
        ASSERT_LE(within + cost, 1'000'000);
        granted->settle({.cost = cost}, now);
        events.emplace_back(now.steady, cost);
      } else if (longer + cost <= 1'000'000) {
        ++refused_wrongly;  // only what is about to leave the window may still count
      }
    }
    EXPECT_LT(refused_wrongly, 150);
  }
}

TEST(Model, DaysHaveAsManyHoursAsTheirClocksSay) {
  auto berlin = *find_zone("Europe/Berlin");
  auto hours_of = [&](BudgetRule::Period period, base::WallMicros time) {
    Span span = calendar_period(period, berlin, time);
    EXPECT_LE(span.begin, time);
    EXPECT_GT(span.end, time);
    return (span.end - span.begin) / 3'600'000'000;
  };
  constexpr base::WallMicros kMarch30 = 1'743'336'000'000'000;    // 2025-03-30T12:00Z, clocks go on
  constexpr base::WallMicros kOctober26 = 1'761'480'000'000'000;  // 2025-10-26T12:00Z, clocks go back
  EXPECT_EQ(hours_of(BudgetRule::Period::day, kMarch30), 23);
  EXPECT_EQ(hours_of(BudgetRule::Period::day, kOctober26), 25);
  EXPECT_EQ(hours_of(BudgetRule::Period::week, kMarch30), 167);
  EXPECT_EQ(hours_of(BudgetRule::Period::month, kMarch30), 31 * 24 - 1);
  // 2024-02-29T23:30Z is the first of March in Berlin.
  EXPECT_EQ(calendar_period(BudgetRule::Period::month, berlin, 1'709'249'400'000'000).begin, 1'709'247'600'000'000);
  EXPECT_EQ(calendar_period(BudgetRule::Period::month, nullptr, 1'709'249'400'000'000).begin, 1'706'745'600'000'000);
  // Every moment of a decade lies in its period, and periods follow each other without a gap.
  for (const char* name : {"Europe/Berlin", "America/Sao_Paulo", "Asia/Beirut", "America/St_Johns", "Pacific/Apia"}) {
    auto zone = *find_zone(name);
    base::WallMicros time = 1'230'768'000'000'000;
    for (int i = 0; i < 4000; ++i) {
      Span span = calendar_period(BudgetRule::Period::day, zone, time);
      ASSERT_LE(span.begin, time) << name;
      ASSERT_GT(span.end, time) << name;
      ASSERT_EQ(calendar_period(BudgetRule::Period::day, zone, span.end - 1).end, span.end) << name;
      ASSERT_EQ(calendar_period(BudgetRule::Period::day, zone, span.end).begin, span.end) << name;
      time = span.end + 1;
    }
  }
}

}  // namespace
}  // namespace penstock::quota
