#include "llm/serve.h"

#include "flow/permission.h"
#include "llm/ask.h"
#include "llm/context_fit.h"
#include "llm/dispatch.h"
#include "llm/report.h"
#include "rt/await.h"
#include "token/work_limit.h"

namespace penstock::llm {
namespace {

// Events of one burst that wait to be sent together.
constexpr std::size_t kAppendedBytesMax = 64 * 1024;

// The client already has part of the answer: the dialect's error event says that the rest will not come.
rt::Task<void> end_broken_stream(flow::Call& call, Answer& answer, Error error) {
  // A call is cancelled for a client that left, or by a gateway that is being stopped.
  bool stopping = error.code == Errc::cancelled;
  call.event.error_type = stopping ? obs::ErrorType::penstock_overload : type_of_transport(error.code);
  call.event.error.assign(error.detail);
  if (call.exchange.client_gone()) {
    call.event.error_type = obs::ErrorType::caller_cancelled;
    co_return;
  }
  std::string_view why = stopping ? "the gateway is being stopped; ask again" : std::string_view(error.detail);
  Error shown{Errc::data_loss, fmt::format("the answer of '{}' broke off: {}", call.event.target.view(), why)};
  std::string event = answer.break_off(shown);
  auto sent = co_await call.exchange.write(event);
  if (sent) co_await call.exchange.finish();
}

bool is_lowered(const Request& request) {
  std::int64_t wish = request.output.tokens;
  return request.output_most > 0 && (wish == 0 || wish > request.output_most);
}

http::ResponseHead head_of(flow::Call& call, const Answer& answer, const Request& request) {
  http::ResponseHead head(200);
  head.add("content-type", answer.content_type());
  if (answer.streaming()) {
    head.add("cache-control", "no-cache").add("x-accel-buffering", "no");
  } else if (call.event.cost_known && call.event.usage_known) {
    head.add_lines(cost_line(call));
  }
  if (call.event.trimmed > 0)
    head.add_lines("x-penstock-trimmed: ", base::Digits(static_cast<int>(call.event.trimmed)), "\r\n");
  if (is_lowered(request)) head.add_lines("x-penstock-output-max: ", base::Digits(request.output_most), "\r\n");
  call.dropped = answer.dropped();
  call.event.dropped.assign(call.dropped);
  call.event.status = 200;
  flow::add_common_fields(call, head);
  return head;
}

// When to tell a client that hears nothing that its stream still stands.
class SignsOfLife {
 public:
  SignsOfLife(const Answer& answer, base::Duration every, base::SteadyTime now)
      : sign_(answer.keep_alive()), every_(every) {
    heard(now);
  }
  void heard(base::SteadyTime now) { due_ = sign_.empty() ? base::SteadyTime::max() : now + every_; }
  base::SteadyTime due() const { return due_; }
  void show_if_due(flow::Call& call) {
    base::SteadyTime now = call.exchange.loop().now();
    if (now < due_) return;
    call.exchange.append(sign_);
    heard(now);
  }

