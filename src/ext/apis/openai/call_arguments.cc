#include "ext/apis/openai/call_arguments.h"

#include "json/value.h"
#include "json/writer.h"

namespace penstock::ext {

std::string read_call_arguments(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return "{}";
  if (auto parsed = json::parse(text); parsed && parsed->is_object()) return std::string(text);
  std::string object;
  json::Writer(object).open_object().member("input", text).close_object();
  return object;
}

}  // namespace penstock::ext
