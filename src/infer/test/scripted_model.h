// Models that do what a test says, versions of them, and a loop in a thread of its own to ask from.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <thread>

#include "infer/engine.h"
#include "infer/test/fake_runtime.h"

namespace penstock::infer {

constexpr auto kNoDeadline = base::SteadyTime::max();
// Long enough for a slow machine; nothing takes so long unless it hangs.
constexpr auto kHangs = std::chrono::seconds(60);

// y = 2x over FP32 rows of 2. What else a run does is up to the test.
class ScriptedModel : public Model {
 public:
  using Body = std::function<Result<void>(std::span<const Tensor>, const RunOptions&)>;
  explicit ScriptedModel(Body body = {}) : body_(std::move(body)) {
    info_.inputs = {{"x", Datatype::fp32, {-1, 2}}};
    info_.outputs = {{"y", Datatype::fp32, {-1, 2}}};
  }
  const ModelInfo& info() const override { return info_; }
  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, std::span<const std::size_t>,
                                  const RunOptions& options) const override {
    {
      std::lock_guard lock(mutex_);
      runs_.push_back(static_cast<std::size_t>(inputs[0].shape[0]));
      firsts_.push_back(inputs[0].values<float>().front());
    }
    if (body_) {
      if (auto done = body_(inputs, options); !done) return std::unexpected(std::move(done.error()));
    }
    std::vector<float> doubled;
    for (float value : inputs[0].values<float>()) doubled.push_back(value * 2);
    std::vector<Tensor> outputs;
    outputs.push_back(floats("y", inputs[0].shape, doubled));
    if (one_row_) {
      outputs[0].shape = {1, 2};
      outputs[0].bytes = Buffer(2 * sizeof(float));
    }
    return outputs;
  }
  // Whatever it is asked, it gives one row.
  void give_one_row() { one_row_ = true; }
  ModelInfo& change_info() { return info_; }
  // Rows of the runs so far, and their first values.
  std::vector<std::size_t> runs() const {
    std::lock_guard lock(mutex_);
    return runs_;
  }
  std::vector<float> firsts() const {
    std::lock_guard lock(mutex_);
    return firsts_;
  }

 private:
  Body body_;
  ModelInfo info_;
  bool one_row_ = false;
  mutable std::mutex mutex_;
  mutable std::vector<std::size_t> runs_;
  mutable std::vector<float> firsts_;
};

// A run that begins with this value waits in the barrier.
constexpr float kBlocks = -1;

inline ScriptedModel::Body blocking(Barrier& barrier) {
  return [&barrier](std::span<const Tensor> inputs, const RunOptions&) -> Result<void> {
    if (inputs[0].values<float>().front() == kBlocks) barrier.pass();
    return {};
  };
}

inline std::shared_ptr<Served> serve(std::shared_ptr<const Model> model, ModelConfig config = {},
                                     std::int64_t number = 1) {
  if (config.name.empty()) config.name = "m";
  return std::make_shared<Served>(std::make_shared<const ModelConfig>(std::move(config)), number, std::move(model), 0);
}

inline Request rows(const std::vector<float>& x) {
  Request request{.model = "m"};
  request.inputs.push_back(floats("x", {static_cast<std::int64_t>(x.size() / 2), 2}, x));
  return request;
}
inline Request one(float value) { return rows({value, value}); }

// A loop that runs, and an engine; without models of its own.
class Bench {
 public:
  using Answer = std::future<Result<Response>>;

  explicit Bench(Engine::Options options) : engine_(std::make_unique<Engine>(repository_, options)) {
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~Bench() {
    engine_.reset();  // while the loop still hears of what was queued
    on_loop([] {});
    loop_.stop();
    thread_.join();
  }
  Engine& engine() { return *engine_; }
  rt::Loop& loop() { return loop_; }
  void destroy_engine() { engine_.reset(); }

  // Runs `work` on the loop, and waits for it.
  void on_loop(std::function<void()> work) {
    std::promise<void> done;
    loop_.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  Answer ask(Pick pick, Request request, base::SteadyTime deadline = kNoDeadline) {
    auto promise = std::make_shared<std::promise<Result<Response>>>();
    on_loop([&] {
      engine_->infer(loop_, std::move(pick), std::move(request), deadline, [this, promise](Result<Response> answer) {
        EXPECT_TRUE(loop_.on_this_thread());
        promise->set_value(std::move(answer));
      });
    });
    return promise->get_future();
  }
  Answer ask(std::shared_ptr<Served> served, Request request, base::SteadyTime deadline = kNoDeadline) {
    return ask(Pick{.served = std::move(served)}, std::move(request), deadline);
  }

 private:
  base::Registry registry_;
  Repository repository_{registry_};
  rt::Loop loop_;
  std::unique_ptr<Engine> engine_;
  std::thread thread_;
};

inline Result<Response> get(Bench::Answer& answer) {
  if (answer.wait_for(kHangs) != std::future_status::ready) return fail(Errc::internal, "no answer");
  return answer.get();
}
inline bool open(Bench::Answer& answer) {
  return answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready;
}
inline float first(const Result<Response>& answer) {
  EXPECT_TRUE(answer) << (answer ? "" : answer.error().detail);
  return answer ? answer->outputs.at(0).values<float>().front() : 0;
}

}  // namespace penstock::infer
