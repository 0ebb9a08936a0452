// Errors as Google's APIs write them: {"error":{"code","message","status"}}.
#pragma once

#include "flow/dialect.h"

namespace penstock::ext {

class GeminiDialect : public flow::Dialect {
 public:
  std::string error_body(int status, const Error& error, std::string_view id) const override;
};

}  // namespace penstock::ext
