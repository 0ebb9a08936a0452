#include "ext/runtimes/onnx/onnx_model.h"

#include "ext/runtimes/onnx/values.h"
#include "infer/shown_text.h"

namespace penstock::ext::runtimes::onnx {
namespace {

using infer::Tensor;

// Elements. A larger output would be taken from the system before the model said that it makes it.
constexpr std::size_t kPreparedMax = std::size_t{64} << 20;

// A name for each dimension that is open under one; "" for the others.
std::vector<std::string> symbols_of(const Ort::TypeInfo& type) {
  auto tensor = type.GetTensorTypeAndShapeInfo();
  std::vector<const char*> names(tensor.GetDimensionsCount());
  if (!names.empty()) tensor.GetSymbolicDimensions(names.data(), names.size());
  return {names.begin(), names.end()};
}

// One per thread: making one costs as much as a small multiplication.
Ort::RunOptions& thread_options() {
  thread_local Ort::RunOptions options;
  return options;
}

}  // namespace

Error to_error(const Ort::Exception& exception, Errc fallback) {
  std::string_view text = exception.what();
  // "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : what happened"
  while (text.starts_with("[ONNXRuntimeError]")) {
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
  return Error{code, infer::shown_text(std::string(text)), "onnxruntime"};
}

Result<std::shared_ptr<const infer::Model>> OnnxModel::make(Parts parts) {
  std::shared_ptr<OnnxModel> model(new OnnxModel(std::move(parts)));
  model->info_.platform = "onnxruntime_onnx";
  model->info_.accelerator = model->parts_.accelerator;
  model->info_.notice = model->parts_.notice;
  if (auto described = model->describe_tensors(); !described) return std::unexpected(std::move(described.error()));
  model->foresee_shapes();
  return model;
}

Result<void> OnnxModel::describe_tensors() {
  Ort::AllocatorWithDefaultOptions allocator;
  const Ort::Session& session = parts_.session;
  for (std::size_t i = 0; i < session.GetInputCount(); ++i) {
    auto spec = describe("input", session.GetInputNameAllocated(i, allocator).get(), session.GetInputTypeInfo(i));
    if (!spec) return std::unexpected(std::move(spec.error()));
    info_.inputs.push_back(std::move(*spec));
  }
  for (std::size_t i = 0; i < session.GetOutputCount(); ++i) {
    auto spec = describe("output", session.GetOutputNameAllocated(i, allocator).get(), session.GetOutputTypeInfo(i));
    if (!spec) return std::unexpected(std::move(spec.error()));
    info_.outputs.push_back(std::move(*spec));
  }
  for (const infer::TensorSpec& spec : info_.inputs) input_names_.push_back(spec.name.c_str());
  for (const infer::TensorSpec& spec : info_.outputs) output_names_.push_back(spec.name.c_str());
  return {};
}

void OnnxModel::foresee_shapes() {
  std::map<std::string, Extent> open;
  for (std::size_t i = 0; i < info_.inputs.size(); ++i) {
    std::vector<std::string> symbols = symbols_of(parts_.session.GetInputTypeInfo(i));
    for (std::size_t d = 0; d < symbols.size(); ++d) {
      if (!symbols[d].empty()) open.try_emplace(symbols[d], Extent{0, static_cast<std::ptrdiff_t>(i), d});
    }
  }
  for (std::size_t i = 0; i < info_.outputs.size(); ++i) {
    const infer::TensorSpec& spec = info_.outputs[i];
    std::vector<std::string> symbols = symbols_of(parts_.session.GetOutputTypeInfo(i));
    Shape shape{.known = spec.datatype != infer::Datatype::bytes && !spec.shape.empty(), .extents = {}};
    for (std::size_t d = 0; d < spec.shape.size() && shape.known; ++d) {
      auto same = open.find(symbols[d]);
      if (spec.shape[d] < 0 && same == open.end()) shape.known = false;
      shape.extents.push_back(spec.shape[d] >= 0 ? Extent{spec.shape[d], -1, 0}
                              : shape.known      ? same->second
                                                 : Extent());
    }
    shapes_.push_back(std::move(shape));
  }
}

std::optional<Tensor> OnnxModel::prepare(std::size_t place, std::span<const Tensor> inputs) const {
  const Shape& shape = shapes_[place];
  if (!shape.known) return std::nullopt;
  const infer::TensorSpec& spec = info_.outputs[place];
  Tensor tensor{.name = spec.name, .datatype = spec.datatype, .shape = {}, .bytes = {}, .strings = {}};
  tensor.shape.reserve(shape.extents.size());
  for (const Extent& extent : shape.extents) {
    if (extent.input < 0) {
      tensor.shape.push_back(extent.fixed);
      continue;
    }
    const Tensor& input = inputs[static_cast<std::size_t>(extent.input)];
    if (extent.dimension >= input.shape.size()) return std::nullopt;
    tensor.shape.push_back(input.shape[extent.dimension]);
  }
  auto count = infer::element_count(tensor.shape);
  if (!count || *count == 0 || *count > kPreparedMax) return std::nullopt;
  tensor.bytes = infer::Buffer(*count * infer::element_bytes(tensor.datatype));
  return tensor;
}

std::vector<Tensor> OnnxModel::run_session(std::span<const Tensor> inputs, std::span<const std::size_t> outputs,
                                           const Ort::RunOptions& options, bool prepared) const {
  std::vector<Ort::Value> values;
  values.reserve(inputs.size());
  for (const Tensor& tensor : inputs) values.push_back(to_value(tensor, parts_.environment->memory));
  std::vector<const char*> names;
  std::vector<Tensor> tensors;
  std::vector<Ort::Value> results;
  names.reserve(outputs.size());
  tensors.reserve(outputs.size());
  results.reserve(outputs.size());
  for (std::size_t place : outputs) {
    names.push_back(output_names_[place]);
    auto ready = prepared ? prepare(place, inputs) : std::nullopt;
    results.push_back(ready ? to_value(*ready, parts_.environment->memory) : Ort::Value(nullptr));
    tensors.push_back(ready ? std::move(*ready) : Tensor());
  }
  ModelMemory::Use use(*parts_.memory);
  parts_.session.Run(options, input_names_.data(), values.data(), values.size(), names.data(), results.data(),
                     names.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (tensors[i].bytes.size() == 0) tensors[i] = from_value(info_.outputs[outputs[i]], results[i]);
  }
  return tensors;
}

std::vector<Tensor> OnnxModel::run_as_declared(std::span<const Tensor> inputs, std::span<const std::size_t> outputs,
                                               const Ort::RunOptions& options) const {
  if (!declarations_hold_.load(std::memory_order_relaxed)) return run_session(inputs, outputs, options, false);
  try {
    return run_session(inputs, outputs, options, true);
  } catch (const Ort::Exception& exception) {
    // "The output OrtValue provided for output ... has shape", "OrtValue shape verification failed": the model gives
    // other shapes than it declares, which is no fault of the request's.
    if (std::string_view(exception.what()).find("OrtValue") == std::string_view::npos) throw;
    declarations_hold_.store(false, std::memory_order_relaxed);
    return run_session(inputs, outputs, options, false);
  }
}

Error OnnxModel::explain(Error error, const infer::RunOptions& options) const {
  if (std::uint64_t refused = parts_.memory->take_refused(); refused != 0 && error.code != Errc::invalid_argument) {
    std::string bound =
        parts_.memory->max() == 0 ? "the system has no more" : fmt::format("memory.max is {}", parts_.memory->max());
    return {Errc::resource_exhausted,
            fmt::format("the run needs {} bytes more than the {} the model holds, and {}; send smaller inputs or fewer "
                        "rows at once, or allow more",
                        refused, parts_.memory->held(), bound),
            "onnxruntime"};
  }
  if (options.stop.stop_requested()) return {Errc::cancelled, "the run was stopped: nobody waits for it", {}};
  error.detail = "the model could not run: " + error.detail;
  return error;
}

Result<std::vector<Tensor>> OnnxModel::run(std::span<const Tensor> inputs, std::span<const std::size_t> outputs,
                                           const infer::RunOptions& options) const {
  if (options.stop.stop_requested()) return fail(Errc::cancelled, "the run was stopped: nobody waits for it");
  try {
    Ort::RunOptions& run = thread_options();
    Result<std::vector<Tensor>> result;
    {
      std::stop_callback stopped(options.stop, [&run] { run.SetTerminate(); });
      result = run_as_declared(inputs, outputs, run);
    }
    if (options.stop.stop_possible()) run.UnsetTerminate();
    if (options.shrink) parts_.memory->trim();
    return result;
  } catch (const Ort::Exception& exception) {
    if (options.stop.stop_possible()) thread_options().UnsetTerminate();
    return std::unexpected(explain(to_error(exception, Errc::internal), options));
  } catch (const std::exception& exception) {
    return std::unexpected(explain(Error{Errc::internal, exception.what(), "onnxruntime"}, options));
  }
}

}  // namespace penstock::ext::runtimes::onnx
