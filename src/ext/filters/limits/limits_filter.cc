#include "ext/filters/limits/limits_filter.h"

#include "base/quantity.h"

namespace penstock::ext {
namespace {

base::Duration whole_millis(base::Duration d) { return std::chrono::ceil<std::chrono::milliseconds>(d); }

std::unexpected<Error> refusal(flow::Call& call, std::string_view what, std::int64_t limit,
                               base::Duration retry_after) {
  call.retry_after = retry_after;
  return fail(Errc::resource_exhausted,
              fmt::format("the API key '{}' is over its limit of {} {} per minute; retry in {}", call.key->name.view(),
                          limit, what, base::format_duration(whole_millis(retry_after))));
}

}  // namespace

rt::Task<Result<void>> LimitsFilter::on_request(flow::Call& call) { return rt::Task<Result<void>>::ready(take(call)); }

Result<void> LimitsFilter::take(flow::Call& call) {
  if (!call.key) return {};
  const flow::Key& key = *call.key;
  base::SteadyTime now = call.exchange.loop().now();
  if (key.tpm > 0) {
    auto tokens = key.state->tokens.take(now, std::max<std::int64_t>(1, call.ask.tokens), key.tpm);
    call.token_limit = flow::ShownLimit{key.tpm, tokens.remaining, tokens.full_after};
    if (!tokens.granted) return refusal(call, "tokens", key.tpm, tokens.retry_after);
    call.charged_tokens = std::min(std::max<std::int64_t>(1, call.ask.tokens), key.tpm);
  }
  if (key.rpm > 0) {
    auto requests = key.state->requests.take(now, 1, key.rpm);
    call.request_limit = flow::ShownLimit{key.rpm, requests.remaining, requests.full_after};
    if (!requests.granted) return refusal(call, "requests", key.rpm, requests.retry_after);
  }
  return {};
}

Result<void> LimitsFilter::on_usage(flow::Call& call) {
  if (!call.key || call.key->tpm == 0) return {};
  const flow::Key& key = *call.key;
  base::SteadyTime now = call.exchange.loop().now();
  std::int64_t used = call.event.input_tokens + call.event.output_tokens;
  if (used > call.charged_tokens) {
    key.state->tokens.adjust(now, used - call.charged_tokens, key.tpm);
    call.charged_tokens = used;
  }
  auto left = key.state->tokens.take(now, 0, key.tpm);
  if (left.remaining > 0) return {};
  base::Duration wait = std::max<base::Duration>(left.full_after - std::chrono::minutes(1), std::chrono::seconds(1));
  return refusal(call, "tokens", key.tpm, wait);
}

void LimitsFilter::on_settle(flow::Call& call) {
  if (!call.key || call.charged_tokens == 0) return;
  std::int64_t used = call.event.usage_known ? call.event.input_tokens + call.event.output_tokens : 0;
  // An answer without reported usage keeps its reservation: it did cost something.
  if (!call.event.usage_known && call.event.status > 0 && call.event.status < 400) used = call.charged_tokens;
  call.key->state->tokens.adjust(call.exchange.loop().now(), used - call.charged_tokens, call.key->tpm);
}

}  // namespace penstock::ext
