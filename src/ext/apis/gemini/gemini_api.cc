#include "ext/apis/gemini/gemini_api.h"

#include "json/value.h"
#include "llm/serve.h"

namespace penstock::ext {
namespace {

using Kind = json::Field::Kind;
enum FieldIndex : std::size_t { kContents, kConfig, kSnakeConfig, kWhole, kSnakeWhole, kContent, kRequests };
constexpr std::array<std::string_view, 7> kNames{
    "contents", "generationConfig", "generation_config", "generateContentRequest", "generate_content_request",
    "content",  "requests"};
using Fields = std::array<json::Field, kNames.size()>;

std::string_view without_folder(std::string_view model) {
  constexpr std::string_view kFolder = "models/";
  return model.starts_with(kFolder) ? model.substr(kFolder.size()) : model;
}

bool is_there(const json::Field& field) { return field.kind == Kind::array || field.kind == Kind::object; }

// Checks only what routing and policy read; the rest of the body is the provider's business.
Result<Fields> read_outline(const GeminiMethod& method, std::string_view body) {
  Fields fields;
  auto peeked = json::peek(body, kNames, fields);
  if (!peeked) return std::unexpected(peeked.error());
  std::string_view missing;
  if (method.operation == llm::Operation::embeddings) {
    if (method.batch != is_there(fields[kRequests]) || method.batch == is_there(fields[kContent]))
      missing = method.batch ? "requests: must be a list of requests" : "content: must be a content";
  } else {
    bool whole =
        method.operation == llm::Operation::count_tokens && (is_there(fields[kWhole]) || is_there(fields[kSnakeWhole]));
    if (!whole && !is_there(fields[kContents])) missing = "contents: must be a list of contents";
  }
  if (!missing.empty()) return fail(Errc::invalid_argument, std::string(missing));
  return fields;
}

std::int64_t tokens_allowed(std::string_view body, const Fields& fields) {
  const json::Field& config = fields[fields[kConfig].kind == Kind::object ? kConfig : kSnakeConfig];
  if (config.kind != Kind::object) return 0;
  auto parsed = json::parse(body.substr(config.begin, config.end - config.begin));
  if (!parsed) return 0;
  std::int64_t tokens = json::int_or(*parsed, "maxOutputTokens", json::int_or(*parsed, "max_output_tokens", 0));
  return std::max<std::int64_t>(tokens, 0);
}

bool asks_for_events(std::string_view query) {
  return http::query_value(query, "alt") == "sse" || http::query_value(query, "$alt") == "sse";
}

std::string model_json(std::string_view name) {
  std::string out = R"({"name":)";
  json::append_quoted(out, fmt::format("models/{}", name));
  out += R"(,"version":"1","displayName":)";
  json::append_quoted(out, name);
  return out +
         R"(,"supportedGenerationMethods":["generateContent","countTokens","embedContent","batchEmbedContents"]})";
}

}  // namespace

Result<GeminiMethod> read_method(std::string_view path) {
  struct Row {
    std::string_view name;
    llm::Operation operation;
    bool stream, batch;
  };
  constexpr Row kRows[] = {{"generateContent", llm::Operation::chat, false, false},
                           {"streamGenerateContent", llm::Operation::chat, true, false},
                           {"countTokens", llm::Operation::count_tokens, false, false},
                           {"embedContent", llm::Operation::embeddings, false, false},
                           {"batchEmbedContents", llm::Operation::embeddings, false, true}};
  // Names of models may have colons, too.
  std::size_t colon = path.rfind(':');
  std::string_view name = colon == std::string_view::npos ? std::string_view() : path.substr(colon + 1);
  for (const Row& row : kRows) {
    if (row.name != name) continue;
    std::string_view model = without_folder(path.substr(0, colon));
    if (model.empty()) break;
    return GeminiMethod{std::string(model), row.operation, row.stream, row.batch};
  }
  return fail(Errc::not_found,
              "no such method: POST /v1beta/models/MODEL:METHOD, where METHOD is generateContent, "
              "streamGenerateContent, countTokens, embedContent or batchEmbedContents");
}

rt::Task<void> GeminiApi::serve(flow::Call& call, std::string path) const {
  auto method = read_method(path);
  if (!method) {
    if (auto known = flow::identify(call); !known) method = std::unexpected(known.error());
    co_await flow::refuse(call, method.error());
    co_return;
  }
  auto body = co_await flow::identify_and_read(call, llm::kRequestBytesMax);
  if (!body) co_return;
  auto fields = read_outline(*method, *body);
  if (!fields) {
    co_await flow::refuse(call, fields.error());
    co_return;
  }
  llm::Request request;
  request.family = llm::Family::gemini;
  request.operation = method->operation;
  request.body = *body;
  request.stream = method->stream;
  bool array = request.stream && !asks_for_events(call.exchange.request().query);
  request.framing = array ? llm::Framing::array : llm::Framing::events;
  request.keep_alive = array ? "\n" : ": ping\n\n";
  request.codec = request.operation == llm::Operation::count_tokens ? count_.get() : (array ? array_ : events_).get();
  request.embeddings = embeddings_.get();
  call.model = method->model;
  llm::estimate(call, body->size(), tokens_allowed(*body, *fields));
  co_await llm::serve(call, lane_, request);
}

rt::Task<void> GeminiApi::list_models(flow::Call& call) const {
  if (auto known = flow::identify(call); !known) {
    co_await flow::refuse(call, known.error());
    co_return;
  }
  std::string body = R"({"models":[)";
  for (const std::string& name : llm::visible_routes(call, lane_)) {
    if (body.back() != '[') body += ',';
    body += model_json(name);
  }
  body += "]}";
  co_await flow::respond_json(call, 200, std::move(body));
}

rt::Task<void> GeminiApi::show_model(flow::Call& call, std::string path) const {
  auto known = flow::identify(call);
  std::string_view name = without_folder(path);
  auto route = known ? llm::visible_route(call, lane_, name) : std::unexpected(known.error());
  if (!route) {
    co_await flow::refuse(call, route.error());
    co_return;
  }
  std::string body = model_json(name);
  co_await flow::respond_json(call, 200, std::move(body));
}

}  // namespace penstock::ext