 private:
  std::string_view sign_;
  base::Duration every_;
  base::SteadyTime due_;
};

rt::Task<void> stream(flow::Call& call, Answer& answer, const Request& request, base::Duration keep_alive) {
  call.event.streamed = true;
  http::ResponseHead head = head_of(call, answer, request);
  call.exchange.begin(std::move(head));
  SignsOfLife signs(answer, keep_alive, call.exchange.loop().now());
  Result<void> sent;
  std::size_t appended = 0;
  while (sent) {
    auto event = answer.next();
    if (event && event->has_value()) {
      signs.heard(call.exchange.loop().now());
      if (call.event.events++ == 0)
        call.event.first_token_nanos = (std::chrono::steady_clock::now() - call.exchange.started()).count();
      call.exchange.append(**event);
      appended += (*event)->size();
      // A provider that never pauses gets its turns like everybody else.
      if (call.event.events % 64 != 0 && appended < kAppendedBytesMax) continue;
      appended = 0;
      sent = co_await call.exchange.flush();
      co_await rt::Yield(call.exchange.loop());
      continue;
    }
    if (event && answer.ended()) {
      if (answer.failed()) {
        call.event.error_type = obs::ErrorType::provider_5xx;
        call.event.error.assign("the provider reported an error within the stream");
      }
      sent = co_await call.exchange.finish();
      co_await answer.settle();
      break;
    }
    Result<void> waited = event ? Result<void>{} : std::unexpected(event.error());
    if (waited) {
      appended = 0;
      sent = co_await call.exchange.flush();
      if (!sent) break;
      waited = co_await answer.wait(signs.due());
      if (waited) signs.show_if_due(call);
    }
    if (!waited) {
      answer.bill(false);
      co_await end_broken_stream(call, answer, waited.error());
      co_return;
    }
  }
  if (!sent) {
    call.event.error_type = obs::ErrorType::caller_cancelled;
    call.event.error.assign("the client left before the end of the stream");
  }
  answer.bill(static_cast<bool>(sent));
}

Result<std::shared_ptr<const Route>> only_of(const std::shared_ptr<const Route>& route, std::string_view provider) {
  auto kept = narrowed(route, [&](const Target& target) { return target.provider_name() == provider; });
  if (kept) return kept;
  return fail(Errc::invalid_argument,
              fmt::format("'{}' is not answered by the provider '{}', which keeps what this call goes on from",
                          route->name.view(), provider));
}

rt::Task<void> refuse_lost(flow::Call& call, Failure failure, const Request& request) {
  if (call.exchange.client_gone()) {
    call.event.status = 499;
    call.event.error_type = obs::ErrorType::caller_cancelled;
    call.event.error.assign("the client left before the answer came");
    co_return;
  }
  if (failure.error.code == Errc::cancelled) {
    co_await flow::refuse(call, {Errc::unavailable, "the gateway is being stopped; ask again"});
    co_return;
  }
  co_await report(call, std::move(failure), request);
}

}  // namespace

const std::shared_ptr<const Plan>& plan_of(const flow::Call& call, const Lane& lane) {
  return lane.plan(static_cast<std::size_t>(call.exchange.loop().index()));
}

Result<std::shared_ptr<const Route>> askable(const std::shared_ptr<const Route>& route, base::WallMicros now) {
  if (!route->priced_only) return route;
  auto kept = narrowed(route, [now](const Target& target) { return target.price_at(now) != nullptr; });
  if (kept) return kept;
  return fail(
      Errc::failed_precondition,
      fmt::format("nobody knows what the model '{}' costs, and it refuses targets without a price: give '{}' one in "
                  "`prices:`, or the model a `price:`",
                  route->name.view(), route->targets.front().label.view()));
}

Result<std::shared_ptr<const Route>> prepare(flow::Call& call, const Lane& lane, Request& request) {
  // Counting takes a while: not for whom admission will refuse anyway.
  if (auto allowed = flow::check_request(call); !allowed) {
    call.ask.tokens = call.input_tokens;
    return std::unexpected(allowed.error());
  }
  token::WorkLimit limit;
  auto route = plan_of(call, lane)->find(call.model);
  if (route) route = askable(*route, call.event.at);
  if (route) route = fit_context(call, *route, request);
  if (route) {
    prepare_ask(call, **route, request);
  } else if (!call.event.over_context) {
    call.ask.tokens = call.input_tokens;
  }
  call.needs = needs_of(call, request);
  return route;
}

Result<std::shared_ptr<const Route>> visible_route(flow::Call& call, const Lane& lane, std::string_view model) {
  call.model = model;
  call.event.asked.assign(model);
  // Whether a model exists is nobody's business whose key does not cover it.
  if (!flow::may_use(call, model)) {
    return fail(Errc::permission_denied, fmt::format("the API key '{}' may not use the model '{}'",
                                                     call.key->name().view(), model.substr(0, 100)));
  }
  return plan_of(call, lane)->find(model);
}

std::vector<std::string> visible_routes(const flow::Call& call, const Lane& lane) {
  std::vector<std::string> names;
  for (const auto& [name, route] : plan_of(call, lane)->routes()) {
    if (flow::may_use(call, name)) names.push_back(name);
  }
  return names;
}

rt::Task<void> serve(flow::Call& call, const Lane& lane, Request& request) {
  Result<std::shared_ptr<const Route>> route(request.route);
  Result<void> admitted;
  if (!request.route) {
    route = prepare(call, lane, request);
    // Whether a model exists is nobody's business whose key does not cover it: permission first.
    admitted = co_await flow::admit(call);
  } else {
    // What came before the call is known only now.
    token::WorkLimit limit;
    if (request.route->context) route = fit_context(call, request.route, request);
    if (route) admitted = raise_ask(call, **route, request);
  }
  call.event.over_context = admitted && call.event.over_context;
  if (admitted && route && !request.provider.empty()) route = only_of(*route, request.provider);
  if (admitted && !route) admitted = std::unexpected(route.error());
  if (!admitted) {
    auto refusing = call.event.over_context ? report_over_context(call, route.error(), request)
                                            : flow::refuse(call, admitted.error());
    co_await refusing;
    co_return;
  }
  call.event.model = (*route)->name;
  Dispatch dispatch(lane.pool(static_cast<std::size_t>(call.exchange.loop().index())), call, *route, request,
                    lane.local());
  call.exchange.on_client_gone([&dispatch] { dispatch.cancel(); });
  auto answer = co_await dispatch.run();
  if (!answer) {
    co_await refuse_lost(call, std::move(answer.error()), request);
    co_return;
  }
  Answer& won = **answer;
  if (request.on_native != nullptr && won.native())
    (*request.on_native)(won.target(), won.streaming() ? won.first_event() : won.body());
  if (won.streaming()) {
    call.exchange.on_client_gone([&won] { won.cancel(); });
    co_await stream(call, won, request, (*route)->keep_alive);
    call.exchange.on_client_gone({});
    co_return;
  }
  won.bill(true);
  http::ResponseHead head = head_of(call, won, request);
  co_await call.exchange.respond(std::move(head), won.body());
}

}  // namespace penstock::llm
