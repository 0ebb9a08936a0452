// The cursor and the document parser must agree on what is JSON.
#include <cstdlib>

#include "json/cursor.h"
#include "json/value.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  json::Cursor in(text);
  in.skip();
  bool accepted = in.finish();
  if (accepted != in.error().empty()) std::abort();
  if (accepted != json::parse(text).has_value()) std::abort();
  return 0;
}
