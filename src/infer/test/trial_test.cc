// Versions on trial: what the client and the watcher hear.
#include <gmock/gmock.h>

#include "infer/test/fake_traffic.h"
#include "infer/test/scripted_model.h"

namespace penstock::infer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Heard : Watcher {
  void finished(const Outcome& outcome) override {
    std::lock_guard lock(mutex);
    outcomes.emplace_back(outcome.version, outcome.failed);
    given_up += outcome.given_up ? 1 : 0;
    EXPECT_GE(outcome.total.count(), 0);
    changed.notify_all();
  }
  void began(std::int64_t version, base::SteadyTime) override {
    std::lock_guard lock(mutex);
    ++under_way[version];
  }
  void ended(std::int64_t version, base::SteadyTime) override {
    std::lock_guard lock(mutex);
    --under_way[version];
  }
  void compared(std::int64_t version, const Response& answered, std::int64_t other,
                const Result<Response>& shadow) override {
    std::lock_guard lock(mutex);
    comparisons.emplace_back(version, other);
    values.emplace_back(answered.outputs.at(0).values<float>().front(),
                        shadow ? shadow->outputs.at(0).values<float>().front() : -1);
    changed.notify_all();
  }
  void wait_for_comparison() {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, kHangs, [&] { return !comparisons.empty(); }));
  }
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::int64_t, int> under_way;
  int given_up = 0;
  std::vector<std::pair<std::int64_t, bool>> outcomes;
  std::vector<std::pair<std::int64_t, std::int64_t>> comparisons;
  std::vector<std::pair<float, float>> values;
};

struct WatchedTraffic : FakeTraffic {
  Heard heard;
  Watcher* watcher() override { return &heard; }
};

// Version 1 is the old one, version 2 on trial. Once on the loop, once in the queue.
class Trial : public ::testing::TestWithParam<bool> {
 protected:
  static ScriptedModel::Body failing(Errc code) {
    return [code](std::span<const Tensor>, const RunOptions&) -> Result<void> { return fail(code, "on trial"); };
  }
  // Both have been measured, and may run on the loop.
  std::shared_ptr<Served> version(std::int64_t number, ScriptedModel::Body body = {}, ModelConfig config = {}) {
    auto served = serve(std::make_shared<ScriptedModel>(std::move(body)), std::move(config), number);
    served->cost.record(100, std::chrono::microseconds(1), std::chrono::hours(1));
    return served;
  }
  Pick pick(std::shared_ptr<Served> served) const { return {.served = std::move(served), .traffic = traffic}; }
  Pick with_fallback(std::shared_ptr<Served> canary, std::shared_ptr<Served> old) const {
    return {.served = std::move(canary), .fallback = std::move(old), .traffic = traffic};
  }
  Engine::Options options() const {
    return {.threads = 1,
            .queue_max = 100,
            .inline_max = GetParam() ? base::Duration(std::chrono::hours(1)) : base::Duration{}};
  }
  std::shared_ptr<WatchedTraffic> traffic = std::make_shared<WatchedTraffic>();
  std::vector<std::pair<std::int64_t, bool>>& outcomes() { return traffic->heard.outcomes; }
};
INSTANTIATE_TEST_SUITE_P(Where, Trial, ::testing::Bool(),
                         [](const auto& where) { return where.param ? "OnTheLoop" : "Queued"; });

TEST_P(Trial, TheWatcherHearsHowAVersionDid) {
  Bench bench(options());
  auto good = bench.ask(pick(version(2)), one(1));
  EXPECT_EQ(first(get(good)), 2);
  auto bad = bench.ask(pick(version(3, failing(Errc::internal))), one(1));
  EXPECT_FALSE(get(bad));
  auto wrong = bench.ask(pick(version(4, failing(Errc::invalid_argument))), one(1));
  EXPECT_FALSE(get(wrong));  // the request's fault: says nothing about the version
  EXPECT_THAT(outcomes(), ElementsAre(std::pair(2, false), std::pair(3, true)));
}

