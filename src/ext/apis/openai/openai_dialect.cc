#include "ext/apis/openai/openai_dialect.h"

#include "json/value.h"

namespace penstock::ext {
namespace {

std::string_view type_of(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    default: return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

// Null where OpenAI has no code.
std::string_view code_of(Errc code) {
  switch (code) {
    case Errc::unauthenticated: return "invalid_api_key";
    case Errc::not_found: return "model_not_found";
    case Errc::resource_exhausted: return "rate_limit_exceeded";
    case Errc::permission_denied: return "model_not_allowed";
    case Errc::out_of_range: return "request_too_large";
    case Errc::deadline_exceeded: return "timeout";
    case Errc::unavailable:
    case Errc::backpressure: return "overloaded";
    case Errc::protocol_error:
    case Errc::data_loss: return "provider_error";
    case Errc::internal: return "internal_error";
    default: return "";
  }
}

}  // namespace

std::string OpenAiDialect::error_body(int status, const Error& error) const {
  std::string body = R"({"error":{"message":)";
  json::append_quoted(body, error.detail);
  body += R"(,"type":")";
  body += type_of(status);
  body += R"(","param":null,"code":)";
  std::string_view code = code_of(error.code);
  if (code.empty()) {
    body += "null";
  } else {
    json::append_quoted(body, code);
  }
  return body + "}}";
}

}  // namespace penstock::ext
