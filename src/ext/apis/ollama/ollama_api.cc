#include "ext/apis/ollama/ollama_api.h"

#include "ext/apis/ollama/model_card.h"
#include "json/value.h"
#include "llm/estimate.h"
#include "llm/serve.h"

namespace penstock::ext {
namespace {

// The version of Ollama whose API this is: clients compare it with what they need.
constexpr std::string_view kSpokenVersion = "0.17.4";
constexpr std::uint64_t kSmallBodyBytesMax = 64 * 1024;

enum FieldIndex : std::size_t { kModel, kInputs, kStream, kOptions, kKeepAlive };
using Kind = json::Field::Kind;
using Fields = std::array<json::Field, 5>;

bool is_absent(const json::Field& field) { return field.kind == Kind::absent || field.kind == Kind::null; }

std::unexpected<Error> wrong(std::string_view name, std::string_view wanted) {
  return fail(Errc::invalid_argument, fmt::format("{}: must be {}", name, wanted));
}

// Checks only what routing and policy read; the rest of the body is the provider's business.
Result<llm::Request> read_head(std::string_view body, std::string_view inputs, Fields& fields) {
  std::array<std::string_view, 5> names{"model", inputs, "stream", "options", "keep_alive"};
  auto peeked = json::peek(body, names, fields);
  if (!peeked) return std::unexpected(peeked.error());
  if (fields[kModel].kind != Kind::string || fields[kModel].string.empty())
    return wrong("model", "the name of a model");
  llm::Request request;
  request.family = llm::Family::ollama;
  request.framing = llm::Framing::lines;
  request.body = body;
  request.object_begin = peeked->object_begin;
  request.model = fields[kModel];
  if (!is_absent(fields[kStream]) && fields[kStream].kind != Kind::boolean) return wrong("stream", "true or false");
  return request;
}

// `options.num_predict`: below 1 the model may go on for ever.
Result<void> read_output(const json::Field& options, llm::Request& request) {
  constexpr std::array<std::string_view, 1> kName{"num_predict"};
  llm::OutputWish& output = request.output;
  std::size_t first = request.object_begin + 1;
  output.insert(first, first, R"("options":{"num_predict":)", "},");
  if (options.kind == Kind::null) output.insert(options.begin, options.end, R"({"num_predict":)", "}");
  if (options.kind != Kind::object) return {};
  std::array<json::Field, 1> fields;
  auto peeked = json::peek(request.body.substr(options.begin, options.end - options.begin), kName, fields);
  if (!peeked) return std::unexpected(peeked.error());
  output.take(fields[0], options.begin);
  first = options.begin + 1;
  output.insert(first, first, R"("num_predict":)", peeked->empty ? " " : ",");
  return {};
}

bool is_empty(const json::Field& inputs) {
  if (is_absent(inputs)) return true;
  if (inputs.kind == Kind::array) return inputs.elements == 0;
  return inputs.kind == Kind::string && inputs.string.empty();
}

bool is_zero(const json::Field& keep_alive) {
  if (keep_alive.kind == Kind::integer) return keep_alive.integer == 0;
  return keep_alive.kind == Kind::string && (keep_alive.string == "0" || keep_alive.string == "0s");
}

}  // namespace

rt::Task<void> OllamaApi::generate(flow::Call& call, OllamaForm form) const {
  auto body = co_await flow::identify_and_read(call, llm::kRequestBytesMax);
  if (!body) co_return;
  Fields fields;
  bool chat = form == OllamaForm::chat;
  auto request = read_head(*body, chat ? "messages" : "prompt", fields);
  if (request && !is_absent(fields[kInputs]) && fields[kInputs].kind != (chat ? Kind::array : Kind::string))
    request = chat ? wrong("messages", "a list of messages") : wrong("prompt", "a text");
  if (!request) {
    co_await flow::refuse(call, request.error());
    co_return;
  }
  request->operation = chat ? llm::Operation::chat : llm::Operation::completions;
  request->codec = chat ? &chat_ : &generate_;
  request->stream = fields[kStream].kind != Kind::boolean || fields[kStream].boolean;
  call.model = ollama_route_name(*llm::plan_of(call, lane_), request->model.string);
  call.input_tokens = llm::estimate_tokens(fields[kInputs].end - fields[kInputs].begin);
  if (auto read = read_output(fields[kOptions], *request); !read) {
    co_await flow::refuse(call, read.error());
    co_return;
  }
  if (is_empty(fields[kInputs])) {
    // Ollama answers these whole, whatever `stream` says.
    request->stream = false;
    co_await load(call, form, *request, is_zero(fields[kKeepAlive]));
    co_return;
  }
  co_await llm::serve(call, lane_, *request);
}

rt::Task<void> OllamaApi::load(flow::Call& call, OllamaForm form, llm::Request request, bool unload) const {
  std::string name = call.model;
  auto route = llm::visible_route(call, lane_, name);
  if (route && is_ollama_route(**route)) {
    co_await llm::serve(call, lane_, request);
    co_return;
  }
  if (!route) {
    co_await flow::refuse(call, route.error());
    co_return;
  }
  // Other providers keep their models at hand.
  call.event.model = (*route)->name;
  chat::Request about;
  about.model = request.model.string;
  about.created = call.event.at / 1'000'000;
  std::string body = write_ollama_load(form, about, unload);
  co_await flow::respond_json(call, 200, std::move(body));
}

rt::Task<void> OllamaApi::embed(flow::Call& call, bool old) const {
  auto body = co_await flow::identify_and_read(call, llm::kRequestBytesMax);
  if (!body) co_return;
  Fields fields;
  std::string_view inputs = old ? "prompt" : "input";
  auto request = read_head(*body, inputs, fields);
  if (request && is_absent(fields[kInputs])) request = wrong(inputs, old ? "a text" : "a text or a list of texts");
  if (!request) {
    co_await flow::refuse(call, request.error());
    co_return;
  }
  request->operation = llm::Operation::embeddings;
  request->embeddings = old ? &embeddings_ : &embed_;
  call.model = ollama_route_name(*llm::plan_of(call, lane_), request->model.string);
  call.input_tokens = llm::estimate_tokens(fields[kInputs].end - fields[kInputs].begin);
  co_await llm::serve(call, lane_, *request);
}

rt::Task<void> OllamaApi::list_models(flow::Call& call) const {
  if (auto known = flow::identify(call); !known) {
    co_await flow::refuse(call, known.error());
    co_return;
  }
  std::string body = R"({"models":[)";
  const llm::Plan& plan = *llm::plan_of(call, lane_);
  for (const std::string& name : llm::visible_routes(call, lane_)) {
    if (body.back() != '[') body += ',';
    body += ollama_tag(name, *plan.routes().find(name)->second);
  }
  body += "]}";
  co_await flow::respond_json(call, 200, std::move(body));
}

rt::Task<void> OllamaApi::show_model(flow::Call& call) const {
  auto body = co_await flow::identify_and_read(call, kSmallBodyBytesMax);
  if (!body) co_return;
  // `name` is what the field was called once.
  constexpr std::array<std::string_view, 2> kNames{"model", "name"};
  auto peeked = json::peek(*body, kNames);
  Result<std::shared_ptr<const llm::Route>> route = wrong("model", "the name of a model");
  if (!peeked) {
    route = std::unexpected(peeked.error());
  } else {
    const json::Field& asked = peeked->fields[peeked->fields[0].kind == Kind::string ? 0 : 1];
    if (asked.kind == Kind::string && !asked.string.empty()) {
      std::string name(ollama_route_name(*llm::plan_of(call, lane_), asked.string));
      route = llm::visible_route(call, lane_, name);
    }
  }
  if (!route) {
    co_await flow::refuse(call, route.error());
    co_return;
  }
  std::string shown = ollama_show(**route);
  co_await flow::respond_json(call, 200, std::move(shown));
}

rt::Task<void> OllamaApi::list_running(flow::Call& call) const {
  if (auto known = flow::identify(call); !known) {
    co_await flow::refuse(call, known.error());
    co_return;
  }
  std::string body = R"({"models":[]})";
  co_await flow::respond_json(call, 200, std::move(body));
}

rt::Task<void> OllamaApi::version(flow::Call& call) {
  std::string body = fmt::format(R"({{"version":"{}"}})", kSpokenVersion);
  co_await flow::respond_json(call, 200, std::move(body));
}

rt::Task<void> OllamaApi::greet(flow::Call& call) {
  call.event.status = 200;
  http::ResponseHead head(200);
  head.add("content-type", "text/plain; charset=utf-8");
  flow::add_common_fields(call, head);
  co_await call.exchange.respond(std::move(head), "Ollama is running");
}

rt::Task<void> OllamaApi::refuse_management(flow::Call& call) {
  Error error{Errc::unimplemented,
              "this is a gateway: its models are the routes of its configuration, and what they run on is managed "
              "at their providers"};
  if (auto known = flow::identify(call); !known) error = known.error();
  co_await flow::refuse(call, std::move(error));
}

}  // namespace penstock::ext
