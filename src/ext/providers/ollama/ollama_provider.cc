#include "ext/providers/ollama/ollama_provider.h"

#include "chat/error_type.h"
#include "ext/providers/ollama/answer_reader.h"
#include "ext/providers/ollama/request_writer.h"
#include "json/integers.h"
#include "json/value.h"
#include "llm/reported.h"

namespace penstock::ext {
namespace {

// What a provider reports; nonsense counts as nothing. A prompt that was in its cache already has no count.
Result<llm::Usage> usage_in(std::string_view text) {
  constexpr std::int64_t kTokensMax = llm::kReportedMax;
  std::array<json::IntegerAt, 2> counts{{{.path = {"prompt_eval_count"}}, {.path = {"eval_count"}}}};
  if (auto read = json::read_integers(text, counts); !read) return std::unexpected(read.error());
  if (!counts[0].parent) return fail(Errc::invalid_argument, "not a JSON object");
  llm::Usage usage;
  if (!llm::are_sane(counts)) return usage;
  usage.known = counts[0].value || counts[1].value;
  usage.input = counts[0].up_to(kTokensMax);
  usage.input_known = !usage.known || counts[0].value.has_value();
  usage.output = counts[1].up_to(kTokensMax);
  return usage;
}

// Whether a member `done` may be true somewhere. Within strings the quotes are escaped, so that a model that writes
// such a line looks different.
bool may_be_done(std::string_view line) {
  constexpr std::string_view kName = "\"done\"";
  for (std::size_t at = line.find(kName); at != std::string_view::npos; at = line.find(kName, at + 1)) {
    std::size_t value = line.find_first_not_of(": \t", at + kName.size());
    if (value != std::string_view::npos && line[value] == 't') return true;
  }
  return false;
}

// Clients of before /api/embed ask with one `prompt`.
std::string_view embeddings_path(std::string_view body) {
  constexpr std::array<std::string_view, 2> kNames{"input", "prompt"};
  auto peeked = json::peek(body, kNames);
  using Kind = json::Field::Kind;
  bool old = peeked && peeked->fields[0].kind == Kind::absent && peeked->fields[1].kind != Kind::absent;
  return old ? "/api/embeddings" : "/api/embed";
}

std::string_view path_of(const llm::Request& request) {
  switch (request.operation) {
    case llm::Operation::completions: return "/api/generate";
    case llm::Operation::embeddings: return embeddings_path(request.body);
    default: return "/api/chat";
  }
}

}  // namespace

OllamaProvider::OllamaProvider(Options options) : options_(std::move(options)) {
  std::string fields = fmt::format("host: {}\r\nuser-agent: penstock\r\n", options_.origin->url.authority());
  if (!options_.api_key.empty()) fields += fmt::format("authorization: Bearer {}\r\n", options_.api_key.reveal());
  fields_ = base::Secret(std::move(fields));
}

std::string OllamaProvider::probe_head() const {
  return fmt::format("GET {}/api/tags HTTP/1.1\r\n{}", options_.origin->url.path, fields_.reveal());
}

bool OllamaProvider::speaks(llm::Operation operation) const {
  return operation == llm::Operation::chat || operation == llm::Operation::completions ||
         operation == llm::Operation::embeddings;
}

llm::UpstreamRequest OllamaProvider::send(std::string_view path, bool stream, std::string_view request_id,
                                          llm::UpstreamRequest upstream) const {
  base::append(*upstream.head, "POST ", options_.origin->url.path, path, " HTTP/1.1\r\n", fields_.reveal(),
               "content-type: application/json\r\naccept: ", stream ? "application/x-ndjson" : "application/json",
               "\r\nx-request-id: ", request_id, "\r\ncontent-length: ", base::Digits(upstream.body.bytes()), "\r\n");
  return upstream;
}

Result<llm::UpstreamRequest> OllamaProvider::encode(const llm::Request& request, std::string_view model,
                                                    std::string_view request_id) const {
  llm::UpstreamRequest upstream;
  llm::Splice splice(request.body, *upstream.inserted);
  if (request.model.string != model) json::append_quoted(splice.replace(request.model.begin, request.model.end), model);
  llm::lower_output(request.output, request.output_most, splice);
  upstream.body = splice.pieces();
  return send(path_of(request), request.stream, request_id, std::move(upstream));
}

Result<llm::Usage> OllamaProvider::read_answer(llm::Operation, std::string_view body) const { return usage_in(body); }

llm::EventVerdict OllamaProvider::read_event(const llm::Request&, const wire::SseEvent& event,
                                             llm::Usage& usage) const {
  llm::EventVerdict verdict;
  // Only two kinds of line need a closer look.
  if (!json::may_hold(event.data, "error") && !may_be_done(event.data)) return verdict;
  auto parsed = json::parse(event.data);
  if (!parsed || !parsed->is_object()) return verdict;
  if (const json::Value* error = json::find(*parsed, "error"); error != nullptr && !error->is_null()) {
    verdict.error = true;
    return verdict;
  }
  verdict.last = json::bool_or(*parsed, "done", false);
  if (!verdict.last) return verdict;
  if (auto counted = usage_in(event.data)) usage = *counted;
  return verdict;
}

Result<llm::UpstreamRequest> OllamaProvider::encode(const chat::Request& request, std::string_view model,
                                                    std::string_view request_id, chat::Dropped& dropped) const {
  llm::UpstreamRequest upstream;
  OllamaDefaults defaults{options_.keep_alive, options_.num_ctx};
  if (auto written = write_ollama_chat(request, model, defaults, *upstream.inserted, dropped); !written)
    return std::unexpected(written.error());
  upstream.body.add(std::string_view(*upstream.inserted));
  return send("/api/chat", request.stream, request_id, std::move(upstream));
}

Result<chat::Answer> OllamaProvider::read_chat(const chat::Request& request, std::string_view body) const {
  return read_ollama_answer(request, body);
}

std::unique_ptr<chat::StreamReader> OllamaProvider::stream_reader(const chat::Request& request) const {
  return std::make_unique<OllamaStreamReader>(request);
}

Result<llm::UpstreamRequest> OllamaProvider::encode(const chat::EmbeddingsRequest& request, std::string_view model,
                                                    std::string_view request_id, chat::Dropped& dropped) const {
  llm::UpstreamRequest upstream;
  if (auto written = write_ollama_embed(request, model, options_.keep_alive, *upstream.inserted, dropped); !written)
    return std::unexpected(written.error());
  upstream.body.add(std::string_view(*upstream.inserted));
  return send("/api/embed", false, request_id, std::move(upstream));
}

Result<chat::EmbeddingsAnswer> OllamaProvider::read_embeddings(const chat::EmbeddingsRequest& request,
                                                               std::string_view body) const {
  return read_ollama_embeddings(request, body);
}

chat::ProviderError OllamaProvider::read_error(int status, std::string_view body) const {
  chat::ProviderError error{.status = status, .type = std::string(chat::error_type(status))};
  if (status == 404) error.code = "model_not_found";
  if (auto parsed = json::parse(body)) error.message = ollama_error_text(*parsed);
  return error;
}

}  // namespace penstock::ext
