#include "ext/runtimes/onnx/accelerators.h"

#include <algorithm>
#include <unordered_map>

#include "ext/runtimes/onnx/library.h"
#include "ext/runtimes/onnx/onnx_model.h"
#include "ext/runtimes/onnx/session.h"

namespace penstock::ext::runtimes::onnx {
namespace {

using Settings = std::unordered_map<std::string, std::string>;

void append_cuda(Ort::SessionOptions& options, const Settings&) {
  OrtCUDAProviderOptionsV2* cuda = nullptr;
  Ort::ThrowOnError(Ort::GetApi().CreateCUDAProviderOptions(&cuda));
  std::unique_ptr<OrtCUDAProviderOptionsV2, void (*)(OrtCUDAProviderOptionsV2*)> owner(
      cuda, [](OrtCUDAProviderOptionsV2* held) { Ort::GetApi().ReleaseCUDAProviderOptions(held); });
  options.AppendExecutionProvider_CUDA_V2(*cuda);
}

void append_tensorrt(Ort::SessionOptions& options, const Settings& settings) {
  OrtTensorRTProviderOptionsV2* tensorrt = nullptr;
  Ort::ThrowOnError(Ort::GetApi().CreateTensorRTProviderOptions(&tensorrt));
  std::unique_ptr<OrtTensorRTProviderOptionsV2, void (*)(OrtTensorRTProviderOptionsV2*)> owner(
      tensorrt, [](OrtTensorRTProviderOptionsV2* held) { Ort::GetApi().ReleaseTensorRTProviderOptions(held); });
  options.AppendExecutionProvider_TensorRT_V2(*tensorrt);
  append_cuda(options, settings);  // takes the operators TensorRT has not
}

void append_openvino(Ort::SessionOptions& options, const Settings& settings) {
  options.AppendExecutionProvider_OpenVINO_V2(settings);
}

void append_dnnl(Ort::SessionOptions& options, const Settings&) {
  OrtDnnlProviderOptions* dnnl = nullptr;
  Ort::ThrowOnError(Ort::GetApi().CreateDnnlProviderOptions(&dnnl));
  std::unique_ptr<OrtDnnlProviderOptions, void (*)(OrtDnnlProviderOptions*)> owner(
      dnnl, [](OrtDnnlProviderOptions* held) { Ort::GetApi().ReleaseDnnlProviderOptions(held); });
  options.AppendExecutionProvider_Dnnl(*dnnl);
}

struct Known {
  std::string_view name;
  std::string_view provider;        // as the library lists it
  std::string_view threads_option;  // takes the number of threads; empty: it has none of its own
  void (*append)(Ort::SessionOptions&, const Settings&);
};

template <const char* kName>
void append_by_name(Ort::SessionOptions& options, const Settings& settings) {
  options.AppendExecutionProvider(kName, settings);
}
constexpr char kXnnpack[] = "XNNPACK";
constexpr char kQnn[] = "QNN";
constexpr char kCoreMl[] = "CoreML";

constexpr std::array<Known, 7> kKnown{{
    {"tensorrt", "TensorrtExecutionProvider", "", append_tensorrt},
    {"cuda", "CUDAExecutionProvider", "", append_cuda},
    {"openvino", "OpenVINOExecutionProvider", "num_of_threads", append_openvino},
    {"qnn", "QNNExecutionProvider", "", append_by_name<kQnn>},
    {"coreml", "CoreMLExecutionProvider", "", append_by_name<kCoreMl>},
    {"dnnl", "DnnlExecutionProvider", "", append_dnnl},
    {"xnnpack", "XnnpackExecutionProvider", "intra_op_num_threads", append_by_name<kXnnpack>},
}};

std::string known_names() {
  std::string names = "cpu";
  for (const Known& known : kKnown) names += fmt::format(", {}", known.name);
  return names;
}

// y = x W with W = [[1 2] [3 4]], x and y FP32 [1,2].
constexpr std::string_view kTrial(
    "\x08\x08\x12\x00:a\n\x11\n\x01x\n\x01w\x12\x01y\"\x06MatMul\x12\x05probe*\x1b\x08\x02\x08\x02\x10\x01\x42\x01wJ"
    "\x10\x00\x00\x80?\x00\x00\x00@\x00\x00@@\x00\x00\x80@Z\x13\n\x01x\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08\x01\n"
    "\x02\x08\x02\x62\x13\n\x01y\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08\x01\n\x02\x08\x02\x42\x04\n\x00\x10\r",
    109);

Result<void> run_trial(const Ort::SessionOptions& options) {
  auto environment = shared_environment();
  Ort::Session session(environment->env, kTrial.data(), kTrial.size(), options);
  std::array<float, 2> x{1, 1};
  std::array<std::int64_t, 2> shape{1, 2};
  Ort::Value input =
      Ort::Value::CreateTensor<float>(environment->memory, x.data(), x.size(), shape.data(), shape.size());
  const char* in = "x";
  const char* out = "y";
  auto results = session.Run(Ort::RunOptions{nullptr}, &in, &input, 1, &out, 1);
  const float* y = results.at(0).GetTensorData<float>();
  if (y[0] == 4 && y[1] == 6) return {};
  return fail(Errc::unavailable, fmt::format("1+3 and 2+4 came out as {} and {}", y[0], y[1]));
}

infer::Accelerator try_out(std::string_view name) {
  infer::Accelerator accelerator{.name = std::string(name), .usable = false, .reason = {}};
  try {
    Ort::SessionOptions options = base_session_options();
    auto done = append_accelerator(options, name, 1);
    if (done) done = run_trial(options);
    accelerator.usable = done.has_value();
    if (!done) accelerator.reason = done.error().detail;
  } catch (const Ort::Exception& exception) {
    accelerator.reason = to_error(exception, Errc::unavailable).detail;
  } catch (const std::exception& exception) {
    accelerator.reason = exception.what();
  }
  return accelerator;
}

std::vector<infer::Accelerator> try_all() {
  std::vector<infer::Accelerator> result{try_out("cpu")};
  for (const Known& known : kKnown) result.push_back(try_out(known.name));
  return result;
}

}  // namespace

Result<void> append_accelerator(Ort::SessionOptions& options, std::string_view name, std::size_t threads) {
  if (name == "cpu") return {};  // every session has it
  auto known = std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& one) { return one.name == name; });
  if (known == kKnown.end()) {
    return fail(Errc::unimplemented, fmt::format("there is no accelerator '{}'; known are {}", name, known_names()));
  }
  try {
    auto offered = Ort::GetAvailableProviders();
    if (std::find(offered.begin(), offered.end(), known->provider) == offered.end()) {
      return fail(Errc::unavailable, fmt::format("this ONNX Runtime was built without {}", known->provider));
    }
    Settings settings;
    if (!known->threads_option.empty()) settings[std::string(known->threads_option)] = std::to_string(threads);
    known->append(options, settings);
    return {};
  } catch (const Ort::Exception& exception) {
    return fail(Errc::unavailable, to_error(exception, Errc::unavailable).detail);
  }
}

std::vector<infer::Accelerator> accelerators() {
  if (auto library = open_library(); !library) {
    return {{.name = "cpu", .usable = false, .reason = std::move(library.error().detail)}};
  }
  static const std::vector<infer::Accelerator> tried = try_all();
  return tried;
}

std::string describe() {
  auto library = open_library();
  if (!library) return "onnxruntime: " + library.error().detail;
  std::string usable;
  for (const infer::Accelerator& accelerator : accelerators()) {
    if (accelerator.usable) usable += (usable.empty() ? "" : ", ") + accelerator.name;
  }
  return fmt::format("onnxruntime {}, runs on {}", library->version, usable.empty() ? "nothing here" : usable);
}

}  // namespace penstock::ext::runtimes::onnx
