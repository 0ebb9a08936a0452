#include "ext/runtimes/onnx/onnx_runtime.h"

#include "ext/runtimes/onnx/library.h"

namespace penstock::ext::runtimes::onnx {
namespace {

// Failures come back from the calls themselves: a second, unstructured copy on standard error would break the log.
void drop_log(void*, OrtLoggingLevel, const char*, const char*, const char*, const char*) {}

std::shared_ptr<Environment> make_environment() {
  // One thread: the gateway's own threads are the parallelism, and a spinning one would take a core from them.
  Ort::ThreadingOptions threads;
  threads.SetGlobalIntraOpNumThreads(1);
  threads.SetGlobalInterOpNumThreads(1);
  threads.SetGlobalSpinControl(0);
  auto environment = std::make_shared<Environment>(
      Environment{.env = Ort::Env(static_cast<const OrtThreadingOptions*>(threads), drop_log, nullptr,
                                  ORT_LOGGING_LEVEL_FATAL, "penstock"),
                  .memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault)});
  // One arena for all models, growing by what is asked for and not by powers of two.
  constexpr int kGrowAsRequested = 1;
  Ort::ArenaCfg arena(0, kGrowAsRequested, -1, -1);
  Ort::MemoryInfo shared = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  environment->env.CreateAndRegisterAllocator(shared, arena);
  return environment;
}

// The library has one environment per process, whose settings are those of its first user.
std::shared_ptr<Environment> shared_environment() {
  static std::mutex mutex;
  static std::weak_ptr<Environment> current;
  std::lock_guard lock(mutex);
  auto environment = current.lock();
  if (!environment) {
    environment = make_environment();
    current = environment;
  }
  return environment;
}

Ort::SessionOptions session_options() {
  Ort::SessionOptions options;
  options.DisablePerSessionThreads();
  options.SetExecutionMode(ORT_SEQUENTIAL);
  options.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
  options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);
  options.AddConfigEntry("session.intra_op.allow_spinning", "0");
  options.AddConfigEntry("session.use_env_allocators", "1");
  // Weights outside the arena go back to the system when the model is unloaded.
  options.AddConfigEntry("session.use_device_allocator_for_initializers", "1");
  return options;
}

// Weights in files of their own, as they are in memory.
void add_beside(Ort::SessionOptions& options, const infer::ModelFile& file) {
  std::vector<std::string> names;
  std::vector<char*> buffers;
  std::vector<std::size_t> sizes;
  for (const auto& [name, bytes] : file.beside) {
    names.push_back(name);
    buffers.push_back(const_cast<char*>(bytes->data()));  // only read
    sizes.push_back(bytes->size());
  }
  if (!names.empty()) options.AddExternalInitializersFromFilesInMemory(names, buffers, sizes);
}

// What the person with the file can do about refusals that say only what is wrong.
std::string_view advice(std::string_view refusal) {
  if (refusal.find("Failed to construct locale") != std::string_view::npos) {
    return "; generate that locale on this machine: localedef -i en_US -f UTF-8 en_US.UTF-8 (package locales)";
  }
  if (refusal.find("Could not find an implementation") != std::string_view::npos) {
    return "; export the model again with a newer ONNX opset";
  }
  return {};
}

}  // namespace

Result<void> OnnxRuntime::open() {
  if (environment_) return {};
  auto library = open_library();
  if (!library) return std::unexpected(std::move(library.error()));
  environment_ = shared_environment();
  return {};
}

Result<std::shared_ptr<const infer::Model>> OnnxRuntime::load_session(const infer::ModelFile& file) {
  if (auto opened = open(); !opened) return std::unexpected(std::move(opened.error()));
  if (file.bytes) {
    Ort::SessionOptions options = session_options();
    add_beside(options, file);
    return OnnxModel::make(environment_,
                           Ort::Session(environment_->env, file.bytes->data(), file.bytes->size(), options));
  }
  return OnnxModel::make(environment_, Ort::Session(environment_->env, file.path.c_str(), session_options()));
}

Result<std::shared_ptr<const infer::Model>> OnnxRuntime::load(const infer::ModelFile& file,
                                                              const infer::RuntimeOptions&) {
  const std::string& path = file.path;
  try {
    auto model = load_session(file);
    if (!model && model.error().code == Errc::unimplemented) model.error().detail = path + ": " + model.error().detail;
    return model;
  } catch (const Ort::Exception& exception) {
    Error error = to_error(exception, Errc::data_loss);
    // The file is at fault, not whoever asked for it.
    if (error.code == Errc::invalid_argument) error.code = Errc::data_loss;
    error.detail = fmt::format("{}: not a usable ONNX model: {}{}", path, error.detail, advice(error.detail));
    return std::unexpected(std::move(error));
  } catch (const std::exception& exception) {
    return fail(Errc::internal, fmt::format("{}: {}", path, exception.what()), "onnxruntime");
  }
}

}  // namespace penstock::ext::runtimes::onnx
