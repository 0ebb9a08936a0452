#include "ext/apis/gemini/gemini_api.h"

#include "json/value.h"
#include "llm/estimate.h"
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

// Checks only what routing and policy read; the rest of the body is the provider's business. Where the object begins.
Result<std::size_t> read_outline(const GeminiMethod& method, std::string_view body, Fields& fields) {
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
  return peeked->object_begin;
}

// Protocol buffers have two spellings of each name in JSON; of both at once, nobody knows which one counts.
Result<std::size_t> one_of(const Fields& fields, std::size_t camel, std::size_t snake) {
  if (fields[camel].kind != Kind::absent && fields[snake].kind != Kind::absent)
    return fail(Errc::invalid_argument,
                fmt::format("{} and {} are the same field: write one of them", kNames[camel], kNames[snake]));
  return fields[snake].kind == Kind::absent ? camel : snake;
}

// `generationConfig.maxOutputTokens` and `candidateCount`.
Result<void> read_output(const Fields& fields, std::size_t object_begin, llm::Request& request) {
  constexpr std::array<std::string_view, 4> kInner{"maxOutputTokens", "max_output_tokens", "candidateCount",
                                                   "candidate_count"};
  auto which = one_of(fields, kConfig, kSnakeConfig);
  if (!which) return std::unexpected(which.error());
  const json::Field& config = fields[*which];
  llm::OutputWish& output = request.output;
  std::size_t first = object_begin + 1;
  output.insert(first, first, R"("generationConfig":{"maxOutputTokens":)", "},");
  if (config.kind == Kind::null) output.insert(config.begin, config.end, R"({"maxOutputTokens":)", "}");
  if (config.kind != Kind::object) return {};
  std::array<json::Field, kInner.size()> inner;
  auto peeked = json::peek(request.body.substr(config.begin, config.end - config.begin), kInner, inner);
  if (!peeked) return std::unexpected(peeked.error());
  for (std::size_t i : {0U, 1U}) output.take(inner[i], config.begin);
  for (std::size_t i : {2U, 3U}) {
    if (auto taken = output.take_answers(inner[i], kInner[i]); !taken) return taken;
  }
  first = config.begin + 1;
  output.insert(first, first, R"("maxOutputTokens":)", peeked->empty ? " " : ",");
  return {};
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
  Fields fields;
  llm::Request request;
  auto begin = read_outline(*method, *body, fields);
  request.body = *body;
  Result<void> readable = begin ? Result<void>{} : std::unexpected(begin.error());
  if (readable && method->operation == llm::Operation::chat) readable = read_output(fields, *begin, request);
  if (!readable) {
    co_await flow::refuse(call, readable.error());
    co_return;
  }
  request.family = llm::Family::gemini;
  request.operation = method->operation;
  request.stream = method->stream;
  bool array = request.stream && !asks_for_events(call.exchange.request().query);
  request.framing = array ? llm::Framing::array : llm::Framing::events;
  request.keep_alive = array ? "\n" : ": ping\n\n";
  request.codec = request.operation == llm::Operation::count_tokens ? count_.get() : (array ? array_ : events_).get();
  request.embeddings = embeddings_.get();
  call.model = method->model;
  call.input_tokens = llm::estimate_tokens(body->size());
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
