// What a model does in its first runs: it may never end, want more memory than there is, throw, or mix its rows.
#include "infer/warm_up.h"

#include <gmock/gmock.h>

#include "infer/repository.h"
#include "infer/row_check.h"
#include "infer/test/fake_runtime.h"

namespace penstock::infer {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

class OddModel : public Model {
 public:
  using Run = std::function<Result<std::vector<Tensor>>(std::span<const Tensor>, const RunOptions&)>;
  OddModel(ModelInfo info, Run run) : info_(std::move(info)), run_(std::move(run)) {}
  const ModelInfo& info() const override { return info_; }
  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, std::span<const std::size_t>,
                                  const RunOptions& options) const override {
    return run_(inputs, options);
  }

 private:
  ModelInfo info_;
  Run run_;
};

ModelInfo rows_of_two() {
  return {.inputs = {{"x", Datatype::fp32, {-1, 2}}}, .outputs = {{"y", Datatype::fp32, {-1, 2}}}};
}

// Until it is told to stop.
Result<std::vector<Tensor>> never_ends(std::span<const Tensor>, const RunOptions& options) {
  for (int i = 0; i < 6000 && !options.stop.stop_requested(); ++i) std::this_thread::sleep_for(10ms);
  return fail(Errc::cancelled, "stopped");
}

class OddRuntime : public Runtime {
 public:
  explicit OddRuntime(std::function<std::shared_ptr<const Model>()> make) : make_(std::move(make)) {}
  Result<std::shared_ptr<const Model>> load(const ModelFile&, const RuntimeOptions&) override { return make_(); }

 private:
  std::function<std::shared_ptr<const Model>()> make_;
};

// Why a model is not served; empty when it is.
std::string load(const std::function<std::shared_ptr<const Model>()>& make, std::vector<std::int64_t> rows = {}) {
  FakeHome home;
  base::Registry registry;
  registry.add("odd", RuntimeFactory{.file_name = "model.txt",
                                     .make = [make] { return std::make_unique<OddRuntime>(make); },
                                     .describe = [] { return std::string("odd"); }});
  home.write("m/1/model.txt", "odd");
  ModelConfig config = home.model("m");
  config.residence.load_timeout = 200ms;
  config.residence.warm_up.rows = std::move(rows);
  Repository repository(registry);
  repository.apply({config});
  auto pick = repository.pick({.model = "m"});
  return pick ? "" : pick.error().detail;
}

TEST(WarmUp, ThatNeverEndsIsStopped) {
  auto make = [] { return std::make_shared<OddModel>(rows_of_two(), never_ends); };
  EXPECT_THAT(load(make), HasSubstr("not done in 200ms (load_timeout)"));
  EXPECT_THAT(load(make, {1, 8}), HasSubstr("not done in 200ms (load_timeout)"));
}

TEST(WarmUp, WhatIsThrownRefusesTheVersion) {
  EXPECT_THAT(load([]() -> std::shared_ptr<const Model> { throw std::bad_alloc(); }), HasSubstr("no memory"));
  EXPECT_THAT(load([]() -> std::shared_ptr<const Model> { throw std::runtime_error("odd"); }), HasSubstr("odd"));
}

TEST(WarmUp, InputsAreBoundedAllTogether) {
  ModelInfo info;
  for (int i = 0; i < 1000; ++i) info.inputs.push_back({"x" + std::to_string(i), Datatype::fp32, {1 << 20}});
  info.outputs = {{"y", Datatype::fp32, {1}}};
  int runs = 0;
  auto make = [&] {
    return std::make_shared<OddModel>(info, [&](auto, const auto&) -> Result<std::vector<Tensor>> {
      ++runs;
      return std::vector<Tensor>();
    });
  };
  EXPECT_EQ(load(make), "");
  EXPECT_EQ(runs, 0);
  EXPECT_THAT(load(make, {1}), HasSubstr("larger than 1024 MiB together"));
  EXPECT_EQ(runs, 0);
}

bool stand_alone(ModelInfo info, OddModel::Run run) {
  return rows_stand_alone(OddModel(std::move(info), std::move(run)), {});
}

TEST(RowCheck, TellsRowsApart) {
  auto doubled = [](std::span<const Tensor> inputs, const RunOptions&) -> Result<std::vector<Tensor>> {
    std::vector<Tensor> outputs(1, inputs[0]);
    outputs[0].name = "y";
    for (float& value : outputs[0].values<float>()) value *= 2;
    return outputs;
  };
  EXPECT_TRUE(stand_alone(rows_of_two(), doubled));
  // Less than the mean of all rows.
  EXPECT_FALSE(stand_alone(rows_of_two(), [&](auto inputs, const auto& options) {
    auto outputs = doubled(inputs, options);
    auto values = (*outputs)[0].template values<float>();
    float sum = 0;
    for (float value : values) sum += value;
    for (float& value : values) value -= sum / static_cast<float>(values.size());
    return outputs;
  }));
  // The rows that are found, in the order of their values: as many as there are rows, but whose?
  EXPECT_FALSE(stand_alone(rows_of_two(), [&](auto inputs, const auto& options) {
    auto outputs = doubled(inputs, options);
    auto values = (*outputs)[0].template values<float>();
    std::sort(values.begin(), values.end());
    return outputs;
  }));
  // As many results as numbers are positive.
  EXPECT_FALSE(stand_alone(rows_of_two(), [](auto inputs, const auto&) -> Result<std::vector<Tensor>> {
    std::vector<float> found;
    for (float value : inputs[0].template values<float>()) {
      if (value > 0) found.insert(found.end(), {value, value});
    }
    std::vector<Tensor> outputs;
    outputs.push_back(floats("y", {static_cast<std::int64_t>(found.size() / 2), 2}, found));
    return outputs;
  }));
}

TEST(RowCheck, FindsSizesTheModelTakes) {
  ModelInfo info{.inputs = {{"x", Datatype::fp32, {-1, -1}}}, .outputs = {{"y", Datatype::fp32, {-1, -1}}}};
  auto wants = [](std::int64_t size) {
    return [size](std::span<const Tensor> inputs, const RunOptions&) -> Result<std::vector<Tensor>> {
      if (inputs[0].shape[1] != size) return fail(Errc::invalid_argument, "another size");
      return std::vector<Tensor>(1, inputs[0]);
    };
  };
  EXPECT_TRUE(stand_alone(info, wants(64)));
  EXPECT_FALSE(stand_alone(info, wants(77)));
}

}  // namespace
}  // namespace penstock::infer
