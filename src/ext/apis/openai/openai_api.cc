#include "ext/apis/openai/openai_api.h"

#include "ext/apis/openai/report.h"
#include "json/value.h"
#include "llm/dispatch.h"
#include "rt/await.h"

namespace penstock::ext {
namespace {

// 32 MiB: a conversation with a dozen images in base64.
constexpr std::uint64_t kBodyBytesMax = 32U << 20;
// Events of one burst that wait to be sent together.
constexpr std::size_t kAppendedBytesMax = 64 * 1024;

enum FieldIndex : std::size_t { kModel, kStream, kStreamOptions, kMaxTokens, kMaxCompletionTokens, kInputs };

std::unexpected<Error> wrong_type(std::string_view name, std::string_view wanted) {
  return fail(Errc::invalid_argument, fmt::format("the field '{}' must be {}", name, wanted));
}

// Checks only what routing and policy read; the rest of the body is the provider's business.
Result<llm::Request> read_request(llm::Operation operation, std::string_view body, flow::Call& call) {
  std::string_view inputs = operation == llm::Operation::chat          ? "messages"
                            : operation == llm::Operation::completions ? "prompt"
                                                                       : "input";
  std::array<std::string_view, 6> names{"model", "stream", "stream_options", "max_tokens", "max_completion_tokens",
                                        inputs};
  std::array<json::Field, 6> fields;
  auto peeked = json::peek(body, names, fields);
  if (!peeked) return std::unexpected(peeked.error());
  using Kind = json::Field::Kind;
  llm::Request request;
  request.operation = operation;
  request.body = body;
  request.object_begin = peeked->object_begin;
  if (fields[kModel].kind != Kind::string || fields[kModel].string.empty())
    return wrong_type("model", "the name of a model");
  if (operation == llm::Operation::chat && fields[kInputs].kind != Kind::array)
    return wrong_type("messages", "a list of messages");
  if (operation == llm::Operation::embeddings && fields[kInputs].kind == Kind::absent)
    return wrong_type("input", "a string or a list");
  if (fields[kStream].kind == Kind::boolean) {
    request.stream = fields[kStream].boolean;
  } else if (fields[kStream].kind != Kind::absent && fields[kStream].kind != Kind::null) {
    return wrong_type("stream", "true or false");
  }
  request.model = fields[kModel];
  request.stream_options = fields[kStreamOptions];
  Kind options_kind = request.stream_options.kind;
  if (options_kind != Kind::absent && options_kind != Kind::null && options_kind != Kind::object)
    return wrong_type("stream_options", "an object");
  if (request.stream && options_kind == Kind::object) {
    auto options = json::parse(
        body.substr(request.stream_options.begin, request.stream_options.end - request.stream_options.begin));
    request.wants_usage = options && json::bool_or(*options, "include_usage", false);
  }
  call.model = request.model.string.view();
  // Four bytes a token is the usual rule of thumb; the provider's own count settles it.
  const json::Field& text = fields[kInputs];
  std::int64_t answer = std::max(fields[kMaxTokens].integer, fields[kMaxCompletionTokens].integer);
  call.estimated_input_tokens = static_cast<std::int64_t>((text.end - text.begin) / 4);
  call.estimated_tokens = call.estimated_input_tokens + std::clamp<std::int64_t>(answer, 0, 1'000'000);
  return request;
}

void take_usage(flow::Call& call, const llm::Usage& usage) {
  call.event.usage_known = usage.known;
  call.event.input_tokens = usage.input;
  call.event.output_tokens = usage.output;
  call.event.cached_tokens = usage.cached;
}

// Usage comes at the end of a stream. Whoever leaves before it, and whatever provider does not report it, is settled by
// what went out: a chunk is about 150 bytes of envelope around one token.
void estimate_missing_usage(flow::Call& call, std::size_t bytes_forwarded) {
  if (call.event.usage_known || call.event.events == 0) return;
  constexpr std::size_t kChunkBytes = 150;
  call.event.usage_known = true;
  call.event.usage_estimated = true;
  call.event.input_tokens = call.estimated_input_tokens;
  call.event.output_tokens =
      static_cast<std::int64_t>(std::max<std::size_t>(call.event.events, bytes_forwarded / kChunkBytes));
}

// The client already has part of the answer: the dialect's error event says that the rest will not come.
rt::Task<void> end_broken_stream(flow::Call& call, Error error) {
  // A call is cancelled for a client that left, or by a gateway that is being stopped.
  bool stopping = error.code == Errc::cancelled;
  call.event.error_type = stopping ? obs::ErrorType::penstock_overload : llm::type_of_transport(error.code);
  call.event.error.assign(error.detail);
  if (call.exchange.client_gone()) {
    call.event.error_type = obs::ErrorType::caller_cancelled;
    co_return;
  }
  std::string_view why = stopping ? "the gateway is being stopped; ask again" : std::string_view(error.detail);
  Error shown{Errc::data_loss, fmt::format("the answer of '{}' broke off: {}", call.event.target.view(), why)};
  std::string event = "data: " + call.dialect.error_body(502, shown) + "\n\n";
  auto sent = co_await call.exchange.write(event);
  if (sent) co_await call.exchange.finish();
}

rt::Task<void> stream(flow::Call& call, llm::Answer& answer) {
  http::ResponseHead head(200);
  head.add("content-type", "text/event-stream; charset=utf-8")
      .add("cache-control", "no-cache")
      .add("x-accel-buffering", "no");
  flow::add_common_fields(call, head);
  call.event.status = 200;
  call.event.streamed = true;
  call.exchange.begin(std::move(head));
  Result<void> sent;
  std::size_t forwarded = 0;
  std::size_t appended = 0;
  while (sent) {
    auto event = answer.next_event();
    if (event && event->has_value()) {
      forwarded += (*event)->data.size();
      if (call.event.events++ == 0)
        call.event.first_token_nanos = (std::chrono::steady_clock::now() - call.exchange.started()).count();
      call.exchange.append((*event)->raw);
      appended += (*event)->raw.size();
      // A provider that never pauses gets its turns like everybody else.
      if (call.event.events % 64 != 0 && appended < kAppendedBytesMax) continue;
      appended = 0;
      sent = co_await call.exchange.flush();
      co_await rt::Yield(call.exchange.loop());
      continue;
    }
    take_usage(call, answer.usage());
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
      waited = co_await answer.wait();
    }
    if (!waited) {
      estimate_missing_usage(call, forwarded);
      co_await end_broken_stream(call, waited.error());
      co_return;
    }
  }
  if (!sent) {
    call.event.error_type = obs::ErrorType::caller_cancelled;
    call.event.error.assign("the client left before the end of the stream");
  }
  estimate_missing_usage(call, forwarded);
}

std::string model_object(std::string_view id) {
  std::string body = R"({"id":)";
  json::append_quoted(body, id);
  return body + R"(,"object":"model","created":0,"owned_by":"penstock"})";
}

}  // namespace

