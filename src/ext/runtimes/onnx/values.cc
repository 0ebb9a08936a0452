#include "ext/runtimes/onnx/values.h"

namespace penstock::ext::runtimes::onnx {
namespace {

using infer::Datatype;
using infer::Tensor;

struct Pair {
  ONNXTensorElementDataType onnx;
  Datatype ours;
};
constexpr std::array<Pair, 14> kTypes{{{ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, Datatype::boolean},
                                       {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, Datatype::uint8},
                                       {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16, Datatype::uint16},
                                       {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32, Datatype::uint32},
                                       {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64, Datatype::uint64},
                                       {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, Datatype::int8},
                                       {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16, Datatype::int16},
                                       {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, Datatype::int32},
                                       {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, Datatype::int64},
                                       {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, Datatype::fp16},
                                       {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, Datatype::fp32},
                                       {ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, Datatype::fp64},
                                       {ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, Datatype::bf16},
                                       {ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, Datatype::bytes}}};

ONNXTensorElementDataType to_onnx(Datatype datatype) {
  for (const Pair& pair : kTypes) {
    if (pair.ours == datatype) return pair.onnx;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

std::optional<Datatype> from_onnx(ONNXTensorElementDataType type) {
  for (const Pair& pair : kTypes) {
    if (pair.onnx == type) return pair.ours;
  }
  return std::nullopt;
}

std::vector<std::string> strings_of(const Ort::Value& value, std::size_t count) {
  if (count == 0) return {};
  std::string content(value.GetStringTensorDataLength(), '\0');
  std::vector<std::size_t> offsets(count);
  value.GetStringTensorContent(content.data(), content.size(), offsets.data(), count);
  offsets.push_back(content.size());
  std::vector<std::string> strings;
  strings.reserve(count);
  for (std::size_t i = 0; i < count; ++i) strings.push_back(content.substr(offsets[i], offsets[i + 1] - offsets[i]));
  return strings;
}

}  // namespace

Result<infer::TensorSpec> describe(std::string_view what, std::string name, const Ort::TypeInfo& type) {
  if (type.GetONNXType() != ONNX_TYPE_TENSOR) {
    return fail(
        Errc::unimplemented,
        fmt::format("{} '{}' is no tensor; export the model with plain tensors (for scikit-learn: zipmap=False)", what,
                    name));
  }
  auto tensor = type.GetTensorTypeAndShapeInfo();
  auto datatype = from_onnx(tensor.GetElementType());
  if (!datatype) {
    return fail(Errc::unimplemented,
                fmt::format("{} '{}' has ONNX element type {}, which the protocol has no datatype for", what, name,
                            static_cast<int>(tensor.GetElementType())));
  }
  return infer::TensorSpec{.name = std::move(name), .datatype = *datatype, .shape = tensor.GetShape()};
}

Ort::Value to_value(const Tensor& tensor, const Ort::MemoryInfo& memory) {
  if (tensor.datatype == Datatype::bytes) {
    Ort::AllocatorWithDefaultOptions allocator;
    Ort::Value value = Ort::Value::CreateTensor(allocator, tensor.shape.data(), tensor.shape.size(),
                                                ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING);
    // The other ways to fill one end at the first zero byte.
    for (std::size_t i = 0; i < tensor.strings.size(); ++i) {
      const std::string& element = tensor.strings[i];
      if (!element.empty())
        std::memcpy(value.GetResizedStringTensorElementBuffer(i, element.size()), element.data(), element.size());
    }
    return value;
  }
  // The runtime refuses a null pointer even for no bytes, and never writes to an input.
  static std::byte nothing{};
  auto* data = tensor.bytes.size() == 0 ? &nothing : const_cast<std::byte*>(tensor.bytes.data());
  return Ort::Value::CreateTensor(memory, data, tensor.bytes.size(), tensor.shape.data(), tensor.shape.size(),
                                  to_onnx(tensor.datatype));
}

Tensor from_value(const infer::TensorSpec& spec, const Ort::Value& value) {
  auto info = value.GetTensorTypeAndShapeInfo();
  Tensor tensor{.name = spec.name, .datatype = spec.datatype, .shape = info.GetShape(), .bytes = {}, .strings = {}};
  std::size_t count = info.GetElementCount();
  if (tensor.datatype == Datatype::bytes) {
    tensor.strings = strings_of(value, count);
    return tensor;
  }
  tensor.bytes = infer::Buffer(count * infer::element_bytes(tensor.datatype));
  if (count > 0) tensor.bytes.copy(value.GetTensorRawData());
  return tensor;
}

}  // namespace penstock::ext::runtimes::onnx
