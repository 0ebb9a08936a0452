// Errors as Anthropic's clients expect them: {"type": "error", "error": {"type", "message"}, "request_id"}.
#pragma once

#include "flow/dialect.h"

namespace penstock::ext::anthropic {

class AnthropicDialect : public flow::Dialect {
 public:
  // An overloaded gateway says 529, as Anthropic does.
  int status(const Error& error) const override;
  std::string error_body(int status, const Error& error, std::string_view id) const override;
  std::string stream_error(int status, const Error& error, std::string_view id) const override;
  // request-id, as Anthropic's clients look for it.
  void add_fields(const flow::Call& call, http::ResponseHead& head) const override;
  // anthropic-ratelimit-requests-limit and its like; when they are reset is a point in time (RFC 3339).
  void add_limits(const flow::Call& call, http::ResponseHead& head) const override;
};

}  // namespace penstock::ext::anthropic
