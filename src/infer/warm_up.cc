#include "infer/warm_up.h"

#include <numeric>

namespace penstock::infer {
namespace {

// Models with larger inputs than this are not run on a guess.
constexpr std::size_t kWarmUpBytesMax = 64 << 20;
// The first run allocates, the second shows what a run costs, the third repeats it.
constexpr int kRuns = 3;

}  // namespace

void warm_up(Served& served, base::Duration short_run) {
  const ModelInfo& info = served.model->info();
  std::vector<Tensor> inputs;
  std::size_t elements = 0;
  for (const TensorSpec& spec : info.inputs) {
    Tensor tensor{.name = spec.name, .datatype = spec.datatype, .shape = spec.shape, .bytes = {}, .strings = {}};
    for (std::int64_t& dimension : tensor.shape) dimension = std::max<std::int64_t>(dimension, dimension < 0 ? 1 : 0);
    auto count = element_count(tensor.shape);
    std::size_t size = std::max<std::size_t>(element_bytes(spec.datatype), sizeof(std::string));
    if (!count || *count > kWarmUpBytesMax / size) return;
    if (spec.datatype == Datatype::bytes) {
      tensor.strings.resize(*count);
    } else {
      tensor.bytes = Buffer(*count * element_bytes(spec.datatype));
      std::fill_n(tensor.bytes.data(), tensor.bytes.size(), std::byte{0});
    }
    elements += *count;
    inputs.push_back(std::move(tensor));
  }
  std::vector<std::size_t> outputs(info.outputs.size());
  std::iota(outputs.begin(), outputs.end(), 0);
  for (int run = 0; run < kRuns; ++run) {
    auto start = base::system_clock().steady();
    if (!served.model->run(inputs, outputs, {})) return;
    auto taken = base::system_clock().steady() - start;
    if (run > 0) served.cost.record(elements, taken, short_run);
    if (taken > std::chrono::seconds(1)) return;
  }
}

}  // namespace penstock::infer
