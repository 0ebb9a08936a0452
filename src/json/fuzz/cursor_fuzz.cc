// The cursor and the document parser must agree on what is JSON. The one thing they may differ on: exponents of many
// digits, which are JSON but more than the document parser counts.
#include <cstdlib>

#include "json/cursor.h"
#include "json/value.h"

namespace {

bool has_long_exponent(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != 'e' && text[i] != 'E') continue;
    std::size_t first = text.find_first_not_of("+-", i + 1);
    if (first == std::string_view::npos) return false;
    if (std::min(text.find_first_not_of("0123456789", first), text.size()) - first >= 9) return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  json::Cursor in(text);
  in.skip();
  bool accepted = in.finish();
  if (accepted != in.error().empty()) std::abort();
  bool parsed = json::parse(text).has_value();
  if (parsed && !accepted) std::abort();
  if (accepted && !parsed && !has_long_exponent(text)) std::abort();
  return 0;
}
