#include "infer/raw_tensor.h"

#include <bit>

static_assert(std::endian::native == std::endian::little, "raw tensors are little-endian on the wire");

namespace penstock::infer {
namespace {

bool split_strings(std::string_view raw, std::vector<std::string>& out, std::size_t count) {
  // Each element takes four bytes at least, so a lying shape allocates nothing.
  if (count > raw.size() / 4) return count == 0 && raw.empty();
  out.reserve(count);
  while (!raw.empty()) {
    std::uint32_t size = 0;
    if (raw.size() < sizeof size) return false;
    std::memcpy(&size, raw.data(), sizeof size);
    raw.remove_prefix(sizeof size);
    if (size > raw.size() || out.size() == count) return false;
    out.emplace_back(raw.substr(0, size));
    raw.remove_prefix(size);
  }
  return out.size() == count;
}

std::unexpected<Error> not_deduced(const TensorSpec& spec, std::string_view why) {
  return fail(
      Errc::invalid_argument,
      fmt::format("the shape of the raw input '{}', which the model declares as {} of {}, cannot be deduced: {}; "
                  "describe it in a JSON header",
                  spec.name, format_shape(spec.shape), to_string(spec.datatype), why));
}

// The open dimensions of `shape` filled in, so that it holds `bytes`.
Result<void> deduce_shape(const TensorSpec& spec, std::vector<std::int64_t>& shape, std::size_t bytes) {
  auto open = std::count_if(shape.begin(), shape.end(), [](std::int64_t extent) { return extent < 0; });
  if (open == 2 && shape.front() < 0) {
    shape.front() = 1;
    --open;
  }
  if (open > 1) return not_deduced(spec, "more than one dimension is open");
  if (open == 0) return {};
  auto place = std::find_if(shape.begin(), shape.end(), [](std::int64_t extent) { return extent < 0; });
  *place = 1;
  auto rest = element_count(shape);
  if (!rest) return not_deduced(spec, rest.error().detail);
  std::size_t unit = *rest * element_bytes(spec.datatype);
  if (unit == 0 || bytes % unit != 0)
    return not_deduced(spec, fmt::format("{} bytes are no multiple of {}", bytes, unit));
  *place = static_cast<std::int64_t>(bytes / unit);
  return {};
}

}  // namespace

Result<void> fill_raw(Tensor& tensor, std::string_view raw) {
  auto count = element_count(tensor.shape);
  if (!count) return fail(Errc::invalid_argument, count.error().detail);
  if (tensor.datatype == Datatype::bytes) {
    if (split_strings(raw, tensor.strings, *count)) return {};
    return fail(Errc::invalid_argument,
                fmt::format("its {} raw bytes are not {} BYTES elements of a 4-byte length each", raw.size(), *count));
  }
  std::size_t size = element_bytes(tensor.datatype);
  if (raw.size() % size != 0 || raw.size() / size != *count) {
    return fail(Errc::invalid_argument,
                fmt::format("shape {} of {} takes {} elements of {} bytes, got {} raw bytes",
                            format_shape(tensor.shape), to_string(tensor.datatype), *count, size, raw.size()));
  }
  tensor.bytes = Buffer(raw.size());
  tensor.bytes.copy(raw.data());
  if (tensor.datatype == Datatype::boolean) {
    for (std::uint8_t& value : tensor.values<std::uint8_t>()) value = value != 0 ? 1 : 0;
  }
  return {};
}

std::size_t raw_size(const Tensor& tensor) {
  if (tensor.datatype != Datatype::bytes) return tensor.bytes.size();
  std::size_t size = 0;
  for (const std::string& element : tensor.strings) size += 4 + element.size();
  return size;
}

void append_raw(std::string& out, const Tensor& tensor) {
  if (tensor.datatype != Datatype::bytes) {
    out.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
    return;
  }
  for (const std::string& element : tensor.strings) {
    auto size = static_cast<std::uint32_t>(element.size());
    std::array<char, sizeof size> length;
    std::memcpy(length.data(), &size, sizeof size);
    out.append(length.data(), length.size());
    out += element;
  }
}

Result<Tensor> deduce_raw(const ModelInfo& model, std::string_view raw) {
  if (model.inputs.size() != 1) {
    return fail(
        Errc::invalid_argument,
        fmt::format("a raw request (Inference-Header-Content-Length: 0) is for a model of one input, and this one "
                    "has {}; describe the tensors in a JSON header",
                    model.inputs.size()));
  }
  const TensorSpec& spec = model.inputs.front();
  Tensor tensor{.name = spec.name, .datatype = spec.datatype, .shape = spec.shape, .bytes = {}, .strings = {}};
  if (spec.datatype == Datatype::bytes) {
    for (std::int64_t& extent : tensor.shape) extent = extent < 0 ? 1 : extent;
    if (auto count = element_count(tensor.shape); !count || *count != 1)
      return not_deduced(spec, "it takes more than one element");
    tensor.strings.emplace_back(raw);
    return tensor;
  }
  if (auto deduced = deduce_shape(spec, tensor.shape, raw.size()); !deduced) return std::unexpected(deduced.error());
  if (auto filled = fill_raw(tensor, raw); !filled) {
    return fail(Errc::invalid_argument, fmt::format("input '{}': {}", tensor.name, filled.error().detail));
  }
  return tensor;
}

}  // namespace penstock::infer
