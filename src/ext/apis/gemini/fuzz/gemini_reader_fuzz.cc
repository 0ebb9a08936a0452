// Requests are strangers' bytes: they are read or refused with words, and what was read can be answered as JSON.
#include <cstdlib>

#include "ext/apis/gemini/gemini_codec.h"
#include "json/value.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  static const auto codec = ext::gemini_chat_codec(llm::Framing::array);
  static const auto count = ext::gemini_count_codec();
  static const auto embeddings = ext::gemini_embeddings_codec();
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)count->read_request(text);
  if (auto read = embeddings->read_request(text); !read && read.error().detail.empty()) std::abort();
  auto request = codec->read_request(text);
  if (!request) {
    if (request.error().detail.empty()) std::abort();
    return 0;
  }
  // The conversation's own parts as an answer.
  chat::Answer answer;
  for (chat::Message& message : request->messages) answer.choices.push_back({.parts = std::move(message.parts)});
  request->messages.clear();
  if (!json::parse(codec->write_answer(*request, answer))) std::abort();
  auto writer = codec->stream_writer(*request);
  chat::replay(answer, *writer);
  if (!json::parse(writer->output())) std::abort();
  return 0;
}
