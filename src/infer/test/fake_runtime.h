// A runtime whose models are text files: "double" (y = 2x over FP32 rows of 2), "half" (y = x / 2), "block" (waits
// until released) or "fail" (refuses every run). Anything else is a broken file.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <fstream>

#include "base/registry.h"
#include "infer/model_config.h"
#include "infer/runtime.h"

namespace penstock::infer {

// Holds every run of a "block" model until open().
struct Barrier {
  std::mutex mutex;
  std::condition_variable changed;
  bool is_open = false;
  int inside = 0;
  int most_inside = 0;

  void pass() {
    std::unique_lock lock(mutex);
    most_inside = std::max(most_inside, ++inside);
    changed.notify_all();
    changed.wait(lock, [this] { return is_open; });
    --inside;
  }
  void open() {
    std::lock_guard lock(mutex);
    is_open = true;
    changed.notify_all();
  }
  void wait_for_inside(int count) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return inside >= count; });
  }
};

class FakeModel : public Model {
 public:
  FakeModel(std::string kind, Barrier* barrier) : kind_(std::move(kind)), barrier_(barrier) {
    info_ = {.platform = "fake_text",
             .inputs = {{"x", Datatype::fp32, {-1, 2}}},
             .outputs = {{"y", Datatype::fp32, {-1, 2}}, {"z", Datatype::int64, {1}}}};
  }
  const ModelInfo& info() const override { return info_; }
  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, std::span<const std::size_t> outputs,
                                  const RunOptions&) const override {
    if (kind_ == "fail") return fail(Errc::internal, "the model could not run");
    if (kind_ == "block") barrier_->pass();
    std::vector<Tensor> result;
    for (std::size_t place : outputs) {
      const TensorSpec& spec = info_.outputs[place];
      Tensor tensor{.name = spec.name, .datatype = spec.datatype, .shape = inputs[0].shape, .bytes = {}, .strings = {}};
      if (place == 0) {
        tensor.bytes = Buffer(inputs[0].bytes.size());
        for (std::size_t i = 0; i < inputs[0].elements(); ++i) {
          tensor.values<float>()[i] = inputs[0].values<float>()[i] * (kind_ == "half" ? 0.5F : 2.0F);
        }
      } else {
        tensor.shape = {1};
        tensor.bytes = Buffer(sizeof(std::int64_t));
        tensor.values<std::int64_t>()[0] = 7;
      }
      result.push_back(std::move(tensor));
    }
    return result;
  }

 private:
  std::string kind_;
  Barrier* barrier_;
  ModelInfo info_;
};

class FakeRuntime : public Runtime {
 public:
  FakeRuntime(Barrier* barrier, int* loads) : barrier_(barrier), loads_(loads) {}
  Result<std::shared_ptr<const Model>> load(const ModelFile& file, const RuntimeOptions&) override {
    ++*loads_;
    std::string kind;
    if (file.bytes) {
      kind = *file.bytes;
    } else {
      std::ifstream(file.path) >> kind;
    }
    for (std::string_view known : {"double", "half", "block", "fail"}) {
      if (kind == known) return std::make_shared<FakeModel>(kind, barrier_);
    }
    return fail(Errc::data_loss, file.path + ": not a usable model");
  }

 private:
  Barrier* barrier_;
  int* loads_;
};

// A folder of models that goes away with the test, and a registry with the fake runtime.
struct FakeHome {
  std::filesystem::path root;
  Barrier barrier;
  int loads = 0;
  base::Registry registry;

  FakeHome() {
    std::string pattern = (std::filesystem::temp_directory_path() / "penstock-infer-XXXXXX").string();
    root = ::mkdtemp(pattern.data());
    registry.add("fake", RuntimeFactory{.file_name = "model.txt",
                                        .make = [this] { return std::make_unique<FakeRuntime>(&barrier, &loads); },
                                        .describe = [] { return std::string("fake"); }});
  }
  ~FakeHome() { std::filesystem::remove_all(root); }
  FakeHome(const FakeHome&) = delete;
  FakeHome& operator=(const FakeHome&) = delete;

  void write(const std::string& place, std::string_view kind) {
    auto path = root / place;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << kind;
  }
  ModelConfig model(const std::string& name, ModelConfig::Serve serve = ModelConfig::Serve::latest) const {
    ModelConfig config;
    config.name = name;
    config.path = (root / name).string();
    config.serve = serve;
    return config;
  }
};

inline Tensor floats(std::string name, std::vector<std::int64_t> shape, const std::vector<float>& values) {
  Tensor tensor{.name = std::move(name),
                .datatype = Datatype::fp32,
                .shape = std::move(shape),
                .bytes = Buffer(values.size() * sizeof(float)),
                .strings = {}};
  tensor.bytes.copy(values.data());
  return tensor;
}

}  // namespace penstock::infer
