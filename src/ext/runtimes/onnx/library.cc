#include "ext/runtimes/onnx/library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "ext/runtimes/onnx/ort.h"

namespace penstock::ext::runtimes::onnx {
namespace {

constexpr const char* kFileName = "libonnxruntime.so.1";
constexpr const char* kOverride = "PENSTOCK_ORT_LIBRARY";

std::vector<std::string> places() {
  if (const char* chosen = std::getenv(kOverride); chosen != nullptr && *chosen != '\0') return {chosen};
  std::vector<std::string> result{std::string(PENSTOCK_ORT_LIBRARY_DIR) + "/" + kFileName};
  std::error_code error;
  auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) result.push_back((program.parent_path().parent_path() / "lib" / kFileName).string());
  result.emplace_back(kFileName);
  return result;
}

Result<Library> open_one(const std::string& path) {
  // RTLD_LOCAL: its bundled protobuf and friends must not meet ours.
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return fail(Errc::unavailable, ::dlerror());
  auto entry = reinterpret_cast<const OrtApiBase* (*)()>(::dlsym(handle, "OrtGetApiBase"));
  if (entry == nullptr) return fail(Errc::unavailable, fmt::format("{}: not an ONNX Runtime library", path));
  const OrtApiBase* base = entry();
  const OrtApi* api = base->GetApi(ORT_API_VERSION);
  if (api == nullptr) {
    return fail(Errc::unavailable, fmt::format("{}: version {} is too old; 1.{} or newer is needed", path,
                                               base->GetVersionString(), ORT_API_VERSION));
  }
  static std::once_flag once;
  std::call_once(once, [api] { Ort::InitApi(api); });
  return Library{.path = path, .version = base->GetVersionString()};
}

}  // namespace

Result<Library> open_library() {
  std::string tried;
  for (const std::string& path : places()) {
    auto library = open_one(path);
    if (library) return library;
    tried += (tried.empty() ? "" : "; ") + library.error().detail;
  }
  return fail(Errc::unavailable,
              fmt::format("ONNX Runtime cannot be loaded ({}). Install it as {} where the system looks, run "
                          "tools/fetch_onnxruntime.sh, or name the file in {}",
                          tried, kFileName, kOverride));
}

}  // namespace penstock::ext::runtimes::onnx
