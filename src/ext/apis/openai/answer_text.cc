#include "ext/apis/openai/answer_text.h"

#include <algorithm>

#include "chat/data_url.h"
#include "chat/signature.h"

namespace penstock::ext {

void write_openai_usage(json::Writer& out, const chat::Usage& usage) {
  out.open_object()
      .member("prompt_tokens", usage.input)
      .member("completion_tokens", usage.output)
      .member("total_tokens", usage.input + usage.output);
  out.key("prompt_tokens_details").open_object().member("cached_tokens", usage.cached);
  if (usage.cache_write > 0) out.member("cache_write_tokens", usage.cache_write);
  out.member("audio_tokens", usage.audio_input).close_object();
  out.key("completion_tokens_details")
      .open_object()
      .member("reasoning_tokens", usage.reasoning)
      .member("audio_tokens", usage.audio_output)
      .close_object()
      .close_object();
}

std::string openai_answer_id(std::string_view answer_id, const chat::Request& request, std::string_view prefix) {
  if (!answer_id.empty() && answer_id != request.id) return std::string(answer_id);
  std::string id(prefix);
  return id += request.id;
}

void write_openai_finish(json::Writer& out, chat::Finish finish) {
  std::string_view word = chat::write_finish(chat::Family::openai, finish);
  out.key("finish_reason");
  if (word.empty()) {
    out.null();
  } else {
    out.string(word);
  }
}

void write_openai_thinking(json::Writer& out, std::string_view text, const chat::Signature& signature, bool redacted) {
  std::string seal = chat::write_signature(signature, chat::Family::anthropic);
  out.open_object();
  if (redacted) {
    out.member("type", "redacted_thinking").member("data", seal);
  } else {
    out.member("type", "thinking").member("thinking", text).member("signature", seal);
  }
  out.close_object();
}

void write_openai_citation(json::Writer& out, const chat::Citation& citation, std::int64_t text_end) {
  out.open_object()
      .member("type", "url_citation")
      .key("url_citation")
      .open_object()
      .member("start_index", std::max<std::int64_t>(citation.begin, 0))
      .member("end_index", citation.end >= 0 ? citation.end : text_end)
      .member("url", citation.url)
      .member("title", citation.title)
      .close_object()
      .close_object();
}

void write_openai_image(json::Writer& out, const chat::Media& media) {
  out.open_object()
      .member("type", "image_url")
      .key("image_url")
      .open_object()
      .member("url", media.data.empty() ? media.url : chat::write_data_url(media.type, media.data))
      .close_object()
      .close_object();
}

void write_openai_audio(json::Writer& out, const chat::Media& audio, std::string_view answer_id) {
  out.key("audio").open_object().member("id", answer_id).member("data", audio.data);
  out.member("expires_at", 0).member("transcript", "").close_object();
}

void write_openai_signature(json::Writer& out, const chat::Signature& signature) {
  if (signature.empty()) return;
  out.key("extra_content")
      .open_object()
      .key("google")
      .open_object()
      .member("thought_signature", chat::write_signature(signature, chat::Family::gemini))
      .close_object()
      .close_object();
}

std::int64_t count_openai_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

namespace {

void write_number(json::Writer& out, const json::Value* value) {
  if (value != nullptr && value->is_number()) {
    out.value(*value);
  } else {
    out.null();
  }
}

void write_top(json::Writer& out, const json::Value& token) {
  out.open_object();
  const json::Value* top = json::find(token, "top_logprobs");
  if (top != nullptr && top->is_array()) {
    json::Object shown;  // names need escapes, and a name must not come twice
    for (const json::Value& entry : top->get_array()) {
      const json::Value* logprob = json::find(entry, "logprob");
      if (logprob != nullptr) shown[json::string_or(entry, "token", "")] = *logprob;
    }
    for (const auto& [name, value] : shown) {
      std::string quoted;
      json::append_escaped(quoted, {name.data(), name.size()});
      out.key(quoted).value(value);
    }
  }
  out.close_object();
}

}  // namespace

void write_openai_completion_logprobs(json::Writer& out, const json::Value& logprobs, std::int64_t offset) {
  const json::Value* content = json::find(logprobs, "content");
  if (content == nullptr || !content->is_array()) {
    out.null();
    return;
  }
  const json::Array& tokens = content->get_array();
  out.open_object().key("tokens").open_array();
  for (const json::Value& token : tokens) out.string(json::string_or(token, "token", ""));
  out.close_array().key("token_logprobs").open_array();
  for (const json::Value& token : tokens) write_number(out, json::find(token, "logprob"));
  out.close_array().key("top_logprobs").open_array();
  for (const json::Value& token : tokens) write_top(out, token);
  out.close_array().key("text_offset").open_array();
  for (const json::Value& token : tokens) {
    out.number(offset);
    offset += count_openai_characters(json::string_or(token, "token", ""));
  }
  out.close_array().close_object();
}

}  // namespace penstock::ext