rt::Task<void> OpenAiApi::generate(flow::Call& call, llm::Operation operation) const {
  auto body = co_await flow::identify_and_read(call, kBodyBytesMax);
  if (!body) co_return;
  auto request = read_request(operation, *body, call);
  if (!request) {
    co_await flow::refuse(call, request.error());
    co_return;
  }
  co_await answer(call, *request);
}

rt::Task<void> OpenAiApi::answer(flow::Call& call, const llm::Request& request) const {
  auto core = static_cast<std::size_t>(call.exchange.loop().index());
  std::shared_ptr<const llm::Plan> plan = lane_.plan(core);
  auto route = plan->find(call.model);
  // Whether a model exists is nobody's business whose key does not cover it: permission first.
  auto admitted = flow::admit(call);
  if (admitted && !route) admitted = std::unexpected(route.error());
  if (!admitted) {
    co_await flow::refuse(call, admitted.error());
    co_return;
  }
  call.event.model = (*route)->name;
  llm::Dispatch dispatch(lane_.pool(core), call, *route, request);
  call.exchange.on_client_gone([&dispatch] { dispatch.cancel(); });
  auto answer = co_await dispatch.run();
  if (!answer) {
    if (call.exchange.client_gone()) {
      call.event.status = 499;
      call.event.error_type = obs::ErrorType::caller_cancelled;
      call.event.error.assign("the client left before the answer came");
      co_return;
    }
    if (answer.error().error.code == Errc::cancelled) {
      co_await flow::refuse(call, {Errc::unavailable, "the gateway is being stopped; ask again"});
      co_return;
    }
    co_await report(call, std::move(answer.error()));
    co_return;
  }
  llm::Answer& won = **answer;
  if (won.streaming()) {
    call.exchange.on_client_gone([&won] { won.cancel(); });
    co_await stream(call, won);
    call.exchange.on_client_gone({});
    co_return;
  }
  take_usage(call, won.usage());
  call.event.status = 200;
  http::ResponseHead head(200);
  std::string_view type = won.content_type();
  head.add("content-type", type.empty() ? "application/json" : type);
  flow::add_common_fields(call, head);
  co_await call.exchange.respond(std::move(head), won.body());
}

rt::Task<void> OpenAiApi::list_models(flow::Call& call) const {
  if (auto known = flow::identify(call); !known) {
    co_await flow::refuse(call, known.error());
    co_return;
  }
  std::string body = R"({"object":"list","data":[)";
  bool first = true;
  for (const auto& [name, route] : lane_.plan(static_cast<std::size_t>(call.exchange.loop().index()))->routes()) {
    if (call.key && !call.key->allows(name)) continue;
    if (!std::exchange(first, false)) body += ',';
    body += model_object(name);
  }
  body += "]}";
  co_await flow::respond_json(call, 200, std::move(body));
}

rt::Task<void> OpenAiApi::show_model(flow::Call& call, std::string id) const {
  Result<void> passed = flow::identify(call);
  if (passed) {
    call.model = id;
    call.event.asked.assign(id);
    auto route = lane_.plan(static_cast<std::size_t>(call.exchange.loop().index()))->find(id);
    if (call.key && !call.key->allows(id)) {
      passed = fail(Errc::permission_denied, fmt::format("the API key '{}' may not use the model '{}'",
                                                         call.key->name.view(), id.substr(0, 100)));
    } else if (!route) {
      passed = std::unexpected(route.error());
    }
  }
  if (!passed) {
    co_await flow::refuse(call, passed.error());
    co_return;
  }
  co_await flow::respond_json(call, 200, model_object(id));
}

}  // namespace penstock::ext
