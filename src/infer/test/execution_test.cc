// How requests run: queues, batches, instances, priorities, cancellation, fairness.
#include <gmock/gmock.h>

#include "infer/test/scripted_model.h"

namespace penstock::infer {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Nothing runs on the loop.
Engine::Options threads(std::size_t count) { return {.threads = count, .queue_max = 1000, .inline_max = {}}; }

ModelConfig batching(std::size_t max, base::Duration wait, std::vector<std::size_t> preferred = {}) {
  ModelConfig config;
  config.batch = {.max = max, .wait = wait, .preferred = std::move(preferred)};
  return config;
}

Errc code(Bench::Answer& answer) {
  auto result = get(answer);
  EXPECT_FALSE(result);
  return result ? Errc::unimplemented : result.error().code;
}

// One model whose first request is inside, so that what follows waits. `apart`: that one is of another version, which
// has none of the limits.
struct Busy {
  Barrier barrier;
  std::shared_ptr<ScriptedModel> model = std::make_shared<ScriptedModel>(blocking(barrier));
  std::shared_ptr<Served> served;
  Bench bench;
  Bench::Answer blocker;

  explicit Busy(ModelConfig config = {}, Engine::Options options = threads(1), bool apart = false)
      : served(serve(model, std::move(config))), bench(options) {
    blocker = bench.ask(apart ? serve(model) : served, one(kBlocks));
    barrier.wait_for_inside(1);
  }
  ~Busy() { barrier.open(); }
  Bench::Answer ask(Request request, base::SteadyTime deadline = kNoDeadline) {
    return bench.ask(served, std::move(request), deadline);
  }
  StatsView stats() const { return served->stats.view(); }
};

TEST(Batching, JoinsWhatWaitsForAThread) {
  Busy busy(batching(8, {}));
  auto a = busy.ask(one(1));
  auto b = busy.ask(rows({2, 2, 3, 3}));
  auto c = busy.ask(one(4));
  EXPECT_EQ(busy.stats().pending, 3U);
  busy.barrier.open();
  auto answers = std::array{get(a), get(b), get(c)};
  EXPECT_EQ(first(answers[0]), 2);
  EXPECT_EQ(first(answers[1]), 4);
  EXPECT_EQ(answers[1]->outputs[0].values<float>()[2], 6);
  EXPECT_EQ(first(answers[2]), 8);
  EXPECT_EQ(answers[2]->batch, 4U);
  EXPECT_THAT(busy.model->runs(), ElementsAre(1, 4));
  StatsView stats = busy.stats();
  EXPECT_EQ(stats.pending, 0U);
  EXPECT_EQ(stats.success.count, 4U);
  EXPECT_EQ(stats.executions, 2U);
  EXPECT_EQ(stats.inferences, 5U);
  ASSERT_EQ(stats.batches.size(), 2U);
  EXPECT_EQ(stats.batches[1].rows, 4U);
  EXPECT_GT(stats.batches[1].compute.nanoseconds, 0U);
  EXPECT_GT(stats.queue.nanoseconds, 0U);
}

TEST(Batching, ALoneRequestDoesNotWait) {
  auto model = std::make_shared<ScriptedModel>();
  auto served = serve(model, batching(8, hours(1)));
  Bench bench(threads(1));
  auto answer = bench.ask(served, one(1));
  EXPECT_EQ(first(get(answer)), 2);
  auto another = bench.ask(served, one(2));  // nobody was there at the same time
  EXPECT_EQ(first(get(another)), 4);
}

TEST(Batching, InCompanyARequestWaitsForMore) {
  Busy busy(batching(8, milliseconds(50)), threads(2));
  auto asked = base::system_clock().steady();
  auto answer = busy.ask(one(1));  // a thread is free, and one is under way
  EXPECT_EQ(first(get(answer)), 2);
  EXPECT_GE(base::system_clock().steady() - asked, milliseconds(50));
}

TEST(Batching, AFullBatchDoesNotWait) {
  Busy busy(batching(3, hours(1)), threads(2));
  auto a = busy.ask(one(1));
  auto b = busy.ask(one(2));
  EXPECT_TRUE(open(a));
  auto c = busy.ask(one(3));
  EXPECT_EQ(first(get(a)), 2);
  EXPECT_EQ(first(get(b)), 4);
  EXPECT_EQ(first(get(c)), 6);
  EXPECT_THAT(busy.model->runs(), ElementsAre(1, 3));
}

TEST(Batching, APreferredSizeDoesNotWait) {
  Busy busy(batching(8, hours(1), {2}), threads(2));
  auto a = busy.ask(one(1));
  auto b = busy.ask(one(2));
  EXPECT_EQ(first(get(a)), 2);
  EXPECT_EQ(first(get(b)), 4);
}

TEST(Batching, OneBadInputHarmsNobodyElse) {
  Barrier barrier;
  auto model = std::make_shared<ScriptedModel>([&](std::span<const Tensor> inputs, const RunOptions&) -> Result<void> {
    for (float value : inputs[0].values<float>()) {
      if (value == kBlocks) barrier.pass();
      if (value == 666) return fail(Errc::internal, "666 is no number");
    }
    return {};
  });
  auto served = serve(model, batching(8, {}));
  Bench bench(threads(1));
  auto blocker = bench.ask(served, one(kBlocks));
  barrier.wait_for_inside(1);
  auto good = bench.ask(served, one(1));
  auto bad = bench.ask(served, one(666));
  auto other = bench.ask(served, one(2));
  barrier.open();
  EXPECT_EQ(first(get(good)), 2);
  EXPECT_EQ(code(bad), Errc::internal);
  EXPECT_EQ(first(get(other)), 4);
  EXPECT_THAT(model->runs(), ElementsAre(1, 3, 1, 1, 1));
  EXPECT_EQ(served->stats.view().failure.count, 1U);
}

TEST(Batching, AModelThatThrowsHasFailed) {
  auto model = std::make_shared<ScriptedModel>(
      [](std::span<const Tensor>, const RunOptions&) -> Result<void> { throw std::runtime_error("out of luck"); });
  Bench bench(threads(1));
  auto answer = bench.ask(serve(model), one(1));
  auto result = get(answer);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::internal);
  EXPECT_THAT(result.error().detail, HasSubstr("out of luck"));
}

