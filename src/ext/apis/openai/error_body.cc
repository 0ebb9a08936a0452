#include "ext/apis/openai/error_body.h"

#include "json/writer.h"

namespace penstock::ext {

std::string_view openai_error_type(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    default: return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

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
  out.member("type", error.type.empty() ? openai_error_type(error.status) : std::string_view(error.type));
  text_or_null("param", error.param);
  text_or_null("code", error.code);
  out.close_object().close_object();
  return body;
}

}  // namespace penstock::ext
