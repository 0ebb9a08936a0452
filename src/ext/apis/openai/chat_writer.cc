#include "ext/apis/openai/chat_writer.h"

#include "ext/apis/openai/answer_text.h"

namespace penstock::ext {
namespace {

using Kind = chat::Media::Kind;

// The parts of a message, gathered by the fields they go to.
struct Gathered {
  std::string text, refusal, thoughts;
  bool has_text = false;
  bool sealed = false;
  std::vector<const chat::Thinking*> thinking;
  std::vector<const chat::ToolCall*> calls;
  std::vector<const chat::Media*> images;
  const chat::Media* audio = nullptr;
  std::string annotations;  // JSON texts with commas between

  void operator()(const chat::Text& part) {
    text += part.text;
    has_text = true;
    for (const chat::Citation& citation : part.citations) {
      if (citation.url.empty()) continue;
      if (!annotations.empty()) annotations += ',';
      json::Writer out(annotations);
      write_openai_citation(out, citation, count_openai_characters(text));
    }
  }
  void operator()(const chat::Thinking& part) {
    thoughts += part.text;
    sealed = sealed || !part.signature.empty();
    thinking.push_back(&part);
  }
  void operator()(const chat::Media& part) {
    if (part.kind == Kind::image) images.push_back(&part);
    if (part.kind == Kind::audio) audio = &part;
  }
  void operator()(const chat::ToolCall& part) { calls.push_back(&part); }
  void operator()(const chat::ToolResult&) {}
  void operator()(const chat::Refusal& part) { refusal += part.text; }
};

void write_string_or_null(json::Writer& out, std::string_view name, std::string_view text, bool there) {
  out.key(name);
  if (there) {
    out.string(text);
  } else {
    out.null();
  }
}

void write_call(json::Writer& out, const chat::ToolCall& call) {
  out.open_object().member("id", call.id).member("type", "function");
  out.key("function").open_object().member("name", call.name).member("arguments", call.arguments).close_object();
  write_openai_signature(out, call.signature);
  out.close_object();
}

void write_message(json::Writer& out, const Gathered& all, std::string_view answer_id) {
  bool empty = !all.has_text && all.calls.empty() && all.refusal.empty() && all.images.empty() && all.audio == nullptr;
  out.open_object().member("role", "assistant");
  write_string_or_null(out, "content", all.text, all.has_text || empty);
  write_string_or_null(out, "refusal", all.refusal, !all.refusal.empty());
  if (!all.thoughts.empty()) out.member("reasoning_content", all.thoughts);
  if (all.sealed) {
    out.key("thinking_blocks").open_array();
    for (const chat::Thinking* part : all.thinking)
      write_openai_thinking(out, part->text, part->signature, part->redacted);
    out.close_array();
  }
  if (!all.annotations.empty()) out.key("annotations").open_array().raw(all.annotations).close_array();
  if (!all.images.empty()) {
    out.key("images").open_array();
    for (const chat::Media* image : all.images) write_openai_image(out, *image);
    out.close_array();
  }
  if (all.audio != nullptr) write_openai_audio(out, *all.audio, answer_id);
  if (!all.calls.empty()) {
    out.key("tool_calls").open_array();
    for (const chat::ToolCall* call : all.calls) write_call(out, *call);
    out.close_array();
  }
  out.close_object();
}

}  // namespace

std::string write_openai_chat(const chat::Request& request, const chat::Answer& answer) {
  std::string text;
  json::Writer out(text);
  std::string id = openai_answer_id(answer.id, request, "chatcmpl-");
  out.open_object().member("id", id).member("object", "chat.completion");
  out.member("created", answer.created != 0 ? answer.created : request.created);
  out.member("model", answer.model.empty() ? request.model : answer.model);
  out.key("choices").open_array();
  std::int64_t index = 0;
  for (const chat::Choice& choice : answer.choices) {
    Gathered all;
    for (const chat::Part& part : choice.parts) std::visit(all, part.content);
    out.open_object().member("index", index++).key("message");
    write_message(out, all, id);
    out.member("logprobs", choice.logprobs);
    write_openai_finish(out, choice.finish);
    out.close_object();
  }
  out.close_array();
  if (answer.usage.known) write_openai_usage(out.key("usage"), answer.usage);
  if (!answer.service_tier.empty()) out.member("service_tier", answer.service_tier);
  if (!answer.system_fingerprint.empty()) out.member("system_fingerprint", answer.system_fingerprint);
  out.close_object();
  return text;
}

}  // namespace penstock::ext
