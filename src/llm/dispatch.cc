#include "llm/dispatch.h"

#include <random>

#include "llm/target_health.h"
#include "rt/wait.h"

namespace penstock::llm {
namespace {

// 64 MiB: image and embedding answers; larger whole answers are refused.
constexpr std::size_t kAnswerBytesMax = 64U << 20;
// An error page is read up to here; the rest says nothing new.
constexpr std::size_t kErrorBytesMax = 256 * 1024;

std::uint64_t random_number() {
  thread_local std::minstd_rand seed_source{std::random_device{}()};
  thread_local std::mt19937_64 generator{seed_source()};
  return generator();
}

// First retry after 50 to 100 ms, doubling: enough for a hiccup, short for somebody who waits.
base::Duration backoff(int attempt) {
  auto base_millis = std::int64_t{50} << std::min(attempt, 5);
  auto jitter = static_cast<std::int64_t>(random_number() % static_cast<std::uint64_t>(base_millis));
  return std::chrono::milliseconds(base_millis + jitter);
}

obs::ErrorType type_of_status(int status) {
  if (status == 429) return obs::ErrorType::provider_429;
  return status >= 500 ? obs::ErrorType::provider_5xx : obs::ErrorType::provider_4xx;
}

obs::ErrorType type_of_transport(Errc code) {
  switch (code) {
    case Errc::deadline_exceeded: return obs::ErrorType::provider_timeout;
    case Errc::out_of_range:
    case Errc::protocol_error: return obs::ErrorType::provider_malformed;
    case Errc::data_loss: return obs::ErrorType::provider_cut;
    case Errc::cancelled: return obs::ErrorType::caller_cancelled;
    default: return obs::ErrorType::provider_connect;
  }
}

Failure target_failure(const Target& target, obs::ErrorType type, Errc code, std::string_view what) {
  std::string name(target.label.view());
  return Failure({code, fmt::format("the provider '{}' {}", name, what), name}, type);
}

Failure transport_failure(const Target& target, const Error& error) {
  // An upstream that cannot be reached is a bad gateway to our caller, not a reason to think we are overloaded.
  // Neither is an answer of theirs that is too large a request of our caller's that is.
  // A pool of ours that is full is ours.
  if (error.code == Errc::backpressure)
    return target_failure(target, obs::ErrorType::penstock_overload, error.code, "cannot be called: " + error.detail);
  bool theirs = error.code != Errc::deadline_exceeded && error.code != Errc::cancelled && error.code != Errc::data_loss;
  Errc code = theirs ? Errc::protocol_error : error.code;
  return target_failure(target, type_of_transport(error.code), code, "failed: " + error.detail);
}

// `failure` is null after an answer.
void note_health(const Target& target, const Failure* failure, base::SteadyTime now) {
  const http::Origin& origin = *target.provider->origin();
  if (failure == nullptr) {
    note_outcome(origin, Outcome::good, now);
  } else {
    note_outcome(origin, outcome_of(failure->type, failure->upstream_status), now, failure->error.detail);
  }
}

// A stream ended before its end.
void note_broken(const Target& target, const Error& error, base::SteadyTime now) {
  note_outcome(*target.provider->origin(), outcome_of(type_of_transport(error.code), 0), now, error.detail);
}

class Waiting {
 public:
  explicit Waiting(flow::Call& call) : call_(call), since_(std::chrono::steady_clock::now()) {}
  ~Waiting() { call_.upstream_wait += std::chrono::steady_clock::now() - since_; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  flow::Call& call_;
  base::SteadyTime since_;
};

bool is_event_stream(std::string_view content_type) {
  constexpr std::string_view kType = "text/event-stream";
  return content_type.size() >= kType.size() && wire::equal_ignoring_case(content_type.substr(0, kType.size()), kType);
}

}  // namespace

Result<std::optional<wire::SseEvent>> Answer::read_event() {
  while (true) {
    if (auto event = splitter_.next()) return event;
    if (done_) return std::nullopt;
    auto piece = call_.read_now();
    if (!piece) return std::nullopt;
    if (!*piece) return std::unexpected(piece->error());
    if ((*piece)->empty()) {
      // A proper end of the message is a proper end of the stream, whether or not this provider sends an end mark.
      done_ = true;
      if (auto last = splitter_.last()) return last;
      if (splitter_.rest().find_first_not_of("\r\n") == std::string_view::npos) return std::nullopt;
      return fail(Errc::data_loss, "the stream ended within an event");
    }
    if (!splitter_.feed(**piece)) return fail(Errc::protocol_error, "the provider sent an event larger than 8 MiB");
  }
}

Result<std::optional<wire::SseEvent>> Answer::next_event() {
  if (held_) return std::exchange(held_, std::nullopt);
  while (true) {
    auto event = read_event();
    if (!event) note_broken(target_, event.error(), context_.exchange.loop().now());
    if (!event || !event->has_value()) return event;
    EventVerdict verdict = target_.provider->read_event(request_, **event, usage_);
    done_ = done_ || verdict.last;
    failed_ = failed_ || verdict.error;
    if (verdict.forward) return event;
  }
}

rt::Task<Result<void>> Answer::wait() {
  Waiting waiting(context_);
  auto ready = co_await call_.wait();
  if (!ready && accepted_) note_broken(target_, ready.error(), context_.exchange.loop().now());
  co_return ready;
}

rt::Task<void> Answer::settle() {
  // Mostly the end came along with the last event.
  while (auto piece = call_.read_now()) {
    if (!*piece || (*piece)->empty()) co_return;
  }
  rt::Timer limit(context_.exchange.loop());
  limit.arm_in(std::chrono::seconds(1), [this] { call_.cancel(); });
  while (true) {
    auto piece = co_await call_.read();
    if (!piece || piece->empty()) co_return;
  }
}

Dispatch::Dispatch(http::ClientPool& pool, flow::Call& call, std::shared_ptr<const Route> route, const Request& request)
    : pool_(pool),
      call_(call),
      route_(std::move(route)),
      request_(request),
      deadline_(pool.loop().now() + route_->timeouts.total) {}

void Dispatch::cancel() {
  cancellation_.cancel();
  if (running_ != nullptr) running_->cancel();
}

// A target that is busy (429) or does not want us (4xx) will not change its mind at once.
bool Dispatch::worth_same_target(const Failure& failure) const {
  if (failure.upstream_status == 429 && route_->targets.size() + route_->fallback.size() > 1) return false;
  const RetryPolicy& retry = route_->retry;
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

// Another target may well answer what this one did not, unless the request itself is at fault.
bool Dispatch::worth_next_target(const Failure& failure) const {
  if (failure.type == obs::ErrorType::caller_bad_request || failure.type == obs::ErrorType::caller_cancelled)
    return false;
  return failure.upstream_status != 400 && failure.upstream_status != 413 && failure.upstream_status != 422;
}

rt::Task<void> Dispatch::pause(base::Duration delay) {
  rt::Wait wait(pool_.loop(), std::min(deadline_, std::chrono::steady_clock::now() + delay), &cancellation_);
  Waiting waiting(call_);
  (void)co_await wait;
}

rt::Task<std::expected<std::unique_ptr<Answer>, Failure>> Dispatch::run() {
  std::vector<const Target*> order = order_of_attempts(*route_, pool_.loop().now(), random_number);
  std::optional<Failure> last;
  for (const Target* target : order) {
    for (int i = 0; i < route_->retry.attempts; ++i) {
      if (pool_.loop().now() >= deadline_) break;
      if (i > 0) co_await pause(backoff(i - 1));
      if (call_.exchange.client_gone() || pool_.loop().now() >= deadline_) break;
      ++call_.event.attempts;
      call_.event.target = target->label;
      auto answer = co_await attempt(*target);
      running_ = nullptr;
      note_health(*target, answer ? nullptr : &answer.error(), pool_.loop().now());
      if (answer) {
        (*answer)->accepted_ = true;
        co_return answer;
      }
      last = std::move(answer.error());
      if (!worth_same_target(*last)) break;
    }
    if (last && !worth_next_target(*last)) break;
  }
  if (call_.exchange.client_gone()) last = transport_failure(*order.front(), {Errc::cancelled, "the client left"});
  if (!last) last.emplace(Error{Errc::unavailable, "no target is configured"});
  co_return std::unexpected(std::move(*last));
}

rt::Task<std::expected<std::unique_ptr<Answer>, Failure>> Dispatch::attempt(const Target& target) {
  auto encoded = target.provider->encode(request_, target.model, call_.event.id.view());
  if (!encoded) co_return std::unexpected(Failure(encoded.error(), obs::ErrorType::caller_bad_request));
  auto answer = std::make_unique<Answer>(pool_, target, request_, call_, route_->timeouts, deadline_);
  running_ = answer.get();
  Result<void> sent;
  {
    Waiting waiting(call_);
    sent = co_await answer->call_.send(*encoded->head, encoded->body);
  }
  if (!sent) co_return std::unexpected(transport_failure(target, sent.error()));
  if (answer->call_.status() == 200 && request_.stream && is_event_stream(answer->content_type())) {
    auto accepted = co_await accept_stream(*answer);
    if (!accepted) co_return std::unexpected(std::move(accepted.error()));
    co_return answer;
  }
  std::size_t bytes_max = answer->call_.status() == 200 ? kAnswerBytesMax : kErrorBytesMax;
  Result<std::string_view> body;
  {
    Waiting waiting(call_);
    body = co_await answer->call_.read_all(bytes_max);
  }
  if (!body) co_return std::unexpected(transport_failure(target, body.error()));
  auto accepted = accept_whole(*answer, *body);
  if (!accepted) co_return std::unexpected(std::move(accepted.error()));
  co_return answer;
}

// Reads up to the first event, which shows that there is an answer.
rt::Task<std::expected<void, Failure>> Dispatch::accept_stream(Answer& answer) {
  const Target& target = answer.target_;
  answer.streaming_ = true;
  while (true) {
    auto first = answer.read_event();
    if (!first) co_return std::unexpected(transport_failure(target, first.error()));
    if (!first->has_value()) {
      if (answer.done_) co_return std::expected<void, Failure>{};
      auto waited = co_await answer.wait();
      if (!waited) co_return std::unexpected(transport_failure(target, waited.error()));
      continue;
    }
    EventVerdict verdict = target.provider->read_event(request_, **first, answer.usage_);
    if (verdict.error) {
      auto what = fmt::format("reported an error instead of an answer: {}", (*first)->data.substr(0, 300));
      co_return std::unexpected(target_failure(target, obs::ErrorType::provider_5xx, Errc::protocol_error, what));
    }
    answer.done_ = verdict.last;
    // Comments and the like are no answer yet: as long as nothing came the next target may still be asked.
    if (!verdict.forward || ((*first)->data.empty() && !verdict.last)) continue;
    answer.held_ = *first;
    co_return std::expected<void, Failure>{};
  }
}

std::expected<void, Failure> Dispatch::accept_whole(Answer& answer, std::string_view body) {
  const Target& target = answer.target_;
  int status = answer.call_.status();
  if (status < 200 || status > 299) {
    Failure failure =
        target_failure(target, type_of_status(status), Errc::protocol_error, fmt::format("answered {}", status));
    failure.upstream_status = status;
    failure.upstream_content_type = answer.content_type();
    failure.retry_after = answer.call_.fields().get(wire::FieldId::retry_after);
    failure.upstream_body = body;
    return std::unexpected(std::move(failure));
  }
  auto usage = target.provider->read_answer(request_.operation, body);
  if (!usage) {
    auto what = "sent an answer that is not JSON: " + usage.error().detail;
    return std::unexpected(target_failure(target, obs::ErrorType::provider_malformed, Errc::protocol_error, what));
  }
  answer.body_ = body;
  answer.usage_ = *usage;
  return {};
}

}  // namespace penstock::llm
