#include "ext/apis/anthropic/answer_writer.h"

#include "chat/signature.h"
#include "json/value.h"

namespace penstock::ext::anthropic {
namespace {

using chat::Family;

struct Block {
  std::string& out;
  bool first = true;

  void begin(std::string_view head) {
    if (!std::exchange(first, false)) out += ',';
    out += head;
  }
  void text(std::string_view text, const std::vector<chat::Citation>& citations) {
    if (text.empty()) return;
    begin(R"({"type":"text","text":)");
    json::append_quoted(out, text);
    std::string list;
    for (const chat::Citation& citation : citations) {
      std::size_t before = list.size();
      if (before != 0) list += ',';
      if (!append_citation(list, citation)) list.resize(before);
    }
    if (!list.empty()) out += R"(,"citations":[)" + list + ']';
    out += '}';
  }

  void operator()(const chat::Text& part) { text(part.text, part.citations); }
  void operator()(const chat::Refusal& part) { text(part.text, {}); }
  void operator()(const chat::Media&) {}  // answers in this dialect hold none
  void operator()(const chat::ToolResult&) {}
  void operator()(const chat::Thinking& part) {
    std::string signature = chat::write_signature(part.signature, Family::anthropic);
    if (part.redacted) {
      begin(R"({"type":"redacted_thinking","data":)");
    } else {
      begin(R"({"type":"thinking","thinking":)");
      json::append_quoted(out, part.text);
      out += R"(,"signature":)";
    }
    json::append_quoted(out, signature);
    out += '}';
  }
  void operator()(const chat::ToolCall& part) {
    // This dialect seals no calls: a block that means nothing to the client carries the seal there and back.
    if (!part.signature.empty()) (*this)(chat::Thinking{.text = "", .signature = part.signature, .redacted = true});
    begin(R"({"type":"tool_use","id":)");
    json::append_quoted(out, part.id);
    out += R"(,"name":)";
    json::append_quoted(out, part.name);
    out += R"(,"input":)";
    auto input = json::parse(part.arguments);
    // What is no object cannot be an input; the client sees what the model wrote.
    if (input && input->is_object()) {
      out += json::dump(*input);
    } else if (part.arguments.empty()) {
      out += "{}";
    } else {
      out += R"({"arguments":)";
      json::append_quoted(out, part.arguments);
      out += '}';
    }
    out += '}';
  }
};

void append_count(std::string& out, std::string_view name, std::int64_t count) {
  out += name;
  out += std::to_string(count);
}

struct StatusType {
  int status;
  std::string_view type;
};

constexpr StatusType kTypes[] = {
    {401, "authentication_error"}, {402, "billing_error"},     {403, "permission_error"}, {404, "not_found_error"},
    {409, "conflict_error"},       {413, "request_too_large"}, {429, "rate_limit_error"}, {503, "overloaded_error"},
    {504, "timeout_error"},        {529, "overloaded_error"},
};

}  // namespace

std::string write_message(const chat::Request& request, const chat::Answer& answer) {
  std::string out = R"({"id":)";
  json::append_quoted(out, message_id(answer.id, request));
  out += R"(,"type":"message","role":"assistant","model":)";
  json::append_quoted(out, answer.model.empty() ? request.model : answer.model);
  out += R"(,"content":[)";
  chat::Choice none;
  const chat::Choice& choice = answer.choices.empty() ? none : answer.choices.front();
  Block block{out};
  bool refused = false;
  for (const chat::Part& part : choice.parts) {
    std::visit(block, part.content);
    refused = refused || std::holds_alternative<chat::Refusal>(part.content);
  }
  chat::Finish finish = refused && choice.finish == chat::Finish::stop ? chat::Finish::refusal : choice.finish;
  out += R"(],"stop_reason":)";
  std::string_view word = chat::write_finish(Family::anthropic, finish);
  if (word.empty()) {
    out += "null";
  } else {
    json::append_quoted(out, word);
  }
  out += R"(,"stop_sequence":)";
  if (finish == chat::Finish::stop_sequence) {
    json::append_quoted(out, choice.stop_sequence);
  } else {
    out += "null";
  }
  out += R"(,"usage":)";
  append_usage(out, answer.usage, answer.service_tier);
  return out + '}';
}

void append_usage(std::string& out, const chat::Usage& usage, std::string_view tier) {
  append_count(out, R"({"input_tokens":)", std::max<std::int64_t>(0, usage.input - usage.cached - usage.cache_write));
  append_count(out, R"(,"cache_creation_input_tokens":)", usage.cache_write);
  append_count(out, R"(,"cache_read_input_tokens":)", usage.cached);
  if (usage.cache_write > 0) {
    append_count(out, R"(,"cache_creation":{"ephemeral_5m_input_tokens":)",
                 std::max<std::int64_t>(0, usage.cache_write - usage.cache_write_hour));
    append_count(out, R"(,"ephemeral_1h_input_tokens":)", usage.cache_write_hour);
    out += '}';
  }
  append_count(out, R"(,"output_tokens":)", usage.output);
  if (usage.reasoning > 0) {
    append_count(out, R"(,"output_tokens_details":{"thinking_tokens":)", usage.reasoning);
    out += '}';
  }
  if (tier == "priority") out += R"(,"service_tier":"priority")";
  if (tier == "default") out += R"(,"service_tier":"standard")";
  out += '}';
}

std::string message_id(std::string_view id, const chat::Request& request) {
  constexpr std::string_view kPrefix = "msg_";
  if (id.starts_with(kPrefix)) return std::string(id);
  // Another family's id keeps what is its own, without the word for what it is there.
  for (std::string_view foreign : {"chatcmpl-", "cmpl-", "resp_", "gen-"}) {
    if (id.starts_with(foreign) && id.size() > foreign.size()) {
      id.remove_prefix(foreign.size());
      break;
    }
  }
  return fmt::format("{}{}", kPrefix, id.empty() ? std::string_view(request.id) : id);
}

bool append_citation(std::string& out, const chat::Citation& citation) {
  // Of the kinds there are, the one for web pages fits all that name a URL. Its index is Anthropic's own.
  if (citation.url.empty()) return false;
  out += R"({"type":"web_search_result_location","url":)";
  json::append_quoted(out, citation.url);
  out += R"(,"title":)";
  json::append_quoted(out, citation.title);
  out += R"(,"cited_text":)";
  json::append_quoted(out, citation.quote);
  out += R"(,"encrypted_index":""})";
  return true;
}

std::string write_error_body(std::string_view type, std::string_view message, std::string_view request_id) {
  std::string out = R"({"type":"error","error":{"type":)";
  json::append_quoted(out, type);
  out += R"(,"message":)";
  json::append_quoted(out, message);
  out += '}';
  if (!request_id.empty()) {
    out += R"(,"request_id":)";
    json::append_quoted(out, request_id);
  }
  return out + '}';
}

std::string_view error_type_of(int status) {
  for (const StatusType& row : kTypes) {
    if (row.status == status) return row.type;
  }
  return status >= 500 ? "api_error" : "invalid_request_error";
}

}  // namespace penstock::ext::anthropic
