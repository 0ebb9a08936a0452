#include "llm/dispatch.h"

#include "rt/await.h"

namespace penstock::llm {
namespace {

// 64 MiB: image and embedding answers; larger whole answers are refused.
constexpr std::size_t kAnswerBytesMax = 64U << 20;
bool is_event_stream(std::string_view content_type) {
  constexpr std::string_view kType = "text/event-stream";
  return content_type.size() >= kType.size() && wire::equal_ignoring_case(content_type.substr(0, kType.size()), kType);
}

}  // namespace

rt::Task<Result<std::optional<wire::SseEvent>>> Answer::read_event() {
  using Next = Result<std::optional<wire::SseEvent>>;
  while (true) {
    if (auto event = splitter_.next()) co_return Next(*event);
    if (done_) co_return Next(std::nullopt);
    Result<std::string_view> piece;
    {
      Waiting waiting(context_);
      piece = co_await call_->read();
    }
    if (!piece) co_return std::unexpected(piece.error());
    if (piece->empty()) {
      // A proper end of the message is a proper end of the stream, whether or not this provider sends an end mark.
      done_ = true;
      if (auto last = splitter_.last()) co_return Next(*last);
      if (splitter_.rest().find_first_not_of("\r\n") == std::string_view::npos) co_return Next(std::nullopt);
      co_return fail(Errc::data_loss, "the stream ended within an event");
    }
    if (!splitter_.feed(*piece)) co_return fail(Errc::protocol_error, "the provider sent an event larger than 8 MiB");
  }
}

rt::Task<Result<std::optional<wire::SseEvent>>> Answer::next_event() {
  if (held_) co_return std::exchange(held_, std::nullopt);
  while (true) {
    auto event = co_await read_event();
    if (!event || !event->has_value()) co_return event;
    EventVerdict verdict = target_.provider->read_event(request_, **event, usage_);
    done_ = done_ || verdict.last;
    failed_ = failed_ || verdict.error;
    if (verdict.forward) co_return event;
  }
}

rt::Task<void> Answer::settle() {
  rt::Timer limit(context_.exchange.loop());
  limit.arm_in(std::chrono::seconds(1), [this] { call_->cancel(); });
  while (true) {
    auto piece = co_await call_->read();
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
  if (running_ != nullptr) running_->cancel();
}

rt::Task<std::expected<std::unique_ptr<Answer>, Failure>> Dispatch::run() {
  std::vector<const Target*> order = order_of_attempts(*route_, random_number);
  Failure last({Errc::unavailable, "no target is configured"});
  for (const Target* target : order) {
    for (int i = 0; i < route_->retry.attempts; ++i) {
      if (pool_.loop().now() >= deadline_) break;
      if (i > 0) {
        rt::Sleep pause(pool_.loop(), backoff(i - 1));
        Waiting waiting(call_);
        co_await pause;
      }
      if (call_.exchange.client_gone()) break;
      ++call_.event.attempts;
      call_.event.target = target->label;
      auto answer = co_await attempt(*target);
      running_ = nullptr;
      if (answer) co_return answer;
      last = std::move(answer.error());
      if (!worth_same_target(*route_, last)) break;
    }
    if (!worth_next_target(last)) break;
  }
  if (call_.exchange.client_gone()) last = transport_failure(*order.front(), {Errc::cancelled, "the client left"});
  co_return std::unexpected(std::move(last));
}

rt::Task<std::expected<std::unique_ptr<Answer>, Failure>> Dispatch::attempt(const Target& target) {
  auto encoded = target.provider->encode(request_, target.model, call_.event.id.view());
  if (!encoded) co_return std::unexpected(Failure(encoded.error(), obs::ErrorType::caller_bad_request));
  auto upstream = std::make_unique<http::ClientCall>(pool_, target.provider->origin(), route_->timeouts, deadline_);
  running_ = upstream.get();
  Result<void> sent;
  {
    Waiting waiting(call_);
    sent = co_await upstream->send(encoded->head, encoded->body);
  }
  if (!sent) co_return std::unexpected(transport_failure(target, sent.error()));
  auto answer = std::make_unique<Answer>(std::move(upstream), target, request_, call_);
  auto accepted = co_await accept(*answer);
  if (!accepted) co_return std::unexpected(std::move(accepted.error()));
  co_return answer;
}

// Reads as much of the answer as it takes to be sure of it: all of a whole answer, the first event of a stream.
rt::Task<std::expected<void, Failure>> Dispatch::accept(Answer& answer) {
  const Target& target = answer.target_;
  http::ClientCall& upstream = *answer.call_;
  int status = upstream.status();
  if (status == 200 && request_.stream && is_event_stream(answer.content_type())) {
    answer.streaming_ = true;
    while (true) {
      auto first = co_await answer.read_event();
      if (!first) co_return std::unexpected(transport_failure(target, first.error()));
      if (!first->has_value()) break;
      EventVerdict verdict = target.provider->read_event(request_, **first, answer.usage_);
      if (verdict.error) {
        auto what = fmt::format("reported an error instead of an answer: {}", (*first)->data.substr(0, 300));
        co_return std::unexpected(target_failure(target, obs::ErrorType::provider_5xx, Errc::protocol_error, what));
      }
      answer.done_ = verdict.last;
      // Comments and the like are no answer yet: as long as nothing came the next target may still be asked.
      if (!verdict.forward || ((*first)->data.empty() && !verdict.last)) continue;
      answer.held_ = *first;
      break;
    }
    co_return std::expected<void, Failure>{};
  }
  Result<std::string> body;
  {
    Waiting waiting(call_);
    body = co_await upstream.read_all(status == 200 ? kAnswerBytesMax : kErrorBytesMax);
  }
  if (!body) co_return std::unexpected(transport_failure(target, body.error()));
  if (status < 200 || status > 299) {
    co_return std::unexpected(status_failure(target, status, upstream.fields(), std::move(*body)));
  }
  body->reserve(body->size() + json::kPadding);
  answer.body_ = std::move(*body);
  auto usage = target.provider->read_answer(request_.operation, answer.body_);
  if (!usage) {
    auto what = "sent an answer that is not JSON: " + usage.error().detail;
    co_return std::unexpected(target_failure(target, obs::ErrorType::provider_malformed, Errc::protocol_error, what));
  }
  answer.usage_ = *usage;
  co_return std::expected<void, Failure>{};
}

}  // namespace penstock::llm