TEST(Batching, FindsOutThatResultsAreNotByRow) {
  Busy busy(batching(8, {}));
  busy.model->give_one_row();
  auto a = busy.ask(one(1));
  auto b = busy.ask(one(2));
  busy.barrier.open();
  EXPECT_TRUE(get(a));
  EXPECT_TRUE(get(b));
  EXPECT_THAT(busy.model->runs(), ElementsAre(1, 2, 1, 1));
  EXPECT_FALSE(busy.served->joins.load());
}

TEST(Batching, GivesUpJoiningWhatRunsOnlyAlone) {
  std::array<Barrier, 4> barriers;
  std::size_t round = 0;
  auto model = std::make_shared<ScriptedModel>([&](std::span<const Tensor> inputs, const RunOptions&) -> Result<void> {
    if (inputs[0].shape[0] > 1) return fail(Errc::internal, "one row only");
    if (inputs[0].values<float>().front() == kBlocks) barriers[round].pass();
    return {};
  });
  auto served = serve(model, batching(8, {}));
  Bench bench(threads(1));
  for (; round < barriers.size(); ++round) {
    EXPECT_EQ(served->joins.load(), round < 3);
    auto blocker = bench.ask(served, one(kBlocks));
    barriers[round].wait_for_inside(1);
    auto a = bench.ask(served, one(1));
    auto b = bench.ask(served, one(2));
    barriers[round].open();
    EXPECT_TRUE(get(blocker));
    EXPECT_EQ(first(get(a)), 2);
    EXPECT_EQ(first(get(b)), 4);
  }
  EXPECT_THAT(model->runs(), ElementsAre(1, 2, 1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1));
}

TEST(Batching, LeavesAloneWhatCannotBeJoined) {
  auto model = std::make_shared<ScriptedModel>();
  model->change_info().outputs[0].shape = {4, 2};
  EXPECT_FALSE(serve(model, batching(8, hours(1)))->joins.load());
}

