#include "ext/apis/openai/openai_dialect.h"

#include "ext/apis/openai/error_body.h"

namespace penstock::ext {
namespace {

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

std::string OpenAiDialect::error_body(int status, const Error& error, std::string_view) const {
  // Money is another matter than a rate: its SDKs and their users tell them apart by this.
  constexpr std::string_view kUsedUp = "insufficient_quota";
  if (error.source == flow::kBudgetSource) {
    return openai_error_body(
        {.status = status, .type = std::string(kUsedUp), .message = error.detail, .code = std::string(kUsedUp)});
  }
  return openai_error_body({.status = status, .message = error.detail, .code = std::string(code_of(error.code))});
}

}  // namespace penstock::ext
