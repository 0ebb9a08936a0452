// Errors as Ollama's API writes them: {"error":"words"}, within a stream as a line of it.
#pragma once

#include "flow/dialect.h"

namespace penstock::ext {

class OllamaDialect : public flow::Dialect {
 public:
  std::string error_body(int status, const Error& error, std::string_view id) const override;
  std::string stream_error(int status, const Error& error, std::string_view id) const override {
    return error_body(status, error, id) + "\n";
  }
};

}  // namespace penstock::ext