TEST(Batching, RefusesMoreRowsThanARunTakes) {
  auto served = serve(std::make_shared<ScriptedModel>(), batching(2, {}));
  Bench bench(threads(1));
  auto answer = bench.ask(served, rows({1, 1, 2, 2, 3, 3}));
  auto result = get(answer);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::invalid_argument);
  EXPECT_THAT(result.error().detail, HasSubstr("split the request"));
}

TEST(Batching, RunsShortModelsOnTheLoopUntilThereIsCompany) {
  Barrier barrier;
  auto model = std::make_shared<ScriptedModel>(blocking(barrier));
  auto served = serve(model, batching(8, {}));
  Engine::Options options = threads(1);
  options.inline_max = hours(1);
  Bench bench(options);
  auto learn = bench.ask(served, one(1));
  EXPECT_TRUE(get(learn));
  auto alone = bench.ask(served, one(2));
  EXPECT_TRUE(get(alone));
  EXPECT_EQ(served->stats.view().inline_runs, 1U);
  // Four in one turn of the loop: the first does not know yet that it is not alone.
  std::atomic<int> answered = 0;
  bench.on_loop([&] {
    for (int i = 0; i < 4; ++i) {
      bench.engine().infer(bench.loop(), Pick{.served = served}, one(3), kNoDeadline, [&](auto) { ++answered; });
    }
  });
  while (answered < 4) std::this_thread::yield();
  EXPECT_EQ(served->stats.view().inline_runs, 2U);
}

TEST(Queue, ServesByPriority) {
  ModelConfig config;
  config.queue.priorities = 3;
  config.queue.default_priority = 2;
  Busy busy(config);
  auto with = [](float value, std::uint32_t priority) {
    Request request = one(value);
    request.priority = priority;
    return request;
  };
  std::vector<Bench::Answer> answers;
  answers.push_back(busy.ask(with(30, 3)));
  answers.push_back(busy.ask(with(20, 0)));
  answers.push_back(busy.ask(with(21, 99)));  // no such level: as if it named none
  answers.push_back(busy.ask(with(10, 1)));
  busy.barrier.open();
  for (auto& answer : answers) EXPECT_TRUE(get(answer));
  EXPECT_THAT(busy.model->firsts(), ElementsAre(kBlocks, 10, 20, 21, 30));
}

TEST(Queue, RefusesWhatWaitedTooLongWhileOthersRun) {
  ModelConfig config;
  config.queue.timeout = milliseconds(5);
  Busy busy(config, threads(1), true);
  auto late = busy.ask(one(1));
  auto result = get(late);  // the other one still runs
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::deadline_exceeded);
  EXPECT_THAT(result.error().detail, HasSubstr("queue's timeout"));
  EXPECT_EQ(busy.stats().rejected, 1U);
  EXPECT_EQ(busy.stats().pending, 0U);
}

TEST(Queue, ARequestMayWaitLessButNotLonger) {
  ModelConfig config;
  config.queue.timeout = hours(1);
  Busy busy(config, threads(1), true);
  Request hasty = one(1);
  hasty.timeout = milliseconds(5);
  auto answer = busy.ask(std::move(hasty));
  EXPECT_EQ(code(answer), Errc::deadline_exceeded);
  ModelConfig strict;
  strict.queue.allow_timeout = false;
  Busy other(strict);
  Request ignored = one(1);
  ignored.timeout = std::chrono::nanoseconds(1);
  auto waits = other.ask(std::move(ignored));
  other.barrier.open();
  EXPECT_EQ(first(get(waits)), 2);
  ModelConfig short_queue;
  short_queue.queue.timeout = milliseconds(5);
  Busy third(short_queue, threads(1), true);
  Request patient = one(1);
  patient.timeout = hours(1);
  auto refused = third.ask(std::move(patient));
  EXPECT_EQ(code(refused), Errc::deadline_exceeded);
}