TEST_P(Trial, TheFallbackAnswersForAVersionThatFails) {
  Bench bench(options());
  auto answer = bench.ask(with_fallback(version(2, failing(Errc::internal)), version(1)), one(1));
  auto result = get(answer);
  EXPECT_EQ(first(result), 2);
  EXPECT_EQ(result->version, "1");
  EXPECT_THAT(outcomes(), ElementsAre(std::pair(2, true)));
}

TEST_P(Trial, ANewVersionThatTakesLessIsToBlame) {
  auto narrow = std::make_shared<ScriptedModel>();
  narrow->change_info().inputs[0].name = "renamed";
  auto canary = serve(narrow, {}, 2);
  Bench bench(options());
  auto answer = bench.ask(with_fallback(canary, version(1)), one(1));
  EXPECT_EQ(first(get(answer)), 2);
  EXPECT_THAT(outcomes(), ElementsAre(std::pair(2, true)));
}

TEST_P(Trial, ABadRequestIsNobodysFault) {
  Bench bench(options());
  Request bad = one(1);
  bad.inputs[0].name = "q";
  auto answer = bench.ask(with_fallback(version(2), version(1)), std::move(bad));
  auto result = get(answer);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::invalid_argument);
  EXPECT_THAT(outcomes(), IsEmpty());
}

TEST_P(Trial, WhenBothFailTheClientHearsTheOldOne) {
  Bench bench(options());
  auto answer =
      bench.ask(with_fallback(version(2, failing(Errc::internal)), version(1, failing(Errc::data_loss))), one(1));
  auto result = get(answer);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::data_loss);
  EXPECT_THAT(outcomes(), ElementsAre(std::pair(2, true)));
}

TEST_P(Trial, AFullQueueOfTheVersionOnTrialIsNotFelt) {
  Barrier barrier;
  ModelConfig config;
  config.queue.max = 1;
  config.instances = {.min = 1, .max = 1};
  auto canary = version(2, blocking(barrier), config);
  Engine::Options two = options();
  two.threads = 2;
  two.inline_max = {};
  Bench bench(two);
  auto inside = bench.ask(pick(canary), one(kBlocks));
  barrier.wait_for_inside(1);
  auto waits = bench.ask(pick(canary), one(1));
  auto answer = bench.ask(with_fallback(canary, version(1)), one(3));
  auto result = get(answer);
  EXPECT_EQ(first(result), 6);
  EXPECT_EQ(result->version, "1");
  EXPECT_THAT(outcomes(), ElementsAre(std::pair(2, true))) << "but by its judge";
  EXPECT_EQ(traffic->heard.under_way[2], 2);
  barrier.open();
  EXPECT_TRUE(get(inside));
  EXPECT_TRUE(get(waits));
  EXPECT_EQ(traffic->heard.under_way[2], 0);
  EXPECT_EQ(traffic.use_count(), 1) << "what a stopped loop may keep has let go of it";
}

TEST_P(Trial, TheQueueOfTheVersionOnTrialMayTakeTooLong) {
  Barrier barrier;
  ModelConfig config;
  config.queue.timeout = std::chrono::milliseconds(20);
  config.instances = {.min = 1, .max = 1};
  auto canary = version(2, blocking(barrier), config);
  auto old = version(1, {}, config);  // its queue has the same timeout, which its time on trial is not taken from
  Engine::Options two = options();
  two.threads = 2;
  two.inline_max = {};
  Bench bench(two);
  auto inside = bench.ask(canary, one(kBlocks));
  barrier.wait_for_inside(1);
  auto answer = bench.ask(with_fallback(canary, old), one(3));
  auto result = get(answer);
  EXPECT_EQ(first(result), 6);
  EXPECT_EQ(result->version, "1");
  EXPECT_THAT(outcomes(), ElementsAre(std::pair(2, true)));
  EXPECT_EQ(traffic->heard.under_way[2], 0);
  barrier.open();
  EXPECT_TRUE(get(inside));
}

