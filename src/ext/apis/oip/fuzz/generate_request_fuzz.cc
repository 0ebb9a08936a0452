// Strangers' bytes as a request to generate: what is taken has a text, and its answers are JSON.
#include <cstdlib>

#include "ext/apis/oip/generate_codec.h"
#include "json/value.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const ext::GenerateCodec codec;
  auto request = codec.read_request({reinterpret_cast<const char*>(data), size});
  if (!request) {
    if (request.error().detail.empty()) std::abort();
    return 0;
  }
  if (request->messages.empty()) std::abort();
  request->model = "m";
  chat::Answer answer;
  answer.choices.emplace_back();
  answer.choices.front().parts = request->messages.front().parts;
  if (!json::parse(codec.write_answer(*request, answer))) std::abort();
  auto writer = codec.stream_writer(*request);
  chat::replay(answer, *writer);
  std::string_view events = writer->output();
  while (!events.empty()) {
    std::size_t end = events.find("\n\n");
    if (!events.starts_with("data: ") || end == std::string_view::npos) std::abort();
    if (!json::parse(events.substr(6, end - 6))) std::abort();
    events.remove_prefix(end + 2);
  }
  return 0;
}
