#include "ext/runtimes/onnx/session.h"

#include <mutex>

#include "ext/runtimes/onnx/model_memory.h"

namespace penstock::ext::runtimes::onnx {
namespace {

// Failures come back from the calls themselves: a second, unstructured copy on standard error would break the log.
void drop_log(void*, OrtLoggingLevel, const char*, const char*, const char*, const char*) {}

// Memory by ModelMemory for every session. Lives as long as the process, as the library does.
struct Allocator : OrtAllocator {
  Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
  Allocator() : OrtAllocator{} {
    version = ORT_API_VERSION;
    Alloc = [](OrtAllocator*, std::size_t size) -> void* { return size == 0 ? nullptr : ModelMemory::allocate(size); };
    Free = [](OrtAllocator*, void* data) { ModelMemory::release(data); };
    Info = [](const OrtAllocator* self) -> const OrtMemoryInfo* { return static_cast<const Allocator*>(self)->memory; };
    Reserve = Alloc;
  }
};

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
  environment->env.DisableTelemetryEvents();
  static Allocator* allocator = new Allocator();
  Ort::ThrowOnError(Ort::GetApi().RegisterAllocator(environment->env, allocator));
  return environment;
}

GraphOptimizationLevel to_level(infer::RuntimeOptions::Optimize optimize) {
  using Optimize = infer::RuntimeOptions::Optimize;
  switch (optimize) {
    case Optimize::none: return ORT_DISABLE_ALL;
    case Optimize::basic: return ORT_ENABLE_BASIC;
    case Optimize::extended: return ORT_ENABLE_EXTENDED;
    case Optimize::all: break;
  }
  return ORT_ENABLE_ALL;
}

Ort::SessionOptions plain_options() {
  Ort::SessionOptions options;
  options.SetExecutionMode(ORT_SEQUENTIAL);
  options.SetInterOpNumThreads(1);
  options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);
  options.AddConfigEntry("session.intra_op.allow_spinning", "0");
  options.AddConfigEntry("session.use_env_allocators", "1");
  return options;
}

}  // namespace

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

Ort::SessionOptions base_session_options() { return session_options({}); }

Ort::SessionOptions session_options(const infer::RuntimeOptions& options) {
  Ort::SessionOptions result = plain_options();
  result.SetGraphOptimizationLevel(to_level(options.optimize));
  if (options.threads > 1) {
    result.SetIntraOpNumThreads(static_cast<int>(options.threads));  // a pool of its own, the caller's thread in it
  } else {
    result.DisablePerSessionThreads();
  }
  return result;
}

}  // namespace penstock::ext::runtimes::onnx
