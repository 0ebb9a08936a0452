// Both parsers must agree on what is a JSON object, never crash, and report field bytes inside the text.
#include <cstdlib>

#include "json/peek.h"
#include "json/value.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  std::string text(reinterpret_cast<const char*>(data), size);
  std::array<std::string_view, 3> names{"model", "stream", "messages"};
  auto peeked = json::peek(text, names);
  auto parsed = json::parse(text);
  if (peeked && !parsed) std::abort();
  if (peeked) {
    for (const auto& field : peeked->fields) {
      if (field.kind == json::Field::Kind::absent) continue;
      if (field.begin >= field.end || field.end > text.size()) std::abort();
      if (!json::parse(std::string_view(text).substr(field.begin, field.end - field.begin))) std::abort();
    }
  }
  return 0;
}
