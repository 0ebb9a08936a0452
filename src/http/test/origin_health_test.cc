#include "http/origin_health.h"

#include <gtest/gtest.h>

#include <thread>

#include "http/origin.h"

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
using Change = OriginHealth::Change;

struct Ejection : testing::Test {
  OriginHealth health;
  OutlierPolicy policy{.failures = 3, .eject = 30s};
  base::SteadyTime now{1h};

  Change fail(int times = 1) {
    Change change = Change::none;
    for (int i = 0; i < times; ++i) change = health.failed(policy, now);
    return change;
  }
};

TEST_F(Ejection, TakesFailuresInARow) {
  EXPECT_EQ(fail(2), Change::none);
  EXPECT_EQ(health.succeeded(now), Change::none);
  EXPECT_EQ(fail(2), Change::none);
  EXPECT_TRUE(health.usable(now));
  EXPECT_EQ(fail(), Change::out);
  EXPECT_FALSE(health.usable(now));
  EXPECT_EQ(health.ejected_until(), now + 30s);
  EXPECT_EQ(fail(5), Change::none) << "what was under way counts once";
  EXPECT_EQ(health.ejections(), 1U);
}

TEST_F(Ejection, EndsWithASuccessAfterItsTime) {
  fail(3);
  EXPECT_EQ(health.succeeded(now + 1s), Change::none) << "it began before the ejection";
  EXPECT_FALSE(health.usable(now + 29s));
  now += 30s;
  EXPECT_TRUE(health.usable(now)) << "asked again";
  EXPECT_EQ(health.succeeded(now), Change::back);
  EXPECT_EQ(health.succeeded(now), Change::none);
  EXPECT_EQ(fail(2), Change::none) << "counts from the beginning";
}

TEST_F(Ejection, GrowsWithEachFailedTrialUpToItsMost) {
  fail(3);
  for (auto wanted : {60s, 90s, 120s, 150s, 180s, 210s, 240s, 270s, 300s, 300s, 300s}) {
    now = health.ejected_until();
    EXPECT_EQ(fail(), Change::out) << "one failure is enough on trial";
    EXPECT_EQ(health.ejected_until() - now, wanted);
  }
}

TEST_F(Ejection, ForgetsAfterALongGoodTime) {
  fail(3);
  now += 30s;
  health.succeeded(now);
  now += 1min;
  fail(3);
  EXPECT_EQ(health.ejected_until() - now, 60s) << "soon again";
  now = health.ejected_until();
  health.succeeded(now);
  now += 6min;
  fail(3);
  EXPECT_EQ(health.ejected_until() - now, 30s) << "long after";
}

TEST_F(Ejection, IsFollowedByOneTrialAtATime) {
  EXPECT_FALSE(health.on_trial(now));
  fail(3);
  EXPECT_FALSE(health.on_trial(now + 29s));
  now += 30s;
  ASSERT_TRUE(health.on_trial(now));
  OriginHealth::Trial first = health.begin_trial();
  EXPECT_TRUE(first);
  EXPECT_FALSE(health.begin_trial()) << "another call tries it";
  EXPECT_FALSE(health.usable(now));
  first = OriginHealth::Trial();
  EXPECT_TRUE(health.usable(now)) << "the caller left: nothing is known";
  OriginHealth::Trial second = health.begin_trial();
  EXPECT_TRUE(second);
  health.succeeded(now);
  EXPECT_FALSE(health.on_trial(now));
  EXPECT_TRUE(health.usable(now));
}

TEST_F(Ejection, CanBeSwitchedOff) {
  policy.failures = 0;
  EXPECT_EQ(fail(1000), Change::none);
  EXPECT_TRUE(health.usable(now));
}

TEST_F(Ejection, IsToldToOneOfManyCores) {
  std::atomic<int> told{0};
  std::vector<std::thread> cores;
  for (int i = 0; i < 4; ++i) {
    cores.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) told += health.failed(policy, now) == Change::out ? 1 : 0;
    });
  }
  for (auto& core : cores) core.join();
  EXPECT_EQ(told, 1);
  EXPECT_EQ(health.ejections(), 1U);
}

TEST(ActiveHealth, FollowsChecksInARow) {
  OriginHealth health;
  HealthCheck check{.unhealthy_after = 3, .healthy_after = 2};
  base::SteadyTime now{1h};
  auto checked = [&](bool good) { return health.checked(check, good); };
  EXPECT_EQ(checked(false), Change::none);
  EXPECT_EQ(checked(false), Change::none);
  EXPECT_EQ(checked(true), Change::none);
  EXPECT_EQ(checked(false), Change::none);
  EXPECT_EQ(checked(false), Change::none);
  EXPECT_TRUE(health.usable(now));
  EXPECT_EQ(checked(false), Change::out);
  EXPECT_FALSE(health.usable(now));
  EXPECT_EQ(checked(true), Change::none);
  EXPECT_EQ(checked(false), Change::none);
  EXPECT_EQ(checked(true), Change::none);
  EXPECT_EQ(checked(true), Change::back);
  EXPECT_TRUE(health.usable(now));
}

Origin origin_named(std::string name) {
  Origin origin;
  origin.name = std::move(name);
  return origin;
}

TEST(SharedOrigin, IsTheSameAsLongAsSomebodyHasIt) {
  auto first = share_origin("identity one", origin_named("a"));
  EXPECT_EQ(share_origin("identity one", origin_named("b")), first);
  EXPECT_NE(share_origin("identity two", origin_named("c")), first);
  first.reset();
  EXPECT_EQ(share_origin("identity one", origin_named("d"))->name, "d");
}

TEST(OriginState, HasTheSmallestFreeIndex) {
  auto a = std::make_unique<OriginState>();
  auto b = std::make_unique<OriginState>();
  std::size_t index = a->index();
  EXPECT_NE(index, b->index());
  a.reset();
  EXPECT_EQ(OriginState().index(), index);
}

}  // namespace
}  // namespace penstock::http
