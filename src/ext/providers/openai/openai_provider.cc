#include "ext/providers/openai/openai_provider.h"

#include "json/value.h"

namespace penstock::ext {
namespace {

struct Edit {
  std::size_t begin;
  std::size_t end;
  std::string text;
};

// The client's bytes with a few places replaced; everything else stays as it was, byte for byte.
std::string splice(std::string_view body, std::vector<Edit> edits) {
  std::sort(edits.begin(), edits.end(), [](const Edit& a, const Edit& b) { return a.begin < b.begin; });
  std::size_t grown = 0;
  for (const Edit& edit : edits) grown += edit.text.size();
  std::string out;
  out.reserve(body.size() + grown);
  std::size_t from = 0;
  for (const Edit& edit : edits) {
    out += body.substr(from, edit.begin - from);
    out += edit.text;
    from = edit.end;
  }
  out += body.substr(from);
  return out;
}

// Usage is wanted for accounting whether or not the client asked for it. Options that are no object are left for the
// provider to refuse: a second field of that name would be read differently by everybody.
std::optional<Edit> ask_for_usage(const llm::Request& request) {
  const json::Field& options = request.stream_options;
  switch (options.kind) {
    case json::Field::Kind::absent:
      return Edit{request.object_begin + 1, request.object_begin + 1, R"("stream_options":{"include_usage":true},)"};
    case json::Field::Kind::null: return Edit{options.begin, options.end, R"({"include_usage":true})"};
    case json::Field::Kind::object: break;
    default: return std::nullopt;
  }
  auto parsed = json::parse(request.body.substr(options.begin, options.end - options.begin));
  if (!parsed || !parsed->is_object()) return std::nullopt;
  parsed->get_object()["include_usage"] = true;
  return Edit{options.begin, options.end, json::dump(*parsed)};
}

// A count as a provider reports it; nonsense counts as nothing. 10^12: beyond any context, and safe to add up.
std::int64_t tokens_of(const json::Value& usage, std::string_view name) {
  return std::clamp<std::int64_t>(json::int_or(usage, name, 0), 0, 1'000'000'000'000);
}

llm::Usage usage_of(const json::Value& usage) {
  llm::Usage found;
  if (!usage.is_object()) return found;
  found.known = true;
  found.input = tokens_of(usage, "prompt_tokens");
  found.output = tokens_of(usage, "completion_tokens");
  if (const json::Value* details = json::find(usage, "prompt_tokens_details"))
    found.cached = tokens_of(*details, "cached_tokens");
  return found;
}

// Whether an event's text holds a "usage" that is more than the null which stands in every chunk once usage was asked
// for.
bool may_hold_usage(std::string_view data) {
  constexpr std::string_view kNull = "\"usage\":null";
  for (std::size_t at = data.find("\"usage\""); at != std::string_view::npos;
       at = data.find("\"usage\"", at + kNull.size())) {
    if (!data.substr(at).starts_with(kNull)) return true;
  }
  return false;
}

// {"error": ...} in whatever company, or {"object":"error", ...}.
bool is_error(const json::Value& event) {
  const json::Value* error = json::find(event, "error");
  return (error != nullptr && !error->is_null()) || json::string_or(event, "object", "") == "error";
}

std::string_view path_of(llm::Operation operation) {
  switch (operation) {
    case llm::Operation::chat: return "/chat/completions";
    case llm::Operation::completions: return "/completions";
    case llm::Operation::embeddings: return "/embeddings";
  }
  return "/chat/completions";
}

}  // namespace

OpenAiProvider::OpenAiProvider(Options options) : timeouts_(options.timeouts) {
  http::Origin origin;
  origin.url = options.base_url;
  origin.tls = options.tls;
  origin.connect_timeout = options.connect_timeout;
  origin_ = std::make_shared<const http::Origin>(std::move(origin));
  base_path_ = options.base_url.path;
  std::string fields = fmt::format("host: {}\r\nuser-agent: penstock\r\n", options.base_url.authority());
  if (!options.api_key.empty()) fields += fmt::format("authorization: Bearer {}\r\n", options.api_key.reveal());
  auto head_of = [&](std::string_view method, std::string_view path) {
    return fmt::format("{} {}{} HTTP/1.1\r\n{}", method, base_path_, path, fields);
  };
  common_fields_ = base::Secret(fields);
  for (auto operation : {llm::Operation::chat, llm::Operation::completions, llm::Operation::embeddings}) {
    heads_[static_cast<std::size_t>(operation)] =
        base::Secret(head_of("POST", path_of(operation)) + "content-type: application/json\r\n");
  }
  probe_head_ = base::Secret(head_of("GET", "/models"));
}

Result<llm::UpstreamRequest> OpenAiProvider::encode(const llm::Request& request, std::string_view model,
                                                    std::string_view request_id) const {
  std::vector<Edit> edits;
  if (request.model.string != model) {
    std::string quoted;
    json::append_quoted(quoted, model);
    edits.push_back({request.model.begin, request.model.end, std::move(quoted)});
  }
  if (request.stream && !request.wants_usage && request.operation != llm::Operation::embeddings) {
    if (auto edit = ask_for_usage(request)) edits.push_back(std::move(*edit));
  }
  llm::UpstreamRequest upstream;
  upstream.body = splice(request.body, std::move(edits));
  upstream.head = heads_[static_cast<std::size_t>(request.operation)].reveal();
  fmt::format_to(std::back_inserter(upstream.head), "accept: {}\r\nx-request-id: {}\r\ncontent-length: {}\r\n",
                 request.stream ? "text/event-stream" : "application/json", request_id, upstream.body.size());
  return upstream;
}

Result<std::string> OpenAiProvider::pass_through(const llm::PassHead& head, std::string_view request_id) const {
  std::string lines =
      fmt::format("{} {}{} HTTP/1.1\r\n{}accept: {}\r\nx-request-id: {}\r\n", head.method, base_path_, head.path,
                  common_fields_.reveal(), head.accept.empty() ? "*/*" : head.accept, request_id);
  auto out = std::back_inserter(lines);
  if (!head.content_type.empty()) fmt::format_to(out, "content-type: {}\r\n", head.content_type);
  if (head.has_body && head.body_bytes) fmt::format_to(out, "content-length: {}\r\n", *head.body_bytes);
  if (head.has_body && !head.body_bytes) lines += "transfer-encoding: chunked\r\n";
  return lines;
}

std::string OpenAiProvider::probe_head() const { return std::string(probe_head_.reveal()); }

Result<llm::Usage> OpenAiProvider::read_answer(llm::Operation, std::string_view padded_body) const {
  constexpr std::array<std::string_view, 1> kNames{"usage"};
  auto peeked = json::peek(padded_body, kNames);
  if (!peeked) return std::unexpected(peeked.error());
  const json::Field& field = peeked->fields[0];
  if (field.kind != json::Field::Kind::object) return llm::Usage{};
  auto usage = json::parse(padded_body.substr(field.begin, field.end - field.begin));
  return usage ? usage_of(*usage) : llm::Usage{};
}

llm::EventVerdict OpenAiProvider::read_event(const llm::Request& request, const wire::SseEvent& event,
                                             llm::Usage& usage) const {
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
  if (event.data.find("\"error\"") == std::string_view::npos && !may_hold_usage(event.data)) return verdict;
  auto parsed = json::parse(event.data);
  if (!parsed) return verdict;
  if (is_error(*parsed)) {
    verdict.error = true;
    return verdict;
  }
  const json::Value* reported = json::find(*parsed, "usage");
  if (reported == nullptr || !reported->is_object()) return verdict;
  usage = usage_of(*reported);
  // A chunk with choices is the client's even if it carries usage too; one without is the extra chunk we asked for.
  const json::Value* choices = json::find(*parsed, "choices");
  bool extra = choices == nullptr || !choices->is_array() || choices->get_array().empty();
  verdict.forward = request.wants_usage || !extra;
  return verdict;
}

}  // namespace penstock::ext
