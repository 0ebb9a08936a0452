#include "ext/apis/openai/report.h"

namespace penstock::ext {

rt::Task<void> report(flow::Call& call, llm::Failure failure) {
  // A provider's own error explains itself in this very dialect: it goes through as it is. But when the provider does
  // not know the gateway's key, that is no news about the caller's, and the answer may quote the key.
  bool our_key = failure.upstream_status == 401 || failure.upstream_status == 403;
  bool own_words = failure.upstream_status >= 400 && !our_key && !failure.upstream_body.empty() &&
                   failure.upstream_content_type.find("json") != std::string::npos;
  if (!own_words) {
    Error error = std::move(failure.error);
    if (failure.upstream_status == 429) error.code = Errc::resource_exhausted;
    if (our_key) {
      error.detail += ": the gateway's own key for it is wrong or may not do this";
    }
    if (failure.retry_after) call.retry_after = *failure.retry_after;
    co_await flow::refuse(call, std::move(error), failure.type);
    co_return;
  }
  call.event.status = static_cast<std::uint16_t>(failure.upstream_status);
  call.event.error_type = failure.type;
  call.event.error.assign(failure.error.detail);
  http::ResponseHead head(failure.upstream_status);
  head.add("content-type", failure.upstream_content_type);
  if (failure.retry_after) head.add("retry-after", failure.retry_after->count());
  flow::add_common_fields(call, head);
  std::string body = std::move(failure.upstream_body);
  co_await call.exchange.respond(std::move(head), body);
}

}  // namespace penstock::ext
