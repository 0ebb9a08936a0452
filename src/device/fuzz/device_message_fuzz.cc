// What a device says about itself and about commands: any bytes are refused with a reason or become texts within their
// bounds that can be read again (a number of more digits than a double has may be another in its last one).
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "device/command.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto message = json::parse(text)) {
    auto answer = device::read_answer(*message);
    if (!answer && answer.error().detail.empty()) std::abort();
    if (answer && answer->result.size() > device::kPayloadBytesMax) std::abort();
    if (answer && !answer->result.empty() && !json::parse(answer->result)) std::abort();
    const auto* changes = message->if_object();
    auto patched = changes != nullptr ? device::patch_twin(R"({"a":{"b":1},"c":[2]})", *changes) : "";
    if (changes != nullptr && patched && (patched->size() > device::kTwinBytesMax || !device::read_twin(*patched))) {
      std::abort();
    }
  }
  auto twin = device::read_twin(text);
  if (!twin && twin.error().detail.empty()) std::abort();
  if (twin && (twin->size() > device::kTwinBytesMax || !device::read_twin(*twin))) std::abort();
  return 0;
}
