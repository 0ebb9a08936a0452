#include "ext/runtimes/onnx/onnx_model.h"

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

// Borrows the tensor's bytes; only strings are copied.
Ort::Value to_value(const Tensor& tensor, const Ort::MemoryInfo& memory) {
  if (tensor.datatype == Datatype::bytes) {
    Ort::AllocatorWithDefaultOptions allocator;
    Ort::Value value = Ort::Value::CreateTensor(allocator, tensor.shape.data(), tensor.shape.size(),
                                                ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING);
    std::vector<const char*> strings;
    strings.reserve(tensor.strings.size());
    for (const std::string& element : tensor.strings) strings.push_back(element.c_str());
    if (!strings.empty()) value.FillStringTensor(strings.data(), strings.size());
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
    tensor.strings.reserve(count);
    for (std::size_t i = 0; i < count; ++i) tensor.strings.push_back(value.GetStringTensorElement(i));
    return tensor;
  }
  tensor.bytes = infer::Buffer(count * infer::element_bytes(tensor.datatype));
  if (count > 0) tensor.bytes.copy(value.GetTensorRawData());
  return tensor;
}

}  // namespace

Error to_error(const Ort::Exception& exception, Errc fallback) {
  std::string_view text = exception.what();
  // "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : what happened"
  if (text.starts_with("[ONNXRuntimeError]")) {
    for (int i = 0; i < 3 && text.find(" : ") != std::string_view::npos; ++i) text.remove_prefix(text.find(" : ") + 3);
  }
  // "... /onnxruntime_src/file.cc:123 signature(of, function) what happened"
  if (std::size_t place = text.find("/onnxruntime_src/"); place != std::string_view::npos) {
    for (std::string_view stop : {"::<lambda()> ", ") const ", ") "}) {
      if (std::size_t end = text.find(stop, place); end != std::string_view::npos) {
        text.remove_prefix(end + stop.size());
        break;
      }
    }
  }
  text = text.substr(0, std::min(text.find('\n'), std::size_t{400}));
  Errc code = fallback;
  switch (exception.GetOrtErrorCode()) {
    case ORT_INVALID_ARGUMENT: code = Errc::invalid_argument; break;
    case ORT_NO_SUCHFILE: code = Errc::not_found; break;
    case ORT_NOT_IMPLEMENTED: code = Errc::unimplemented; break;
    case ORT_INVALID_PROTOBUF:
    case ORT_INVALID_GRAPH: code = Errc::data_loss; break;
    default: break;
  }
  return Error{code, std::string(text), "onnxruntime"};
}

Result<std::shared_ptr<const infer::Model>> OnnxModel::make(std::shared_ptr<Environment> environment,
                                                            Ort::Session session) {
  std::shared_ptr<OnnxModel> model(new OnnxModel(std::move(environment), std::move(session)));
  model->info_.platform = "onnxruntime_onnx";
  Ort::AllocatorWithDefaultOptions allocator;
  for (std::size_t i = 0; i < model->session_.GetInputCount(); ++i) {
    auto spec = describe("input", model->session_.GetInputNameAllocated(i, allocator).get(),
                         model->session_.GetInputTypeInfo(i));
    if (!spec) return std::unexpected(std::move(spec.error()));
    model->info_.inputs.push_back(std::move(*spec));
  }
  for (std::size_t i = 0; i < model->session_.GetOutputCount(); ++i) {
    auto spec = describe("output", model->session_.GetOutputNameAllocated(i, allocator).get(),
                         model->session_.GetOutputTypeInfo(i));
    if (!spec) return std::unexpected(std::move(spec.error()));
    model->info_.outputs.push_back(std::move(*spec));
  }
  for (const infer::TensorSpec& spec : model->info_.inputs) model->input_names_.push_back(spec.name.c_str());
  return model;
}

std::vector<Tensor> OnnxModel::run_session(std::span<const Tensor> inputs, std::span<const std::size_t> outputs) const {
  std::vector<Ort::Value> values;
  values.reserve(inputs.size());
  for (const Tensor& tensor : inputs) values.push_back(to_value(tensor, environment_->memory));
  std::vector<const char*> names;
  names.reserve(outputs.size());
  for (std::size_t place : outputs) names.push_back(info_.outputs[place].name.c_str());
  auto results = session_.Run(Ort::RunOptions{nullptr}, input_names_.data(), values.data(), values.size(), names.data(),
                              names.size());
  std::vector<Tensor> tensors;
  tensors.reserve(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) tensors.push_back(from_value(info_.outputs[outputs[i]], results[i]));
  return tensors;
}

Result<std::vector<Tensor>> OnnxModel::run(std::span<const Tensor> inputs, std::span<const std::size_t> outputs,
                                           const infer::RunOptions&) const {
  try {
    return run_session(inputs, outputs);
  } catch (const Ort::Exception& exception) {
    Error error = to_error(exception, Errc::internal);
    error.detail = "the model could not run: " + error.detail;
    return std::unexpected(std::move(error));
  } catch (const std::exception& exception) {
    return fail(Errc::internal, fmt::format("the model could not run: {}", exception.what()), "onnxruntime");
  }
}

}  // namespace penstock::ext::runtimes::onnx
