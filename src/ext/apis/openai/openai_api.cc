#include "ext/apis/openai/openai_api.h"

#include "json/value.h"
#include "llm/estimate.h"
#include "llm/serve.h"

namespace penstock::ext {
namespace {

enum FieldIndex : std::size_t {
  kModel,
  kStream,
  kStreamOptions,
  kMaxTokens,
  kMaxCompletionTokens,
  kInputs,
  kAnswers,
  kBestOf,
  kServiceTier,
  kFields
};

std::unexpected<Error> wrong_type(std::string_view name, std::string_view wanted) {
  return fail(Errc::invalid_argument, fmt::format("the field '{}' must be {}", name, wanted));
}

// A list of prompts is answered one by one; a list of numbers is one prompt.
std::int64_t prompts_in(std::string_view body, const json::Field& prompt) {
  if (prompt.kind != json::Field::Kind::array) return 1;
  std::size_t first = body.find_first_not_of(" \t\r\n", prompt.begin + 1);
  bool lists = first != std::string_view::npos && (body[first] == '"' || body[first] == '[');
  return lists ? static_cast<std::int64_t>(prompt.elements) : 1;
}

Result<void> read_output(const std::array<json::Field, kFields>& fields, llm::Operation operation,
                         llm::Request& request) {
  bool chat = operation == llm::Operation::chat;
  llm::OutputWish& output = request.output;
  if (chat) output.take(fields[kMaxCompletionTokens]);
  output.take(fields[kMaxTokens]);
  Result<void> taken = output.take_answers(fields[kAnswers], "n");
  if (taken && !chat) taken = output.take_answers(fields[kBestOf], "best_of");
  if (!taken) return taken;
  if (!chat) output.answers *= prompts_in(request.body, fields[kInputs]);
  std::size_t first = request.object_begin + 1;
  output.insert(first, first, chat ? R"("max_completion_tokens":)" : R"("max_tokens":)", ",");
  return {};
}

// Checks only what routing and policy read; the rest of the body is the provider's business.
Result<llm::Request> read_request(llm::Operation operation, std::string_view body, flow::Call& call) {
  std::string_view inputs = operation == llm::Operation::chat          ? "messages"
                            : operation == llm::Operation::completions ? "prompt"
                                                                       : "input";
  std::array<std::string_view, kFields> names{
      "model", "stream", "stream_options", "max_tokens",  "max_completion_tokens",
      inputs,  "n",      "best_of",        "service_tier"};
  std::array<json::Field, kFields> fields;
  auto peeked = json::peek(body, names, fields);
  if (!peeked) return std::unexpected(peeked.error());
  using Kind = json::Field::Kind;
  llm::Request request;
  request.operation = operation;
  request.keep_alive = ": ping\n\n";
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
  if (fields[kServiceTier].kind == Kind::string) request.service_tier = fields[kServiceTier].string.view();
  call.input_tokens = llm::estimate_tokens(fields[kInputs].end - fields[kInputs].begin);
  if (operation == llm::Operation::embeddings) return request;
  if (auto read = read_output(fields, operation, request); !read) return std::unexpected(read.error());
  return request;
}

std::string model_object(std::string_view id) {
  std::string body = R"({"id":)";
  json::append_quoted(body, id);
  return body + R"(,"object":"model","created":0,"owned_by":"penstock"})";
}

}  // namespace

rt::Task<void> OpenAiApi::generate(flow::Call& call, llm::Operation operation) const {
  auto body = co_await flow::identify_and_read(call, llm::kRequestBytesMax);
  if (!body) co_return;
  auto request = read_request(operation, *body, call);
  if (!request) {
    co_await flow::refuse(call, request.error());
    co_return;
  }
  if (operation == llm::Operation::embeddings) {
    request->embeddings = &embeddings_;
  } else {
    request->codec = operation == llm::Operation::chat ? static_cast<const chat::ClientCodec*>(&chat_) : &completions_;
  }
  co_await llm::serve(call, lane_, *request);
}

rt::Task<void> OpenAiApi::list_models(flow::Call& call) const {
  if (auto known = flow::identify(call); !known) {
    co_await flow::refuse(call, known.error());
    co_return;
  }
  std::string body = R"({"object":"list","data":[)";
  for (const std::string& name : llm::visible_routes(call, lane_)) {
    if (body.back() != '[') body += ',';
    body += model_object(name);
  }
  body += "]}";
  co_await flow::respond_json(call, 200, std::move(body));
}

rt::Task<void> OpenAiApi::show_model(flow::Call& call, std::string id) const {
  Result<void> passed = flow::identify(call);
  if (passed) {
    if (auto route = llm::visible_route(call, lane_, id); !route) passed = std::unexpected(route.error());
  }
  if (!passed) {
    co_await flow::refuse(call, passed.error());
    co_return;
  }
  co_await flow::respond_json(call, 200, model_object(id));
}

}  // namespace penstock::ext
