// A provider's answers and streams: whatever they hold, reading them ends well, and a stream means the same in one
// piece as byte by byte. The first byte chooses what the rest is.
#include <cstdlib>

#include "ext/providers/openai/answer_reader.h"
#include "ext/providers/openai/chat_stream_reader.h"
#include "ext/providers/openai/embeddings_translator.h"
#include "ext/providers/openai/error_reader.h"

namespace {

using namespace penstock;

void check(bool condition) {
  if (!condition) std::abort();
}

struct Heard {
  chat::AnswerCollector collector;
  bool good = false;
};

void hear(std::string_view bytes, std::size_t piece, Heard& heard) {
  ext::OpenAiChatStreamReader reader;
  Result<void> fed;
  for (std::size_t i = 0; i < bytes.size() && fed; i += piece)
    fed = reader.feed(bytes.substr(i, piece), heard.collector);
  if (fed) fed = reader.finish(heard.collector);
  heard.good = fed.has_value();
}

void stream(std::string_view bytes) {
  Heard whole, split;
  hear(bytes, std::max<std::size_t>(bytes.size(), 1), whole);
  hear(bytes, 1, split);
  check(whole.good == split.good);
  const chat::Answer& a = whole.collector.answer();
  const chat::Answer& b = split.collector.answer();
  check(a.id == b.id && a.usage == b.usage && a.choices.size() == b.choices.size());
  for (std::size_t i = 0; i < a.choices.size(); ++i) {
    check(a.choices[i].finish == b.choices[i].finish && a.choices[i].parts.size() == b.choices[i].parts.size());
  }
  // Either it ended or the provider said why not.
  if (whole.good) check(whole.collector.ended() || whole.collector.failure().has_value());
}

void answer(std::string_view body) {
  if (auto read = ext::read_openai_chat_answer(body)) {
    check(!read->choices.empty() && read->usage.input >= 0 && read->usage.output >= 0);
  }
  check(!ext::read_openai_error(500, body).type.empty());
}

void embeddings(std::string_view body) {
  chat::EmbeddingsRequest request;
  request.texts = {"a", "b"};
  if (auto read = ext::read_openai_embeddings(request, body)) check(read->vectors.size() == 2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: stream(text); break;
    case 1: answer(text); break;
    default: embeddings(text); break;
  }
  return 0;
}
