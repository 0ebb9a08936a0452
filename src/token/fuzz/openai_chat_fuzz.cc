// Any bytes as a body: an error, or a count that is no less than what begins an answer; and both agree on which bodies
// are chats.
#include <cstdlib>

#include "json/value.h"
#include "token/openai_chat.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  std::string_view body(reinterpret_cast<const char*>(data), size);
  auto measured = token::measure_openai_chat(body, "gpt-4o");
  if (measured && (measured->tokens < 3 || measured->text_bytes < 0)) std::abort();
  if (!measured && measured.error().detail.empty()) std::abort();
  auto parsed = json::parse(body);
  const json::Value* messages = parsed ? json::find(*parsed, "messages") : nullptr;
  if (messages != nullptr && messages->is_array() && !measured) std::abort();
  return 0;
}
