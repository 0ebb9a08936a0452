#include "llm/dispatch.h"

#include "rt/await.h"
#include "rt/wait.h"

namespace penstock::llm {
namespace {

// 64 MiB: image and embedding answers; larger whole answers are refused.
constexpr std::size_t kAnswerBytesMax = 64U << 20;

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
      // A proper end of the message is a proper end of the stream, whether or not this provider sends an end mark. But
      // a connection that closes looks the same after the last event and after any other.
      if (call_.ends_with_connection())
        return fail(Errc::data_loss, "the connection was closed without an end mark of the stream");
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
    if (!event) tell_broken(event.error());
    if (event && !event->has_value() && done_)
      tell_health(failed_ ? Outcome::bad : Outcome::good, "it reported an error within a stream");
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
  if (!ready && accepted_) tell_broken(ready.error());
  co_return ready;
}

void Answer::tell_broken(const Error& error) {
  tell_health(outcome_of(type_of_transport(error.code), 0), error.detail);
}

// Once per stream that was won, at its end: whoever only ever begins answers is not well.
void Answer::tell_health(Outcome outcome, std::string_view why) {
  if (std::exchange(told_, true)) return;
  note_outcome(*target_.provider->origin(), outcome, context_.exchange.loop().now(), why);
  trial_ = http::OriginHealth::Trial();
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

rt::Task<void> Dispatch::pause(base::Duration delay) {
  rt::Wait wait(pool_.loop(), std::min(deadline_, std::chrono::steady_clock::now() + delay), &cancellation_);
  Waiting waiting(call_);
  (void)co_await wait;
}

rt::Task<std::expected<std::unique_ptr<Answer>, Failure>> Dispatch::run() {
  Attempts attempts(*route_, pool_.loop().now());
  http::OriginHealth::Trial trial;
  std::optional<Failure> last;
  while (const Target* target = attempts.next(pool_.loop().now(), trial)) {
    for (int i = 0; i < route_->retry.attempts; ++i) {
      if (pool_.loop().now() >= deadline_) break;
      if (i > 0) co_await pause(backoff(i - 1));
      if (call_.exchange.client_gone() || pool_.loop().now() >= deadline_) break;
      ++call_.event.attempts;
      call_.event.target = target->label;
      auto answer = co_await attempt(*target);
      running_ = nullptr;
      if (answer) {
        (*answer)->accepted_ = true;
        (*answer)->trial_ = std::move(trial);
        if (!(*answer)->streaming()) (*answer)->tell_health(Outcome::good);
        co_return answer;
      }
      note_health(*target, &answer.error(), pool_.loop().now());
      last = std::move(answer.error());
      if (!worth_same_target(*route_, *last)) break;
    }
    if (last && !worth_next_target(*last)) break;
  }
  if (call_.exchange.client_gone())
    last.emplace(Error{Errc::cancelled, "the client left"}, obs::ErrorType::caller_cancelled);
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
  bool success = answer->call_.status() >= 200 && answer->call_.status() <= 299;
  std::size_t bytes_max = success ? kAnswerBytesMax : kErrorBytesMax;
  Result<std::string_view> body;
  {
    Waiting waiting(call_);
    body = co_await answer->call_.read_all(bytes_max);
  }
  // An error page that is too long explains nothing; its status does.
  if (!body && !success && body.error().code == Errc::out_of_range) body = std::string_view();
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
      if (answer.done_) {
        constexpr std::string_view kWhat = "promised a stream and ended it before the first event";
        co_return std::unexpected(
            target_failure(target, obs::ErrorType::provider_malformed, Errc::protocol_error, kWhat));
      }
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
    return std::unexpected(status_failure(target, status, answer.call_.fields(), std::string(body)));
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
