// Schemas are strangers' words: written out and converted they stay bounded, and nothing crashes.
#include <cstdlib>

#include "chat/schema.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  auto schema = json::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!schema) return 0;
  (void)chat::from_openapi(*schema);
  auto inlined = chat::inline_references(*schema);
  if (!inlined) return inlined.error().detail.empty() ? std::abort(), 0 : 0;
  // What was written out has nothing left to be written out.
  auto again = chat::inline_references(*inlined);
  if (!again || json::dump(*again) != json::dump(*inlined)) std::abort();
  (void)chat::to_openapi(*inlined);
  return 0;
}
