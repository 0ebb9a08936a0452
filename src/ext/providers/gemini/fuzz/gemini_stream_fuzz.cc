// A provider's stream is read the same however it is cut, and never crashes; nor does its whole answer.
#include <cstdlib>

#include "ext/providers/gemini/answer_reader.h"

namespace {

using namespace penstock;

struct Outcome {
  std::string told;
  bool ended = false;
  bool ok = true;
};

Outcome read(std::string_view bytes, std::size_t piece) {
  static const chat::Request request;
  ext::GeminiStreamReader reader(request);
  chat::AnswerCollector collector;
  Outcome out;
  for (std::size_t at = 0; at < bytes.size() && out.ok; at += piece)
    out.ok = reader.feed(bytes.substr(at, piece), collector).has_value();
  if (out.ok) out.ok = reader.finish(collector).has_value();
  out.ended = collector.ended();
  for (const chat::Choice& choice : collector.answer().choices) {
    out.told += chat::to_string(choice.finish);
    for (const chat::Part& part : choice.parts) {
      if (const auto* text = std::get_if<chat::Text>(&part.content)) out.told += text->text;
      if (const auto* call = std::get_if<chat::ToolCall>(&part.content)) out.told += call->id + call->arguments;
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Outcome whole = read(text, std::max<std::size_t>(size, 1));
  Outcome pieces = read(text, 3);
  if (whole.ok != pieces.ok || whole.told != pieces.told || whole.ended != pieces.ended) std::abort();
  (void)ext::read_gemini_error(500, text);
  return 0;
}
