#include "ext/providers/gemini/gemini_provider.h"

#include "ext/providers/gemini/answer_reader.h"
#include "ext/providers/gemini/model_places.h"
#include "json/integers.h"
#include "llm/reported.h"

namespace penstock::ext {
namespace {

constexpr std::int64_t kTokensMax = llm::kReportedMax;

Result<llm::Usage> usage_in(std::string_view text) {
  std::array<json::IntegerAt, 6> counts{{{.path = {"usageMetadata", "promptTokenCount"}},
                                         {.path = {"usageMetadata", "toolUsePromptTokenCount"}},
                                         {.path = {"usageMetadata", "candidatesTokenCount"}},
                                         {.path = {"usageMetadata", "thoughtsTokenCount"}},
                                         {.path = {"usageMetadata", "cachedContentTokenCount"}},
                                         {.path = {"usageMetadata"}}}};
  if (auto read = json::read_integers(text, counts); !read) return std::unexpected(read.error());
  if (!counts[5].parent) return fail(Errc::invalid_argument, "not a JSON object");
  llm::Usage usage;
  if (!llm::are_sane(counts)) return usage;
  usage.known = counts[0].parent;
  usage.input = counts[0].up_to(kTokensMax) + counts[1].up_to(kTokensMax);
  usage.reasoning = counts[3].up_to(kTokensMax);
  usage.output = counts[2].up_to(kTokensMax) + usage.reasoning;
  usage.cached = counts[4].up_to(kTokensMax);
  return usage;
}

// Every candidate of the piece came to its end, or the prompt was blocked.
bool is_last_piece(const json::Value& piece) {
  const json::Value* feedback = json::find(piece, "promptFeedback");
  if (feedback != nullptr && !json::string_or(*feedback, "blockReason", "").empty()) return true;
  const json::Value* candidates = json::find(piece, "candidates");
  if (candidates == nullptr || !candidates->is_array() || candidates->get_array().empty()) return false;
  return std::ranges::all_of(candidates->get_array(), [](const json::Value& candidate) {
    return !json::string_or(candidate, "finishReason", "").empty();
  });
}

// The model's name as a part of a path; names with a folder of their own keep it.
std::string model_path(std::string_view model) {
  std::string out = model.starts_with("models/") || model.starts_with("tunedModels/") ? "" : "models/";
  for (char c : model) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 std::string_view("-._~/:@").find(c) != std::string_view::npos;
    if (plain)
      out += c;
    else
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string_view bare(std::string_view model) {
  return model.starts_with("models/") ? model.substr(std::string_view("models/").size()) : model;
}

std::string_view method_of(const llm::Request& request) {
  switch (request.operation) {
    case llm::Operation::count_tokens: return "countTokens";
    case llm::Operation::embeddings: return is_batch(request.body) ? "batchEmbedContents" : "embedContent";
    default: return request.stream ? "streamGenerateContent" : "generateContent";
  }
}

// The body with the model's name in the places where it stands again, and the output bounded. Mostly there is nothing
// to change; else it is a copy.
net::Pieces adapted(const llm::Request& request, std::string_view model, std::string& inserted) {
  std::string numbers;
  llm::Splice splice(request.body, numbers);
  llm::lower_output(request.output, request.output_most, splice);
  std::string lowered;
  if (!splice.empty()) lowered = splice.pieces().joined();
  std::string_view body = lowered.empty() ? request.body : std::string_view(lowered);
  std::vector<Place> places = model_places(request.operation, body);
  if (places.empty() && lowered.empty()) return request.body;
  std::string name;
  json::append_quoted(name, "models/" + std::string(bare(model)));
  std::size_t from = 0;
  for (const Place& place : places) {
    base::append(inserted, body.substr(from, place.begin - from), name);
    from = place.end;
  }
  base::append(inserted, body.substr(from));
  return std::string_view(inserted);
}

}  // namespace

GeminiProvider::GeminiProvider(Options options)
    : origin_(std::move(options.origin)), timeouts_(options.timeouts), tool_schema_(options.tool_schema) {
  base_path_ = origin_->url.path;
  std::string fields = fmt::format("host: {}\r\nuser-agent: penstock\r\n", origin_->url.authority());
  if (!options.api_key.empty()) fields += fmt::format("x-goog-api-key: {}\r\n", options.api_key.reveal());
  fields_ = base::Secret(std::move(fields));
}

std::string GeminiProvider::probe_head() const {
  return fmt::format("GET {}/models?pageSize=1 HTTP/1.1\r\n{}", base_path_, fields_.reveal());
}

bool GeminiProvider::speaks(llm::Operation operation) const {
  return operation == llm::Operation::chat || operation == llm::Operation::count_tokens ||
         operation == llm::Operation::embeddings;
}

void GeminiProvider::write_head(llm::UpstreamRequest& upstream, std::string_view model, std::string_view method,
                                bool stream, std::string_view request_id, std::string_view lines) const {
  base::append(*upstream.head, "POST ", base_path_, "/", model_path(model), ":", method, stream ? "?alt=sse" : "",
               " HTTP/1.1\r\n", fields_.reveal(),
               "content-type: application/json\r\naccept: ", stream ? "text/event-stream" : "application/json",
               "\r\nx-request-id: ", request_id, "\r\ncontent-length: ", base::Digits(upstream.body.bytes()), "\r\n",
               lines);
}

llm::UpstreamRequest GeminiProvider::upstream_of(const json::Object& body, std::string_view model,
                                                 std::string_view method, bool stream,
                                                 std::string_view request_id) const {
  llm::UpstreamRequest upstream;
  // Appended: the string's memory must not move with it.
  base::append(*upstream.inserted, json::dump(body));
  upstream.body.add(std::string_view(*upstream.inserted));
  write_head(upstream, model, method, stream, request_id);
  return upstream;
}

Result<llm::UpstreamRequest> GeminiProvider::encode(const llm::Request& request, std::string_view model,
                                                    std::string_view request_id) const {
  llm::UpstreamRequest upstream;
  upstream.body = adapted(request, model, *upstream.inserted);
  write_head(upstream, model, method_of(request), request.stream, request_id, request.lines);
  return upstream;
}

Result<llm::Usage> GeminiProvider::read_answer(llm::Operation, std::string_view body) const { return usage_in(body); }

llm::EventVerdict GeminiProvider::read_event(const llm::Request& request, const wire::SseEvent& event,
                                             llm::Usage& usage) const {
  llm::EventVerdict verdict;
  bool counted = false;
  if (json::may_hold(event.data, "usageMetadata")) {
    if (auto read = usage_in(event.data); read && read->known) {
      usage = *read;
      counted = true;
    }
  }
  bool may_end = counted && (json::may_hold(event.data, "finishReason") || json::may_hold(event.data, "blockReason"));
  if (!may_end && !json::may_hold(event.data, "error")) return verdict;
  auto parsed = json::parse(event.data);
  if (!parsed) return verdict;
  const json::Value* error = json::find(*parsed, "error");
  verdict.error = error != nullptr && error->is_object();
  // There is no end mark. Of several candidates each has an end of its own, and the message's end is the stream's.
  bool several = json::may_hold(request.body, "candidateCount") || json::may_hold(request.body, "candidate_count");
  verdict.last = may_end && !several && is_last_piece(*parsed);
  return verdict;
}

Result<llm::UpstreamRequest> GeminiProvider::encode(const chat::Request& request, std::string_view model,
                                                    std::string_view request_id, chat::Dropped& dropped) const {
  auto body = write_generate(request, model, tool_schema_, dropped);
  if (!body) return std::unexpected(body.error());
  return upstream_of(*body, model, request.stream ? "streamGenerateContent" : "generateContent", request.stream,
                     request_id);
}

Result<chat::Answer> GeminiProvider::read_chat(const chat::Request& request, std::string_view body) const {
  chat::AnswerCollector collector;
  AnswerReader reader(request);
  if (auto read = reader.piece(body, collector); !read) return std::unexpected(read.error());
  if (const auto& failure = collector.failure()) return fail(Errc::protocol_error, failure->message);
  if (auto ended = reader.end(collector); !ended) return std::unexpected(ended.error());
  return std::move(collector.answer());
}

std::unique_ptr<chat::StreamReader> GeminiProvider::stream_reader(const chat::Request& request) const {
  return std::make_unique<GeminiStreamReader>(request);
}

Result<llm::UpstreamRequest> GeminiProvider::encode(const chat::EmbeddingsRequest& request, std::string_view model,
                                                    std::string_view request_id, chat::Dropped& dropped) const {
  auto body = write_embed(request, bare(model), dropped);
  if (!body) return std::unexpected(body.error());
  return upstream_of(*body, model, "batchEmbedContents", false, request_id);
}

Result<chat::EmbeddingsAnswer> GeminiProvider::read_embeddings(const chat::EmbeddingsRequest& request,
                                                               std::string_view body) const {
  auto parsed = json::parse(body);
  if (!parsed) return std::unexpected(parsed.error());
  const json::Value* list = json::find(*parsed, "embeddings");
  if (list == nullptr || !list->is_array() || list->get_array().size() != request.texts.size())
    return fail(Errc::protocol_error, "the provider's answer does not hold one embedding for each input");
  chat::EmbeddingsAnswer answer;
  for (const json::Value& entry : list->get_array()) {
    const json::Value* values = json::find(entry, "values");
    if (values == nullptr || !values->is_array())
      return fail(Errc::protocol_error, "an embedding of the provider's has no values");
    auto& vector = answer.vectors.emplace_back();
    vector.reserve(values->get_array().size());
    for (const json::Value& value : values->get_array()) {
      if (!value.is_number())
        return fail(Errc::protocol_error, "an embedding of the provider's has values that are no numbers");
      vector.push_back(static_cast<float>(value.to_number<double>()));
    }
  }
  answer.usage = read_usage(*parsed);
  return answer;
}

Result<llm::UpstreamRequest> GeminiProvider::encode_count(const chat::Request& request, std::string_view model,
                                                          std::string_view request_id) const {
  chat::Dropped dropped;  // settings that cost no tokens
  auto body = write_generate(request, model, tool_schema_, dropped);
  if (!body) return std::unexpected(body.error());
  json::Object inner{{"model", fmt::format("models/{}", bare(model))}};
  for (auto& member : *body) {
    if (member.key() != "generationConfig") inner[member.key()] = std::move(member.value());
  }
  return upstream_of(json::Object{{"generateContentRequest", std::move(inner)}}, model, "countTokens", false,
                     request_id);
}

Result<std::int64_t> GeminiProvider::read_count(std::string_view body) const {
  std::array<json::IntegerAt, 1> total{{{.path = {"totalTokens"}}}};
  if (auto read = json::read_integers(body, total); !read) return std::unexpected(read.error());
  if (!total[0].value) return fail(Errc::protocol_error, "the provider's answer has no totalTokens");
  return total[0].up_to(kTokensMax);
}

chat::ProviderError GeminiProvider::read_error(int status, std::string_view body) const {
  return read_gemini_error(status, body);
}

}  // namespace penstock::ext