TEST(Queue, DelaysWhatWaitedTooLong) {
  ModelConfig config;
  config.queue.delay = true;
  Busy busy(config);
  Request hasty = one(1);
  hasty.timeout = milliseconds(5);
  auto late = busy.ask(std::move(hasty));
  std::this_thread::sleep_for(milliseconds(20));
  for (int turns = 0; turns < 3; ++turns) busy.bench.on_loop([] {});  // its timer has fired
  auto fresh = busy.ask(one(2));
  busy.barrier.open();
  EXPECT_EQ(first(get(late)), 2);
  EXPECT_EQ(first(get(fresh)), 4);
  EXPECT_THAT(busy.model->firsts(), ElementsAre(kBlocks, 2, 1));
}

TEST(Queue, RefusesMoreThanItHolds) {
  ModelConfig config;
  config.queue.max = 2;
  Busy busy(config);
  auto a = busy.ask(one(1));
  auto b = busy.ask(one(2));
  auto c = busy.ask(one(3));
  auto refused = get(c);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::backpressure);
  EXPECT_THAT(refused.error().detail, HasSubstr("'m'"));
  busy.barrier.open();
  EXPECT_EQ(first(get(a)), 2);
  EXPECT_EQ(first(get(b)), 4);
}

TEST(Queue, AllModelsTogetherAreBounded) {
  Engine::Options options = threads(1);
  options.queue_max = 1;
  Busy busy({}, options);
  auto other = serve(std::make_shared<ScriptedModel>());
  auto waits = busy.bench.ask(other, one(1));
  auto refused = busy.bench.ask(other, one(2));
  EXPECT_EQ(code(refused), Errc::backpressure);
  busy.barrier.open();
  EXPECT_EQ(first(get(waits)), 2);
}

TEST(Queue, DropsWhatNobodyWaitsForWithoutRunningIt) {
  Busy busy;
  std::stop_source stop;
  Request request = one(1);
  request.stop = stop.get_token();
  auto cancelled = busy.ask(std::move(request));
  auto late = busy.ask(one(2), base::system_clock().steady() + milliseconds(5));
  auto kept = busy.ask(one(3));
  stop.request_stop();
  EXPECT_EQ(code(cancelled), Errc::cancelled);  // at once: the other one still runs
  EXPECT_EQ(code(late), Errc::deadline_exceeded);
  busy.barrier.open();
  EXPECT_EQ(first(get(kept)), 6);
  EXPECT_THAT(busy.model->firsts(), ElementsAre(kBlocks, 3));
  EXPECT_EQ(busy.stats().cancelled, 1U);
}

TEST(Queue, AStopBeforeItBeginsIsHeard) {
  Busy busy;
  std::stop_source stop;
  stop.request_stop();
  Request request = one(1);
  request.stop = stop.get_token();
  auto answer = busy.ask(std::move(request));
  EXPECT_EQ(code(answer), Errc::cancelled);
}

// Runs until it is asked to stop.
struct Endless {
  Barrier started;
  std::shared_ptr<ScriptedModel> model =
      std::make_shared<ScriptedModel>([this](std::span<const Tensor>, const RunOptions& options) -> Result<void> {
        started.open();
        started.pass();
        std::mutex mutex;
        std::condition_variable_any asked;
        std::unique_lock lock(mutex);
        if (!asked.wait_for(lock, options.stop, kHangs, [] { return false; }) && options.stop.stop_requested())
          return fail(Errc::cancelled, "stopped");
        return fail(Errc::internal, "nobody stopped it");
      });
  void wait_for_inside() {
    while (model->runs().empty()) std::this_thread::yield();
  }
};

TEST(Queue, StopsARunNobodyWaitsFor) {
  Endless endless;
  Bench bench(threads(1));
  std::stop_source stop;
  Request request = one(1);
  request.stop = stop.get_token();
  auto answer = bench.ask(serve(endless.model), std::move(request));
  endless.wait_for_inside();
  stop.request_stop();
  EXPECT_EQ(code(answer), Errc::cancelled);
}

