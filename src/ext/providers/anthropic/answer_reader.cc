#include "ext/providers/anthropic/answer_reader.h"

#include <algorithm>

namespace penstock::ext::anthropic {
namespace {

using chat::Finish;

// 10^9: beyond any context, and safe to add up. Nonsense counts as nothing.
std::int64_t count(const json::Value& object, std::string_view name, std::int64_t fallback) {
  constexpr std::int64_t kTokensMax = 1'000'000'000;
  std::int64_t value = json::int_or(object, name, fallback);
  return value >= 0 && value <= kTokensMax ? value : fallback;
}

struct ErrorRow {
  std::string_view theirs;
  int status;
  std::string_view type;  // OpenAI's
  std::string_view code;
};

constexpr ErrorRow kErrors[] = {
    {"invalid_request_error", 400, "invalid_request_error", ""},
    {"authentication_error", 401, "authentication_error", "invalid_api_key"},
    {"billing_error", 402, "insufficient_quota", "insufficient_quota"},
    {"permission_error", 403, "permission_error", ""},
    {"not_found_error", 404, "not_found_error", "model_not_found"},
    {"conflict_error", 409, "invalid_request_error", ""},
    {"request_too_large", 413, "invalid_request_error", "request_too_large"},
    {"rate_limit_error", 429, "rate_limit_error", "rate_limit_exceeded"},
    {"api_error", 500, "server_error", ""},
    {"overloaded_error", 503, "server_error", "overloaded"},
    {"timeout_error", 504, "server_error", "timeout"},
};

chat::Part read_text(const json::Value& block, std::int64_t& characters_before) {
  chat::Text text{std::string(json::string_or(block, "text", ""))};
  std::int64_t begin = characters_before;
  characters_before += characters(text.text);
  const json::Value* citations = json::find(block, "citations");
  if (citations != nullptr && citations->is_array()) {
    for (const json::Value& citation : citations->get_array())
      text.citations.push_back(read_citation(citation, begin, characters_before));
  }
  return {.content = std::move(text)};
}

chat::Part read_thinking(const json::Value& block, bool redacted) {
  chat::Thinking thinking;
  thinking.redacted = redacted;
  if (!redacted) thinking.text = json::string_or(block, "thinking", "");
  thinking.signature = {std::string(json::string_or(block, redacted ? "data" : "signature", "")),
                        chat::Family::anthropic};
  return {.content = std::move(thinking)};
}

// Blocks of other types are what the provider's own tools did; no other dialect has words for them.
Result<void> read_block(const json::Value& block, std::string_view tool, chat::Choice& choice, std::int64_t& position) {
  std::string_view type = json::string_or(block, "type", "");
  if (type == "text") {
    if (!json::string_or(block, "text", "").empty()) choice.parts.push_back(read_text(block, position));
  } else if (type == "thinking" || type == "redacted_thinking") {
    choice.parts.push_back(read_thinking(block, type == "redacted_thinking"));
  } else if (type == "tool_use") {
    const json::Value* input = json::find(block, "input");
    std::string_view name = json::string_or(block, "name", "");
    if (name.empty()) return fail(Errc::protocol_error, "a tool_use block of the answer has no name");
    std::string arguments = input != nullptr && input->is_object() ? json::dump(*input) : "{}";
    if (!tool.empty() && name == tool) {
      choice.parts.push_back({.content = chat::Text{std::move(arguments)}});
    } else {
      choice.parts.push_back(
          {.content = chat::ToolCall{std::string(json::string_or(block, "id", "")), std::string(name), arguments}});
    }
  }
  return {};
}

}  // namespace

std::int64_t characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

void read_usage(const json::Value& reported, chat::Usage& usage) {
  if (!reported.is_object()) return;
  // In a stream later numbers replace earlier ones, and what is not repeated stands.
  std::int64_t fresh = usage.input - usage.cached - usage.cache_write;
  fresh = count(reported, "input_tokens", fresh);
  usage.cached = count(reported, "cache_read_input_tokens", usage.cached);
  usage.cache_write = count(reported, "cache_creation_input_tokens", usage.cache_write);
  if (const json::Value* lifetimes = json::find(reported, "cache_creation"))
    usage.cache_write_hour = std::min(usage.cache_write, count(*lifetimes, "ephemeral_1h_input_tokens", 0));
  usage.input = fresh + usage.cached + usage.cache_write;
  usage.output = count(reported, "output_tokens", usage.output);
  if (const json::Value* details = json::find(reported, "output_tokens_details"))
    usage.reasoning = std::min(usage.output, count(*details, "thinking_tokens", usage.reasoning));
  usage.known = true;
}

chat::Citation read_citation(const json::Value& citation, std::int64_t begin, std::int64_t end) {
  chat::Citation out;
  out.begin = begin;
  out.end = end;
  out.quote = json::string_or(citation, "cited_text", "");
  std::string_view url = json::string_or(citation, "url", "");
  out.url = url.empty() ? json::string_or(citation, "source", "") : url;
  std::string_view title = json::string_or(citation, "title", "");
  out.title = title.empty() ? json::string_or(citation, "document_title", "") : title;
  out.document = json::int_or(citation, "document_index", -1);
  return out;
}

std::string_view read_service_tier(const json::Value& usage) {
  std::string_view tier = json::string_or(usage, "service_tier", "");
  if (tier == "standard") return "default";
  return tier == "priority" ? tier : std::string_view{};
}

std::string_view refusal_of(const json::Value& message) {
  const json::Value* details = json::find(message, "stop_details");
  return details == nullptr ? std::string_view{} : json::string_or(*details, "explanation", "");
}

Finish read_stop_reason(std::string_view word, bool calls) {
  Finish finish = chat::read_finish(chat::Family::anthropic, word, calls && word != "refusal");
  return finish == Finish::tool_calls && !calls ? Finish::stop : finish;
}

Result<chat::Answer> read_message(std::string_view body, std::string_view tool) {
  auto parsed = json::parse(body);
  if (!parsed) return fail(Errc::protocol_error, "the answer is no JSON: " + parsed.error().detail);
  const json::Value* content = json::find(*parsed, "content");
  if (json::string_or(*parsed, "type", "") != "message" || content == nullptr || !content->is_array())
    return fail(Errc::protocol_error, "the answer is no message: it has no type 'message' or no list 'content'");
  chat::Answer answer;
  answer.id = json::string_or(*parsed, "id", "");
  answer.model = json::string_or(*parsed, "model", "");
  chat::Choice& choice = answer.choices.emplace_back();
  std::int64_t position = 0;
  for (const json::Value& block : content->get_array()) {
    if (auto read = read_block(block, tool, choice, position); !read) return std::unexpected(read.error());
  }
  if (std::string_view why = refusal_of(*parsed); !why.empty())
    choice.parts.push_back({.content = chat::Refusal{std::string(why)}});
  bool calls = std::any_of(choice.parts.begin(), choice.parts.end(),
                           [](const chat::Part& part) { return std::holds_alternative<chat::ToolCall>(part.content); });
  choice.finish = read_stop_reason(json::string_or(*parsed, "stop_reason", ""), calls);
  choice.stop_sequence = json::string_or(*parsed, "stop_sequence", "");
  if (const json::Value* usage = json::find(*parsed, "usage")) {
    read_usage(*usage, answer.usage);
    answer.service_tier = read_service_tier(*usage);
  }
  return answer;
}

chat::ProviderError read_messages_error(int status, const json::Value& body) {
  chat::ProviderError error;
  const json::Value* said = json::find(body, "error");
  error.message = said == nullptr ? "" : json::string_or(*said, "message", "");
  std::string_view type = said == nullptr ? "" : json::string_or(*said, "type", "");
  if (status == 529) status = 503;
  auto row =
      std::find_if(std::begin(kErrors), std::end(kErrors), [&](const ErrorRow& each) { return each.theirs == type; });
  if (row == std::end(kErrors)) {
    row = std::find_if(std::begin(kErrors), std::end(kErrors),
                       [&](const ErrorRow& each) { return each.status == status; });
  }
  // Within a stream the type is all there is.
  error.status = status != 0 ? status : row == std::end(kErrors) ? 500 : row->status;
  if (row == std::end(kErrors)) {
    error.type = error.status >= 500 ? "server_error" : "invalid_request_error";
    return error;
  }
  error.type = row->type;
  error.code = row->code;
  return error;
}

}  // namespace penstock::ext::anthropic
