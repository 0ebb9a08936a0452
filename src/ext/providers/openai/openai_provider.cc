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

// Usage is wanted for accounting whether or not the client asked for it.
Edit ask_for_usage(const llm::Request& request) {
  const json::Field& options = request.stream_options;
  if (options.kind == json::Field::Kind::object) {
    auto parsed = json::parse(request.body.substr(options.begin, options.end - options.begin));
    if (parsed && parsed->is_object()) {
      parsed->get_object()["include_usage"] = true;
      return {options.begin, options.end, json::dump(*parsed)};
    }
  }
  if (options.kind == json::Field::Kind::null) return {options.begin, options.end, R"({"include_usage":true})"};
  std::size_t at = request.object_begin + 1;
  return {at, at, R"("stream_options":{"include_usage":true},)"};
}

llm::Usage usage_of(const json::Value& usage) {
  llm::Usage found;
  if (!usage.is_object()) return found;
  found.known = true;
  found.input = std::max<std::int64_t>(0, json::int_or(usage, "prompt_tokens", 0));
  found.output = std::max<std::int64_t>(0, json::int_or(usage, "completion_tokens", 0));
  if (const json::Value* details = json::find(usage, "prompt_tokens_details")) {
    found.cached = std::max<std::int64_t>(0, json::int_or(*details, "cached_tokens", 0));
  }
  return found;
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
  auto head_of = [&](std::string_view method, std::string_view path) {
    std::string head = fmt::format("{} {}{} HTTP/1.1\r\nhost: {}\r\nuser-agent: penstock\r\n", method, options.base_url.path, path,
                                   options.base_url.authority());
    if (!options.api_key.empty()) head += fmt::format("authorization: Bearer {}\r\n", options.api_key.reveal());
    return head;
  };
  for (auto operation : {llm::Operation::chat, llm::Operation::completions, llm::Operation::embeddings}) {
    heads_[static_cast<std::size_t>(operation)] = base::Secret(head_of("POST", path_of(operation)) + "content-type: application/json\r\n");
  }
  probe_head_ = base::Secret(head_of("GET", "/models"));
}

Result<llm::UpstreamRequest> OpenAiProvider::encode(const llm::Request& request, std::string_view model, std::string_view request_id) const {
  std::vector<Edit> edits;
  if (request.model.string != model) {
    std::string quoted;
    json::append_quoted(quoted, model);
    edits.push_back({request.model.begin, request.model.end, std::move(quoted)});
  }
  if (request.stream && !request.wants_usage && request.operation != llm::Operation::embeddings) edits.push_back(ask_for_usage(request));
  llm::UpstreamRequest upstream;
  upstream.body = splice(request.body, std::move(edits));
  upstream.head = heads_[static_cast<std::size_t>(request.operation)].reveal();
  fmt::format_to(std::back_inserter(upstream.head), "accept: {}\r\nx-request-id: {}\r\ncontent-length: {}\r\n",
                 request.stream ? "text/event-stream" : "application/json", request_id, upstream.body.size());
  return upstream;
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

llm::EventVerdict OpenAiProvider::read_event(const llm::Request& request, const wire::SseEvent& event, llm::Usage& usage) const {
  llm::EventVerdict verdict;
  if (event.data == "[DONE]") {
    verdict.last = true;
    return verdict;
  }
  // Only two kinds of event need a closer look, and both carry their word in plain text; most events carry neither.
  bool may_be_error = event.data.starts_with("{\"error\"") || event.data.find("\"error\":") < 16 || event.name == "error";
  std::size_t usage_at = event.data.find("\"usage\"");
  if (!may_be_error && usage_at == std::string_view::npos) return verdict;
  // "usage":null stands in every chunk once usage was asked for.
  if (!may_be_error && event.data.substr(usage_at).starts_with("\"usage\":null")) return verdict;
  auto parsed = json::parse(event.data);
  if (!parsed) return verdict;
  if (const json::Value* error = json::find(*parsed, "error"); error != nullptr && !error->is_null()) {
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
