#include "ext/apis/ollama/ollama_dialect.h"

#include "ext/apis/ollama/answer_writer.h"

namespace penstock::ext {

std::string OllamaDialect::error_body(int, const Error& error, std::string_view) const {
  return write_ollama_error(error.detail);
}

}  // namespace penstock::ext
