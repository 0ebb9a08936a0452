// Errors as Ollama's API writes them: {"error":"words"}, within a stream as a line of it.
#pragma once

#include "flow/dialect.h"

namespace penstock::ext {

class OllamaDialect : public flow::Dialect {
 public:
  std::string error_body(int status, const Error& error) const override;
  std::string stream_error(int status, const Error& error) const override { return error_body(status, error) + "\n"; }
};

}  // namespace penstock::ext
