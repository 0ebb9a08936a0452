// Answers, lines and errors are a provider's words: none of them may crash the gateway, and a stream means the same
// however it is split. The first byte chooses what the rest is.
#include <cstdlib>

#include "ext/providers/ollama/ollama_provider.h"

namespace {

using namespace penstock;

const ext::OllamaProvider& provider() {
  static const ext::OllamaProvider instance([] {
    ext::OllamaProvider::Options options;
    http::Origin origin;
    origin.url = *net::parse_http_url("http://127.0.0.1:11434");
    options.origin = std::make_shared<const http::Origin>(std::move(origin));
    return options;
  }());
  return instance;
}

void check(bool condition) {
  if (!condition) std::abort();
}

// What was said of a stream, in one string. `split`: byte by byte.
std::string read(std::string_view bytes, bool split) {
  chat::Request request;
  request.id = "req-1";
  auto reader = provider().stream_reader(request);
  chat::AnswerCollector out;
  Result<void> read;
  std::size_t step = split ? 1 : std::max<std::size_t>(bytes.size(), 1);
  for (std::size_t at = 0; read && at < bytes.size(); at += step) read = reader->feed(bytes.substr(at, step), out);
  if (read) read = reader->finish(out);
  // A proper end is one of three: the last line, an error of the provider's, or a broken protocol.
  check(read.has_value() == (out.ended() || out.failure().has_value()));
  std::string said = read ? "" : read.error().detail;
  for (const chat::Choice& choice : out.answer().choices) {
    for (const chat::Part& part : choice.parts) {
      if (const auto* text = std::get_if<chat::Text>(&part.content)) said += text->text;
      if (const auto* call = std::get_if<chat::ToolCall>(&part.content)) {
        check(json::parse(call->arguments).value_or(0).is_object());
        said += call->id + call->name + call->arguments;
      }
    }
    said += chat::to_string(choice.finish);
  }
  check(out.answer().usage.input >= 0 && out.answer().usage.output >= 0);
  return said;
}

void read_event(std::string_view line) {
  llm::Request request;
  llm::Usage usage;
  auto verdict = provider().read_event(request, {.raw = line, .data = line, .name = {}}, usage);
  check(verdict.forward && !(verdict.last && verdict.error));
  check(usage.input >= 0 && usage.output >= 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  chat::Request request;
  chat::EmbeddingsRequest embeddings;
  embeddings.texts = {"a", "b"};
  switch (data[0] % 5) {
    case 0: check(read(text, false) == read(text, true)); break;
    case 1: (void)provider().read_chat(request, text); break;
    case 2: (void)provider().read_embeddings(embeddings, text); break;
    case 3: (void)provider().read_error(500, text); break;
    default: read_event(text); break;
  }
  return 0;
}
