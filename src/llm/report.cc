#include "llm/report.h"

namespace penstock::llm {
namespace {

// Anthropic's word for an overloaded service is a status that nobody else knows.
int client_status(int status, Family family) {
  if (family == Family::anthropic) return status == 503 ? 529 : status;
  return status == 529 ? 503 : status;
}

std::string written(const chat::ProviderError& error, const Request& request) {
  return request.codec != nullptr ? request.codec->write_error(error) : request.embeddings->write_error(error);
}

rt::Task<void> respond(flow::Call& call, Failure failure, int status, std::string content_type, std::string body) {
  call.event.status = static_cast<std::uint16_t>(status);
  call.event.error_type = failure.type;
  call.event.error.assign(failure.error.detail);
  http::ResponseHead head(status);
  head.add("content-type", content_type);
  if (failure.retry_after) head.add("retry-after", failure.retry_after->count());
  head.add_lines(failure.retry_lines);
  flow::add_common_fields(call, head);
  co_await call.exchange.respond(std::move(head), body);
}

// When the provider does not know the gateway's key, that is no news about the caller's, and the answer may quote the
// key.
bool our_key(const Failure& failure) { return failure.upstream_status == 401 || failure.upstream_status == 403; }

}  // namespace

rt::Task<void> report(flow::Call& call, Failure failure, Family client) {
  if (failure.upstream_status >= 400 && !our_key(failure) && failure.family == client &&
      !failure.upstream_body.empty() && failure.upstream_content_type.find("json") != std::string::npos) {
    int status = failure.upstream_status;
    std::string type = std::move(failure.upstream_content_type);
    std::string body = std::move(failure.upstream_body);
    co_await respond(call, std::move(failure), status, std::move(type), std::move(body));
    co_return;
  }
  Error error = std::move(failure.error);
  if (failure.upstream_status == 429) error.code = Errc::resource_exhausted;
  if (our_key(failure)) error.detail += ": the gateway's own key for it is wrong or may not do this";
  if (failure.retry_after) call.retry_after = *failure.retry_after;
  co_await flow::refuse(call, std::move(error), failure.type);
}

rt::Task<void> report_over_context(flow::Call& call, Error error, const Request& request) {
  chat::ProviderError said{.status = 400,
                           .type = "invalid_request_error",
                           .message = error.detail,
                           .param = {},
                           .code = "context_length_exceeded",
                           .request_id = std::string(call.event.id.view())};
  std::string body = written(said, request);
  return respond(call, Failure(std::move(error), obs::ErrorType::caller_too_large), said.status, "application/json",
                 std::move(body));
}

rt::Task<void> report(flow::Call& call, Failure failure, const Request& request) {
  bool can_say = request.codec != nullptr || request.embeddings != nullptr;
  bool said = failure.provider && !failure.provider->message.empty();
  if (!can_say || !said || failure.family == request.family || failure.upstream_status < 400 || our_key(failure))
    return report(call, std::move(failure), request.family);
  chat::ProviderError error = *failure.provider;
  error.status = client_status(failure.upstream_status, request.family);
  error.message = fmt::format("{}: {}", failure.error.detail, error.message);
  error.request_id = call.event.id.view();
  std::string body = written(error, request);
  return respond(call, std::move(failure), error.status, "application/json", std::move(body));
}

}  // namespace penstock::llm