TEST_P(Trial, WhatAFailedTrialTookIsNotTakenFromTheFallback) {
  ModelConfig config;
  config.queue.timeout = std::chrono::milliseconds(20);
  auto slow_to_fail = [](std::span<const Tensor>, const RunOptions&) -> Result<void> {
    std::this_thread::sleep_for(std::chrono::milliseconds(40));
    return fail(Errc::internal, "on trial");
  };
  Bench bench(options());
  auto answer = bench.ask(with_fallback(version(2, slow_to_fail, config), version(1, {}, config)), one(3),
                          base::system_clock().steady() + kHangs);
  auto result = get(answer);
  EXPECT_EQ(first(result), 6);
  EXPECT_EQ(result->version, "1");
  EXPECT_THAT(outcomes(), ElementsAre(std::pair(2, true)));
}

TEST_P(Trial, TheWatcherHearsOfCallsThatNobodyWaitsFor) {
  Barrier barrier;
  ModelConfig config;
  config.instances = {.min = 1, .max = 1};
  auto canary = version(2, blocking(barrier), config);
  Engine::Options queued = options();
  queued.inline_max = {};
  Bench bench(queued);
  auto inside = bench.ask(canary, one(kBlocks));
  barrier.wait_for_inside(1);
  std::stop_source stop;
  Request request = one(1);
  request.stop = stop.get_token();
  auto waits = bench.ask(with_fallback(canary, version(1)), std::move(request));
  EXPECT_EQ(traffic->heard.under_way[2], 1);
  stop.request_stop();
  EXPECT_EQ(get(waits).error().code, Errc::cancelled);
  EXPECT_EQ(traffic->heard.under_way[2], 0);
  EXPECT_EQ(traffic->heard.given_up, 1);
  auto late = bench.ask(with_fallback(canary, version(1)), one(1),
                        base::system_clock().steady() + std::chrono::milliseconds(10));
  EXPECT_EQ(get(late).error().code, Errc::deadline_exceeded);
  EXPECT_THAT(outcomes(), ElementsAre(std::pair(2, false), std::pair(2, true)));
  EXPECT_EQ(traffic.use_count(), 1);
  barrier.open();
  EXPECT_TRUE(get(inside));
}

TEST_P(Trial, AShadowRunsTooAndIsCompared) {
  Bench bench(options());
  auto shadow = version(2);
  Pick both = pick(version(1));
  both.shadow = shadow;
  auto answer = bench.ask(both, one(5));
  EXPECT_EQ(first(get(answer)), 10);
  traffic->heard.wait_for_comparison();
  EXPECT_THAT(traffic->heard.comparisons, ElementsAre(std::pair(1, 2)));
  EXPECT_THAT(traffic->heard.values, ElementsAre(std::pair(10.0F, 10.0F)));
  EXPECT_THAT(outcomes(), ElementsAre(std::pair(1, false)));
  EXPECT_EQ(shadow->stats.view().success.count, 1U);
}

TEST_P(Trial, AFailingShadowHarmsNobody) {
  Bench bench(options());
  Pick both = pick(version(1));
  both.shadow = version(2, failing(Errc::internal));
  auto answer = bench.ask(both, one(5));
  EXPECT_EQ(first(get(answer)), 10);
  traffic->heard.wait_for_comparison();
  EXPECT_THAT(traffic->heard.values, ElementsAre(std::pair(10.0F, -1.0F)));
}

TEST(Shadow, IsDroppedWhenThereIsOtherWork) {
  Barrier barrier;
  auto traffic = std::make_shared<WatchedTraffic>();
  auto busy = serve(std::make_shared<ScriptedModel>(blocking(barrier)));
  auto quick = serve(std::make_shared<ScriptedModel>());
  quick->cost.record(100, std::chrono::microseconds(1), std::chrono::hours(1));
  auto shadow = serve(std::make_shared<ScriptedModel>(), {}, 2);
  Bench bench({.threads = 1, .queue_max = 100, .inline_max = std::chrono::hours(1)});
  auto inside = bench.ask(busy, one(kBlocks));
  barrier.wait_for_inside(1);
  auto answer = bench.ask({.served = quick, .shadow = shadow, .traffic = traffic}, one(1));
  EXPECT_EQ(first(get(answer)), 2);
  barrier.open();
  EXPECT_TRUE(get(inside));
  bench.destroy_engine();
  EXPECT_THAT(traffic->heard.comparisons, IsEmpty());
  EXPECT_EQ(shadow->stats.view().success.count, 0U);
}

}  // namespace
}  // namespace penstock::infer
