// Strangers' bytes as a request to load a model: what is taken names no file outside its version's directory.
#include <cstdlib>

#include "ext/apis/oip/load_request.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  auto request = ext::parse_load({reinterpret_cast<const char*>(data), size});
  if (!request) {
    if (request.error().detail.empty()) std::abort();
    return 0;
  }
  if (!request->files.empty() && request->config.empty()) std::abort();
  for (const auto& [path, bytes] : request->files) {
    if (path.find("..") == 0 || path.find("/..") + 3 == path.size() || path.front() == '/') std::abort();
    if (std::ranges::count(path, '/') != 1) std::abort();
  }
  return 0;
}
