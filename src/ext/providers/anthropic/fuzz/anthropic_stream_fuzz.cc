// Answers are a provider's bytes: as a whole, as a stream, and as a stream cut anywhere, which must say the same. The
// first byte is where the cut is.
#include <cstdlib>

#include "chat/stream.h"
#include "ext/providers/anthropic/answer_reader.h"
#include "ext/providers/anthropic/stream_reader.h"

namespace {

using namespace penstock;

struct Outcome {
  chat::AnswerCollector sink;
  bool read = true;
};

void run(Outcome& outcome, std::string_view head, std::string_view tail) {
  ext::anthropic::MessagesStreamReader reader("answer_in_json");
  for (std::string_view piece : {head, tail}) {
    if (outcome.read) outcome.read = reader.feed(piece, outcome.sink).has_value();
  }
  if (outcome.read) outcome.read = reader.finish(outcome.sink).has_value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto whole = ext::anthropic::read_message(text, "answer_in_json");
  if (whole && whole->choices.size() != 1) std::abort();
  auto parsed = json::parse(text);
  if (parsed) (void)ext::anthropic::read_messages_error(data[0] + 400, *parsed);
  Outcome once;
  run(once, text, {});
  Outcome cut;
  std::size_t at = data[0] % (text.size() + 1);
  run(cut, text.substr(0, at), text.substr(at));
  if (once.read != cut.read || once.sink.ended() != cut.sink.ended()) std::abort();
  if (once.sink.answer().usage != cut.sink.answer().usage) std::abort();
  if (once.sink.answer().choices.size() != cut.sink.answer().choices.size()) std::abort();
  return 0;
}