TEST(Queue, StopsASharedRunWhenAllHaveLeft) {
  Endless endless;
  Bench bench(threads(2));
  Barrier barrier;
  auto served = serve(endless.model, batching(2, hours(1)));
  std::array<std::stop_source, 2> stops;
  std::array<Bench::Answer, 2> answers;
  for (std::size_t i = 0; i < 2; ++i) {
    Request request = one(1);
    request.stop = stops[i].get_token();
    // In company from the first: both in one run.
    served->company.alone({}, base::system_clock().steady(), true, hours(1));
    answers[i] = bench.ask(served, std::move(request));
  }
  endless.wait_for_inside();
  EXPECT_THAT(endless.model->runs(), ElementsAre(2));
  stops[0].request_stop();
  std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(open(answers[1]));
  stops[1].request_stop();
  EXPECT_EQ(code(answers[0]), Errc::cancelled);
  EXPECT_EQ(code(answers[1]), Errc::cancelled);
  EXPECT_THAT(endless.model->runs(), ElementsAre(2));  // nobody was tried alone afterwards
}

TEST(Instances, GrowWithTheQueueWithinTheirBound) {
  ModelConfig config;
  config.instances = {.min = 1, .max = 2};
  Busy busy(config, threads(4));
  auto second = busy.ask(one(kBlocks));
  EXPECT_EQ(busy.stats().running, 1U);  // one waits: no reason to grow yet
  auto third = busy.ask(one(kBlocks));
  busy.barrier.wait_for_inside(2);
  EXPECT_TRUE(open(second));
  auto fourth = busy.ask(one(kBlocks));
  auto fifth = busy.ask(one(kBlocks));
  busy.barrier.open();
  for (auto* answer : {&second, &third, &fourth, &fifth}) EXPECT_TRUE(get(*answer));
  EXPECT_EQ(busy.barrier.most_inside, 2);
}

TEST(Instances, ShortRunsOnLoopsCountToo) {
  Barrier barrier;
  auto model = std::make_shared<ScriptedModel>(blocking(barrier));
  ModelConfig config;
  config.instances = {.min = 1, .max = 1};
  auto served = serve(model, config);
  Engine::Options options = threads(1);
  options.inline_max = hours(1);
  Bench bench(options);
  auto learn = bench.ask(served, one(1));
  EXPECT_TRUE(get(learn));
  rt::Loop other;
  std::thread blocked([&] {  // on its loop, the only place is taken
    other.post([&] {
      bench.engine().infer(other, Pick{.served = served}, one(kBlocks), kNoDeadline, [&](auto) { other.stop(); });
    });
    other.run();
  });
  barrier.wait_for_inside(1);
  auto waits = bench.ask(served, one(2));
  EXPECT_TRUE(open(waits));
  EXPECT_EQ(served->stats.view().pending, 1U);
  barrier.open();
  EXPECT_EQ(first(get(waits)), 4);
  blocked.join();
}

TEST(Fairness, ASlowModelDoesNotStarveAFastOne) {
  Busy busy;  // the thread is taken while both queues fill
  auto order = std::make_shared<std::vector<char>>();
  auto model = [&](char name, base::Duration takes) {
    return serve(std::make_shared<ScriptedModel>([=](std::span<const Tensor>, const RunOptions&) -> Result<void> {
      order->push_back(name);
      auto until = base::system_clock().steady() + takes;
      while (base::system_clock().steady() < until) continue;
      return {};
    }));
  };
  auto slow = model('s', milliseconds(10));
  auto fast = model('f', std::chrono::microseconds(100));
  std::vector<Bench::Answer> answers;
  for (int i = 0; i < 10; ++i) answers.push_back(busy.bench.ask(slow, one(1)));
  for (int i = 0; i < 20; ++i) answers.push_back(busy.bench.ask(fast, one(1)));
  busy.barrier.open();
  for (auto& answer : answers) EXPECT_TRUE(get(answer));
  auto last_fast = std::find(order->rbegin(), order->rend(), 'f');
  // By turns, ten slow ones would have run before the last fast one.
  EXPECT_LT(std::count(last_fast, order->rend(), 's'), 5);
}

