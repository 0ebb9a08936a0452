// What loading and unloading a model costs in memory, and what a neighbour hears of it: the repository with the real
// runtime, without a gateway around it.
//
//   model_cycles MODEL_PATH [CYCLES] [NEIGHBOUR_PATH]
//
// Each cycle loads the model, runs it once on zeros and unloads it. Prints the resident memory after 0, 1, 10, 100, ...
// cycles, what one load takes, and, with a neighbour that is run all the time by another thread, how long its runs take
// in quiet and during the cycles.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <thread>

#include "infer/repository.h"

namespace penstock::ext {
void register_runtimes_onnx(base::Registry& registry);
}

namespace {

using namespace penstock;
using std::chrono::steady_clock;

double resident_megabytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  file >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

std::vector<infer::Tensor> zeros(const infer::ModelInfo& info) {
  std::vector<infer::Tensor> inputs;
  for (const infer::TensorSpec& spec : info.inputs) {
    infer::Tensor tensor{.name = spec.name, .datatype = spec.datatype, .shape = spec.shape, .bytes = {}, .strings = {}};
    for (std::int64_t& dimension : tensor.shape) dimension = std::max<std::int64_t>(dimension, dimension < 0 ? 1 : 0);
    std::size_t count = infer::element_count(tensor.shape).value_or(0);
    if (spec.datatype == infer::Datatype::bytes) {
      tensor.strings.resize(count);
    } else {
      tensor.bytes = infer::Buffer(count * infer::element_bytes(spec.datatype));
      std::fill_n(tensor.bytes.data(), tensor.bytes.size(), std::byte{0});
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

bool run_once(const infer::Repository& repository, const std::string& name) {
  auto pick = repository.pick({.model = name});
  if (!pick) {
    std::fprintf(stderr, "%s\n", pick.error().detail.c_str());
    return false;
  }
  const infer::Model& model = *pick->served->model;
  std::vector<std::size_t> outputs(model.info().outputs.size());
  std::iota(outputs.begin(), outputs.end(), 0);
  return model.run(zeros(model.info()), outputs, {}).has_value();
}

infer::ModelConfig config_of(const char* name, const char* path) {
  infer::ModelConfig config;
  config.name = name;
  config.path = path;
  return config;
}

// Runs of the neighbour, in microseconds.
class Neighbour {
 public:
  explicit Neighbour(const infer::Repository& repository)
      : thread_([this, &repository](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            auto start = steady_clock::now();
            run_once(repository, "neighbour");
            taken_.push_back(std::chrono::duration<double, std::micro>(steady_clock::now() - start).count());
            std::this_thread::sleep_for(std::chrono::microseconds(200));
          }
        }) {}
  void report(const char* when) {
    thread_.request_stop();
    thread_.join();
    if (taken_.empty()) return;
    std::sort(taken_.begin(), taken_.end());
    auto at = [&](double share) {
      return taken_[static_cast<std::size_t>(share * static_cast<double>(taken_.size() - 1))];
    };
    std::printf("neighbour %s: %zu runs, p50 %.0f us, p99 %.0f us, p99.9 %.0f us, most %.0f us\n", when, taken_.size(),
                at(0.5), at(0.99), at(0.999), at(1));
  }

 private:
  std::vector<double> taken_;
  std::jthread thread_;
};

int cycle(infer::Repository& repository, int cycles) {
  auto start = steady_clock::now();
  int next = 1;
  for (int i = 1; i <= cycles; ++i) {
    if (auto loaded = repository.load({.name = "model"}); !loaded) {
      std::fprintf(stderr, "%s\n", loaded.error().detail.c_str());
      return 1;
    }
    if (!run_once(repository, "model")) return 1;
    if (i == 1) std::printf("loaded: %.1f MB\n", resident_megabytes());
    if (!repository.unload("model", {})) return 1;
    if (i == next || i == cycles || i == 500) {
      struct mallinfo2 heap = ::mallinfo2();
      std::printf("after %4d cycles: %.1f MB resident, %.1f MB allocated\n", i, resident_megabytes(),
                  static_cast<double>(heap.uordblks + heap.hblkhd) / 1e6);
      std::fflush(stdout);
    }
    if (i == next) next *= 10;
  }
  std::printf("a cycle takes %.2f ms\n",
              std::chrono::duration<double, std::milli>(steady_clock::now() - start).count() / cycles);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: model_cycles MODEL_PATH [CYCLES] [NEIGHBOUR_PATH]\n");
    return 2;
  }
  base::Registry registry;
  ext::register_runtimes_onnx(registry);
  infer::Repository repository(registry);
  std::vector<infer::ModelConfig> models{config_of("model", argv[1])};
  if (argc > 3) models.push_back(config_of("neighbour", argv[3]));
  repository.apply(models);
  if (!repository.unload("model", {})) return 1;
  std::printf("unloaded: %.1f MB\n", resident_megabytes());
  if (argc > 3) {
    Neighbour quiet(repository);
    std::this_thread::sleep_for(std::chrono::seconds(3));
    quiet.report("in quiet");
  }
  std::optional<Neighbour> neighbour;
  if (argc > 3) neighbour.emplace(repository);
  int status = cycle(repository, argc > 2 ? std::atoi(argv[2]) : 1000);
  if (neighbour) neighbour->report("during the cycles");
  return status;
}
