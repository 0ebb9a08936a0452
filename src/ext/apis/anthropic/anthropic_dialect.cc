#include "ext/apis/anthropic/anthropic_dialect.h"

#include "base/clock.h"
#include "ext/apis/anthropic/answer_writer.h"

namespace penstock::ext::anthropic {
namespace {

// The name of what is limited stands within the field names.
void add_limit(std::string_view name, const flow::ShownLimit& limit, base::WallMicros now, http::ResponseHead& head) {
  auto left = std::chrono::duration_cast<std::chrono::microseconds>(limit.reset).count();
  std::string_view prefix = "anthropic-ratelimit-";
  head.add_lines(prefix, name, "-limit: ", base::Digits(limit.limit), "\r\n");
  head.add_lines(prefix, name, "-remaining: ", base::Digits(limit.remaining), "\r\n");
  head.add_lines(prefix, name, "-reset: ", base::to_rfc3339(now + left), "\r\n");
}

}  // namespace

int AnthropicDialect::status(const Error& error) const {
  constexpr int kOverloaded = 529;
  int status = flow::http_status(error.code);
  return status == 503 ? kOverloaded : status;
}

std::string AnthropicDialect::error_body(int status, const Error& error, std::string_view id) const {
  return write_error_body(error_type_of(status), error.detail, id);
}

std::string AnthropicDialect::stream_error(int status, const Error& error, std::string_view id) const {
  return "event: error\ndata: " + error_body(status, error, id) + "\n\n";
}

void AnthropicDialect::add_fields(const flow::Call& call, http::ResponseHead& head) const {
  head.add_lines("request-id: ", call.event.id.view(), "\r\n");
}

void AnthropicDialect::add_limits(const flow::Call& call, http::ResponseHead& head) const {
  if (call.request_limit) add_limit("requests", *call.request_limit, call.event.at, head);
  if (call.token_limit) add_limit("tokens", *call.token_limit, call.event.at, head);
}

}  // namespace penstock::ext::anthropic
