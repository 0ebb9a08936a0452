#include "llm/dispatch.h"

#include "flow/dialect.h"
#include "llm/context_fit.h"
#include "llm/estimate.h"
#include "rt/await.h"
#include "rt/wait.h"

namespace penstock::llm {
namespace {

// 64 MiB: image and embedding answers; larger whole answers are refused.
constexpr std::size_t kAnswerBytesMax = 64U << 20;

bool is_stream(Framing framing, std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  if (framing == Framing::lines)
    return wire::equal_ignoring_case(type, "application/x-ndjson") ||
           wire::equal_ignoring_case(type, "application/json");
  return wire::equal_ignoring_case(type, "text/event-stream");
}

}  // namespace

std::optional<wire::SseEvent> Answer::next_piece() {
  if (target_.provider->framing() != Framing::lines) return splitter_.next();
  auto line = lines_.next();
  if (!line) return std::nullopt;
  return wire::SseEvent{*line, *line, {}};
}

std::optional<wire::SseEvent> Answer::last_piece() {
  if (target_.provider->framing() != Framing::lines) return splitter_.last();
  auto line = lines_.last();
  if (!line) return std::nullopt;
  return wire::SseEvent{*line, *line, {}};
}

Result<std::optional<wire::SseEvent>> Answer::read_event() {
  while (true) {
    if (marked_) return std::nullopt;
    if (auto event = next_piece()) return event;
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
      if (auto last = last_piece()) return last;
      if (splitter_.rest().find_first_not_of("\r\n") == std::string_view::npos) return std::nullopt;
      return fail(Errc::data_loss, "the stream ended within an event");
    }
    bool fits = target_.provider->framing() == Framing::lines ? lines_.feed(**piece) : splitter_.feed(**piece);
    if (!fits) return fail(Errc::protocol_error, "the provider sent an event larger than 8 MiB");
  }
}

// The event as the client's framing wants it.
std::string_view Answer::framed(const wire::SseEvent& event) {
  ++events_;
  event_bytes_ += event.data.size();
  if (request_.framing == Framing::events) return event.raw;
  given_.clear();
  if (request_.framing == Framing::array) {
    base::append(given_, events_ == 1 ? "[" : ",\r\n", event.data);
  } else {
    base::append(given_, event.data, "\n");
  }
  return given_;
}

Result<std::optional<std::string_view>> Answer::next() { return translation_ ? next_translated() : next_native(); }

Result<std::optional<std::string_view>> Answer::next_native() {
  if (opened_ < opening_.size()) {
    const Opening& event = opening_[opened_++];
    return framed({event.raw, event.data, {}});
  }
  if (held_) {
    std::string_view first = framed(*held_);
    held_.reset();
    return first;
  }
  while (true) {
    auto event = read_event();
    if (!event) tell_broken(event.error());
    if (event && !event->has_value() && done_)
      tell_health(failed_ ? Outcome::bad : Outcome::good, "it reported an error within a stream");
    if (!event) return std::unexpected(event.error());
    if (!event->has_value()) {
      if (!done_ || request_.framing != Framing::array || std::exchange(closed_, true)) return std::nullopt;
      return std::string_view("]");
    }
    bool counted = usage_.known;
    EventVerdict verdict = target_.provider->read_event(request_, **event, usage_);
    if (usage_.known && (!counted || verdict.last)) note_tier((*event)->data);
    marked_ = verdict.last;
    done_ = done_ || verdict.last;
    failed_ = failed_ || verdict.error;
    if (verdict.forward) return framed(**event);
  }
}

// Takes one piece of the upstream's stream; false when none is at hand.
Result<bool> Answer::translate_available() {
  auto piece = call_.read_now();
  if (!piece) return false;
  if (!*piece) return std::unexpected(piece->error());
  bool end = (*piece)->empty();
  auto read = end ? translation_->finish() : translation_->feed(**piece);
  usage_ = translation_->usage();
  failed_ = translation_->failure().has_value();
  done_ = end || translation_->ended() || failed_;
  if (!read) return std::unexpected(read.error());
  return true;
}

