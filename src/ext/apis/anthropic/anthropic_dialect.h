// Errors as Anthropic's clients expect them: {"type": "error", "error": {"type", "message"}}.
#pragma once

#include "flow/dialect.h"

namespace penstock::ext::anthropic {

class AnthropicDialect : public flow::Dialect {
 public:
  // An overloaded gateway says 529, as Anthropic does.
  int status(const Error& error) const override;
  std::string error_body(int status, const Error& error) const override;
  std::string stream_error(int status, const Error& error) const override;
};

}  // namespace penstock::ext::anthropic