TEST(Fairness, AWeightGivesMoreTurns) {
  Busy busy;
  auto order = std::make_shared<std::string>();
  auto model = [&](char name, double weight) {
    ModelConfig config;
    config.weight = weight;
    return serve(std::make_shared<ScriptedModel>([=](std::span<const Tensor>, const RunOptions&) -> Result<void> {
                   order->push_back(name);
                   std::this_thread::sleep_for(milliseconds(3));
                   return {};
                 }),
                 config);
  };
  auto heavy = model('h', 4);
  auto light = model('l', 1);
  std::vector<Bench::Answer> answers;
  for (int i = 0; i < 20; ++i) answers.push_back(busy.bench.ask(light, one(1)));
  for (int i = 0; i < 20; ++i) answers.push_back(busy.bench.ask(heavy, one(1)));
  busy.barrier.open();
  for (auto& answer : answers) EXPECT_TRUE(get(answer));
  auto last_heavy = order->rfind('h');
  auto light_before = std::count(order->begin(), order->begin() + static_cast<std::ptrdiff_t>(last_heavy), 'l');
  EXPECT_LT(light_before, 12);
  EXPECT_GT(light_before, 1);
}

TEST(Power, SavingTakesOneThreadAndCanEnd) {
  Barrier barrier;
  auto served = serve(std::make_shared<ScriptedModel>(blocking(barrier)));
  Engine::Options options = threads(3);
  options.power_saver = true;
  Bench bench(options);
  std::vector<Bench::Answer> answers;
  for (int i = 0; i < 3; ++i) answers.push_back(bench.ask(served, one(kBlocks)));
  barrier.wait_for_inside(1);
  EXPECT_EQ(served->stats.view().pending, 2U);
  options.power_saver = false;
  bench.engine().change(options);
  barrier.wait_for_inside(3);
  barrier.open();
  for (auto& answer : answers) EXPECT_TRUE(get(answer));
  // Back to one.
  options.power_saver = true;
  bench.engine().change(options);
  barrier.is_open = false;
  barrier.most_inside = 0;
  answers.clear();
  for (int i = 0; i < 6; ++i) answers.push_back(bench.ask(served, one(kBlocks)));
  barrier.wait_for_inside(1);
  barrier.open();
  for (auto& answer : answers) EXPECT_TRUE(get(answer));
  EXPECT_EQ(barrier.most_inside, 1);
}

TEST(Power, SavingWaitsLongerForCompany) {
  auto served = serve(std::make_shared<ScriptedModel>(), batching(8, milliseconds(10)));
  Scheduler normal({.threads = 1}, [](auto) {});
  Scheduler saver({.threads = 1, .saver = true}, [](auto) {});
  EXPECT_EQ(normal.wait_of(*served), milliseconds(10));
  EXPECT_EQ(saver.wait_of(*served), milliseconds(40));
}

TEST(Engine, TellsTheRuntimeToGiveMemoryBack) {
  std::atomic<bool> shrink = false;
  auto model = std::make_shared<ScriptedModel>([&](std::span<const Tensor>, const RunOptions& options) -> Result<void> {
    shrink = options.shrink;
    return {};
  });
  ModelConfig config;
  config.runtime.shrink = true;
  auto served = serve(model, config);
  Bench bench(threads(1));
  EXPECT_EQ(served->last_used.load(), 0);
  auto answer = bench.ask(served, one(1));
  EXPECT_TRUE(get(answer));
  EXPECT_TRUE(shrink);
  EXPECT_GT(served->last_used.load(), 0);
}

TEST(Engine, FinishesWhatIsQueued) {
  Busy busy(batching(8, hours(1)));
  auto a = busy.ask(one(1));
  std::thread opener([&] {
    while (busy.stats().pending == 0) std::this_thread::yield();
    busy.barrier.open();
  });
  busy.bench.destroy_engine();
  opener.join();
  EXPECT_EQ(first(get(busy.blocker)), 2 * kBlocks);
  EXPECT_EQ(first(get(a)), 2);  // without waiting for company for an hour
}

}  // namespace
}  // namespace penstock::infer
