#include "infer/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "infer/test/fake_runtime.h"

namespace penstock::infer {
namespace {

constexpr auto kNoDeadline = base::SteadyTime::max();

Request ask(std::string model, const std::vector<float>& x = {1, 2}) {
  Request request{.model = std::move(model), .version = {}, .inputs = {}, .outputs = {}};
  request.inputs.push_back(floats("x", {static_cast<std::int64_t>(x.size() / 2), 2}, x));
  return request;
}

// Requests asked on one loop, which runs until all are answered.
struct Client {
  rt::Loop loop;
  std::vector<Result<Response>> answers;
  std::size_t expected = 0;

  void ask_for(Engine& engine, Request request, base::SteadyTime deadline = kNoDeadline) {
    ++expected;
    loop.post([this, &engine, deadline, shared = std::make_shared<Request>(std::move(request))] {
      engine.infer(loop, std::move(*shared), deadline, [this](Result<Response> answer) {
        EXPECT_TRUE(loop.on_this_thread());
        answers.push_back(std::move(answer));
        if (answers.size() == expected) loop.stop();
      });
    });
  }
};

TEST(Engine, RunsAShortModelOnTheCallersLoop) {
  FakeHome home;
  home.write("m/1/model.txt", "double");
  Repository repository(home.registry);
  repository.apply({home.model("m")});
  Engine engine(repository, {.threads = 1, .queue_max = 4, .inline_max = std::chrono::seconds(1)});
  Client client;
  client.ask_for(engine, ask("m"));
  client.loop.run();
  ASSERT_TRUE(client.answers.at(0)) << client.answers[0].error().detail;
  const Response& response = *client.answers[0];
  EXPECT_EQ(response.model, "m");
  EXPECT_EQ(response.version, "1");
  ASSERT_EQ(response.outputs.size(), 2U);
  EXPECT_EQ(response.outputs[0].values<float>()[1], 4.0F);
  EXPECT_EQ(repository.status().at(0).versions.at(0).stats->inline_runs, 1U);
}

TEST(Engine, OffloadsASizeItHasNotSeen) {
  FakeHome home;
  home.write("m/1/model.txt", "double");
  Repository repository(home.registry);
  repository.apply({home.model("m")});
  Engine engine(repository, {.threads = 1, .queue_max = 4, .inline_max = std::chrono::seconds(1)});
  for (int i = 0; i < 2; ++i) {
    Client client;
    client.ask_for(engine, ask("m", {1, 2, 3, 4, 5, 6}));
    client.loop.run();
    ASSERT_TRUE(client.answers.at(0));
  }
  auto stats = *repository.status().at(0).versions.at(0).stats;
  EXPECT_EQ(stats.success.count, 2U);
  EXPECT_EQ(stats.inline_runs, 1U);  // the second: the first proved the size
  EXPECT_EQ(stats.inferences, 6U);
}

TEST(Engine, AnswersWhatItCannotServe) {
  FakeHome home;
  home.write("m/1/model.txt", "double");
  home.write("f/1/model.txt", "fail");
  home.write("broken/1/model.txt", "garbage");
  Repository repository(home.registry);
  repository.apply({home.model("m"), home.model("f"), home.model("broken")});
  Engine engine(repository, {});
  Client client;
  client.ask_for(engine, ask("unknown"));
  client.ask_for(engine, ask("broken"));
  Request wrong = ask("m");
  wrong.inputs[0].name = "q";
  client.ask_for(engine, std::move(wrong));
  client.ask_for(engine, ask("m"), base::system_clock().steady() - std::chrono::seconds(1));
  client.ask_for(engine, ask("f"));
  client.loop.run();
  std::multiset<Errc> codes;
  for (const auto& answer : client.answers) {
    ASSERT_FALSE(answer);
    codes.insert(answer.error().code);
  }
  EXPECT_EQ(codes, (std::multiset{Errc::not_found, Errc::unavailable, Errc::invalid_argument, Errc::deadline_exceeded,
                                  Errc::internal}));
  EXPECT_EQ(repository.status().at(1).versions.at(0).stats->failure.count, 1U);
}

TEST(Engine, WaitsForAModelThatIsLoadedOnDemand) {
  FakeHome home;
  home.write("m/1/model.txt", "double");
  home.write("broken/1/model.txt", "garbage");
  Repository repository(home.registry);
  std::vector<ModelConfig> models{home.model("m"), home.model("broken")};
  for (ModelConfig& model : models) model.residence.on_demand = true;
  repository.apply(models);
  Engine engine(repository, {});
  Client client;
  client.ask_for(engine, ask("m"));
  client.loop.run();
  ASSERT_TRUE(client.answers.at(0)) << client.answers[0].error().detail;
  EXPECT_EQ(client.answers[0]->outputs.at(0).values<float>()[1], 4.0F);
  client.ask_for(engine, ask("broken"));
  client.loop.run();
  ASSERT_FALSE(client.answers.at(1));
  EXPECT_EQ(client.answers[1].error().code, Errc::unavailable);
}

TEST(Engine, DoesNotWaitForALoadThatNobodyWaitsFor) {
  Client client;
  FakeHome home;
  home.write("b/1/model.txt", "block");  // its warm-up waits for the barrier
  Repository repository(home.registry);
  ModelConfig config = home.model("b");
  config.residence.on_demand = true;
  repository.apply({config});
  Engine engine(repository, {});
  std::stop_source stop;
  Request request = ask("b");
  request.stop = stop.get_token();
  std::thread leaver([&] {
    home.barrier.wait_for_inside(1);
    stop.request_stop();
  });
  client.ask_for(engine, std::move(request));
  client.loop.run();
  leaver.join();
  ASSERT_FALSE(client.answers.at(0));
  EXPECT_EQ(client.answers[0].error().code, Errc::cancelled);
  home.barrier.open();
}

// A model whose runs wait for the barrier. It is loaded with the barrier open, for the warm-up.
struct Blocked {
  FakeHome home;
  Repository repository{home.registry};
  explicit Blocked(std::size_t instances) {
    home.write("b/1/model.txt", "block");
    home.barrier.is_open = true;
    ModelConfig config = home.model("b");
    config.instances = {.min = instances, .max = instances};
    repository.apply({config});
    home.barrier.is_open = false;
    home.barrier.most_inside = 0;
  }
  std::shared_ptr<Served> served() const { return *repository.find("b", ""); }
};

TEST(Engine, RefusesWhenItsQueueIsFull) {
  Blocked blocked(0);
  Engine engine(blocked.repository, {.threads = 1, .queue_max = 2, .inline_max = {}});
  Client client;
  client.ask_for(engine, ask("b"));
  client.loop.post([&] {
    blocked.home.barrier.wait_for_inside(1);
    for (int i = 0; i < 5; ++i) {
      engine.infer(client.loop, ask("b"), kNoDeadline, [&](Result<Response> answer) {
        client.answers.push_back(std::move(answer));
        if (client.answers.size() == 6) client.loop.stop();
      });
    }
    EXPECT_EQ(client.answers.size(), 3U);  // refused at once
    blocked.home.barrier.open();
  });
  client.expected = 6;
  client.loop.run();
  auto refused = std::count_if(client.answers.begin(), client.answers.end(),
                               [](const auto& answer) { return !answer && answer.error().code == Errc::backpressure; });
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(client.answers.size(), 6U);
}

TEST(Engine, NeverRunsMoreInstancesThanConfigured) {
  Blocked blocked(1);
  Engine engine(blocked.repository, {.threads = 3, .queue_max = 100, .inline_max = {}});
  Client client;
  for (int i = 0; i < 20; ++i) client.ask_for(engine, ask("b"));
  std::thread opener([&] {
    blocked.home.barrier.wait_for_inside(1);
    blocked.home.barrier.open();
  });
  client.loop.run();
  opener.join();
  EXPECT_EQ(blocked.home.barrier.most_inside, 1);
  for (const auto& answer : client.answers) EXPECT_TRUE(answer);
}

TEST(Engine, GivesUpOnARequestWhoseDeadlinePassedWhileItWaited) {
  Blocked blocked(1);
  Engine engine(blocked.repository, {.threads = 1, .queue_max = 10, .inline_max = {}});
  Client client;
  client.ask_for(engine, ask("b"));
  auto soon = base::system_clock().steady() + std::chrono::milliseconds(5);
  client.ask_for(engine, ask("b"), soon);
  std::thread opener([&] {
    blocked.home.barrier.wait_for_inside(1);
    while (blocked.served()->stats.view().rejected == 0) std::this_thread::yield();
    blocked.home.barrier.open();
  });
  client.loop.run();
  opener.join();
  ASSERT_FALSE(client.answers.at(0));  // while the other one still ran
  EXPECT_EQ(client.answers[0].error().code, Errc::deadline_exceeded);
  EXPECT_TRUE(client.answers.at(1));
}

TEST(Engine, ServesManyLoopsAtOnceWhileModelsComeAndGo) {
  FakeHome home;
  home.write("m/1/model.txt", "double");
  Repository repository(home.registry);
  ModelConfig model = home.model("m");
  model.queue.max = 1000;
  repository.apply({model});
  Engine engine(repository, {.threads = 2, .queue_max = 1000, .inline_max = std::chrono::microseconds(50)});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      Client client;
      for (std::size_t i = 0; i < 200; ++i) client.ask_for(engine, ask("m", std::vector<float>(2 + 2 * (i % 5), 3)));
      client.loop.run();
      for (const auto& answer : client.answers) {
        float value = answer ? answer->outputs[0].values<float>()[0] : 0;
        if (value != 6.0F && value != 1.5F) ++wrong;
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    home.write("m/2/model.txt", "half");
    repository.apply({model});
    std::filesystem::remove_all(home.root / "m/2");
    repository.apply({model});
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(RunCost, LearnsSizesAndForgivesOneSlowRun) {
  RunCost cost;
  constexpr base::Duration limit = std::chrono::microseconds(100);
  EXPECT_FALSE(cost.shorter_than(limit, 1));
  cost.record(10, std::chrono::microseconds(20), limit);
  EXPECT_TRUE(cost.shorter_than(limit, 10));
  EXPECT_FALSE(cost.shorter_than(limit, 11));
  cost.record(1000, std::chrono::milliseconds(5), limit);  // a large batch says nothing about small ones
  EXPECT_TRUE(cost.shorter_than(limit, 10));
  EXPECT_FALSE(cost.shorter_than(limit, 1000));
  cost.record(10, std::chrono::milliseconds(50), limit);
  EXPECT_TRUE(cost.shorter_than(limit, 10));
  for (int i = 0; i < 20; ++i) cost.record(10, std::chrono::microseconds(300), limit);
  EXPECT_FALSE(cost.shorter_than(limit, 10));
  for (int i = 0; i < 30; ++i) cost.record(10, std::chrono::microseconds(10), limit);
  EXPECT_TRUE(cost.shorter_than(limit, 10));
}

}  // namespace
}  // namespace penstock::infer
