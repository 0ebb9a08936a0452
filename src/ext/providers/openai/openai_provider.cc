#include "ext/providers/openai/openai_provider.h"

#include "ext/providers/openai/answer_reader.h"
#include "ext/providers/openai/chat_stream_reader.h"
#include "ext/providers/openai/embeddings_translator.h"
#include "ext/providers/openai/error_reader.h"
#include "ext/providers/openai/request_writer.h"
#include "json/integers.h"
#include "json/value.h"
#include "llm/reported.h"

namespace penstock::ext {
namespace {

// Usage is wanted for accounting whether or not the client asked for it. Options that are no object are left for the
// provider to refuse: a second field of that name would be read differently by everybody.
void ask_for_usage(const llm::Request& request, llm::Splice& splice) {
  const json::Field& options = request.stream_options;
  switch (options.kind) {
    case json::Field::Kind::absent:
      splice.replace(request.object_begin + 1, request.object_begin + 1) +=
          R"("stream_options":{"include_usage":true},)";
      break;
    case json::Field::Kind::null: splice.replace(options.begin, options.end) += R"({"include_usage":true})"; break;
    case json::Field::Kind::object: {
      auto parsed = json::parse(request.body.substr(options.begin, options.end - options.begin));
      if (!parsed || !parsed->is_object()) return;
      parsed->get_object()["include_usage"] = true;
      splice.replace(options.begin, options.end) += json::dump(*parsed);
      break;
    }
    default: break;
  }
}

// What a provider reports; nonsense counts as nothing.
Result<llm::Usage> usage_in(std::string_view text) {
  constexpr std::int64_t kTokensMax = llm::kReportedMax;
  std::array<json::IntegerAt, 8> counts{{{.path = {"usage", "prompt_tokens"}},
                                         {.path = {"usage", "completion_tokens"}},
                                         {.path = {"usage", "prompt_tokens_details", "cached_tokens"}},
                                         {.path = {"usage"}},
                                         {.path = {"usage", "completion_tokens_details", "reasoning_tokens"}},
                                         {.path = {"usage", "completion_tokens_details", "audio_tokens"}},
                                         {.path = {"usage", "prompt_tokens_details", "audio_tokens"}},
                                         {.path = {"usage", "prompt_tokens_details", "cache_write_tokens"}}}};
  if (auto read = json::read_integers(text, counts); !read) return std::unexpected(read.error());
  if (!counts[3].parent) return fail(Errc::invalid_argument, "not a JSON object");
  llm::Usage usage;
  if (!counts[0].parent || !llm::are_sane(counts)) return usage;
  usage.known = counts[0].value || counts[1].value;
  usage.input = counts[0].up_to(kTokensMax);
  usage.output = counts[1].up_to(kTokensMax);
  usage.cached = counts[2].up_to(usage.input);
  usage.reasoning = counts[4].up_to(usage.output);
  usage.audio_output = counts[5].up_to(usage.output);
  usage.audio_input = counts[6].up_to(usage.input);
  usage.cache_write = counts[7].up_to(usage.input);
  return usage;
}

// The same of a response.
llm::Usage response_usage(const json::Value& response) {
  llm::Usage usage;
  const json::Value* reported = json::find(response, "usage");
  if (reported == nullptr || !reported->is_object()) return usage;
  auto tokens = [](const json::Value* of, std::string_view name) {
    constexpr std::int64_t kTokensMax = 1'000'000'000;
    return of == nullptr ? 0 : std::clamp<std::int64_t>(json::int_or(*of, name, 0), 0, kTokensMax);
  };
  auto sane = [&](std::string_view name) {
    std::int64_t count = json::int_or(*reported, name, 0);
    return count >= 0 && count <= llm::kReportedMax;
  };
  if (!sane("input_tokens") || !sane("output_tokens")) return usage;
  const json::Value* input = json::find(*reported, "input_tokens_details");
  const json::Value* output = json::find(*reported, "output_tokens_details");
  usage.known = true;
  usage.input = tokens(reported, "input_tokens");
  usage.output = tokens(reported, "output_tokens");
  usage.cached = tokens(input, "cached_tokens");
  usage.cache_write = tokens(input, "cache_write_tokens");
  usage.reasoning = tokens(output, "reasoning_tokens");
  return usage;
}

// Three kinds of event end a stream of responses, and they have the usage.
llm::EventVerdict read_response_event(const wire::SseEvent& event, llm::Usage& usage) {
  constexpr std::string_view kEndings[] = {"response.completed", "response.incomplete", "response.failed"};
  llm::EventVerdict verdict;
  verdict.error = event.name == "error";
  if (std::find(std::begin(kEndings), std::end(kEndings), event.name) == std::end(kEndings)) return verdict;
  verdict.last = true;
  verdict.error = event.name == "response.failed";
  auto parsed = json::parse(event.data);
  const json::Value* response = parsed ? json::find(*parsed, "response") : nullptr;
  if (response != nullptr) usage = response_usage(*response);
  return verdict;
}

std::string_view path_of(llm::Operation operation) {
  switch (operation) {
    case llm::Operation::chat: return "/chat/completions";
    case llm::Operation::completions: return "/completions";
    case llm::Operation::embeddings: return "/embeddings";
    case llm::Operation::responses: return "/responses";
    case llm::Operation::count_tokens: return "/responses/input_tokens";
  }
  return "/chat/completions";
}

}  // namespace

OpenAiProvider::OpenAiProvider(Options options)
    : origin_(std::move(options.origin)),
      timeouts_(options.timeouts),
      compatible_(options.compatible),
      responses_(options.responses) {
  base_path_ = origin_->url.path;
  std::string fields = fmt::format("host: {}\r\nuser-agent: penstock\r\n", origin_->url.authority());
  if (!options.api_key.empty()) fields += fmt::format("authorization: Bearer {}\r\n", options.api_key.reveal());
  auto head_of = [&](std::string_view method, std::string_view path) {
    return fmt::format("{} {}{} HTTP/1.1\r\n{}", method, base_path_, path, fields);
  };
  common_fields_ = base::Secret(fields);
  for (auto operation : {llm::Operation::chat, llm::Operation::completions, llm::Operation::embeddings,
                         llm::Operation::responses, llm::Operation::count_tokens}) {
    heads_[static_cast<std::size_t>(operation)] =
        base::Secret(head_of("POST", path_of(operation)) + "content-type: application/json\r\n");
  }
  probe_head_ = base::Secret(head_of("GET", "/models"));
}

Result<llm::UpstreamRequest> OpenAiProvider::encode(const llm::Request& request, std::string_view model,
                                                    std::string_view request_id) const {
  llm::UpstreamRequest upstream;
  llm::Splice splice(request.body, *upstream.inserted);
  if (request.model.string != model) json::append_quoted(splice.replace(request.model.begin, request.model.end), model);
  bool optional = request.operation == llm::Operation::chat || request.operation == llm::Operation::completions;
  if (request.stream && !request.wants_usage && optional) ask_for_usage(request, splice);
  bool older = compatible_ && request.operation == llm::Operation::chat;
  llm::lower_output(request.output, request.output_most, splice, older ? R"("max_tokens":)" : "");
  upstream.body = splice.pieces();
  base::append(
      *upstream.head, heads_[static_cast<std::size_t>(request.operation)].reveal(),
      request.stream ? "accept: text/event-stream\r\nx-request-id: " : "accept: application/json\r\nx-request-id: ",
      request_id, "\r\ncontent-length: ", base::Digits(upstream.body.bytes()), "\r\n");
  return upstream;
}

Result<std::string> OpenAiProvider::pass_through(const llm::PassHead& head, std::string_view request_id) const {
  std::string lines =
      fmt::format("{} {}{} HTTP/1.1\r\n{}accept: {}\r\nx-request-id: {}\r\n", head.method, base_path_, head.path,
                  common_fields_.reveal(), head.accept.empty() ? "*/*" : head.accept, request_id);
  auto out = std::back_inserter(lines);
  if (!head.content_type.empty()) fmt::format_to(out, "content-type: {}\r\n", head.content_type);
  if (head.has_body && head.body_bytes) fmt::format_to(out, "content-length: {}\r\n", *head.body_bytes);
  lines += head.lines;
  if (head.has_body && !head.body_bytes) lines += "transfer-encoding: chunked\r\n";
  return lines;
}

std::string OpenAiProvider::probe_head() const { return std::string(probe_head_.reveal()); }

Result<llm::Usage> OpenAiProvider::read_answer(llm::Operation operation, std::string_view body) const {
  if (operation != llm::Operation::responses) return usage_in(body);
  auto response = json::parse(body);
  if (!response) return std::unexpected(response.error());
  if (!response->is_object()) return fail(Errc::invalid_argument, "not a JSON object");
  return response_usage(*response);
}

llm::EventVerdict OpenAiProvider::read_event(const llm::Request& request, const wire::SseEvent& event,
                                             llm::Usage& usage) const {
  if (request.operation == llm::Operation::responses) return read_response_event(event, usage);
  llm::EventVerdict verdict;
  if (event.data == "[DONE]") {
    verdict.last = true;
    return verdict;
  }
  if (event.name == "error") {
    verdict.error = true;
    return verdict;
  }
  // Only two kinds of event need a closer look, and both carry their word in plain text; most events carry neither.
  // Quotes within a string are escaped, so that a model that talks about errors looks different.
  if (!json::may_hold(event.data, "error") && !json::may_hold(event.data, "usage")) return verdict;
  auto parsed = json::parse(event.data);
  if (!parsed) return verdict;
  if (is_openai_error(*parsed)) {
    verdict.error = true;
    return verdict;
  }
  const json::Value* reported = json::find(*parsed, "usage");
  if (reported == nullptr || !reported->is_object()) return verdict;
  if (auto counted = usage_in(event.data)) usage = *counted;
  // A chunk with choices is the client's even if it carries usage too; one without is the extra chunk we asked for.
  const json::Value* choices = json::find(*parsed, "choices");
  bool extra = choices == nullptr || !choices->is_array() || choices->get_array().empty();
  verdict.forward = request.wants_usage || !extra;
  return verdict;
}

// The chunk that has nothing but the role; the first two events of a response.
bool OpenAiProvider::is_opening(const llm::Request& request, const wire::SseEvent& event) const {
  if (request.operation == llm::Operation::responses)
    return event.name == "response.created" || event.name == "response.in_progress";
  if (request.operation != llm::Operation::chat || !json::may_hold(event.data, "role")) return false;
  auto chunk = json::parse(event.data);
  const json::Value* choices = chunk ? json::find(*chunk, "choices") : nullptr;
  if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return false;
  return std::ranges::all_of(choices->get_array(), [](const json::Value& choice) {
    const json::Value* delta = json::find(choice, "delta");
    const json::Value* finish = json::find(choice, "finish_reason");
    if (delta == nullptr || !delta->is_object() || (finish != nullptr && !finish->is_null())) return false;
    return std::ranges::all_of(delta->get_object(), [](const auto& member) {
      const json::Value& value = member.value();
      return member.key() == "role" || value.is_null() || (value.is_string() && value.get_string().empty());
    });
  });
}

bool OpenAiProvider::speaks(llm::Operation operation) const {
  if (operation == llm::Operation::responses || operation == llm::Operation::count_tokens) return responses_;
  return true;
}

// `upstream.inserted` is the body.
void OpenAiProvider::finish_post(llm::Operation operation, bool stream, std::string_view request_id,
                                 llm::UpstreamRequest& upstream) const {
  upstream.body = net::Pieces(std::string_view(*upstream.inserted));
  base::append(*upstream.head, heads_[static_cast<std::size_t>(operation)].reveal(),
               stream ? "accept: text/event-stream\r\nx-request-id: " : "accept: application/json\r\nx-request-id: ",
               request_id, "\r\ncontent-length: ", base::Digits(upstream.body.bytes()), "\r\n");
}

Result<llm::UpstreamRequest> OpenAiProvider::encode(const chat::Request& request, std::string_view model,
                                                    std::string_view request_id, chat::Dropped& dropped) const {
  llm::UpstreamRequest upstream;
  auto written = write_openai_chat_request(request, model, compatible_, dropped, *upstream.inserted);
  if (!written) return std::unexpected(written.error());
  finish_post(llm::Operation::chat, request.stream, request_id, upstream);
  return upstream;
}

Result<chat::Answer> OpenAiProvider::read_chat(const chat::Request&, std::string_view body) const {
  return read_openai_chat_answer(body);
}

std::unique_ptr<chat::StreamReader> OpenAiProvider::stream_reader(const chat::Request& request) const {
  return std::make_unique<OpenAiChatStreamReader>(request.n.value_or(1));
}

Result<llm::UpstreamRequest> OpenAiProvider::encode(const chat::EmbeddingsRequest& request, std::string_view model,
                                                    std::string_view request_id, chat::Dropped& dropped) const {
  if (!request.task.empty()) dropped.add(chat::Field::task);
  if (!request.title.empty()) dropped.add(chat::Field::title);
  llm::UpstreamRequest upstream;
  write_openai_embeddings_request(request, model, *upstream.inserted);
  finish_post(llm::Operation::embeddings, false, request_id, upstream);
  return upstream;
}

Result<chat::EmbeddingsAnswer> OpenAiProvider::read_embeddings(const chat::EmbeddingsRequest& request,
                                                               std::string_view body) const {
  return read_openai_embeddings(request, body);
}

chat::ProviderError OpenAiProvider::read_error(int status, std::string_view body) const {
  return read_openai_error(status, body);
}

}  // namespace penstock::ext
