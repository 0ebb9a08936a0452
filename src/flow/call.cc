#include "flow/call.h"

#include <random>

#include "flow/admission.h"
#include "flow/dialect.h"
#include "flow/filter.h"
#include "flow/permission.h"
#include "wire/websocket_handshake.h"

namespace penstock::flow {
namespace {

// OpenAI's format of a reset time: 1s, 6m0s, 250ms.
class ResetText {
 public:
  explicit ResetText(base::Duration reset) {
    auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(reset).count();
    auto seconds = (millis + 999) / 1000;
    if (millis < 1000) {
      base::append(text_, base::Digits(millis), "ms");
    } else if (seconds < 60) {
      base::append(text_, base::Digits(seconds), "s");
    } else {
      base::append(text_, base::Digits(seconds / 60), "m", base::Digits(seconds % 60), "s");
    }
  }
  operator std::string_view() const { return text_; }  // NOLINT(google-explicit-constructor): it is text

 private:
  std::string text_;  // short enough to need no memory of its own
};

}  // namespace

int http_status(Errc code) {
  switch (code) {
    case Errc::cancelled: return 499;
    case Errc::invalid_argument: return 400;
    case Errc::deadline_exceeded: return 504;
    case Errc::not_found: return 404;
    case Errc::already_exists: return 409;
    case Errc::permission_denied: return 403;
    case Errc::unauthenticated: return 401;
    case Errc::resource_exhausted: return 429;
    case Errc::failed_precondition: return 409;
    case Errc::out_of_range: return 413;
    case Errc::unimplemented: return 501;
    case Errc::internal: return 500;
    case Errc::unavailable: return 503;
    case Errc::data_loss: return 502;
    case Errc::backpressure: return 503;
    case Errc::protocol_error: return 502;
  }
  return 500;
}

obs::ErrorType error_type_of(Errc code) {
  using obs::ErrorType;
  switch (code) {
    case Errc::cancelled: return ErrorType::caller_cancelled;
    case Errc::invalid_argument: return ErrorType::caller_bad_request;
    case Errc::deadline_exceeded: return ErrorType::caller_timeout;
    case Errc::not_found: return ErrorType::caller_not_found;
    case Errc::already_exists: return ErrorType::caller_bad_request;
    case Errc::permission_denied: return ErrorType::caller_forbidden;
    case Errc::unauthenticated: return ErrorType::caller_auth;
    case Errc::resource_exhausted: return ErrorType::policy_limit;
    case Errc::failed_precondition: return ErrorType::caller_bad_request;
    case Errc::out_of_range: return ErrorType::caller_too_large;
    case Errc::unimplemented: return ErrorType::caller_bad_request;
    case Errc::internal: return ErrorType::penstock_internal;
    case Errc::unavailable: return ErrorType::penstock_overload;
    case Errc::data_loss: return ErrorType::penstock_internal;
    case Errc::backpressure: return ErrorType::penstock_overload;
    case Errc::protocol_error: return ErrorType::penstock_internal;
  }
  return ErrorType::other;
}

namespace {

// Callers that were refused together come back apart: one to three seconds.
base::Duration jittered_retry() {
  thread_local std::minstd_rand random(std::random_device{}());
  return std::chrono::milliseconds(1000 + random() % 2000);
}

Result<void> refuse_unknown(Call& call, Result<void> passed) {
  if (!call.wrong_key || call.admission == nullptr) return passed;
  call.retry_after = call.admission->too_many_wrong_keys(call.exchange.loop(), net::client_of(call.client()));
  if (!call.retry_after) return passed;
  return fail(Errc::resource_exhausted,
              "this address sent too many wrong API keys: check the key, then try again after the time in retry-after");
}

Result<void> take(Call& call) {
  if (call.admission == nullptr) return {};
  Priority priority = call.key ? call.key->profile().priority : Priority::normal;
  call.admission->enter(call.exchange.loop());
  auto reason = call.admission->refuses(call.exchange.loop(), priority, call.exchange.peer().spare);
  call.in_flight = !reason;
  if (!reason) return {};
  call.admission->leave(call.exchange.loop());
  call.retry_after = jittered_retry();
  return fail(
      Errc::unavailable,
      fmt::format("the gateway is overloaded ({}) and did not take this request; nothing was done, so it can be "
                  "sent again after the time in retry-after",
                  to_string(*reason)));
}

void name_caller(Call& call) {
  call.event.key = call.key->name();
  call.event.team = call.key->profile().team;
}

}  // namespace

Result<void> identify(Call& call) {
  for (const auto& filter : call.policy->filters()) {
    if (auto passed = filter->on_head(call); !passed) return refuse_unknown(call, std::move(passed));
  }
  if (call.key) name_caller(call);
  return take(call);
}

namespace {

// From the filter that makes the call wait on.
rt::Task<Result<void>> admit_after(Call& call, std::size_t next, rt::Task<Result<void>> waiting) {
  auto passed = co_await waiting;
  while (passed && next < call.policy->filters().size()) {
    auto asking = call.policy->filters()[next++]->on_request(call);
    passed = co_await asking;
  }
  co_return passed;
}

}  // namespace

rt::Task<Result<void>> admit(Call& call) {
  call.event.asked.assign(call.model);
  for (std::size_t i = 0; i < call.policy->filters().size(); ++i) {
    auto asking = call.policy->filters()[i]->on_request(call);
    if (!asking.await_ready()) return admit_after(call, i + 1, std::move(asking));
    if (auto passed = asking.await_resume(); !passed) return rt::Task<Result<void>>::ready(std::move(passed));
  }
  return rt::Task<Result<void>>::ready();
}

Result<void> reaffirm(Call& call) {
  const base::WallMicros now = base::system_clock().wall();
  const bool another_policy = call.in_force != nullptr && call.policy != *call.in_force;
  if (!another_policy && !call.key) return {};
  // Its key may have changed without the policy, and time goes on.
  if (!another_policy) {
    if (auto fine = check_state(*call.key, call.team, now); !fine) return fine;
  }
  if (another_policy) call.policy = *call.in_force;
  call.key = nullptr;
  call.team = nullptr;
  // Asked who it is once more, as of now: a secret may have been taken back, or be over, while its key has others.
  const base::WallMicros began = std::exchange(call.event.at, now);
  Result<void> known;
  for (const auto& filter : call.policy->filters()) {
    if (known) known = filter->on_head(call);
  }
  call.event.at = began;
  if (!known) return known;
  // Where nobody needs a key either: whoever was known does not go on as nobody.
  if (!call.key && !another_policy)
    return fail(Errc::unauthenticated, "the API key of this connection was revoked: connect again with another one");
  if (!call.key) return {};
  name_caller(call);
  return check_request(call);
}

Result<void> charge(Call& call) {
  for (const auto& filter : call.policy->filters()) {
    if (auto passed = filter->on_usage(call); !passed) return passed;
  }
  return {};
}

void add_common_fields(const Call& call, http::ResponseHead& head) {
  auto elapsed = std::chrono::steady_clock::now() - call.exchange.started();
  auto overhead = std::chrono::duration_cast<std::chrono::microseconds>(elapsed - call.upstream_wait).count();
  if (call.event.target.size > 0) head.add_lines("x-penstock-target: ", call.event.target.view(), "\r\n");
  head.add_lines("x-request-id: ", call.event.id.view(),
                 "\r\nx-penstock-attempts: ", base::Digits(static_cast<int>(call.event.attempts)),
                 "\r\nx-penstock-overhead-us: ", base::Digits(overhead), "\r\nx-penstock-cache: off\r\n");
  if (!call.dropped.empty()) head.add_lines("x-penstock-dropped: ", call.dropped, "\r\n");
  call.dialect.add_fields(call, head);
  if (call.request_limit || call.token_limit) call.dialect.add_limits(call, head);
}

void Dialect::add_limits(const Call& call, http::ResponseHead& head) const {
  if (const auto& limit = call.request_limit) {
    head.add_lines("x-ratelimit-limit-requests: ", base::Digits(limit->limit),
                   "\r\nx-ratelimit-remaining-requests: ", base::Digits(limit->remaining),
                   "\r\nx-ratelimit-reset-requests: ", ResetText(limit->reset), "\r\n");
  }
  if (const auto& limit = call.token_limit) {
    head.add_lines("x-ratelimit-limit-tokens: ", base::Digits(limit->limit),
                   "\r\nx-ratelimit-remaining-tokens: ", base::Digits(limit->remaining),
                   "\r\nx-ratelimit-reset-tokens: ", ResetText(limit->reset), "\r\n");
  }
}

namespace {

rt::Task<std::optional<std::string_view>> refuse_body(Call& call, Error error, int status) {
  co_await refuse(call, std::move(error), obs::ErrorType::none, status);
  co_return std::nullopt;
}

rt::Task<std::optional<std::string_view>> await_body(Call& call, rt::Task<Result<std::string_view>> reading) {
  auto body = co_await reading;
  if (body) {
    call.event.bytes_in = body->size();
    co_return *body;
  }
  if (call.exchange.client_gone()) co_return std::nullopt;
  // These are HTTP's own statuses, whatever the dialect makes of the codes elsewhere.
  Errc code = body.error().code;
  int status = code == Errc::out_of_range        ? 413
               : code == Errc::deadline_exceeded ? 408
               : code == Errc::unimplemented     ? 415
                                                 : 0;
  auto refused = co_await refuse_body(call, body.error(), status);
  co_return refused;
}

}  // namespace

rt::Task<std::optional<std::string_view>> identify_and_read(Call& call, std::uint64_t bytes_max) {
  if (auto known = identify(call); !known) return refuse_body(call, known.error(), 0);
  auto reading = call.exchange.read_body(bytes_max);
  if (!reading.await_ready()) return await_body(call, std::move(reading));
  auto body = reading.await_resume();
  if (!body) return await_body(call, rt::Task<Result<std::string_view>>::ready(std::move(body)));
  // Mostly the body came along with the head.
  call.event.bytes_in = body->size();
  return rt::Task<std::optional<std::string_view>>::ready(*body);
}

rt::Task<void> refuse(Call& call, Error error, obs::ErrorType type, int status) {
  if (status == 0) status = call.dialect.status(error);
  call.event.status = static_cast<std::uint16_t>(status);
  if (type == obs::ErrorType::none)
    type = error.source == kBudgetSource ? obs::ErrorType::policy_budget : error_type_of(error.code);
  call.event.error_type = type;
  call.event.error.assign(error.detail);
  http::ResponseHead head(status);
  head.add("content-type", "application/json");
  if (call.retry_after) {
    auto millis = std::chrono::ceil<std::chrono::milliseconds>(*call.retry_after).count();
    head.add("retry-after", std::max<std::int64_t>(1, (millis + 999) / 1000))
        .add("retry-after-ms", std::max<std::int64_t>(1, millis));
  } else if (status == 503) {
    head.add("retry-after", 1);
  }
  if (status == 426) {  // RFC 9110 section 15.5.22, RFC 6455 section 4.4
    head.add("sec-websocket-version", wire::kWebSocketVersion);
    if (call.exchange.can_upgrade()) head.add("upgrade", "websocket").add("connection", "Upgrade");
  }
  if (status == 415) head.add("accept-encoding", call.codings);  // RFC 9110 section 15.5.16
  add_common_fields(call, head);
  std::string body = call.dialect.error_body(status, error, call.event.id.view());
  co_await call.exchange.respond(std::move(head), body);
}

rt::Task<Result<void>> respond_json(Call& call, int status, std::string body) {
  call.event.status = static_cast<std::uint16_t>(status);
  http::ResponseHead head(status);
  head.add("content-type", "application/json");
  add_common_fields(call, head);
  auto sent = co_await call.exchange.respond(std::move(head), body);
  co_return sent;
}

}  // namespace penstock::flow
