#include "ext/providers/gemini/answer_reader.h"

#include <fmt/format.h>

#include "chat/error_type.h"
#include "chat/turns.h"
#include "ext/providers/gemini/candidate_details.h"

namespace penstock::ext {
namespace {

using chat::Family;

// 10^9: beyond any context, and safe to add up.
std::int64_t count(const json::Value& from, std::string_view name) {
  std::int64_t value = json::int_or(from, name, 0);
  return value >= 0 && value <= 1'000'000'000 ? value : 0;
}

std::int64_t audio_tokens(const json::Value& metadata, std::string_view name) {
  const json::Value* list = json::find(metadata, name);
  if (list == nullptr || !list->is_array()) return 0;
  for (const json::Value& entry : list->get_array()) {
    if (json::string_or(entry, "modality", "") == "AUDIO") return count(entry, "tokenCount");
  }
  return 0;
}

// `status` counts where the error names no HTTP status of its own.
chat::ProviderError error_of(const json::Value& error, int status) {
  std::int64_t code = json::int_or(error, "code", status);
  chat::ProviderError out;
  out.status = code >= 400 && code <= 599 ? static_cast<int>(code) : status;
  out.type = chat::error_type(out.status);
  out.message = json::string_or(error, "message", "");
  if (out.message.empty()) out.message = json::string_or(error, "status", "");
  out.code = json::string_or(error, "status", "");
  return out;
}

}  // namespace

chat::Usage read_usage(const json::Value& response) {
  chat::Usage usage;
  const json::Value* metadata = json::find(response, "usageMetadata");
  if (metadata == nullptr || !metadata->is_object()) return usage;
  usage.known = true;
  usage.input = count(*metadata, "promptTokenCount") + count(*metadata, "toolUsePromptTokenCount");
  usage.reasoning = count(*metadata, "thoughtsTokenCount");
  usage.output = count(*metadata, "candidatesTokenCount") + usage.reasoning;
  usage.cached = count(*metadata, "cachedContentTokenCount");
  usage.audio_input = audio_tokens(*metadata, "promptTokensDetails");
  usage.audio_output = audio_tokens(*metadata, "candidatesTokensDetails");
  return usage;
}

chat::ProviderError read_gemini_error(int status, std::string_view body) {
  chat::ProviderError out{.status = status, .type = std::string(chat::error_type(status))};
  auto parsed = json::parse(body);
  if (!parsed) return out;
  const json::Value* top = &*parsed;
  if (top->is_array() && !top->get_array().empty()) top = &top->get_array().front();
  const json::Value* error = json::find(*top, "error");
  if (error == nullptr) return out;
  if (const auto* text = error->if_string()) out.message = std::string(*text);
  if (error->is_object()) out = error_of(*error, status);
  out.status = status;
  return out;
}

void AnswerReader::begin(const json::Value& response, chat::StreamSink& sink) {
  if (std::exchange(begun_, true)) return;
  std::string_view id = json::string_or(response, "responseId", "");
  id_ = id.empty() ? std::string_view(request_.id) : id;
  sink.begin({id_, json::string_or(response, "modelVersion", ""), 0});
}

Result<void> AnswerReader::piece(std::string_view text, chat::StreamSink& sink) {
  if (failed_) return {};
  auto parsed = json::parse(text);
  if (!parsed) return fail(Errc::protocol_error, "the provider sent no JSON: " + parsed.error().detail);
  if (!parsed->is_object()) return fail(Errc::protocol_error, "the provider's answer is no JSON object");
  if (const json::Value* error = json::find(*parsed, "error"); error != nullptr && error->is_object()) {
    failed_ = true;
    sink.error(error_of(*error, 502));
    return {};
  }
  begin(*parsed, sink);
  // Before the content: some clients are told the size of the input at the start.
  if (chat::Usage usage = read_usage(*parsed); usage.known) sink.usage(usage);
  if (const json::Value* feedback = json::find(*parsed, "promptFeedback"))
    blocked_ = blocked_ || !json::string_or(*feedback, "blockReason", "").empty();
  if (const json::Value* list = json::find(*parsed, "candidates"); list != nullptr && list->is_array()) {
    int place = 0;
    for (const json::Value& entry : list->get_array()) {
      if (auto read = candidate(entry, place++, sink); !read) return read;
    }
  }
  return {};
}

Result<void> AnswerReader::candidate(const json::Value& from, int place, chat::StreamSink& sink) {
  std::int64_t said = json::int_or(from, "index", place);
  // More candidates than any server makes would only cost memory.
  if (!from.is_object() || said < 0 || said > 127)
    return fail(Errc::protocol_error, "the provider's answer has a candidate that is none");
  int index = static_cast<int>(said);
  Candidate& known = candidates_[index];
  const json::Value* content = json::find(from, "content");
  const json::Value* parts = content != nullptr ? json::find(*content, "parts") : nullptr;
  if (parts != nullptr && parts->is_array()) {
    for (const json::Value& entry : parts->get_array()) {
      if (auto read = part(entry, index, sink); !read) return read;
    }
  }
  for (const chat::Citation& citation : read_citations(from)) sink.citation(index, citation);
  if (json::Value logprobs = read_logprobs(from); !logprobs.is_null()) sink.logprobs(index, logprobs);
  std::string_view reason = json::string_or(from, "finishReason", "");
  if (!reason.empty()) known.reason = reason;
  return {};
}

Result<void> AnswerReader::part(const json::Value& from, int index, chat::StreamSink& sink) {
  chat::Signature signature{std::string(json::string_or(from, "thoughtSignature", "")), Family::gemini};
  if (const json::Value* function = json::find(from, "functionCall")) return call(*function, signature, index, sink);
  std::string_view text = json::string_or(from, "text", "");
  bool thought = json::bool_or(from, "thought", false);
  Candidate& candidate = candidates_[index];
  if (!text.empty() || !thought) candidate.thinking = thought;
  if (!text.empty()) thought ? sink.thinking(index, text) : sink.text(index, text);
  if (const json::Value* data = json::find(from, "inlineData"); data != nullptr && !thought) {
    chat::Media media = read_media(*data);
    if (!media.data.empty()) sink.media(index, media);
  }
  if (signature.empty()) return {};
  // Without a thought to be sealed it is the seal of what was thought and not shown.
  sink.thinking_end(index, signature, !candidate.thinking);
  candidate.thinking = false;
  return {};
}

Result<void> AnswerReader::call(const json::Value& from, const chat::Signature& signature, int index,
                                chat::StreamSink& sink) {
  std::string_view name = json::string_or(from, "name", "");
  if (name.empty()) return fail(Errc::protocol_error, "the provider's answer calls a function without a name");
  const json::Value* args = json::find(from, "args");
  if (args != nullptr && !args->is_object() && !args->is_null())
    return fail(Errc::protocol_error, fmt::format("the arguments of the provider's call of '{}' are no object", name));
  int number = candidates_[index].calls++;
  candidates_[index].thinking = false;
  std::string id(json::string_or(from, "id", ""));
  if (id.empty()) id = chat::make_call_id(id_, index, number, name);
  sink.call(index, number, id, name, signature);
  sink.arguments(index, number, args != nullptr && args->is_object() ? json::dump(*args) : "{}");
  return {};
}

Result<void> AnswerReader::end(chat::StreamSink& sink) {
  if (failed_) return {};
  if (!begun_) return fail(Errc::data_loss, "the provider's answer is empty");
  if (candidates_.empty()) {
    if (!blocked_) return fail(Errc::data_loss, "the provider's answer ended without a candidate");
    sink.finish(0, chat::Finish::content_filter, {});
  }
  for (const auto& [index, candidate] : candidates_) {
    chat::Finish finish = chat::read_finish(Family::gemini, candidate.reason, candidate.calls > 0);
    if (finish == chat::Finish::none)
      return fail(Errc::data_loss, "the provider's answer was cut: it ended without a reason to finish");
    sink.finish(index, finish, {});
  }
  sink.end();
  return {};
}

Result<void> GeminiStreamReader::event(const wire::SseEvent& event, chat::StreamSink& sink) {
  if (event.data.empty() || event.data == "[DONE]") return {};
  return answer_.piece(event.data, sink);
}

Result<void> GeminiStreamReader::feed(std::string_view bytes, chat::StreamSink& sink) {
  if (!splitter_.feed(bytes)) return fail(Errc::protocol_error, "the provider sent an event larger than 8 MiB");
  while (auto next = splitter_.next()) {
    if (auto read = event(*next, sink); !read) return read;
  }
  return {};
}

Result<void> GeminiStreamReader::finish(chat::StreamSink& sink) {
  if (auto last = splitter_.last()) {
    if (auto read = event(*last, sink); !read) return read;
  } else if (splitter_.rest().find_first_not_of("\r\n") != std::string_view::npos) {
    return fail(Errc::data_loss, "the stream ended within an event");
  }
  return answer_.end(sink);
}

}  // namespace penstock::ext
