#include "infer/row_check.h"

#include <numeric>
#include <random>

#include "infer/agreement.h"
#include "infer/batch.h"

namespace penstock::infer {
namespace {

constexpr std::size_t kBytesMax = 64 << 20;  // of the inputs of a run
// Enough that a number of results that depends on the values does not meet the number of rows by chance.
constexpr std::size_t kRows = 4;
// What other dimensions that are open are tried with: sequences, then images.
constexpr std::array<std::int64_t, 4> kOpenSizes{8, 1, 64, 224};

using Random = std::minstd_rand;

// Numbers around 0 for what is measured, 0 or 1 for what is counted: that is an index in every table.
void fill(Tensor& tensor, std::size_t count, Random& random) {
  if (tensor.datatype == Datatype::bytes) {
    for (std::size_t i = 0; i < count; ++i) tensor.strings.push_back(random() % 2 == 0 ? "0" : "1");
    return;
  }
  tensor.bytes = Buffer(count * element_bytes(tensor.datatype));
  std::memset(tensor.bytes.data(), 0, tensor.bytes.size());
  std::normal_distribution<float> measured;
  std::size_t size = element_bytes(tensor.datatype);
  for (std::size_t i = 0; i < count; ++i) {
    std::byte* at = tensor.bytes.data() + i * size;
    auto put = [&](auto value) { std::memcpy(at, &value, sizeof value); };
    switch (tensor.datatype) {
      case Datatype::fp64: put(static_cast<double>(measured(random))); break;
      case Datatype::fp32: put(measured(random)); break;
      // Half and a quarter of 1, either sign: the same bits but for the exponent.
      case Datatype::fp16:
        put(static_cast<std::uint16_t>(0x3400U + random() % 0x400U + (random() % 2) * 0x8000U));
        break;
      case Datatype::bf16:
        put(static_cast<std::uint16_t>(0x3E80U + random() % 0x80U + (random() % 2) * 0x8000U));
        break;
      default: put(static_cast<std::uint8_t>(random() % 2));
    }
  }
}

// One row; nothing where it would be too large.
std::optional<Request> random_row(const ModelInfo& info, std::int64_t open, Random& random) {
  Request request;
  std::size_t left = kBytesMax / kRows;
  for (const TensorSpec& spec : info.inputs) {
    Tensor tensor{.name = spec.name, .datatype = spec.datatype, .shape = spec.shape, .bytes = {}, .strings = {}};
    for (std::int64_t& dimension : tensor.shape) dimension = dimension < 0 ? open : dimension;
    tensor.shape.front() = 1;
    auto count = element_count(tensor.shape);
    std::size_t size = std::max(element_bytes(spec.datatype), sizeof(std::string));
    if (!count || *count > left / size) return std::nullopt;
    left -= *count * size;
    fill(tensor, *count, random);
    request.inputs.push_back(std::move(tensor));
  }
  return request;
}

enum class Verdict { apart, together, refused };

Verdict compare(const Model& model, std::int64_t open, const std::stop_token& stop) {
  const ModelInfo& info = model.info();
  Random random(7);
  std::vector<std::size_t> outputs(info.outputs.size());
  std::iota(outputs.begin(), outputs.end(), 0);
  std::vector<Request> rows;
  std::vector<Response> alone(kRows);
  for (std::size_t i = 0; i < kRows; ++i) {
    auto row = random_row(info, open, random);
    if (!row) return Verdict::refused;
    auto result = model.run(row->inputs, outputs, {.stop = stop});
    if (!result) return Verdict::refused;
    alone[i].outputs = std::move(*result);
    rows.push_back(std::move(*row));
  }
  std::vector<const Request*> all;
  for (const Request& row : rows) all.push_back(&row);
  auto result = model.run(join(all), outputs, {.stop = stop});
  if (!result) return Verdict::together;
  const std::vector<std::size_t> one_each(kRows, 1);
  auto parts = split(*result, one_each);
  if (!parts) return Verdict::together;
  for (std::size_t i = 0; i < kRows; ++i) {
    Response part;
    part.outputs = std::move((*parts)[i]);
    if (!agree(part, alone[i], {.tolerance = 0.02})) return Verdict::together;
  }
  return Verdict::apart;
}

}  // namespace

bool rows_stand_alone(const Model& model, const std::stop_token& stop) {
  const ModelInfo& info = model.info();
  auto more_open = [](const TensorSpec& spec) {
    return std::any_of(spec.shape.begin() + 1, spec.shape.end(), [](std::int64_t dimension) { return dimension < 0; });
  };
  bool sizes_matter = std::any_of(info.inputs.begin(), info.inputs.end(), more_open);
  for (std::int64_t open : kOpenSizes) {
    Verdict verdict = compare(model, open, stop);
    if (verdict != Verdict::refused) return verdict == Verdict::apart;
    if (!sizes_matter || stop.stop_requested()) return false;
  }
  return false;
}

}  // namespace penstock::infer
