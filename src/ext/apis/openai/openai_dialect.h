// Errors as OpenAI's API writes them: {"error":{"message","type","param","code"}}, all four keys always there.
#pragma once

#include "flow/dialect.h"

namespace penstock::ext {

class OpenAiDialect : public flow::Dialect {
 public:
  std::string error_body(int status, const Error& error, std::string_view id) const override;
};

}  // namespace penstock::ext
