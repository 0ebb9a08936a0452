// Requests are a client's words: none of them may crash the gateway, and what was read can be answered. The first byte
// chooses what the rest is.
#include <cstdlib>

#include "chat/stream.h"
#include "ext/apis/ollama/ollama_codecs.h"
#include "json/value.h"

namespace {

using namespace penstock;

void check(bool condition) {
  if (!condition) std::abort();
}

void answer(const ext::OllamaCodec& codec, const chat::Request& request) {
  chat::Answer given;
  // The client's own words come back as an answer, to see that they can be written.
  auto& choice = given.choices.emplace_back();
  for (const chat::Message& message : request.messages) {
    for (const chat::Part& part : message.parts) choice.parts.push_back(part);
  }
  choice.finish = chat::Finish::stop;
  auto whole = json::parse(codec.write_answer(request, given), 2 * json::kDepthMax);
  check(whole && json::bool_or(*whole, "done", false));
  auto writer = codec.stream_writer(request);
  chat::replay(given, *writer);
  std::string_view lines = writer->output();
  check(lines.ends_with('\n'));
  while (!lines.empty()) {
    std::size_t end = lines.find('\n');
    auto line = json::parse(lines.substr(0, end), 2 * json::kDepthMax);
    check(line && line->is_object());
    lines.remove_prefix(end + 1);
  }
}

void read(ext::OllamaForm form, std::string_view body) {
  ext::OllamaCodec codec(form);
  auto request = codec.read_request(body);
  if (!request) {
    check(!request.error().detail.empty());
    return;
  }
  check(!request->model.empty() && !request->messages.empty());
  for (const chat::Message& message : request->messages) {
    for (const chat::Part& part : message.parts) {
      if (const auto* call = std::get_if<chat::ToolCall>(&part.content))
        check(!call->id.empty() && !call->name.empty());
      if (const auto* result = std::get_if<chat::ToolResult>(&part.content)) check(!result->id.empty());
    }
  }
  answer(codec, *request);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: read(ext::OllamaForm::chat, text); break;
    case 1: read(ext::OllamaForm::generate, text); break;
    default: {
      auto request = ext::OllamaEmbeddingsCodec(data[0] % 4 == 3).read_request(text);
      check(!request || !request->texts.empty());
      break;
    }
  }
  return 0;
}
