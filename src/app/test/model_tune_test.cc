#include "app/model_tune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "config/document.h"

namespace penstock::app {
namespace {

using infer::Datatype;
using infer::RuntimeOptions;
using infer::Tensor;
using ::testing::HasSubstr;

// A run takes 2 ms whatever its rows, more below `optimize: all`, and half on the abacus.
class TimedModel : public infer::Model {
 public:
  explicit TimedModel(const RuntimeOptions& options) : options_(options) {
    info_ = {.platform = "timed", .inputs = {{"x", Datatype::fp32, {-1, 4}}}, .outputs = {{"y", Datatype::fp32, {-1}}}};
  }
  const infer::ModelInfo& info() const override { return info_; }
  std::uint64_t memory_bytes() const override { return 1 << 20; }
  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, std::span<const std::size_t>,
                                  const infer::RunOptions&) const override {
    if (inputs[0].shape[0] > 8) return fail(Errc::invalid_argument, "no more than 8 rows");
    auto time = std::chrono::microseconds(2000);
    if (options_.optimize != RuntimeOptions::Optimize::all) time *= 2;
    if (!options_.accelerators.empty()) time /= 2;
    std::this_thread::sleep_for(time);
    return std::vector<Tensor>();
  }

 private:
  RuntimeOptions options_;
  infer::ModelInfo info_;
};

class TimedRuntime : public infer::Runtime {
 public:
  Result<std::shared_ptr<const infer::Model>> load(const infer::ModelFile&, const RuntimeOptions& options) override {
    return std::make_shared<TimedModel>(options);
  }
};

infer::RuntimeFactory factory() {
  return {.file_name = "model.timed",
          .make = [] { return std::make_unique<TimedRuntime>(); },
          .describe = [] { return std::string("timed"); },
          .accelerators =
              [] {
                return std::vector<infer::Accelerator>{{.name = "cpu", .usable = true, .reason = {}},
                                                       {.name = "abacus", .usable = true, .reason = {}},
                                                       {.name = "gone", .usable = false, .reason = "no driver"}};
              }};
}

TEST(ModelTune, FindsWhatIsFaster) {
  auto tuning = tune(factory(), {.file = "m", .seconds = 1, .shapes = {}});
  ASSERT_TRUE(tuning) << tuning.error().detail;
  EXPECT_EQ(tuning->best.accelerators, std::vector<std::string>{"abacus"});
  EXPECT_EQ(tuning->best.optimize, RuntimeOptions::Optimize::all);
  // Rows are free up to eight; more are refused and said so.
  EXPECT_EQ(tuning->batch, 8U);
  EXPECT_EQ(tuning->trials.back().problem, "no more than 8 rows");
  for (const Trial& trial : tuning->trials)
    EXPECT_THAT(trial.options.accelerators, ::testing::Not(::testing::Contains("gone")));
  EXPECT_THAT(to_yaml(*tuning), HasSubstr("accelerators: [abacus, cpu]\n"));
  EXPECT_THAT(to_yaml(*tuning), HasSubstr("batch: { max: 8, wait: 1ms }\n"));
}

TEST(ModelTune, AShapeOfAnotherRankIsRefused) {
  auto tuning = tune(factory(), {.file = "m", .seconds = 1, .shapes = {{"x", {1, 2, 3}}}});
  ASSERT_FALSE(tuning);
  EXPECT_THAT(tuning.error().detail, HasSubstr("--shape x: the model declares [-1,4]"));
}

Tuning found() {
  Tuning tuning;
  tuning.best.threads = 2;
  tuning.batch = 16;
  return tuning;
}

TEST(ModelTune, KeepsWhatItDidNotMeasure) {
  std::string_view before =
      "# our model\n"
      "owner: ada   # ask her\n"
      "threads: 4  # as the old machine had\n"
      "accelerators:\n"
      "  - cuda\n"
      "labels: { stable: 2 }\n"
      "batch: { max: 4, wait: 7ms, preferred: [2] }\n";
  EXPECT_EQ(merge_yaml(before, found()).value(),
            "# our model\n"
            "owner: ada   # ask her\n"
            "threads: 2  # as the old machine had\n"
            "accelerators: [cpu]\n"
            "labels: { stable: 2 }\n"
            "batch: { max: 16, wait: 7ms, preferred: [2] }\n"
            "optimize: all\n");
  EXPECT_EQ(merge_yaml("batch:\n  wait: 3ms\n  max: 2 # rows\n", found()).value(),
            "batch:\n  wait: 3ms\n  max: 16 # rows\naccelerators: [cpu]\nthreads: 2\noptimize: all\n");
  std::string twice = merge_yaml(before, found()).value();
  EXPECT_EQ(merge_yaml(twice, found()).value(), twice);
}

TEST(ModelTune, AFileItCannotChangeStaysAsItIs) {
  EXPECT_FALSE(merge_yaml("batch: *shared\n", found()));
  EXPECT_FALSE(merge_yaml("{ threads: 2\n", found()));
  EXPECT_EQ(merge_yaml("", found()).value(), to_yaml(found()));
}

}  // namespace
}  // namespace penstock::app
