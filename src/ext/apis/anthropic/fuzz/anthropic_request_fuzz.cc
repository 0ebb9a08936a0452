// Requests are a client's bytes: whatever they are, the reader refuses them with a reason or makes a request of them.
#include <cstdlib>

#include "ext/apis/anthropic/anthropic_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  std::string_view body(reinterpret_cast<const char*>(data), size);
  for (auto operation : {chat::Operation::chat, chat::Operation::count_tokens}) {
    ext::anthropic::AnthropicCodec codec(operation);
    auto request = codec.read_request(body);
    if (!request && request.error().detail.empty()) std::abort();
    if (request && request->model.empty()) std::abort();
  }
  return 0;
}