Result<std::optional<std::string_view>> Answer::next_translated() {
  given_.clear();
  while (true) {
    if (!translation_->output().empty()) {
      given_.swap(translation_->output());
      return given_;
    }
    if (done_) {
      tell_health(failed_ ? Outcome::bad : Outcome::good, "it reported an error within a stream");
      return std::nullopt;
    }
    auto taken = translate_available();
    if (!taken) {
      tell_broken(taken.error());
      return std::unexpected(taken.error());
    }
    if (!*taken) return std::nullopt;
  }
}

std::string_view Answer::content_type() const {
  if (streaming_ && translation_) return translation_->content_type();
  if (streaming_ && request_.framing == Framing::events) return "text/event-stream; charset=utf-8";
  if (streaming_)
    return request_.framing == Framing::lines ? "application/x-ndjson" : "application/json; charset=utf-8";
  if (!translated_body_.empty()) return "application/json";
  std::string_view type = call_.fields().get(wire::FieldId::content_type);
  return type.empty() ? "application/json" : type;
}

std::string Answer::break_off(const Error& error) {
  if (!translation_ && request_.framing == Framing::array)
    return (events_ == 0 ? "[" : ",\r\n") + context_.dialect.error_body(502, error, context_.event.id.view()) + "]";
  if (!translation_) return context_.dialect.stream_error(502, error, context_.event.id.view());
  translation_->break_off(
      {.status = 502, .type = "server_error", .message = error.detail, .param = {}, .code = "provider_error"});
  return std::move(translation_->output());
}

std::string_view Answer::keep_alive() const { return translation_ ? translation_->keep_alive() : request_.keep_alive; }

