// The floor of `./dev bench infer`: one thread that calls ONNX Runtime's Session::Run and does nothing else.
//
//   ort_raw MODEL SECONDS [ROWS]     prints {"runs":N,"rows":R,"cpu_us":X,"wall_us":Y}
//
// Every input is FP32 and filled with ones; the first free dimension becomes ROWS, other free ones 1.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>
#undef ORT_API_MANUAL_INIT

#include <dlfcn.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>

namespace {

struct Tensors {
  std::vector<std::string> names;
  std::vector<std::vector<float>> data;
  std::vector<Ort::Value> values;
};

bool open_library() {
  const char* chosen = std::getenv("PENSTOCK_ORT_LIBRARY");
  for (const char* path : {chosen, PENSTOCK_ORT_LIBRARY_DIR "/libonnxruntime.so.1", "libonnxruntime.so.1"}) {
    void* handle = path == nullptr ? nullptr : ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) continue;
    auto entry = reinterpret_cast<const OrtApiBase* (*)()>(::dlsym(handle, "OrtGetApiBase"));
    const OrtApi* api = entry == nullptr ? nullptr : entry()->GetApi(ORT_API_VERSION);
    if (api == nullptr) continue;
    Ort::InitApi(api);
    return true;
  }
  return false;
}

Tensors make_inputs(const Ort::Session& session, std::int64_t rows) {
  Tensors inputs;
  Ort::AllocatorWithDefaultOptions allocator;
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::size_t count = session.GetInputCount();
  inputs.data.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    inputs.names.emplace_back(session.GetInputNameAllocated(i, allocator).get());
    auto type = session.GetInputTypeInfo(i);
    std::vector<std::int64_t> shape = type.GetTensorTypeAndShapeInfo().GetShape();
    std::size_t elements = 1;
    bool batched = false;
    for (std::int64_t& extent : shape) {
      if (extent < 0) extent = std::exchange(batched, true) ? 1 : rows;
      elements *= static_cast<std::size_t>(extent);
    }
    inputs.data[i].assign(elements, 1.0F);
    inputs.values.push_back(
        Ort::Value::CreateTensor<float>(memory, inputs.data[i].data(), elements, shape.data(), shape.size()));
  }
  return inputs;
}

double cpu_us() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto micros = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec); };
  return micros(usage.ru_utime) + micros(usage.ru_stime);
}

void measure(const char* path, double seconds, std::int64_t rows) {
  Ort::Env environment(ORT_LOGGING_LEVEL_ERROR, "ort_raw");
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  options.SetInterOpNumThreads(1);
  Ort::Session session(environment, path, options);
  Tensors inputs = make_inputs(session, rows);
  std::vector<std::string> outputs;
  Ort::AllocatorWithDefaultOptions allocator;
  for (std::size_t i = 0; i < session.GetOutputCount(); ++i)
    outputs.emplace_back(session.GetOutputNameAllocated(i, allocator).get());
  std::vector<const char*> input_names;
  std::vector<const char*> output_names;
  for (const std::string& name : inputs.names) input_names.push_back(name.c_str());
  for (const std::string& name : outputs) output_names.push_back(name.c_str());
  auto run = [&] {
    auto answer = session.Run(Ort::RunOptions{nullptr}, input_names.data(), inputs.values.data(), inputs.values.size(),
                              output_names.data(), output_names.size());
  };
  for (int i = 0; i < 100; ++i) run();

  using Clock = std::chrono::steady_clock;
  double cpu = cpu_us();
  auto begun = Clock::now();
  auto end = begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::uint64_t runs = 0;
  while (Clock::now() < end) {
    for (int i = 0; i < 64; ++i) run();
    runs += 64;
  }
  double wall = std::chrono::duration<double, std::micro>(Clock::now() - begun).count();
  std::printf("{\"runs\":%llu,\"rows\":%lld,\"cpu_us\":%.0f,\"wall_us\":%.0f}\n", static_cast<unsigned long long>(runs),
              static_cast<long long>(rows), cpu_us() - cpu, wall);
}

}  // namespace

int main(int argc, char** argv) {
  double seconds = argc > 2 ? std::atof(argv[2]) : 0;
  long rows = argc > 3 ? std::atol(argv[3]) : 1;
  if (argc < 3 || seconds <= 0 || rows < 1) {
    std::fprintf(stderr, "usage: ort_raw MODEL SECONDS [ROWS]\n");
    return 2;
  }
  if (!open_library()) {
    std::fprintf(stderr, "ort_raw: ONNX Runtime cannot be loaded; run tools/fetch_onnxruntime.sh\n");
    return 1;
  }
  try {
    measure(argv[1], seconds, rows);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ort_raw: %s\n", error.what());
    return 1;
  }
  return 0;
}
