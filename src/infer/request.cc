#include "infer/request.h"

#include <numeric>

namespace penstock::infer {
namespace {

std::string names_of(const std::vector<TensorSpec>& specs) {
  std::string names;
  for (const TensorSpec& spec : specs) names += (names.empty() ? "'" : ", '") + spec.name + "'";
  return names.empty() ? "none" : names;
}

// A declared shape without dimensions is a scalar or a shape the model leaves open: the runtime judges it.
bool fits(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& declared) {
  if (declared.empty()) return true;
  if (shape.size() != declared.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (declared[i] >= 0 && shape[i] != declared[i]) return false;
  }
  return true;
}

Result<void> match_input(const TensorSpec& spec, const Tensor& tensor) {
  if (tensor.datatype != spec.datatype) {
    return fail(Errc::invalid_argument, fmt::format("input '{}': expected datatype {}, got {}", spec.name,
                                                    to_string(spec.datatype), to_string(tensor.datatype)));
  }
  if (!fits(tensor.shape, spec.shape)) {
    return fail(Errc::invalid_argument, fmt::format("input '{}': expected shape {}, got {}", spec.name,
                                                    format_shape(spec.shape), format_shape(tensor.shape)));
  }
  auto count = element_count(tensor.shape);
  if (!count) return fail(Errc::invalid_argument, fmt::format("input '{}': {}", spec.name, count.error().detail));
  if (*count != tensor.elements()) {
    return fail(Errc::invalid_argument, fmt::format("input '{}': shape {} means {} elements, got {}", spec.name,
                                                    format_shape(tensor.shape), *count, tensor.elements()));
  }
  std::size_t size = element_bytes(tensor.datatype);
  if (tensor.bytes.size() != *count * size) {  // what is there holds so many: no overflow
    return fail(Errc::invalid_argument, fmt::format("input '{}': {} bytes are not {} elements of {} bytes", spec.name,
                                                    tensor.bytes.size(), *count, size));
  }
  return {};
}

}  // namespace

Result<std::vector<std::size_t>> match(const ModelInfo& info, Request& request) {
  for (std::size_t i = 0; i < info.inputs.size(); ++i) {
    const TensorSpec& spec = info.inputs[i];
    auto named = [&](const Tensor& tensor) { return tensor.name == spec.name; };
    auto from = request.inputs.begin() + static_cast<std::ptrdiff_t>(std::min(i, request.inputs.size()));
    auto tensor = std::find_if(from, request.inputs.end(), named);
    if (tensor == request.inputs.end()) {
      return fail(Errc::invalid_argument,
                  fmt::format("input '{}' is missing; the model takes {}", spec.name, names_of(info.inputs)));
    }
    if (auto bad = match_input(spec, *tensor); !bad) return std::unexpected(bad.error());
    if (tensor != from) std::swap(*tensor, *from);
  }
  if (request.inputs.size() > info.inputs.size()) {
    const std::string& extra = request.inputs[info.inputs.size()].name;
    bool twice =
        std::any_of(info.inputs.begin(), info.inputs.end(), [&](const auto& spec) { return spec.name == extra; });
    return fail(Errc::invalid_argument,
                twice ? fmt::format("input '{}' is given twice", extra)
                      : fmt::format("unknown input '{}'; the model takes {}", extra, names_of(info.inputs)));
  }
  std::vector<std::size_t> outputs;
  if (request.outputs.empty()) {
    outputs.resize(info.outputs.size());
    std::iota(outputs.begin(), outputs.end(), 0);
    return outputs;
  }
  for (const std::string& name : request.outputs) {
    auto spec = std::find_if(info.outputs.begin(), info.outputs.end(), [&](const auto& s) { return s.name == name; });
    if (spec == info.outputs.end()) {
      return fail(Errc::invalid_argument,
                  fmt::format("unknown output '{}'; the model gives {}", name, names_of(info.outputs)));
    }
    auto place = static_cast<std::size_t>(spec - info.outputs.begin());
    if (std::find(outputs.begin(), outputs.end(), place) != outputs.end()) {
      return fail(Errc::invalid_argument, fmt::format("output '{}' is asked for twice", name));
    }
    outputs.push_back(place);
  }
  return outputs;
}

}  // namespace penstock::infer
