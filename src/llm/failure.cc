#include "llm/failure.h"

#include <charconv>
#include <ctime>
#include <random>

#include "llm/target_health.h"

namespace penstock::llm {
namespace {

obs::ErrorType type_of_status(int status) {
  if (status == 429) return obs::ErrorType::provider_429;
  return status >= 500 ? obs::ErrorType::provider_5xx : obs::ErrorType::provider_4xx;
}

// RFC 9110 section 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT". The obsolete forms are not read.
std::optional<std::int64_t> seconds_of_date(std::string_view text) {
  std::tm parts{};
  std::string copy(text);
  const char* end = ::strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return ::timegm(&parts);
}

}  // namespace

std::optional<std::chrono::seconds> read_retry_after(std::string_view text, base::WallMicros now) {
  constexpr std::int64_t kSecondsMax = std::int64_t{7} * 24 * 3600;
  std::int64_t seconds = 0;
  auto [end, defect] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (defect != std::errc{} || end != text.data() + text.size()) {
    auto date = seconds_of_date(text);
    if (!date) return std::nullopt;
    seconds = *date - now / 1'000'000;
  }
  if (seconds < 0 || seconds > kSecondsMax) return std::nullopt;
  return std::chrono::seconds(seconds);
}

obs::ErrorType type_of_transport(Errc code) {
  switch (code) {
    case Errc::deadline_exceeded: return obs::ErrorType::provider_timeout;
    case Errc::out_of_range:
    case Errc::protocol_error: return obs::ErrorType::provider_malformed;
    case Errc::data_loss: return obs::ErrorType::provider_cut;
    case Errc::cancelled: return obs::ErrorType::caller_cancelled;
    case Errc::backpressure: return obs::ErrorType::penstock_overload;
    default: return obs::ErrorType::provider_connect;
  }
}

Failure target_failure(const Target& target, obs::ErrorType type, Errc code, std::string_view what) {
  std::string name(target.label.view());
  return Failure({code, fmt::format("the provider '{}' {}", name, what), name}, type);
}

Failure malformed_answer(const Target& target, const Error& error) {
  return target_failure(target, obs::ErrorType::provider_malformed, Errc::protocol_error,
                        "sent an answer that is none: " + error.detail);
}

Failure transport_failure(const Target& target, const Error& error) {
  // An upstream that cannot be reached is a bad gateway to our caller, not a reason to think we are overloaded.
  // Neither is an answer of theirs that is too large a request of our caller's that is.
  // A pool of ours that is full, and descriptors that are used up, are ours.
  if (error.code == Errc::backpressure)
    return target_failure(target, obs::ErrorType::penstock_overload, error.code, "cannot be called: " + error.detail);
  bool theirs = error.code != Errc::deadline_exceeded && error.code != Errc::cancelled && error.code != Errc::data_loss;
  Errc code = theirs ? Errc::protocol_error : error.code;
  return target_failure(target, type_of_transport(error.code), code, "failed: " + error.detail);
}

namespace {

// What OpenAI's and Anthropic's clients go by beside retry-after; only when it is what it should be.
std::string retry_lines(const wire::Fields& fields) {
  std::string lines;
  std::string_view millis = fields.get("retry-after-ms");
  bool digits =
      !millis.empty() && millis.size() <= 9 && millis.find_first_not_of("0123456789.") == std::string_view::npos;
  if (digits) base::append(lines, "retry-after-ms: ", millis, "\r\n");
  std::string_view should = fields.get("x-should-retry");
  if (should == "true" || should == "false") base::append(lines, "x-should-retry: ", should, "\r\n");
  return lines;
}

}  // namespace

Failure status_failure(const Target& target, int status, const wire::Fields& fields, std::string body) {
  Failure failure =
      target_failure(target, type_of_status(status), Errc::protocol_error, fmt::format("answered {}", status));
  failure.upstream_status = status;
  failure.upstream_content_type = fields.get(wire::FieldId::content_type);
  failure.retry_after = read_retry_after(fields.get(wire::FieldId::retry_after), base::system_clock().wall());
  failure.family = target.provider->family();
  failure.provider = target.provider->read_error(status, body);
  failure.retry_lines = retry_lines(fields);
  failure.upstream_body = std::move(body);
  return failure;
}

void note_health(const Target& target, const Failure* failure, base::SteadyTime now) {
  const http::Origin& origin = *target.provider->origin();
  if (failure == nullptr) {
    note_outcome(origin, Outcome::good, now);
  } else {
    note_outcome(origin, outcome_of(failure->type, failure->upstream_status), now, failure->error.detail);
  }
}

void note_broken(const Target& target, const Error& error, base::SteadyTime now) {
  note_outcome(*target.provider->origin(), outcome_of(type_of_transport(error.code), 0), now, error.detail);
}

bool worth_same_target(const Route& route, const Failure& failure) {
  if (failure.upstream_status == 429 && route.targets.size() + route.fallback.size() > 1) return false;
  const RetryPolicy& retry = route.retry;
  if (failure.upstream_status != 0) return retry.retries(failure.upstream_status);
  switch (failure.type) {
    case obs::ErrorType::provider_timeout: return retry.on_timeout;
    case obs::ErrorType::provider_connect: return retry.on_connect;
    case obs::ErrorType::provider_malformed:
    case obs::ErrorType::provider_cut:
    case obs::ErrorType::provider_5xx: return retry.on_5xx;
    default: return false;
  }
}

bool worth_next_target(const Failure& failure) {
  if (failure.another_may) return true;
  if (failure.type == obs::ErrorType::caller_bad_request || failure.type == obs::ErrorType::caller_cancelled)
    return false;
  return failure.upstream_status != 400 && failure.upstream_status != 413 && failure.upstream_status != 422;
}

std::uint64_t random_number() {
  thread_local std::minstd_rand seed_source{std::random_device{}()};
  thread_local std::mt19937_64 generator{seed_source()};
  return generator();
}

base::Duration backoff(int attempt) {
  auto base_millis = std::int64_t{50} << std::min(attempt, 5);
  auto jitter = static_cast<std::int64_t>(random_number() % static_cast<std::uint64_t>(base_millis));
  return std::chrono::milliseconds(base_millis + jitter);
}

}  // namespace penstock::llm
