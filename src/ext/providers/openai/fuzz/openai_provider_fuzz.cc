// Answers and events are a provider's words, requests are a client's: none of them may crash the gateway, and what goes
// out must be what came in but for the model and the request for usage. The first byte chooses what the rest is.
#include <cstdlib>

#include "ext/providers/openai/openai_provider.h"
#include "json/value.h"

namespace {

using namespace penstock;

const ext::OpenAiProvider& provider() {
  static const ext::OpenAiProvider instance([] {
    ext::OpenAiProvider::Options options;
    http::Origin origin;
    origin.url = *net::parse_http_url("http://127.0.0.1:9001/v1");
    options.origin = std::make_shared<const http::Origin>(std::move(origin));
    return options;
  }());
  return instance;
}

void check(bool condition) {
  if (!condition) std::abort();
}

void encode(std::string body) {
  constexpr std::array<std::string_view, 3> kNames{"model", "stream", "stream_options"};
  auto peeked = json::peek(body, kNames);
  if (!peeked || peeked->fields[0].kind != json::Field::Kind::string) return;
  llm::Request request;
  request.body = body;
  request.model = peeked->fields[0];
  request.stream = peeked->fields[1].boolean;
  request.stream_options = peeked->fields[2];
  request.object_begin = peeked->object_begin;
  auto upstream = provider().encode(request, "model-of-the-provider", "id");
  check(upstream.has_value());
  std::string sent = upstream->body.joined();
  auto again = json::peek(sent, kNames);
  check(again.has_value() && again->fields[0].string == "model-of-the-provider");
  check(again->fields[1].boolean == request.stream);
  // Without a stream nothing but the name is another.
  if (!request.stream) {
    check(sent.substr(0, request.model.begin) == body.substr(0, request.model.begin));
    check(sent.ends_with(std::string_view(body).substr(request.model.end)));
  }
}

void read(std::string text, bool whole, bool wants_usage) {
  llm::Usage usage;
  if (whole) {
    if (auto answer = provider().read_answer(llm::Operation::chat, text)) usage = *answer;
  } else {
    llm::Request request;
    request.stream = true;
    request.wants_usage = wants_usage;
    auto verdict = provider().read_event(request, {.raw = text, .data = text, .name = {}}, usage);
    // Only a chunk with usage (which may be nonsense) may be kept from the client, and never from one that asked for
    // it.
    if (!verdict.forward) check(!wants_usage && !verdict.error && !verdict.last);
  }
  check(usage.input >= 0 && usage.output >= 0 && usage.cached >= 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: encode(std::move(text)); break;
    case 1: read(std::move(text), true, false); break;
    case 2: read(std::move(text), false, false); break;
    default: read(std::move(text), false, true); break;
  }
  return 0;
}
