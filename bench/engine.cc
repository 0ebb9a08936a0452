// What the engine costs around a model's run, and what batching gives: a raw Model::run loop against Engine::infer, for
// a model that does nothing and for one dense layer of 512 x 512, at 1 and at 32 requests in flight.
//   engine       a table
#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "infer/engine.h"

namespace {

using namespace penstock;
using infer::Tensor;

constexpr int kRounds = 5;

// y = x W for rows of `width`; width 0 gives back what it got.
class Dense : public infer::Model {
 public:
  explicit Dense(std::size_t width) : width_(width), weights_(width * width, 0.5F) {
    info_.inputs = {{"x", infer::Datatype::fp32, {-1, columns()}}};
    info_.outputs = {{"y", infer::Datatype::fp32, {-1, columns()}}};
  }
  const infer::ModelInfo& info() const override { return info_; }
  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, std::span<const std::size_t>,
                                  const infer::RunOptions&) const override {
    Tensor y{.name = "y", .datatype = infer::Datatype::fp32, .shape = inputs[0].shape, .bytes = {}, .strings = {}};
    if (width_ == 0) {
      y.bytes = inputs[0].bytes;
    } else {
      y.bytes = infer::Buffer(inputs[0].bytes.size());
      multiply(inputs[0].values<float>(), y.values<float>());
    }
    std::vector<Tensor> outputs;
    outputs.push_back(std::move(y));
    return outputs;
  }

 private:
  std::int64_t columns() const { return width_ == 0 ? 4 : static_cast<std::int64_t>(width_); }
  // Row blocks share each row of the weights while it is in the cache.
  void multiply(std::span<const float> x, std::span<float> y) const {
    std::fill(y.begin(), y.end(), 0.0F);
    std::size_t rows = x.size() / width_;
    for (std::size_t k = 0; k < width_; ++k) {
      const float* weight = &weights_[k * width_];
      for (std::size_t row = 0; row < rows; ++row) {
        float factor = x[row * width_ + k];
        float* out = &y[row * width_];
        for (std::size_t j = 0; j < width_; ++j) out[j] += factor * weight[j];
      }
    }
  }
  std::size_t width_;
  std::vector<float> weights_;
  infer::ModelInfo info_;
};

class DenseRuntime : public infer::Runtime {
 public:
  Result<std::shared_ptr<const infer::Model>> load(const infer::ModelFile& file,
                                                   const infer::RuntimeOptions&) override {
    std::size_t width = 0;
    std::ifstream(file.path) >> width;
    return std::make_shared<Dense>(width);
  }
};

Tensor row(const infer::ModelInfo& info) {
  auto columns = static_cast<std::size_t>(info.inputs[0].shape[1]);
  Tensor x{.name = "x",
           .datatype = infer::Datatype::fp32,
           .shape = {1, info.inputs[0].shape[1]},
           .bytes = infer::Buffer(columns * sizeof(float)),
           .strings = {}};
  std::fill_n(x.values<float>().data(), columns, 1.0F);
  return x;
}

infer::Request request(const Tensor& x) {
  infer::Request request{.model = "m", .version = {}, .inputs = {}, .outputs = {}};
  request.inputs.push_back(x);
  return request;
}

// Nanoseconds per call, the best of some rounds.
template <class Body>
double best(int calls, Body body) {
  double best = 1e18;
  for (int round = 0; round < kRounds; ++round) {
    auto began = std::chrono::steady_clock::now();
    body(calls);
    std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
    best = std::min(best, took.count() / calls);
  }
  return best;
}

double raw(const infer::Model& model, const Tensor& x, int calls) {
  return best(calls, [&](int n) {
    const std::size_t outputs[] = {0};
    for (int i = 0; i < n; ++i) {
      infer::Request one = request(x);
      if (!model.run(one.inputs, outputs, {})) std::abort();
    }
  });
}

// `in_flight` requests at a time from one loop.
struct Asker {
  infer::Engine& engine;
  const Tensor& x;
  rt::Loop loop;
  int left = 0;
  int open = 0;

  void ask() {
    --left;
    ++open;
    engine.infer(loop, request(x), base::SteadyTime::max(), [this](Result<infer::Response> answer) {
      if (!answer) std::abort();
      --open;
      // From the loop, not from within the answer, as a connection would.
      if (left > 0) return loop.post([this] { refill(); });
      if (open == 0) loop.stop();
    });
  }
  void refill() {
    while (left > 0 && open < in_flight) ask();
  }
  int in_flight = 1;
};

double asked(infer::Engine& engine, const Tensor& x, int in_flight, int calls) {
  return best(calls, [&](int n) {
    Asker asker{.engine = engine, .x = x, .loop = rt::Loop(), .left = n, .open = 0, .in_flight = in_flight};
    asker.loop.post([&] { asker.refill(); });
    asker.loop.run();
  });
}

// From within the answer: nothing but the engine.
double back_to_back(infer::Engine& engine, const Tensor& x, int calls) {
  rt::Loop loop;
  return best(calls, [&](int n) {
    loop.post([&] {
      for (int i = 0; i < n; ++i) {
        engine.infer(loop, request(x), base::SteadyTime::max(), [](Result<infer::Response> answer) {
          if (!answer) std::abort();
        });
      }
      loop.stop();
    });
    loop.run();
  });
}

void measure(std::string_view title, std::size_t width, int calls) {
  std::string folder = (std::filesystem::temp_directory_path() / "penstock-engine-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) std::abort();
  std::ofstream(folder + "/model.txt") << width;
  base::Registry registry;
  registry.add("dense", infer::RuntimeFactory{.file_name = "model.txt",
                                              .make = [] { return std::make_unique<DenseRuntime>(); },
                                              .describe = [] { return std::string(); }});
  Dense model(width);
  Tensor x = row(model.info());
  double floor = raw(model, x, calls);
  fmt::print("{}\n  Model::run                      {:10.0f} ns\n", title, floor);
  auto line = [&](std::string_view name, double cost) {
    fmt::print("  {:30}  {:10.0f} ns  {:+8.0f}  {:9.0f}/s\n", name, cost, cost - floor, 1e9 / cost);
  };
  for (std::size_t rows : {1U, 32U}) {
    infer::Repository repository(registry);
    infer::ModelConfig config;
    config.name = "m";
    config.path = folder;
    config.batch = {.max = rows, .wait = std::chrono::microseconds(200), .preferred = {}};
    repository.apply({config});
    std::string_view batching = rows == 1 ? "" : ", batches";
    if (rows == 1) {
      infer::Engine inline_engine(repository, {.threads = 1, .queue_max = 1024, .inline_max = std::chrono::hours(1)});
      line("on the loop", back_to_back(inline_engine, x, calls));
    }
    infer::Engine engine(repository, {.threads = 1, .queue_max = 1024, .inline_max = {}});
    line(fmt::format("queued, 1 in flight{}", batching), asked(engine, x, 1, calls / 10));
    line(fmt::format("queued, 32 in flight{}", batching), asked(engine, x, 32, calls / 4));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace

int main() {
  measure("a model that copies 16 bytes", 0, 200'000);
  measure("a dense layer of 512 x 512", 512, 4'000);
  return 0;
}
