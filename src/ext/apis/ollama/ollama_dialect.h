// Errors as Ollama's API writes them: {"error":"words"}.
#pragma once

#include "flow/dialect.h"

namespace penstock::ext {

class OllamaDialect : public flow::Dialect {
 public:
  std::string error_body(int status, const Error& error) const override;
};

}  // namespace penstock::ext
