#include "infer/warm_up.h"

#include <numeric>

#include "infer/row_check.h"
#include "infer/time_limit.h"

namespace penstock::infer {
namespace {

// Models with larger inputs than this, all together, are not run on a guess.
constexpr std::size_t kGuessedBytesMax = 64 << 20;
// Nor asked to by a configuration.
constexpr std::size_t kAskedBytesMax = std::size_t{1} << 30;
// The first run allocates, the second shows what a run costs, the third repeats it.
constexpr int kRuns = 3;

// Zeros, with `rows` for the first dimension of each input that is open and 1 for others.
Result<std::vector<Tensor>> zeros(const ModelInfo& info, std::int64_t rows, std::size_t bytes_max) {
  std::vector<Tensor> inputs;
  std::size_t left = bytes_max;
  for (const TensorSpec& spec : info.inputs) {
    Tensor tensor{.name = spec.name, .datatype = spec.datatype, .shape = spec.shape, .bytes = {}, .strings = {}};
    bool first = true;
    for (std::int64_t& dimension : tensor.shape) {
      if (dimension < 0) dimension = std::exchange(first, false) ? rows : 1;
    }
    auto count = element_count(tensor.shape);
    std::size_t size = std::max(element_bytes(spec.datatype), sizeof(std::string));
    if (!count || *count > left / size) {
      return fail(Errc::out_of_range, fmt::format("the inputs up to '{}' would be larger than {} MiB together",
                                                  spec.name, bytes_max >> 20U));
    }
    left -= *count * size;
    if (spec.datatype == Datatype::bytes) {
      tensor.strings.resize(*count);
    } else {
      tensor.bytes = Buffer(*count * element_bytes(spec.datatype));
      std::fill_n(tensor.bytes.data(), tensor.bytes.size(), std::byte{0});
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

std::vector<std::size_t> all_outputs(const ModelInfo& info) {
  std::vector<std::size_t> outputs(info.outputs.size());
  std::iota(outputs.begin(), outputs.end(), 0);
  return outputs;
}

Result<void> out_of_time(const Served& served) {
  return fail(Errc::failed_precondition,
              fmt::format("its warm-up was not done in {} (load_timeout); a model that runs for ever is not served",
                          base::format_duration(served.config->residence.load_timeout)));
}

Result<void> run_as_asked(const Served& served, const TimeLimit& limit) {
  const ModelInfo& info = served.model->info();
  auto outputs = all_outputs(info);
  const WarmUpConfig& asked = served.config->residence.warm_up;
  for (std::int64_t rows : asked.rows) {
    auto inputs = zeros(info, rows, kAskedBytesMax);
    Error error;
    if (!inputs) error = std::move(inputs.error());
    for (std::size_t i = 0; inputs && i < asked.count; ++i) {
      auto result = served.model->run(*inputs, outputs, {.stop = limit.token()});
      if (result) continue;
      if (limit.is_up()) return out_of_time(served);
      error = std::move(result.error());
      break;
    }
    if (!error.detail.empty())
      return fail(Errc::failed_precondition, fmt::format("the warm-up with {} rows failed: {}", rows, error.detail));
  }
  return {};
}

void measure_on_zeros(Served& served, base::Duration short_run, const TimeLimit& limit) {
  const ModelInfo& info = served.model->info();
  auto inputs = zeros(info, 1, kGuessedBytesMax);
  if (!inputs) return;
  std::size_t elements = 0;
  for (const Tensor& tensor : *inputs) elements += element_count(tensor.shape).value_or(0);
  auto outputs = all_outputs(info);
  for (int run = 0; run < kRuns; ++run) {
    auto start = base::system_clock().steady();
    if (!served.model->run(*inputs, outputs, {.stop = limit.token()})) return;
    auto taken = base::system_clock().steady() - start;
    if (run > 0) served.cost.record(elements, taken, short_run);
    if (taken > std::chrono::seconds(1)) return;
  }
}

Result<void> measure(Served& served, base::Duration short_run, const TimeLimit& limit) {
  measure_on_zeros(served, short_run, limit);
  if (!limit.is_up() && served.joins.load()) served.joins.store(rows_stand_alone(*served.model, limit.token()));
  if (limit.is_up()) return out_of_time(served);
  return {};
}

}  // namespace

Result<void> measure(Served& served, base::Duration short_run) {
  TimeLimit limit(served.config->residence.load_timeout);
  return measure(served, short_run, limit);
}

Result<void> warm_up(Served& served, base::Duration short_run) {
  TimeLimit limit(served.config->residence.load_timeout);
  if (auto asked = run_as_asked(served, limit); !asked) return asked;
  return measure(served, short_run, limit);
}

}  // namespace penstock::infer
