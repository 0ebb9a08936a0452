// Whatever is put together, everybody hears what a run of its own would have given. The seed is fixed: a failure
// repeats.
#include <random>

#include "infer/test/scripted_model.h"

namespace penstock::infer {
namespace {

using std::chrono::microseconds;

// Fails for rows with this value, whoever shares the run.
constexpr float kPoison = 13;

Result<void> judge(std::span<const Tensor> inputs, const RunOptions& options) {
  if (options.stop.stop_requested()) return fail(Errc::cancelled, "stopped");
  for (float value : inputs[0].values<float>()) {
    if (value == kPoison) return fail(Errc::internal, "poison");
  }
  return {};
}

struct Plan {
  std::vector<float> x;
  bool poisoned = false;
  bool stopped = false;  // somewhere on its way
  bool hurried = false;  // its deadline may pass
  std::stop_source stop;
  Bench::Answer answer;
};

class Story {
 public:
  explicit Story(std::uint32_t seed) : random_(seed) {}

  void run() {
    ModelConfig config;
    config.batch = {.max = pick(2, 9), .wait = microseconds(pick(0, 500)), .preferred = {}};
    if (pick(0, 2) == 0) config.batch.preferred = {2, config.batch.max};
    if (pick(0, 2) == 0) config.instances = {.min = 1, .max = pick(1, 3)};
    config.queue.priorities = 3;
    auto model = std::make_shared<ScriptedModel>(judge);
    auto served = serve(model, config);
    Bench bench({.threads = pick(1, 3), .queue_max = 1000, .inline_max = microseconds(pick(0, 1) * 50)});
    std::vector<Plan> plans(pick(1, 40));
    for (Plan& plan : plans) {
      make(plan, config.batch.max);
      begin(plan, bench, served);
      if (pick(0, 4) == 0) std::this_thread::sleep_for(microseconds(pick(0, 300)));
    }
    for (Plan& plan : plans) {
      if (plan.stopped) plan.stop.request_stop();
    }
    for (Plan& plan : plans) check(plan);
    for (std::size_t rows : model->runs()) EXPECT_LE(rows, config.batch.max);
    StatsView stats = served->stats.view();
    EXPECT_EQ(stats.success.count + stats.failure.count, plans.size());
    EXPECT_EQ(stats.pending, 0U);
    std::uint64_t rows = 0;
    for (const BatchTally& batch : stats.batches) rows += batch.rows * batch.compute.count;
    EXPECT_EQ(rows, stats.inferences);
  }

 private:
  std::size_t pick(std::size_t least, std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(least, most)(random_);
  }
  void make(Plan& plan, std::size_t rows_max) {
    std::size_t count = pick(1, rows_max);
    for (std::size_t i = 0; i < 2 * count; ++i) plan.x.push_back(static_cast<float>(pick(20, 1'000'000)));
    plan.poisoned = pick(0, 9) == 0;
    if (plan.poisoned) plan.x[pick(0, plan.x.size() - 1)] = kPoison;
    plan.stopped = pick(0, 9) == 0;
    plan.hurried = pick(0, 9) == 0;
  }
  void begin(Plan& plan, Bench& bench, const std::shared_ptr<Served>& served) {
    Request request = rows(plan.x);
    request.priority = static_cast<std::uint32_t>(pick(0, 3));
    request.stop = plan.stop.get_token();
    base::SteadyTime deadline =
        plan.hurried ? base::system_clock().steady() + microseconds(pick(0, 1000)) : kNoDeadline;
    plan.answer = bench.ask(served, std::move(request), deadline);
  }
  void check(Plan& plan) {
    auto answer = get(plan.answer);
    if (!answer) {
      Errc code = answer.error().code;
      bool expected = (code == Errc::internal && plan.poisoned) || (code == Errc::cancelled && plan.stopped) ||
                      (code == Errc::deadline_exceeded && plan.hurried);
      EXPECT_TRUE(expected) << answer.error().detail;
      return;
    }
    EXPECT_FALSE(plan.poisoned);
    auto y = answer->outputs.at(0).values<float>();
    ASSERT_EQ(y.size(), plan.x.size());
    for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], 2 * plan.x[i]);
  }

  std::mt19937 random_;
};

TEST(BatchingProperty, GivesWhatSingleRunsGive) {
  for (std::uint32_t seed = 1; seed <= 150 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Story(seed).run();
  }
}

// Loops that ask, cancel and run out of time at once, while threads come and go. For the thread sanitizer.
TEST(BatchingStress, ManyLoopsAtOnce) {
  ModelConfig config;
  config.batch = {.max = 8, .wait = microseconds(100), .preferred = {4}};
  config.instances = {.min = 1, .max = 3};
  config.queue.max = 1000;
  auto traffic = std::shared_ptr<Traffic>();
  auto served = serve(std::make_shared<ScriptedModel>(judge), config);
  auto other = serve(std::make_shared<ScriptedModel>(judge));
  std::atomic<int> answers = 0;
  constexpr int kLoops = 3;
  constexpr int kRequests = 300;
  Engine::Options options{.threads = 3, .queue_max = 5000, .inline_max = microseconds(20)};
  Bench bench(options);
  std::vector<std::thread> loops;
  for (int l = 0; l < kLoops; ++l) {
    loops.emplace_back([&, l] {
      rt::Loop loop;
      std::vector<std::stop_source> stops(kRequests);
      int left = kRequests;
      std::thread stopper;
      for (int i = 0; i < kRequests; ++i) {
        loop.post([&, i, l] {
          Request request = one(i % 17 == 3 ? kPoison : static_cast<float>(100 + i));
          request.stop = stops[static_cast<std::size_t>(i)].get_token();
          auto soon = base::system_clock().steady() + microseconds(i % 5 == 0 ? 300 : 60'000'000);
          Pick pick{.served = (i + l) % 3 == 0 ? other : served, .fallback = i % 4 == 0 ? other : nullptr};
          bench.engine().infer(loop, std::move(pick), std::move(request), soon, [&](auto) {
            ++answers;
            if (--left == 0) loop.stop();
          });
        });
      }
      stopper = std::thread([&] {
        for (std::size_t i = 0; i < stops.size(); i += 7) stops[i].request_stop();
      });
      loop.run();
      stopper.join();
    });
  }
  for (int i = 0; i < 20; ++i) {
    options.threads = 1 + static_cast<std::size_t>(i) % 3;
    options.power_saver = i % 4 == 0;
    bench.engine().change(options);
    (void)served->stats.view();
    std::this_thread::yield();
  }
  for (std::thread& loop : loops) loop.join();
  EXPECT_EQ(answers.load(), kLoops * kRequests);
  EXPECT_EQ(served->stats.view().pending, 0U);
  EXPECT_EQ(served->places.inside(), 0U);
}

}  // namespace
}  // namespace penstock::infer
