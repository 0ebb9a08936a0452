#include "infer/canary_judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace penstock::infer {
namespace {

using testing::HasSubstr;

CanaryConfig canary(std::string_view rules) {
  CanaryConfig config;
  config.version = 4;
  config.rules = *parse_rules(rules);
  config.promote_after = std::chrono::minutes(30);
  return config;
}

constexpr base::Duration kLong = std::chrono::hours(1);

TEST(CanaryJudge, RollsBackOnOneLimitAndPromotesOnAll) {
  CanaryConfig config = canary("errors > 0.5% or p99 > 20ms");
  auto verdict = [&](Count errors, Count slow, base::Duration watched = kLong) {
    return judge(config, std::vector{errors, slow}, watched);
  };
  EXPECT_EQ(verdict({0, 0}, {0, 0}), Verdict::watch);
  EXPECT_EQ(verdict({3, 3}, {3, 0}), Verdict::roll_back);
  EXPECT_EQ(verdict({100, 0}, {100, 40}), Verdict::roll_back);
  EXPECT_EQ(verdict({5000, 0}, {5000, 0}), Verdict::promote);
  EXPECT_EQ(verdict({5000, 0}, {5000, 0}, std::chrono::minutes(29)), Verdict::watch);
  EXPECT_EQ(verdict({5000, 0}, {5000, 50}), Verdict::watch) << "one limit is not shown to be kept";
  config.promote_after = {};
  EXPECT_EQ(verdict({5000, 0}, {5000, 0}), Verdict::watch) << "by command only";
  config.rules.clear();
  EXPECT_EQ(judge(config, {}, kLong), Verdict::watch);
}

// Two limits, both kept to the last call: looked at after every call, over a whole life.
TEST(CanaryJudge, WrongRollbacksOfAllLimitsTogetherStayWithinTheErrorRate) {
  CanaryConfig config = canary("errors > 2% or p95 > 20ms");
  config.error_rate = 0.05;
  config.promote_after = {};
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> uniform;
  int rolled_back = 0;
  constexpr int kCanaries = 2000;
  for (int i = 0; i < kCanaries; ++i) {
    std::vector<Count> counts(2);
    for (int call = 0; call < 2000; ++call) {
      bool failed = uniform(random) < 0.02;
      bool slow = uniform(random) < 0.05;
      counts[0] = {counts[0].calls + 1, counts[0].bad + (failed ? 1 : 0)};
      counts[1] = {counts[1].calls + 1, counts[1].bad + (slow ? 1 : 0)};
      // Evidence grows with bad calls only.
      if (!failed && !slow) continue;
      if (judge(config, counts, kLong) != Verdict::roll_back) continue;
      ++rolled_back;
      break;
    }
  }
  EXPECT_LE(rolled_back, kCanaries * config.error_rate);
}

TEST(CanaryJudge, ExplainsItselfInWords) {
  CanaryConfig config = canary("errors > 0.5% or p99 > 20ms or disagreement > 2%");
  std::vector<Count> others{{1080, 1}, {1080, 4}, {0, 0}};
  std::vector<Count> bad{{120, 14}, {120, 0}, {100, 1}};
  EXPECT_EQ(explain(Verdict::roll_back, config, bad, others, kLong),
            "rolled back: 14 of 120 calls failed; the limit is 0.5 %; of the other versions 1 of 1080. Evidence that "
            "the limit is passed: more than 1,000,000 to 1; 300 to 1 is needed so that a version within its limits is "
            "rolled back in at most 1 % of cases");
  std::vector<Count> good{{3000, 1}, {3000, 3}, {2800, 20}};
  std::string promoted = explain(Verdict::promote, config, good, others, kLong);
  EXPECT_THAT(promoted, HasSubstr("promoted after 1h: 1 of 3000 calls failed (limit 0.5 %), 3 of 3000 calls took "
                                  "longer than 20ms (limit 1 %), 20 of 2800 answers differed from the other version's "
                                  "(limit 2 %)"));
  EXPECT_THAT(promoted, HasSubstr("100 to 1 is needed"));
  std::string waiting = explain(Verdict::watch, config, std::vector<Count>(3), others, std::chrono::minutes(20));
  EXPECT_THAT(waiting, HasSubstr("0 of 0 calls failed"));
  EXPECT_THAT(waiting, HasSubstr("Evidence for rolling back: 1.0 to 1, 300 to 1 is needed"));
  EXPECT_THAT(waiting, HasSubstr("10m more of watching"));
  config.rules.clear();
  EXPECT_THAT(explain(Verdict::watch, config, {}, {}, kLong), HasSubstr("rollback_if"));
}

}  // namespace
}  // namespace penstock::infer
