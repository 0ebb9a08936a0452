#include "ext/apis/openai/error_body.h"

#include "chat/error_type.h"
#include "json/writer.h"

namespace penstock::ext {

std::string openai_error_body(const chat::ProviderError& error) {
  std::string body;
  json::Writer out(body);
  auto text_or_null = [&](std::string_view name, std::string_view text) {
    out.key(name);
    if (text.empty()) {
      out.null();
    } else {
      out.string(text);
    }
  };
  out.open_object().key("error").open_object().member("message", error.message);
  out.member("type", error.type.empty() ? chat::error_type(error.status) : std::string_view(error.type));
  text_or_null("param", error.param);
  text_or_null("code", error.code);
  out.close_object().close_object();
  return body;
}

}  // namespace penstock::ext
