#include "mock/openai.h"

#include "base/quantity.h"
#include "json/value.h"
#include "mock/answer.h"
#include "mock/realtime.h"
#include "mock/render.h"

namespace penstock::mock {
namespace {

constexpr std::uint64_t kBodyBytesMax = 64ULL << 20;
constexpr std::array<std::string_view, 3> kModels = {"mock-small", "mock-large", "mock-embedding"};

rt::Task<Result<void>> respond(http::Exchange& exchange, int status, std::string body) {
  http::ResponseHead head(status);
  head.add("content-type", "application/json");
  if (status == 429) head.add("retry-after", "1");
  co_return co_await exchange.respond(std::move(head), body);
}

std::string status_body(int status) {
  if (status == 429)
    return error_body("The mock provider was told to refuse this request: rate limit reached.", "requests", {},
                      "rate_limit_exceeded");
  if (status == 401) return error_body("Incorrect API key provided.", "invalid_request_error", {}, "invalid_api_key");
  std::string_view type = status >= 500 ? "server_error" : "invalid_request_error";
  return error_body(fmt::format("The mock provider was told to answer {}.", status), type, {}, {});
}

std::string model_object(std::string_view id) {
  std::string out = R"({"id":)";
  json::append_quoted(out, id);
  out += R"(,"object":"model","created":1700000000,"owned_by":"penstock"})";
  return out;
}

std::string missing_model(std::string_view id) {
  return error_body(fmt::format("The model `{}` does not exist or you do not have access to it.", id),
                    "invalid_request_error", "model", "model_not_found");
}

}  // namespace

// One call under way: knows when its client went away, and waits no longer then.
class OpenAi::Visit {
 public:
  Visit(OpenAi& owner, http::Exchange& exchange_of)
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
  OpenAi& owner_;
  rt::Event wake_;
  rt::Timer timer_;
  bool gone_ = false;
  bool done_ = false;
};

void OpenAi::stop() {
  stopping_ = true;
  for (Visit* visit : std::vector<Visit*>(visits_)) visit->leave();
}

Failure OpenAi::failure_for(const http::Request& request, std::string_view model, std::uint64_t arrival) const {
  if (std::string_view header = request.field("x-mock-fail"); !header.empty())
    return parse_failure(header).value_or(Failure{});
  if (model.starts_with("mock-")) {
    if (auto named = parse_failure(model.substr(5))) return *named;
  }
  if (shared_.options.fail.empty()) return {};
  double drawn = Random(shared_.options.seed ^ (arrival * 0xd1342543de82ef95ULL)).unit();
  for (const FailRule& rule : shared_.options.fail) {
    if (drawn < rule.share) return rule.failure;
    drawn -= rule.share;
  }
  return {};
}

rt::Task<void> OpenAi::handle(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  bool called =
      request.path == "/v1/chat/completions" || request.path == "/v1/completions" || request.path == "/v1/embeddings";
  if (called && request.method == "POST") co_return co_await call(exchange);
  if (called) {
    co_await respond(exchange, 405,
                     error_body(fmt::format("Not allowed to {} on {}.", request.method, request.path),
                                "invalid_request_error", {}, "method_not_supported"));
    co_return;
  }
  if (request.path == "/v1/realtime") co_return co_await realtime(exchange);
  if (is_media(request.path)) co_return co_await media(exchange);
  co_await look(exchange);
}

void OpenAi::remember(http::Exchange& exchange, std::string path, std::string_view body) {
  std::lock_guard lock(shared_.mutex);
  shared_.last.path = std::move(path);
  shared_.last.authorization = exchange.request().field(wire::FieldId::authorization);
  shared_.last.body = body;
}

// What stands for a body is what the client offered.
rt::Task<void> OpenAi::realtime(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  std::uint64_t arrival = shared_.arrivals.fetch_add(1, std::memory_order_relaxed);
  remember(exchange, fmt::format("{}?{}", request.path, request.query), request.field("sec-websocket-protocol"));
  const std::string& key = shared_.options.api_key;
  std::string model = http::query_value(request.query, "model");
  Failure failure = failure_for(request, model, arrival);
  bool known = key.empty() || request.field(wire::FieldId::authorization) == "Bearer " + key;
  if (!known || failure.kind == Failure::Kind::status) {
    int status = known ? failure.status : 401;
    co_await respond(exchange, status, status_body(status));
  } else if (model == "missing-model") {
    co_await respond(exchange, 404, missing_model(model));
  } else {
    co_await serve_realtime(exchange, shared_.options, failure);
  }
}

rt::Task<void> OpenAi::media(http::Exchange& exchange) {
  Visit visit(*this, exchange);
  const std::string& key = shared_.options.api_key;
  bool known = key.empty() || exchange.request().field("authorization") == "Bearer " + key;
  rt::Task<Result<void>> answering =
      known ? answer_media(exchange, shared_.files) : respond(exchange, 401, status_body(401));
  visit.finish(co_await std::move(answering));
}

// What is read and costs nothing: models and the mock's own account.
rt::Task<void> OpenAi::look(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  std::string body;
  int status = 200;
  if (request.path == "/mock/stats") {
    body = fmt::format(R"({{"requests":{},"active":{},"cancelled":{}}})", shared_.arrivals.load(),
                       shared_.active.load(), shared_.cancelled.load());
  } else if (request.path == "/mock/last") {
    std::lock_guard lock(shared_.mutex);
    json::Object last;
    last["path"] = shared_.last.path;
    last["authorization"] = shared_.last.authorization;
    last["body"] = shared_.last.body;
    body = json::dump(last);
  } else if (request.path == "/v1/models") {
    body = R"({"object":"list","data":[)";
    for (std::string_view id : kModels) body += (id == kModels.front() ? "" : ",") + model_object(id);
    body += "]}";
  } else if (request.path.starts_with("/v1/models/")) {
    std::string id = http::percent_decode(request.path.substr(std::string_view("/v1/models/").size()));
    status = id == "missing-model" ? 404 : 200;
    body = status == 404 ? missing_model(id) : model_object(id);
  } else {
    status = 404;
    body = error_body(fmt::format("Unknown request URL: {} {}.", request.method, request.path), "invalid_request_error",
                      {}, "unknown_url");
  }
  co_await respond(exchange, status, std::move(body));
}

rt::Task<void> OpenAi::call(http::Exchange& exchange) {
  Visit visit(*this, exchange);
  auto body = co_await exchange.read_body(kBodyBytesMax);
  if (!body) co_return;  // the server answers
  std::string_view authorization = exchange.request().field(wire::FieldId::authorization);
  remember(exchange, std::string(exchange.request().path), *body);
  const std::string& key = shared_.options.api_key;
  if (!key.empty() && authorization != "Bearer " + key) {
    visit.finish(co_await respond(exchange, 401, status_body(401)));
    co_return;
  }
  co_await answer(visit, *body);
}

// The same body again gets the same answer: benchmarks send one body a million times.
std::expected<std::shared_ptr<const Answer>, Refusal> OpenAi::prepared(std::string_view path, std::string_view body) {
  constexpr std::size_t kRememberedBytesMax = 1 << 20;
  if (remembered_ && path == remembered_path_ && body == remembered_body_) return remembered_;
  auto answer = prepare(path, body, shared_.options, true);
  if (!answer) return std::unexpected(answer.error());
  auto result = std::make_shared<const Answer>(std::move(*answer));
  if (body.size() + result->bytes.size() < kRememberedBytesMax) {
    remembered_path_ = path;
    remembered_body_ = body;
    remembered_ = result;
  }
  return result;
}

rt::Task<void> OpenAi::answer(Visit& visit, std::string_view body) {
  http::Exchange& exchange = visit.exchange;
  const http::Request& request = exchange.request();
  auto answer = prepared(request.path, body);
  if (!answer) {
    const Refusal& refusal = answer.error();
    visit.finish(
        co_await respond(exchange, 400, error_body(refusal.message, "invalid_request_error", refusal.param, {})));
    co_return;
  }
  const std::string& model = (*answer)->model;
  if (model == "missing-model") {
    visit.finish(co_await respond(exchange, 404, missing_model(model)));
    co_return;
  }
  Failure failure = failure_for(request, model, visit.arrival);
  if (failure.kind == Failure::Kind::hang) co_await visit.wait_forever();
  if (failure.kind == Failure::Kind::hang || failure.kind == Failure::Kind::reset) {
    exchange.abort();
    co_return;
  }
  if (failure.kind == Failure::Kind::no_usage) {
    auto bare = prepare(request.path, body, shared_.options, false);
    if (bare) *answer = std::make_shared<const Answer>(std::move(*bare));
  }
  bool waited = co_await visit.wait(visit.first_token());
  if (!waited) {
    exchange.abort();
    co_return;
  }
  if (failure.kind == Failure::Kind::status) {
    visit.finish(co_await respond(exchange, failure.status, status_body(failure.status)));
  } else if ((*answer)->stream) {
    co_await stream(visit, *answer, failure);
  } else {
    co_await plain(visit, *answer, failure);
  }
}

rt::Task<void> OpenAi::plain(Visit& visit, std::shared_ptr<const Answer> answer, Failure failure) {
  http::Exchange& exchange = visit.exchange;
  std::size_t waits = answer->tokens > 0 ? answer->tokens - 1 : 0;
  bool waited = co_await visit.wait(shared_.options.per_token * static_cast<std::int64_t>(waits));
  if (!waited) {
    exchange.abort();
    co_return;
  }
  http::ResponseHead head(200);
  head.add("content-type", "application/json");
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
rt::Task<bool> OpenAi::interrupt(Visit& visit, Failure failure) {
  http::Exchange& exchange = visit.exchange;
  if (failure.kind == Failure::Kind::bad_json) {
    auto sent = co_await exchange.write("data: {\"id\":\"chatcmpl-\n\n");
    co_return sent.has_value();
  }
  if (failure.kind == Failure::Kind::error_in_stream) {
    std::string error =
        "data: " + error_body("The mock provider was told to fail in the middle.", "server_error", {}, {}) + "\n\n";
    auto sent = co_await exchange.write(error);
    if (sent) sent = co_await exchange.finish();
    visit.finish(sent);
    co_return false;
  }
  if (failure.kind == Failure::Kind::stall) co_await visit.wait_forever();
  exchange.abort();
  co_return false;
}

rt::Task<void> OpenAi::stream(Visit& visit, std::shared_ptr<const Answer> answer, Failure failure) {
  http::Exchange& exchange = visit.exchange;
  http::ResponseHead head(200);
  head.add("content-type", "text/event-stream; charset=utf-8").add("cache-control", "no-cache");
  exchange.begin(std::move(head));
  auto sent = co_await exchange.flush();
  bool fails = failure.kind != Failure::Kind::none && failure.kind != Failure::Kind::no_usage;
  std::size_t tokens = 0;
  std::size_t begin = 0;
  for (const Answer::Event& event : answer->events) {
    if (event.token && ++tokens > 1 && sent) {
      bool waited = co_await visit.wait(shared_.options.per_token);
      if (!waited) sent = fail(Errc::cancelled, "the client went away");
    }
    if (!sent) break;
    if (event.token && tokens > answer->tokens / 2 && std::exchange(fails, false)) {
      bool goes_on = co_await interrupt(visit, failure);
      if (!goes_on) co_return;
    }
    sent = co_await exchange.write(std::string_view(answer->bytes).substr(begin, event.end - begin));
    begin = event.end;
  }
  if (sent) sent = co_await exchange.finish();
  if (!sent) exchange.abort();
  visit.finish(sent);
}

}  // namespace penstock::mock
