// Requests are strangers' words: reading them ends well, with a request or an error that says where the mistake is. The
// first byte chooses the operation.
#include <cstdlib>

#include "ext/apis/openai/chat_codec.h"
#include "ext/apis/openai/completions_codec.h"
#include "ext/apis/openai/embeddings_codec.h"
#include "json/value.h"

namespace {

using namespace penstock;

void check(bool condition) {
  if (!condition) std::abort();
}

void chat_request(const chat::ClientCodec& codec, std::string_view body) {
  auto request = codec.read_request(body);
  if (!request) return check(request.error().code == Errc::invalid_argument && !request.error().detail.empty());
  check(!request->model.empty() && !request->messages.empty());
  for (const chat::Message& message : request->messages) {
    for (const chat::Part& part : message.parts) {
      const auto* call = std::get_if<chat::ToolCall>(&part.content);
      if (call == nullptr) continue;
      auto arguments = json::parse(call->arguments);
      check(!call->id.empty() && arguments && arguments->is_object());
    }
  }
}

void embeddings_request(std::string_view body) {
  auto request = ext::OpenAiEmbeddingsCodec().read_request(body);
  if (request) check(request->texts.empty() != request->tokens.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: chat_request(ext::OpenAiChatCodec(), body); break;
    case 1: chat_request(ext::OpenAiCompletionsCodec(), body); break;
    default: embeddings_request(body); break;
  }
  return 0;
}
