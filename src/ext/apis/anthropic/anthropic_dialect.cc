#include "ext/apis/anthropic/anthropic_dialect.h"

#include "ext/apis/anthropic/answer_writer.h"

namespace penstock::ext::anthropic {

int AnthropicDialect::status(const Error& error) const {
  constexpr int kOverloaded = 529;
  int status = flow::http_status(error.code);
  return status == 503 ? kOverloaded : status;
}

std::string AnthropicDialect::error_body(int status, const Error& error) const {
  return write_error_body(error_type_of(status), error.detail);
}

std::string AnthropicDialect::stream_error(int status, const Error& error) const {
  return "event: error\ndata: " + error_body(status, error) + "\n\n";
}

}  // namespace penstock::ext::anthropic
