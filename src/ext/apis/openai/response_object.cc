#include "ext/apis/openai/response_object.h"

#include "chat/signature.h"

namespace penstock::ext {
namespace {

using chat::Finish;
using json::Writer;

// The few codes the API knows; everything else went wrong on the server.
std::string_view code_of(const chat::ProviderError& error) {
  if (error.status == 429 || error.type == "rate_limit_error") return "rate_limit_exceeded";
  return error.type == "invalid_request_error" ? "invalid_prompt" : "server_error";
}

void write_usage(Writer& out, const chat::Usage& usage) {
  out.key("usage").open_object();
  out.member("input_tokens", usage.input);
  out.key("input_tokens_details").open_object();
  out.member("cached_tokens", usage.cached).member("cache_write_tokens", usage.cache_write).close_object();
  out.member("output_tokens", usage.output);
  out.key("output_tokens_details").open_object().member("reasoning_tokens", usage.reasoning).close_object();
  out.member("total_tokens", usage.input + usage.output).close_object();
}

}  // namespace

ResponseEnding ending_of(Finish finish) {
  switch (finish) {
    case Finish::length:
    case Finish::context_length: return {"incomplete", "max_output_tokens"};
    case Finish::content_filter:
    case Finish::refusal: return {"incomplete", "content_filter"};
    case Finish::error: return {"failed"};
    case Finish::none:
    case Finish::stop:
    case Finish::stop_sequence:
    case Finish::tool_calls:
    case Finish::pause: return {"completed"};
  }
  return {"completed"};
}

ResponseObject::ResponseObject(const chat::Request& request)
    : request_(request), seed_(request.id), model_(request.model), created_(request.created) {
  if (const json::Value* id = request.echo.if_contains("id"); id != nullptr && id->is_string())
    seed_ = std::string_view(id->get_string());
}

void ResponseObject::begin(const chat::StreamHead& head) {
  if (!head.model.empty()) model_ = head.model;
  if (head.created != 0) created_ = head.created;
  service_tier_ = head.service_tier;
}

std::string ResponseObject::item_id(std::string_view kind, std::size_t index) const {
  return fmt::format("{}_{}_{}", kind, seed_, index);
}

std::string ResponseObject::write(const ResponseEnding& ending, const chat::ProviderError* error,
                                  std::span<const std::string> items, const chat::Usage& usage) const {
  std::string text;
  Writer out(text);
  out.open_object().member("id", id()).member("object", "response").member("created_at", created_);
  out.member("status", ending.status);
  out.key("error");
  if (error == nullptr) {
    out.null();
  } else {
    out.open_object().member("code", code_of(*error)).member("message", error->message).close_object();
  }
  out.key("incomplete_details");
  if (ending.incomplete.empty()) {
    out.null();
  } else {
    out.open_object().member("reason", ending.incomplete).close_object();
  }
  out.member("model", model_).key("output").open_array();
  for (const std::string& item : items) {
    if (!item.empty()) out.raw(item);
  }
  out.close_array();
  for (const auto& [name, value] : request_.echo) {
    if (name == "id" || (name == "service_tier" && !service_tier_.empty())) continue;
    out.member(std::string_view(name), value);
  }
  if (!service_tier_.empty()) out.member("service_tier", service_tier_);
  if (usage.known) write_usage(out, usage);
  out.close_object();
  return text;
}

std::string message_item(std::string_view id, std::string_view status, std::string_view parts) {
  std::string text;
  Writer out(text);
  out.open_object().member("id", id).member("type", "message").member("status", status).member("role", "assistant");
  out.key("content").open_array();
  if (!parts.empty()) out.raw(parts);
  out.close_array().close_object();
  return text;
}

std::string call_item(std::string_view id, std::string_view status, std::string_view call_id, std::string_view name,
                      std::string_view arguments) {
  std::string text;
  Writer out(text);
  out.open_object().member("id", id).member("type", "function_call").member("status", status);
  out.member("call_id", call_id).member("name", name).member("arguments", arguments).close_object();
  return text;
}

std::string reasoning_item(std::string_view id, const std::string* summary, const chat::Signature& signature) {
  std::string text;
  Writer out(text);
  out.open_object().member("id", id).member("type", "reasoning").key("summary").open_array();
  if (summary != nullptr) out.raw(summary_part(*summary));
  out.close_array();
  // Clients may leave out an empty summary: only the seal tells then what was hidden.
  bool redacted = summary == nullptr && signature.family == chat::Family::anthropic;
  if (!signature.empty())
    out.member("encrypted_content", chat::write_signature(signature, chat::Family::openai, redacted));
  out.close_object();
  return text;
}

std::string image_item(std::string_view id, std::string_view status, std::string_view base64) {
  std::string text;
  Writer out(text);
  out.open_object().member("id", id).member("type", "image_generation_call").member("status", status).key("result");
  if (base64.empty()) {
    out.null();
  } else {
    out.string(base64);
  }
  out.close_object();
  return text;
}

std::string output_text(std::string_view text, std::string_view annotations, const json::Array& logprobs) {
  std::string part;
  Writer out(part);
  out.open_object().member("type", "output_text").member("text", text).key("annotations").open_array();
  if (!annotations.empty()) out.raw(annotations);
  out.close_array().member("logprobs", json::Value(logprobs)).close_object();
  return part;
}

std::string refusal_part(std::string_view text) {
  std::string part;
  Writer(part).open_object().member("type", "refusal").member("refusal", text).close_object();
  return part;
}

std::string summary_part(std::string_view text) {
  std::string part;
  Writer(part).open_object().member("type", "summary_text").member("text", text).close_object();
  return part;
}

// A page has an address. A document of the request has only its place there, which stands for a file's id.
std::string annotation_of(const chat::Citation& citation, std::int64_t offset, std::int64_t length) {
  std::int64_t end = citation.end < 0 ? length : std::clamp<std::int64_t>(citation.end - offset, 0, length);
  std::int64_t begin = citation.begin < 0 ? end : std::clamp<std::int64_t>(citation.begin - offset, 0, end);
  std::string text;
  Writer out(text);
  out.open_object();
  if (citation.url.empty()) {
    out.member("type", "file_citation").member("file_id", fmt::format("document_{}", citation.document));
    out.member("index", end).member("filename", citation.title);
  } else {
    out.member("type", "url_citation").member("start_index", begin).member("end_index", end);
    out.member("url", citation.url).member("title", citation.title);
  }
  out.close_object();
  return text;
}

json::Array response_logprobs(const json::Value& logprobs) {
  json::Array entries;
  const json::Value* content = json::find(logprobs, "content");
  if (content == nullptr || !content->is_array()) return entries;
  auto complete = [](json::Object& entry) {
    json::Value& bytes = entry["bytes"];
    if (!bytes.is_array()) bytes = json::Array();
  };
  for (const json::Value& value : content->get_array()) {
    if (!value.is_object()) continue;
    json::Object entry = value.get_object();
    complete(entry);
    json::Value& top = entry["top_logprobs"];
    if (!top.is_array()) top = json::Array();
    for (json::Value& other : top.get_array()) {
      if (other.is_object()) complete(other.get_object());
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace penstock::ext
