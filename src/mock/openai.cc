// OpenAI's paths; what they answer is in completion.cc, embeddings.cc and their neighbours.
#include "json/value.h"
#include "mock/chunk_oddities.h"
#include "mock/completion.h"
#include "mock/dialect.h"
#include "mock/embeddings.h"
#include "mock/openai_tasks.h"
#include "mock/render.h"
#include "mock/responses.h"

namespace penstock::mock {
namespace {

constexpr std::array<std::string_view, 3> kModels = {"mock-small", "mock-large", "mock-embedding"};

json::Value model_object(std::string_view id) {
  return {{"id", id}, {"object", "model"}, {"created", 1'700'000'000}, {"owned_by", "penstock"}};
}

Answered models(std::string_view id) {
  if (id == "missing-model")
    return std::unexpected(Refusal{.message = "The model `missing-model` does not exist.",
                                   .param = "model",
                                   .status = 404,
                                   .code = "model_not_found"});
  if (!id.empty()) return document(model_object(http::percent_decode(id)));
  json::Array data;
  for (std::string_view name : kModels) data.push_back(model_object(name));
  return document({{"object", "list"}, {"data", std::move(data)}});
}

Answered embeddings(const Call& call, Shared& shared) {
  Answer answer;
  auto embedded = embed(call.body, shared.options, call.usage, answer.model);
  if (!embedded) return std::unexpected(embedded.error());
  answer.traits = traits_of(answer.model);
  answer.bytes = std::move(*embedded);
  return answer;
}

void render_stream(const Completion& completion, bool usage, Answer& answer) {
  answer.stream = true;
  answer.content_type = "text/event-stream; charset=utf-8";
  StreamRenderer renderer(completion, usage);
  std::vector<Frame> frames;
  for (std::string_view event = renderer.next(); !event.empty(); event = renderer.next()) {
    if (answer.traits.odd()) {
      frames.push_back({.name = {}, .data = std::string(event.substr(6, event.size() - 8)), .token = renderer.token()});
    } else {
      answer.bytes += event;
      answer.events.push_back({answer.bytes.size(), renderer.token()});
    }
  }
  if (!answer.traits.odd()) return;
  append_frames(answer, made_odd(std::move(frames), answer.traits), Framing::sse);
}

Answered completions(const Call& call, Shared& shared) {
  bool chat = call.path == "/v1/chat/completions";
  auto completion =
      chat ? complete_chat(call.body, shared.options, &shared.prefixes) : complete_text(call.body, shared.options);
  if (!completion) return std::unexpected(completion.error());
  Answer answer;
  answer.model = completion->model;
  answer.traits = completion->traits;
  answer.changes = completion->remembers;
  if (completion->stream) render_stream(*completion, call.usage, answer);
  answer.tokens = static_cast<std::size_t>(completion->completion_tokens);
  if (!completion->stream) answer.bytes = render_plain(*completion, call.usage);
  return answer;
}

struct Path {
  std::string_view path;
  Answered (*answer)(const Call& call, Shared& shared);
};
constexpr std::array kPosts = {Path{"/v1/chat/completions", completions}, Path{"/v1/completions", completions},
                               Path{"/v1/embeddings", embeddings},        Path{"/v1/moderations", moderate},
                               Path{"/v1/images/generations", draw},      Path{"/v1/rerank", rerank}};
// And all that lies under these.
constexpr std::array kFolders = {Path{"/v1/responses", answer_responses}, Path{"/v1/batches", batches}};

Answered answer_openai(const Call& call, Shared& shared) {
  constexpr std::string_view kModelsPath = "/v1/models";
  for (const Path& post : kPosts) {
    if (call.path != post.path) continue;
    if (call.method == "POST") return post.answer(call, shared);
    return refuse(fmt::format("Not allowed to {} on {}.", call.method, call.path), {}, 405);
  }
  for (const Path& folder : kFolders) {
    if (call.path.starts_with(folder.path) &&
        (call.path.size() == folder.path.size() || call.path[folder.path.size()] == '/'))
      return folder.answer(call, shared);
  }
  if (call.method == "GET" && call.path.starts_with(kModelsPath)) {
    std::string_view id = call.path.substr(kModelsPath.size());
    if (id.empty() || id.starts_with('/')) return models(id.substr(std::min<std::size_t>(id.size(), 1)));
  }
  return std::unexpected(Refusal{.message = fmt::format("Unknown request URL: {} {}.", call.method, call.path),
                                 .status = 404,
                                 .code = "unknown_url"});
}

struct Named {
  int status;
  std::string_view type;
  std::string_view code;
};
constexpr std::array kNamed = {Named{401, "invalid_request_error", "invalid_api_key"},
                               Named{405, "invalid_request_error", "method_not_supported"},
                               Named{429, "requests", "rate_limit_exceeded"}};

std::string error_openai(const Refusal& refusal) {
  std::string_view type = refusal.status >= 500 ? "server_error" : "invalid_request_error";
  std::string_view code;
  for (const Named& named : kNamed) {
    if (named.status == refusal.status) std::tie(type, code) = std::tie(named.type, named.code);
  }
  if (!refusal.type.empty()) type = refusal.type;
  return error_body(refusal.message, type, refusal.param, refusal.code.empty() ? code : refusal.code);
}

std::string stream_error_openai(const Refusal& refusal, std::string_view) {
  return fmt::format("data: {}\n\n", error_openai(refusal));
}

std::string fields_openai(int status) { return status == 429 ? "retry-after: 1\r\n" : ""; }

}  // namespace

const Dialect kOpenAi = {.name = "openai",
                         .answer = answer_openai,
                         .error = error_openai,
                         .stream_error = stream_error_openai,
                         .fields = fields_openai,
                         .key = bearer_key};

}  // namespace penstock::mock
