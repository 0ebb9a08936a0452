#include "infer/batch.h"

#include <numeric>

namespace penstock::infer {
namespace {

void add_number(std::string& text, std::int64_t number) {
  text.append(reinterpret_cast<const char*>(&number), sizeof number);
}

Tensor join_input(std::span<const Request* const> requests, std::size_t place) {
  const Tensor& first = requests.front()->inputs[place];
  Tensor joined{.name = first.name, .datatype = first.datatype, .shape = first.shape, .bytes = {}, .strings = {}};
  joined.shape.front() = 0;
  std::size_t bytes = 0;
  for (const Request* request : requests) {
    joined.shape.front() += request->inputs[place].shape.front();
    bytes += request->inputs[place].bytes.size();
  }
  joined.bytes = Buffer(bytes);
  std::size_t at = 0;
  for (const Request* request : requests) {
    const Tensor& tensor = request->inputs[place];
    if (tensor.bytes.size() > 0) std::memcpy(joined.bytes.data() + at, tensor.bytes.data(), tensor.bytes.size());
    at += tensor.bytes.size();
    joined.strings.insert(joined.strings.end(), tensor.strings.begin(), tensor.strings.end());
  }
  return joined;
}

// `rows` rows from the row `from`, of `all`.
Tensor cut(const Tensor& tensor, std::size_t from, std::size_t rows, std::size_t all) {
  Tensor part{.name = tensor.name, .datatype = tensor.datatype, .shape = tensor.shape, .bytes = {}, .strings = {}};
  part.shape.front() = static_cast<std::int64_t>(rows);
  std::size_t row_bytes = tensor.bytes.size() / all;
  part.bytes = Buffer(rows * row_bytes);
  part.bytes.copy(tensor.bytes.data() + from * row_bytes);
  std::size_t row_strings = tensor.strings.size() / all;
  auto first = tensor.strings.begin() + static_cast<std::ptrdiff_t>(from * row_strings);
  part.strings.assign(first, first + static_cast<std::ptrdiff_t>(rows * row_strings));
  return part;
}

bool has_rows(const Tensor& tensor, std::size_t rows) {
  return !tensor.shape.empty() && tensor.shape.front() == static_cast<std::int64_t>(rows) &&
         tensor.bytes.size() % rows == 0 && tensor.strings.size() % rows == 0;
}

}  // namespace

bool batchable(const ModelInfo& info) {
  auto open = [](const TensorSpec& spec) { return !spec.shape.empty() && spec.shape.front() < 0; };
  return !info.inputs.empty() && std::all_of(info.inputs.begin(), info.inputs.end(), open) &&
         std::all_of(info.outputs.begin(), info.outputs.end(), open);
}

std::size_t rows_of(const Request& request) {
  if (request.inputs.empty() || request.inputs.front().shape.empty()) return 1;
  return static_cast<std::size_t>(request.inputs.front().shape.front());
}

std::string batch_signature(const Request& request, std::span<const std::size_t> outputs) {
  std::string signature;
  for (const Tensor& tensor : request.inputs) {
    if (tensor.shape.empty() || tensor.shape.front() < 1) return {};
    if (tensor.shape.front() != request.inputs.front().shape.front()) return {};
    add_number(signature, static_cast<std::int64_t>(tensor.shape.size()));
    for (std::size_t i = 1; i < tensor.shape.size(); ++i) add_number(signature, tensor.shape[i]);
  }
  for (std::size_t place : outputs) add_number(signature, static_cast<std::int64_t>(place));
  return signature;
}

std::vector<Tensor> join(std::span<const Request* const> requests) {
  std::vector<Tensor> inputs;
  for (std::size_t i = 0; i < requests.front()->inputs.size(); ++i) inputs.push_back(join_input(requests, i));
  return inputs;
}

std::optional<std::vector<std::vector<Tensor>>> split(std::span<const Tensor> outputs,
                                                      std::span<const std::size_t> rows) {
  std::size_t all = std::accumulate(rows.begin(), rows.end(), std::size_t{0});
  if (all == 0) return std::nullopt;
  if (!std::all_of(outputs.begin(), outputs.end(), [&](const Tensor& tensor) { return has_rows(tensor, all); }))
    return std::nullopt;
  std::vector<std::vector<Tensor>> parts(rows.size());
  std::size_t from = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const Tensor& tensor : outputs) parts[i].push_back(cut(tensor, from, rows[i], all));
    from += rows[i];
  }
  return parts;
}

}  // namespace penstock::infer