rt::Task<Result<void>> Answer::wait(base::SteadyTime quiet) {
  Waiting waiting(context_);
  auto ready = co_await call_.wait(quiet);
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

Dispatch::Dispatch(http::ClientPool& pool, flow::Call& call, std::shared_ptr<const Route> route, Request& request,
                   LocalEmbeddings* local)
    : pool_(pool),
      call_(call),
      route_(std::move(route)),
      request_(request),
      output_most_(request.output_most),
      deadline_(pool.loop().now() + route_->timeouts.total),
      local_(local),
      stop_(std::nostopstate) {}

void Dispatch::cancel() {
  cancellation_.cancel();
  stop_.request_stop();
  if (running_ != nullptr) running_->cancel();
}

rt::Task<void> Dispatch::pause(base::Duration delay) {
  rt::Wait wait(pool_.loop(), std::min(deadline_, std::chrono::steady_clock::now() + delay), &cancellation_);
  Waiting waiting(call_);
  (void)co_await wait;
}

rt::Task<std::expected<std::unique_ptr<Answer>, Failure>> Dispatch::run() {
  Attempts attempts(*route_, pool_.loop().now());
  TargetHolds holds(call_, [this](const Target& target) { return dearest(target, call_, request_); });
  http::OriginHealth::Trial trial;
  std::optional<Failure> last;
  while (true) {
    const Target* target = attempts.next(pool_.loop().now(), trial);
    std::optional<TargetHold> hold;
    if (target == nullptr && !last && holds.denied())
      target = co_await holds.wait(hold.emplace(), deadline_, cancellation_);
    if (target == nullptr) break;
    for (int i = 0; i < route_->retry.attempts; ++i) {
      if (pool_.loop().now() >= deadline_) break;
      if (i > 0) co_await pause(backoff(i - 1));
      if (call_.exchange.client_gone() || pool_.loop().now() >= deadline_) break;
      if (!hold) hold = holds.take(*target);
      if (!hold) break;
      ++call_.event.attempts;
      call_.event.target = target->label;
      auto answer = std::make_unique<Answer>(pool_, *target, request_, call_, route_->timeouts, deadline_);
      answer->hold_ = std::move(*hold);
      hold.reset();
      auto attempted = co_await attempt(*answer);
      running_ = nullptr;
      if (attempted) {
        answer->accepted_ = true;
        answer->trial_ = std::move(trial);
        // A count of our own says nothing about anybody.
        bool asked = answer->call_.sent();
        if (!answer->streaming()) answer->tell_health(asked ? Outcome::good : Outcome::neither);
        co_return answer;
      }
      note_health(*target, &attempted.error(), pool_.loop().now());
      answer->bill_failure(attempted.error().type);
      // That a target could not be asked explains less than what another one answered.
      bool unasked = attempted.error().another_may;
      if (!unasked || !last || last->another_may) last = std::move(attempted.error());
      if (unasked) break;
      if (!worth_same_target(*route_, *last) || !worth_paying_again()) break;
    }
    if (last && (!worth_next_target(*last) || !worth_paying_again())) break;
  }
  if (call_.exchange.client_gone())
    last.emplace(Error{Errc::cancelled, "the client left"}, obs::ErrorType::caller_cancelled);
  if (!last && holds.denied()) last = holds.failure();
  if (!last) last.emplace(Error{Errc::unavailable, "no target is configured"});
  co_return std::unexpected(std::move(*last));
}

// What was reserved is enough for one answer. After an attempt that cost something, another one could cost more than a
// budget has left.
bool Dispatch::worth_paying_again() const {
  bool cost = call_.event.input_tokens + call_.event.output_tokens > 0;
  return !cost || !request_.bounded;
}

bool Dispatch::native(const Target& target) const {
  return target.provider->family() == request_.family && target.provider->speaks(request_.operation);
}

// Before each attempt: targets have limits of their own.
void Dispatch::bound(const Target& target) {
  request_.output_most = output_most_;
  bool generates = !request_.output.after.empty();
  if (target.limited() && generates) request_.output_most = output_most_for(target, request_);
}

rt::Task<std::expected<void, Failure>> Dispatch::attempt(Answer& answer) {
  const Target& target = answer.target_;
  if (request_.context && request_.context->present(target, call_, request_)) canonical_.reset();
  if (target.local) co_return co_await attempt_local(answer);
  bound(target);
  auto encoded = encode(target, answer);
  if (!encoded) co_return std::unexpected(std::move(encoded.error()));
  if (!answer.translated_body_.empty()) co_return std::expected<void, Failure>{};  // needed nobody
  running_ = &answer;
  Result<void> sent;
  {
    Waiting waiting(call_);
    sent = co_await answer.call_.send(*encoded->head, encoded->body);
  }
  if (!sent) co_return std::unexpected(transport_failure(target, sent.error()));
  if (answer.call_.status() == 200 && request_.stream &&
      is_stream(target.provider->framing(), answer.call_.fields().get(wire::FieldId::content_type))) {
    auto accepting = native(target) ? accept_stream(answer) : accept_translated(answer);
    co_return co_await accepting;
  }
  bool success = answer.call_.status() >= 200 && answer.call_.status() <= 299;
  std::size_t bytes_max = success ? kAnswerBytesMax : kErrorBytesMax;
  Result<std::string_view> body;
  {
    Waiting waiting(call_);
    body = co_await answer.call_.read_all(bytes_max);
  }
  // An error page that is too long explains nothing; its status does.
  if (!body && !success && body.error().code == Errc::out_of_range) body = std::string_view();
  if (!body) co_return std::unexpected(transport_failure(target, body.error()));
  co_return accept_whole(answer, *body);
}

// Reads up to the first event that says something, which shows that there is an answer.
rt::Task<std::expected<void, Failure>> Dispatch::accept_stream(Answer& answer) {
  // More than any dialect has; what says more than that is an answer.
  constexpr std::size_t kOpeningsMax = 16;
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
    answer.note_tier((*first)->data);
    if (verdict.error) {
      auto what = fmt::format("reported an error instead of an answer: {}", (*first)->data.substr(0, 300));
      co_return std::unexpected(target_failure(target, obs::ErrorType::provider_5xx, Errc::protocol_error, what));
    }
    answer.done_ = answer.marked_ = verdict.last;
    // Comments and the like are no answer yet: as long as nothing came the next target may still be asked.
    if (!verdict.forward || ((*first)->data.empty() && !verdict.last)) continue;
    if (!verdict.last && answer.opening_.size() < kOpeningsMax && target.provider->is_opening(request_, **first)) {
      answer.opening_.push_back({std::string((*first)->raw), std::string((*first)->data)});
      continue;
    }
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
  if (!native(target)) return translate_whole(answer, body);
  auto usage = target.provider->read_answer(request_.operation, body);
  if (!usage) return std::unexpected(malformed_answer(target, usage.error()));
  answer.body_ = body;
  answer.usage_ = *usage;
  answer.note_tier(body);
  return {};
}

}  // namespace penstock::llm
