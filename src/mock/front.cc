#include "mock/front.h"

#include <charconv>

#include "base/quantity.h"
#include "json/value.h"
#include "mock/media.h"
#include "mock/realtime.h"
#include "mock/text.h"

namespace penstock::mock {
namespace {

constexpr std::uint64_t kBodyBytesMax = 64ULL << 20;
constexpr base::Duration kSlowFirst = std::chrono::seconds(1);

rt::Task<Result<void>> respond(http::Exchange& exchange, int status, std::string body, std::string fields) {
  http::ResponseHead head(status);
  head.add("content-type", "application/json").add_lines(fields);
  co_return co_await exchange.respond(std::move(head), body);
}

rt::Task<Result<void>> respond_refusal(http::Exchange& exchange, const Dialect& dialect, Refusal refusal,
                                       std::string fields = {}) {
  return respond(exchange, refusal.status, dialect.error(refusal), dialect.fields(refusal.status) + fields);
}

Refusal told_to_refuse(int status) {
  if (status == 401) return {.message = "Incorrect API key provided.", .status = status};
  return {.message = fmt::format("The mock provider was told to answer {}{}", status,
                                 status == 429 ? ": rate limit reached." : "."),
          .status = status};
}

Refusal missing_model(std::string_view model) {
  return {.message = fmt::format("The model `{}` does not exist or you do not have access to it.", model),
          .param = "model",
          .status = 404,
          .code = "model_not_found"};
}

// What the strictest and the most talkative providers say of a rate limit.
std::string talkative_limits() {
  return "retry-after-ms: 250\r\nx-should-retry: true\r\nx-ratelimit-limit-requests: 60\r\n"
         "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 250ms\r\n";
}

bool is_kept_thing(std::string_view path) {
  return path.starts_with("/v1/responses") || path.starts_with("/v1/messages") || path.starts_with("/v1/batches");
}

}  // namespace

// One call under way: knows when its client went away, and waits no longer then.
class Front::Visit {
 public:
  Visit(Front& owner, http::Exchange& exchange_of)
      : exchange(exchange_of),
        arrival(owner.shared_.arrivals.fetch_add(1, std::memory_order_relaxed)),
        owner_(owner),
        wake_(exchange_of.loop()),
        timer_(exchange_of.loop()) {
    owner_.shared_.active.fetch_add(1, std::memory_order_relaxed);
    owner_.visits_.push_back(this);
    gone_ = exchange.client_gone();
    exchange.on_client_gone([this] { leave(); });
  }
  ~Visit() {
    exchange.on_client_gone({});
    std::erase(owner_.visits_, this);
    owner_.shared_.active.fetch_sub(1, std::memory_order_relaxed);
    if (gone_ && !done_) owner_.shared_.cancelled.fetch_add(1, std::memory_order_relaxed);
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  void leave() {
    gone_ = true;
    wake_.set();
  }
  // False when the client went away or the mock ends.
  rt::Task<bool> wait(base::Duration delay) {
    if (delay > base::Duration::zero()) {
      timer_.arm_in(delay, [this] { wake_.set(); });
      co_await wake_;
    }
    co_return going();
  }
  rt::Task<void> wait_forever() {
    while (going()) co_await wake_;
  }
  bool going() const { return !gone_ && !owner_.stopping_; }
  // The end of the answer was sent, or not taken.
  void finish(const Result<void>& sent) {
    done_ = sent.has_value();
    gone_ = gone_ || !done_;
  }
  base::Duration first_token() const {
    std::string_view header = exchange.request().field("x-mock-delay");
    if (header.empty()) return owner_.shared_.options.first_token;
    return base::parse_duration(header).value_or(owner_.shared_.options.first_token);
  }

  http::Exchange& exchange;
  const std::uint64_t arrival;

 private:
  Front& owner_;
  rt::Event wake_;
  rt::Timer timer_;
  bool gone_ = false;
  bool done_ = false;
};

void Front::stop() {
  stopping_ = true;
  for (Visit* visit : std::vector<Visit*>(visits_)) visit->leave();
}

Failure Front::failure_for(const http::Request& request, const Traits& traits, std::uint64_t arrival) const {
  if (std::string_view header = request.field("x-mock-fail"); !header.empty())
    return parse_failure(header).value_or(Failure{});
  if (traits.failure.kind != Failure::Kind::none) return traits.failure;
  if (shared_.options.fail.empty()) return {};
  double drawn = Random(shared_.options.seed ^ (arrival * 0xd1342543de82ef95ULL)).unit();
  for (const FailRule& rule : shared_.options.fail) {
    if (drawn < rule.share) return rule.failure;
    drawn -= rule.share;
  }
  return {};
}

bool Front::knows_key(const http::Request& request, const Dialect& dialect) const {
  return shared_.options.api_key.empty() || dialect.key(request) == shared_.options.api_key;
}

rt::Task<void> Front::handle(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  if (request.path.starts_with("/mock/")) return own(exchange);
  const Dialect& dialect = dialect_of(request);
  const std::string& only = shared_.options.dialect;
  if (!only.empty() && only != dialect.name) return look(exchange, *dialect_named(only));
  if (&dialect == &kOpenAi && request.path == "/v1/realtime") return realtime(exchange);
  if (&dialect == &kOpenAi && is_media(request.path)) return media(exchange);
  return request.method == "POST" ? call(exchange, dialect) : look(exchange, dialect);
}

// What stands for a body is what the client offered.
rt::Task<void> Front::realtime(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  std::uint64_t arrival = shared_.arrivals.fetch_add(1, std::memory_order_relaxed);
  shared_.remember(request, fmt::format("{}?{}", request.path, request.query), request.field("sec-websocket-protocol"));
  std::string model = http::query_value(request.query, "model");
  Failure failure = failure_for(request, traits_of(model), arrival);
  bool known = knows_key(request, kOpenAi);
  if (!known || failure.kind == Failure::Kind::status) {
    co_await respond_refusal(exchange, kOpenAi, told_to_refuse(known ? failure.status : 401));
  } else if (model == "missing-model") {
    co_await respond_refusal(exchange, kOpenAi, missing_model(model));
  } else {
    co_await serve_realtime(exchange, shared_.options, failure);
  }
}

rt::Task<void> Front::media(http::Exchange& exchange) {
  Visit visit(*this, exchange);
  rt::Task<Result<void>> answering = knows_key(exchange.request(), kOpenAi)
                                         ? answer_media(exchange, shared_.files)
                                         : respond_refusal(exchange, kOpenAi, told_to_refuse(401));
  visit.finish(co_await std::move(answering));
}

// The mock's account of itself.
rt::Task<void> Front::own(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  if (request.path == "/mock/stats") {
    co_await respond(exchange, 200,
                     fmt::format(R"({{"requests":{},"active":{},"cancelled":{}}})", shared_.arrivals.load(),
                                 shared_.active.load(), shared_.cancelled.load()),
                     {});
  } else if (request.path == "/mock/last") {
    co_await respond(exchange, 200, json::dump(shared_.last()), {});
  } else if (request.path == "/mock/requests") {
    std::string asked = http::query_value(request.query, "n");
    std::size_t count = SIZE_MAX;
    std::from_chars(asked.data(), asked.data() + asked.size(), count);
    co_await respond(exchange, 200, json::dump(shared_.received(count)), {});
  } else {
    co_await respond_refusal(exchange, kOpenAi,
                             {.message = "The mock has /mock/stats, /mock/last and /mock/requests.", .status = 404});
  }
}

// What is read or removed, and costs nothing.
rt::Task<void> Front::look(http::Exchange& exchange, const Dialect& dialect) {
  const http::Request& request = exchange.request();
  if (is_kept_thing(request.path)) shared_.remember(request, request.path, {});
  Answered answer = refuse(fmt::format("Unknown request URL: {} {}.", request.method, request.path), {}, 404);
  if (&dialect == &dialect_of(request)) {
    answer = dialect.answer(
        {.method = request.method, .path = request.path, .query = request.query, .request = &request, .body = {}},
        shared_);
  }
  if (!answer) {
    co_await respond_refusal(exchange, dialect, answer.error());
    co_return;
  }
  http::ResponseHead head(200);
  head.add("content-type", answer->content_type).add_lines(dialect.fields(200), answer->fields);
  co_await exchange.respond(std::move(head), answer->bytes);
}

rt::Task<void> Front::call(http::Exchange& exchange, const Dialect& dialect) {
  Visit visit(*this, exchange);
  auto body = co_await exchange.read_body(kBodyBytesMax);
  if (!body) co_return;  // the server answers
  const http::Request& request = exchange.request();
  shared_.remember(request, request.path, *body);
  if (!knows_key(request, dialect)) {
    visit.finish(co_await respond_refusal(exchange, dialect, told_to_refuse(401)));
    co_return;
  }
  Call call = {
      .method = request.method, .path = request.path, .query = request.query, .request = &request, .body = *body};
  co_await answer(visit, dialect, call);
}

// The same body again gets the same answer: benchmarks send one body a million times.
std::expected<std::shared_ptr<const Answer>, Refusal> Front::prepared(const Dialect& dialect, const Call& call) {
  constexpr std::size_t kRememberedBytesMax = 1 << 20;
  bool repeats = &dialect == &kOpenAi && !is_kept_thing(call.path);
  if (repeats && remembered_ && call.path == remembered_path_ && call.body == remembered_body_) return remembered_;
  auto answer = dialect.answer(call, shared_);
  if (!answer) return std::unexpected(answer.error());
  auto result = std::make_shared<const Answer>(std::move(*answer));
  if (repeats && !result->changes && call.body.size() + result->bytes.size() < kRememberedBytesMax) {
    remembered_path_ = call.path;
    remembered_body_ = call.body;
    remembered_ = result;
  }
  return result;
}

rt::Task<void> Front::answer(Visit& visit, const Dialect& dialect, Call call) {
  http::Exchange& exchange = visit.exchange;
  auto answer = prepared(dialect, call);
  if (!answer) {
    visit.finish(co_await respond_refusal(exchange, dialect, answer.error()));
    co_return;
  }
  const Traits& traits = (*answer)->traits;
  if ((*answer)->model == "missing-model") {
    visit.finish(co_await respond_refusal(exchange, dialect, missing_model((*answer)->model)));
    co_return;
  }
  Failure failure = failure_for(exchange.request(), traits, visit.arrival);
  if (failure.kind == Failure::Kind::hang) co_await visit.wait_forever();
  if (failure.kind == Failure::Kind::hang || failure.kind == Failure::Kind::reset) {
    exchange.abort();
    co_return;
  }
  if (failure.kind == Failure::Kind::no_usage) {
    call.usage = false;
    auto bare = dialect.answer(call, shared_);
    if (bare) *answer = std::make_shared<const Answer>(std::move(*bare));
  }
  bool waited = co_await visit.wait(visit.first_token() +
                                    ((*answer)->traits.has(Trait::slow_first) ? kSlowFirst : base::Duration::zero()));
  if (!waited) {
    exchange.abort();
    co_return;
  }
  if ((*answer)->traits.has(Trait::rate_limited)) {
    visit.finish(co_await respond_refusal(exchange, dialect, told_to_refuse(429), talkative_limits()));
  } else if (failure.kind == Failure::Kind::status) {
    visit.finish(co_await respond_refusal(exchange, dialect, told_to_refuse(failure.status)));
  } else if ((*answer)->stream) {
    co_await stream(visit, dialect, *answer, failure);
  } else {
    co_await plain(visit, *answer, failure);
  }
}

rt::Task<void> Front::plain(Visit& visit, std::shared_ptr<const Answer> answer, Failure failure) {
  http::Exchange& exchange = visit.exchange;
  std::size_t waits = answer->tokens > 0 ? answer->tokens - 1 : 0;
  bool waited = co_await visit.wait(shared_.options.per_token * static_cast<std::int64_t>(waits));
  if (!waited) {
    exchange.abort();
    co_return;
  }
  http::ResponseHead head(200);
  head.add("content-type", answer->content_type).add_lines(answer->fields);
  std::string_view body = answer->bytes;
  if (failure.kind == Failure::Kind::cut || failure.kind == Failure::Kind::stall) {
    exchange.begin(std::move(head));
    co_await exchange.write(body.substr(0, body.size() / 2));
    if (failure.kind == Failure::Kind::stall) co_await visit.wait_forever();
    exchange.abort();
    co_return;
  }
  if (failure.kind == Failure::Kind::bad_json) body.remove_suffix(1);
  visit.finish(co_await exchange.respond(std::move(head), body));
}

// What happens in the middle of a stream that was told to fail. True when the stream goes on after it.
rt::Task<bool> Front::interrupt(Visit& visit, const Dialect& dialect, const Answer& answer, Failure failure) {
  http::Exchange& exchange = visit.exchange;
  if (failure.kind == Failure::Kind::bad_json) {
    std::string_view broken = dialect.name == "ollama" ? "{\"model\":\n" : "data: {\"id\":\"chatcmpl-\n\n";
    auto sent = co_await exchange.write(broken);
    co_return sent.has_value();
  }
  if (failure.kind == Failure::Kind::error_in_stream) {
    std::string error = answer.stream_error;
    if (error.empty()) {
      error = dialect.stream_error({.message = "The mock provider was told to fail in the middle.", .status = 503},
                                   answer.content_type);
    }
    auto sent = co_await exchange.write(error);
    if (sent) sent = co_await exchange.finish();
    visit.finish(sent);
    co_return false;
  }
  if (failure.kind == Failure::Kind::stall) co_await visit.wait_forever();
  exchange.abort();
  co_return false;
}

rt::Task<void> Front::stream(Visit& visit, const Dialect& dialect, std::shared_ptr<const Answer> answer,
                             Failure failure) {
  http::Exchange& exchange = visit.exchange;
  http::ResponseHead head(200);
  head.add("content-type", answer->content_type).add("cache-control", "no-cache").add_lines(answer->fields);
  exchange.begin(std::move(head));
  auto sent = co_await exchange.flush();
  bool fails = failure.kind != Failure::Kind::none && failure.kind != Failure::Kind::no_usage;
  if (answer->traits.has(Trait::error_first) && sent) {
    co_await interrupt(visit, dialect, *answer, {Failure::Kind::error_in_stream, 0});
    co_return;
  }
  std::size_t tokens = 0;
  std::size_t begin = 0;
  for (const Answer::Event& event : answer->events) {
    if (event.token && ++tokens > 1 && sent) {
      bool waited = co_await visit.wait(shared_.options.per_token);
      if (!waited) sent = fail(Errc::cancelled, "the client went away");
    }
    if (!sent) break;
    if (event.token && tokens > answer->tokens / 2 && std::exchange(fails, false)) {
      bool goes_on = co_await interrupt(visit, dialect, *answer, failure);
      if (!goes_on) co_return;
    }
    std::string_view bytes = std::string_view(answer->bytes).substr(begin, event.end - begin);
    std::size_t step = answer->traits.has(Trait::split) ? 1 : bytes.size();
    for (std::size_t at = 0; at < bytes.size() && sent; at += step)
      sent = co_await exchange.write(bytes.substr(at, step));
    begin = event.end;
  }
  if (sent) sent = co_await exchange.finish();
  if (!sent) exchange.abort();
  visit.finish(sent);
}

}  // namespace penstock::mock
