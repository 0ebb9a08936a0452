#include "infer/evidence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <ranges>

namespace penstock::infer {
namespace {

constexpr int kCanaries = 3000;

// Calls until the next bad one, itself included, when each is bad with probability `share`.
class Gaps {
 public:
  explicit Gaps(double share) : share_(share) {}
  std::uint64_t next() { return 1 + std::geometric_distribution<std::uint64_t>(share_)(random_); }

 private:
  std::mt19937_64 random_{20260101};
  double share_;
};

// Of kCanaries whose calls are bad with `share`, how many are convicted of passing `limit` when everybody looks after
// every call. Evidence grows with bad calls only: looking after those is looking after all.
double convicted(double share, double limit, double error_rate, std::uint64_t calls_max, double* mean_calls = nullptr) {
  Gaps gaps(share);
  int found = 0;
  double calls = 0;
  for (int i = 0; i < kCanaries; ++i) {
    Count count;
    while (true) {
      count.calls += gaps.next();
      ++count.bad;
      if (count.calls > calls_max) break;
      if (evidence_above(limit, count) < -std::log(error_rate)) continue;
      ++found;
      calls += static_cast<double>(count.calls);
      break;
    }
  }
  if (mean_calls != nullptr) *mean_calls = calls / std::max(found, 1);
  return static_cast<double>(found) / kCanaries;
}

// The same for being acquitted: that evidence is greatest right before a bad call.
double acquitted(double share, double limit, double error_rate, std::uint64_t calls_max, double* mean_calls = nullptr) {
  Gaps gaps(share);
  int found = 0;
  double calls = 0;
  for (int i = 0; i < kCanaries; ++i) {
    Count count;
    while (count.calls <= calls_max) {
      std::uint64_t gap = gaps.next();
      std::uint64_t before = std::min(count.calls + gap - 1, calls_max);
      auto shown = [&](std::uint64_t at) { return evidence_below(limit, {at, count.bad}) >= -std::log(error_rate); };
      if (shown(before)) {
        ++found;
        auto since = std::views::iota(count.calls, before + 1);
        calls += static_cast<double>(*std::ranges::partition_point(since, [&](auto at) { return !shown(at); }));
        break;
      }
      count.calls += gap;
      ++count.bad;
    }
  }
  if (mean_calls != nullptr) *mean_calls = calls / std::max(found, 1);
  return static_cast<double>(found) / kCanaries;
}

TEST(Evidence, BeginsAtOneAndMovesWithTheCalls) {
  EXPECT_NEAR(evidence_above(0.01, {0, 0}), 0, 1e-12);
  EXPECT_NEAR(evidence_below(0.01, {0, 0}), 0, 1e-12);
  EXPECT_LT(evidence_above(0.01, {100, 0}), evidence_above(0.01, {50, 0}));
  EXPECT_GT(evidence_above(0.01, {100, 5}), evidence_above(0.01, {100, 4}));
  EXPECT_GT(evidence_below(0.01, {1000, 0}), evidence_below(0.01, {900, 0}));
  EXPECT_LT(evidence_below(0.01, {1000, 9}), evidence_below(0.01, {1000, 8}));
}

// The expectation over the next call is the value before it at the limit, and less within it: what Ville's inequality
// asks for, in exact arithmetic.
TEST(Evidence, IsAFairBetAtTheLimitAndALosingOneWithinIt) {
  for (double limit : {0.0005, 0.005, 0.01, 0.3, 0.9}) {
    for (Count count : {Count{0, 0}, Count{10, 1}, Count{1000, 7}, Count{1000, 900}}) {
      auto next = [&](double share, auto evidence) {
        double bad = evidence(limit, Count{count.calls + 1, count.bad + 1});
        double good = evidence(limit, Count{count.calls + 1, count.bad});
        double now = evidence(limit, count);
        return share * std::exp(bad - now) + (1 - share) * std::exp(good - now);
      };
      EXPECT_NEAR(next(limit, evidence_above), 1, 1e-9) << limit << " " << count.calls;
      EXPECT_NEAR(next(limit, evidence_below), 1, 1e-9) << limit << " " << count.calls;
      EXPECT_LT(next(limit * 0.9, evidence_above), 1 + 1e-12);
      EXPECT_LT(next(limit + (1 - limit) * 0.1, evidence_below), 1 + 1e-12);
    }
  }
}

TEST(Evidence, ConvictsNoMoreThanTheErrorRateAtTheVeryLimit) {
  for (double error_rate : {0.05, 0.01}) {
    EXPECT_LE(convicted(0.005, 0.005, error_rate, 30'000), error_rate);
    EXPECT_LE(convicted(0.02, 0.02, error_rate, 8'000), error_rate);
    EXPECT_LE(convicted(0.5, 0.5, error_rate, 1'000), error_rate);
  }
  // The figure says something: with a rate this large some are convicted.
  EXPECT_GT(convicted(0.02, 0.02, 0.3, 8'000), 0.02);
}

// Good calls move the evidence by little, so that it stops at the bound and not beyond: the share found is the error
// rate itself, give or take what kCanaries leave to chance (three standard deviations).
double with_chance(double rate) { return rate + 3 * std::sqrt(rate * (1 - rate) / kCanaries); }

TEST(Evidence, AcquitsNoMoreThanTheErrorRateAtTheVeryLimit) {
  for (double error_rate : {0.05, 0.01}) {
    EXPECT_LE(acquitted(0.005, 0.005, error_rate, 30'000), with_chance(error_rate));
    EXPECT_LE(acquitted(0.02, 0.02, error_rate, 8'000), with_chance(error_rate));
  }
  EXPECT_GT(acquitted(0.02, 0.02, 0.3, 8'000), 0.02);
}

TEST(Evidence, ConvictsWhatIsClearlyBadWithinFewCalls) {
  double calls = 0;
  EXPECT_EQ(convicted(1, 0.005, 0.01, 1000, &calls), 1);
  EXPECT_LE(calls, 2);
  EXPECT_EQ(convicted(0.1, 0.005, 0.01, 1000, &calls), 1);
  EXPECT_LE(calls, 60);
  EXPECT_GE(convicted(0.02, 0.005, 0.01, 5000, &calls), 0.99);
  EXPECT_LE(calls, 1200);
}

TEST(Evidence, AcquitsWhatIsClearlyGood) {
  double calls = 0;
  EXPECT_GE(acquitted(0.00001, 0.005, 0.01, 5000, &calls), 0.99);
  EXPECT_LE(calls, 1300);
  EXPECT_GE(acquitted(0.001, 0.005, 0.01, 20'000, &calls), 0.99);
  EXPECT_LE(calls, 4000);
}

}  // namespace
}  // namespace penstock::infer
