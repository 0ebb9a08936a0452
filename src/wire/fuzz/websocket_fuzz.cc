// Frames and messages from strangers. The first byte chooses the role and what was agreed; any split of the rest gives
// the same events.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "wire/websocket.h"

namespace {

using namespace penstock::wire;

// All events as one text.
std::string read(std::uint8_t choice, std::string_view input, std::size_t piece) {
  DeflateAgreement agreement;
  agreement.server_no_context_takeover = agreement.client_no_context_takeover = (choice & 2U) == 0;
  WebSocketReader reader((choice & 1U) != 0 ? WebSocketRole::server : WebSocketRole::client, 64 * 1024,
                         (choice & 4U) != 0 ? std::optional(agreement) : std::nullopt);
  std::string seen;
  while (!input.empty()) {
    std::string_view some = input.substr(0, piece);
    input.remove_prefix(some.size());
    while (true) {
      auto event = reader.next(some);
      if (!event) return seen + "!" + std::to_string(event.error().code);
      if (!*event) break;
      seen += std::to_string(static_cast<int>((*event)->kind)) + ":" + std::to_string((*event)->code) + ":";
      seen += (*event)->data;
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view input(reinterpret_cast<const char*>(data + 1), size - 1);
  std::string whole = read(data[0], input, input.size() + 1);
  if (read(data[0], input, 1) != whole || read(data[0], input, 7) != whole) std::abort();
  return 0;
}
