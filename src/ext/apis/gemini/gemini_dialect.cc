#include "ext/apis/gemini/gemini_dialect.h"

#include "ext/apis/gemini/status_name.h"

namespace penstock::ext {

std::string GeminiDialect::error_body(int status, const Error& error, std::string_view) const {
  return error_json(status, error.detail);
}

}  // namespace penstock::ext
