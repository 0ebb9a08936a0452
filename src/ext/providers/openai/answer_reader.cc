#include "ext/providers/openai/answer_reader.h"

#include "chat/data_url.h"
#include "chat/signature.h"
#include "chat/turns.h"
#include "ext/providers/openai/error_reader.h"

namespace penstock::ext {
namespace {

// 10^9: beyond any context, and safe to add up.
constexpr std::int64_t kTokensMax = 1'000'000'000;
constexpr std::size_t kChoicesMax = 128;

std::int64_t count(const json::Value* object, std::string_view name) {
  std::int64_t value = object == nullptr ? 0 : json::int_or(*object, name, 0);
  return value >= 0 && value <= kTokensMax ? value : 0;
}

std::string_view view(const json::Value& text) { return {text.get_string().data(), text.get_string().size()}; }

const json::Array* list_in(const json::Value& owner, std::string_view name) {
  const json::Value* value = json::find(owner, name);
  return value != nullptr && value->is_array() ? &value->get_array() : nullptr;
}

void read_thinking_blocks(const json::Array& blocks, chat::Choice& choice) {
  for (const json::Value& block : blocks) {
    bool redacted = json::string_or(block, "type", "") == "redacted_thinking";
    std::string_view seal = json::string_or(block, redacted ? "data" : "signature", "");
    chat::Thinking thinking{.text = std::string(json::string_or(block, "thinking", "")), .redacted = redacted};
    if (!seal.empty()) thinking.signature = chat::read_signature(seal, chat::Family::anthropic);
    choice.parts.push_back({.content = std::move(thinking)});
  }
}

// The blocks say all that the text says, and more.
void read_thinking(const json::Value& message, chat::Choice& choice) {
  const json::Array* blocks = list_in(message, "thinking_blocks");
  if (blocks != nullptr && !blocks->empty()) return read_thinking_blocks(*blocks, choice);
  std::string_view text = read_openai_thoughts(message);
  if (!text.empty()) choice.parts.push_back({.content = chat::Thinking{std::string(text)}});
}

void read_words(const json::Value& message, chat::Choice& choice) {
  chat::Text text{read_openai_text(message)};
  read_openai_citations(message, [&](const chat::Citation& citation) { text.citations.push_back(citation); });
  if (!text.text.empty() || !text.citations.empty()) choice.parts.push_back({.content = std::move(text)});
  if (std::string_view refusal = json::string_or(message, "refusal", ""); !refusal.empty())
    choice.parts.push_back({.content = chat::Refusal{std::string(refusal)}});
}

// Whether the choice's arguments are what whoever uses the tool can read.
Result<void> add_call(const json::Value& function, std::string_view id, chat::Signature signature,
                      chat::Choice& choice) {
  chat::ToolCall call{.id = std::string(id),
                      .name = std::string(json::string_or(function, "name", "")),
                      .arguments = read_openai_arguments(function),
                      .signature = std::move(signature)};
  if (call.name.empty()) return fail(Errc::protocol_error, "a tool call without the name of a function");
  if (call.arguments.empty()) call.arguments = "{}";
  choice.parts.push_back({.content = std::move(call)});
  return {};
}

Result<int> read_calls(const json::Value& message, std::string_view answer_id, int choice_index, chat::Choice& choice) {
  int calls = 0;
  if (const json::Array* list = list_in(message, "tool_calls")) {
    for (const json::Value& entry : *list) {
      const json::Value* function = json::find(entry, "function");
      if (function == nullptr || !function->is_object())
        return fail(Errc::protocol_error, "a tool call that is no call of a function");
      std::string_view id = json::string_or(entry, "id", "");
      std::string made;
      if (id.empty())
        id = made = chat::make_call_id(answer_id, choice_index, calls, json::string_or(*function, "name", ""));
      if (auto added = add_call(*function, id, read_openai_signature(entry), choice); !added)
        return std::unexpected(added.error());
      ++calls;
    }
  }
  const json::Value* function = json::find(message, "function_call");
  if (calls == 0 && function != nullptr && function->is_object()) {
    std::string id = chat::make_call_id(answer_id, choice_index, 0, json::string_or(*function, "name", ""));
    if (auto added = add_call(*function, id, {}, choice); !added) return std::unexpected(added.error());
    ++calls;
  }
  return calls;
}

Result<chat::Choice> read_choice(const json::Value& value, std::string_view answer_id, int index) {
  const json::Value* message = json::find(value, "message");
  if (message == nullptr || !message->is_object()) return fail(Errc::protocol_error, "a choice without a message");
  chat::Choice choice;
  read_thinking(*message, choice);
  read_words(*message, choice);
  read_openai_images(*message, [&](chat::Media media) { choice.parts.push_back({.content = std::move(media)}); });
  auto calls = read_calls(*message, answer_id, index, choice);
  if (!calls) return std::unexpected(calls.error());
  choice.finish = chat::read_finish(chat::Family::openai, json::string_or(value, "finish_reason", ""), *calls > 0);
  if (const json::Value* logprobs = json::find(value, "logprobs"); logprobs != nullptr && logprobs->is_object())
    choice.logprobs = *logprobs;
  return choice;
}

}  // namespace

chat::Usage read_openai_usage(const json::Value& document) {
  const json::Value* reported = json::find(document, "usage");
  chat::Usage usage;
  if (reported == nullptr || !reported->is_object()) return usage;
  const json::Value* input = json::find(*reported, "prompt_tokens_details");
  const json::Value* output = json::find(*reported, "completion_tokens_details");
  usage.known = true;
  usage.input = count(reported, "prompt_tokens");
  usage.output = count(reported, "completion_tokens");
  usage.cached = count(input, "cached_tokens");
  usage.cache_write = count(input, "cache_write_tokens");
  usage.audio_input = count(input, "audio_tokens");
  usage.reasoning = count(output, "reasoning_tokens");
  usage.audio_output = count(output, "audio_tokens");
  // Some count thoughts beside the answer instead of in it; their sum shows it.
  std::int64_t total = count(reported, "total_tokens");
  if (usage.reasoning > 0 && total == usage.input + usage.output + usage.reasoning) usage.output += usage.reasoning;
  return usage;
}

std::string read_openai_text(const json::Value& message) {
  const json::Value* content = json::find(message, "content");
  if (content == nullptr) return {};
  if (content->is_string()) return std::string(view(*content));
  std::string text;
  if (!content->is_array()) return text;
  for (const json::Value& part : content->get_array()) text += json::string_or(part, "text", "");
  return text;
}

std::string_view read_openai_thoughts(const json::Value& message) {
  std::string_view text = json::string_or(message, "reasoning_content", "");
  return text.empty() ? json::string_or(message, "reasoning", "") : text;
}

void read_openai_citations(const json::Value& message, const std::function<void(const chat::Citation&)>& take) {
  const json::Array* annotations = list_in(message, "annotations");
  if (annotations == nullptr) return;
  for (const json::Value& annotation : *annotations) {
    const json::Value* cited = json::find(annotation, "url_citation");
    if (cited == nullptr) continue;
    chat::Citation citation{.url = std::string(json::string_or(*cited, "url", "")),
                            .title = std::string(json::string_or(*cited, "title", "")),
                            .begin = json::int_or(*cited, "start_index", -1),
                            .end = json::int_or(*cited, "end_index", -1)};
    if (!citation.url.empty()) take(citation);
  }
}

void read_openai_images(const json::Value& message, const std::function<void(chat::Media)>& take) {
  const json::Array* images = list_in(message, "images");
  if (images == nullptr) return;
  for (const json::Value& image : *images) {
    const json::Value* inner = json::find(image, "image_url");
    if (inner == nullptr) continue;
    std::string_view url = json::string_or(*inner, "url", "");
    chat::Media media;
    if (auto data = chat::read_data_url(url)) {
      media.type = data->type;
      media.data = data->data;
    } else {
      media.url = url;
    }
    if (!media.data.empty() || !media.url.empty()) take(std::move(media));
  }
}

chat::Signature read_openai_signature(const json::Value& call) {
  const json::Value* extra = json::find(call, "extra_content");
  const json::Value* google = extra == nullptr ? nullptr : json::find(*extra, "google");
  std::string_view text = google == nullptr ? "" : json::string_or(*google, "thought_signature", "");
  return text.empty() ? chat::Signature{} : chat::read_signature(text, chat::Family::gemini);
}

std::string read_openai_arguments(const json::Value& function) {
  const json::Value* arguments = json::find(function, "arguments");
  if (arguments == nullptr) return {};
  if (arguments->is_string()) return std::string(view(*arguments));
  return arguments->is_object() ? json::dump(*arguments) : std::string();
}

Result<chat::Answer> read_openai_chat_answer(std::string_view body) {
  auto parsed = json::parse(body);
  if (!parsed) return fail(Errc::protocol_error, parsed.error().detail);
  if (is_openai_error(*parsed)) {
    std::string message = openai_error_in(500, *parsed).message;
    return fail(Errc::unavailable, message.empty() ? "the provider reports an error and says no more" : message);
  }
  const json::Array* choices = list_in(*parsed, "choices");
  if (choices == nullptr || choices->empty() || choices->size() > kChoicesMax)
    return fail(Errc::protocol_error, "an answer without choices");
  chat::Answer answer{.id = std::string(json::string_or(*parsed, "id", "")),
                      .model = std::string(json::string_or(*parsed, "model", "")),
                      .created = json::int_or(*parsed, "created", 0),
                      .choices = {},
                      .usage = read_openai_usage(*parsed),
                      .service_tier = std::string(json::string_or(*parsed, "service_tier", "")),
                      .system_fingerprint = std::string(json::string_or(*parsed, "system_fingerprint", ""))};
  answer.choices.resize(choices->size());
  for (std::size_t i = 0; i < choices->size(); ++i) {
    const json::Value& value = (*choices)[i];
    auto at = json::int_or(value, "index", static_cast<std::int64_t>(i));
    if (at < 0 || static_cast<std::size_t>(at) >= choices->size()) at = static_cast<std::int64_t>(i);
    auto choice = read_choice(value, answer.id, static_cast<int>(at));
    if (!choice) return std::unexpected(choice.error());
    answer.choices[static_cast<std::size_t>(at)] = std::move(*choice);
  }
  return answer;
}

}  // namespace penstock::ext
