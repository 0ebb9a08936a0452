// Model files are anybody's bytes: the look at them must end, within bounds, whatever they are.
#include <cstdlib>

#include "artifact/claims.h"
#include "infer/model_scan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  auto outline = infer::scan_model({reinterpret_cast<const char*>(data), size});
  if (!outline) return 0;
  for (const infer::ExternalData& external : outline->external) {
    if (!artifact::is_plain_path(external.location)) std::abort();
  }
  return 0;
}
