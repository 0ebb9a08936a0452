#include "ext/providers/openai/chat_stream_reader.h"

#include <algorithm>

#include "chat/signature.h"
#include "chat/turns.h"
#include "ext/providers/openai/answer_reader.h"
#include "ext/providers/openai/error_reader.h"

namespace penstock::ext {
namespace {

constexpr std::int64_t kChoicesMax = 128;
constexpr std::size_t kCallsMax = 1024;
// Of arguments that wait for the name of their call.
constexpr std::size_t kWaitingBytesMax = 1U << 20;

std::unexpected<Error> broken(std::string_view what) {
  return fail(Errc::protocol_error, fmt::format("the provider's stream is broken: {}", what));
}

bool says_something(const json::Value& logprobs) {
  for (std::string_view name : {"content", "refusal"}) {
    const json::Value* list = json::find(logprobs, name);
    if (list != nullptr && list->is_array() && !list->get_array().empty()) return true;
  }
  return false;
}

}  // namespace

Result<void> OpenAiChatStreamReader::feed(std::string_view bytes, chat::StreamSink& sink) {
  if (ended_) return {};
  if (!splitter_.feed(bytes)) return broken("an event is too large");
  while (auto next = splitter_.next()) {
    if (auto read = event(*next, sink); !read || ended_) return read;
  }
  return {};
}

Result<void> OpenAiChatStreamReader::finish(chat::StreamSink& sink) {
  if (!ended_) {
    if (auto last = splitter_.last()) {
      if (auto read = event(*last, sink); !read) return read;
    }
  }
  if (ended_) return {};
  bool all = begun_ && states_.size() >= choices_ &&
             std::all_of(states_.begin(), states_.end(), [](const State& state) { return state.finished; });
  if (!all) return fail(Errc::data_loss, "the provider's stream ended before the answer did");
  return end(sink);
}

Result<void> OpenAiChatStreamReader::event(const wire::SseEvent& event, chat::StreamSink& sink) {
  if (event.data.empty()) return {};
  if (event.data == "[DONE]") return end(sink);
  auto chunk = json::parse(event.data);
  if (event.name == "error" || (chunk && is_openai_error(*chunk))) {
    ended_ = true;
    sink.error(chunk ? openai_error_in(500, *chunk) : read_openai_error(500, event.data));
    return {};
  }
  if (!chunk) return broken("an event is not JSON");
  const json::Value* choices = json::find(*chunk, "choices");
  if (choices != nullptr && choices->is_array() && !choices->get_array().empty()) {
    begin(*chunk, sink);
    for (const json::Value& value : choices->get_array()) {
      if (auto read = choice(value, sink); !read) return read;
    }
  }
  chat::Usage usage = read_openai_usage(*chunk);
  if (!usage.known) return {};
  begin(*chunk, sink);
  sink.usage(usage);
  return {};
}

void OpenAiChatStreamReader::begin(const json::Value& chunk, chat::StreamSink& sink) {
  if (std::exchange(begun_, true)) return;
  id_ = json::string_or(chunk, "id", "");
  sink.begin({.id = id_,
              .model = json::string_or(chunk, "model", ""),
              .created = json::int_or(chunk, "created", 0),
              .service_tier = json::string_or(chunk, "service_tier", ""),
              .system_fingerprint = json::string_or(chunk, "system_fingerprint", "")});
}

Result<void> OpenAiChatStreamReader::choice(const json::Value& choice, chat::StreamSink& sink) {
  std::int64_t number = json::int_or(choice, "index", 0);
  if (number < 0 || number >= kChoicesMax) return broken("the index of a choice is out of range");
  auto at = static_cast<std::size_t>(number);
  int index = static_cast<int>(number);
  if (states_.size() <= at) states_.resize(at + 1);
  if (states_[at].finished) return {};
  const json::Value* delta = json::find(choice, "delta");
  if (delta == nullptr) delta = json::find(choice, "message");
  if (delta != nullptr && delta->is_object()) {
    thoughts(index, *delta, sink);
    words(index, *delta, sink);
    if (auto read = calls(index, *delta, sink); !read) return read;
  }
  const json::Value* logprobs = json::find(choice, "logprobs");
  if (logprobs != nullptr && says_something(*logprobs)) sink.logprobs(index, *logprobs);
  chat::Finish reason =
      chat::read_finish(chat::Family::openai, json::string_or(choice, "finish_reason", ""), !states_[at].calls.empty());
  if (reason == chat::Finish::none) return {};
  if (auto closed = close_calls(index, sink); !closed) return closed;
  states_[at].finished = true;
  sink.finish(index, reason, {});
  return {};
}

void OpenAiChatStreamReader::thoughts(int index, const json::Value& delta, chat::StreamSink& sink) {
  if (std::string_view text = read_openai_thoughts(delta); !text.empty()) sink.thinking(index, text);
  const json::Value* blocks = json::find(delta, "thinking_blocks");
  if (blocks == nullptr || !blocks->is_array()) return;
  // Their text came before, as fragments.
  for (const json::Value& block : blocks->get_array()) {
    bool redacted = json::string_or(block, "type", "") == "redacted_thinking";
    std::string_view seal = json::string_or(block, redacted ? "data" : "signature", "");
    if (!seal.empty()) sink.thinking_end(index, chat::read_signature(seal, chat::Family::anthropic), redacted);
  }
}

void OpenAiChatStreamReader::words(int index, const json::Value& delta, chat::StreamSink& sink) {
  std::string_view text = json::string_or(delta, "content", "");
  if (!text.empty()) {
    sink.text(index, text);
  } else if (std::string parts = read_openai_text(delta); !parts.empty()) {
    sink.text(index, parts);
  }
  if (std::string_view refusal = json::string_or(delta, "refusal", ""); !refusal.empty()) sink.refusal(index, refusal);
  if (delta.get_object().contains("annotations"))
    read_openai_citations(delta, [&](const chat::Citation& citation) { sink.citation(index, citation); });
  if (delta.get_object().contains("images"))
    read_openai_images(delta, [&](const chat::Media& media) { sink.media(index, media); });
}

Result<void> OpenAiChatStreamReader::calls(int index, const json::Value& delta, chat::StreamSink& sink) {
  const json::Value* list = json::find(delta, "tool_calls");
  if (list != nullptr && list->is_array()) {
    for (const json::Value& entry : list->get_array()) {
      const json::Value* function = json::find(entry, "function");
      if (function == nullptr || !function->is_object()) continue;
      if (auto read = call(index, entry, *function, sink); !read) return read;
    }
  }
  const json::Value* function = json::find(delta, "function_call");
  if (function == nullptr || !function->is_object()) return {};
  return call(index, json::Value(json::Object{{"index", 0}}), *function, sink);
}

// An index names its call, but servers that send 0 for every call show a new one by its new id and name. Without an
// index, an id or name that is new begins a call and anything else goes on with the last.
Result<OpenAiChatStreamReader::Call*> OpenAiChatStreamReader::find_call(State& state, const json::Value& entry,
                                                                        std::string_view name) {
  std::string_view id = json::string_or(entry, "id", "");
  std::int64_t number = json::int_or(entry, "index", -1);
  Call* found = nullptr;
  for (Call& call : state.calls) {
    if (number >= 0 ? call.wire_index == number : !id.empty() && call.id == id) found = &call;
  }
  if (number < 0 && found == nullptr && id.empty() && name.empty() && !state.calls.empty()) found = &state.calls.back();
  bool another = found != nullptr && !id.empty() && !found->id.empty() && found->id != id && !name.empty();
  if (found != nullptr && !another) return found;
  if (state.calls.size() >= kCallsMax) return broken("too many tool calls");
  state.calls.push_back({.wire_index = number});
  return &state.calls.back();
}

std::string OpenAiChatStreamReader::call_id(int index, const State& state, const Call& call) const {
  bool taken = std::any_of(state.calls.begin(), state.calls.end(),
                           [&](const Call& other) { return &other != &call && other.id == call.id; });
  if (!call.id.empty() && !taken) return call.id;
  return chat::make_call_id(id_, index, static_cast<int>(&call - state.calls.data()), call.name);
}

Result<void> OpenAiChatStreamReader::call(int index, const json::Value& entry, const json::Value& function,
                                          chat::StreamSink& sink) {
  State& state = states_[static_cast<std::size_t>(index)];
  std::string_view name = json::string_or(function, "name", "");
  auto found = find_call(state, entry, name);
  if (!found) return std::unexpected(found.error());
  Call& call = **found;
  int number = static_cast<int>(&call - state.calls.data());
  if (call.name.empty()) {
    if (call.id.empty()) call.id = json::string_or(entry, "id", "");
    if (call.signature.empty()) call.signature = read_openai_signature(entry);
    if (!name.empty()) {
      call.name = name;
      sink.call(index, number, call_id(index, state, call), call.name, call.signature);
      if (!call.waiting.empty()) sink.arguments(index, number, std::exchange(call.waiting, {}));
    }
  }
  std::string whole;
  std::string_view arguments = json::string_or(function, "arguments", "");
  if (arguments.empty()) arguments = whole = read_openai_arguments(function);
  if (arguments.empty()) return {};
  call.argued = true;
  if (!call.name.empty()) {
    sink.arguments(index, number, arguments);
  } else {
    if (call.waiting.size() + arguments.size() > kWaitingBytesMax) return broken("a tool call without a name");
    call.waiting += arguments;
  }
  return {};
}

Result<void> OpenAiChatStreamReader::close_calls(int index, chat::StreamSink& sink) {
  const State& state = states_[static_cast<std::size_t>(index)];
  for (std::size_t i = 0; i < state.calls.size(); ++i) {
    if (state.calls[i].name.empty()) return broken("a tool call without a name");
    if (!state.calls[i].argued) sink.arguments(index, static_cast<int>(i), "{}");
  }
  return {};
}

Result<void> OpenAiChatStreamReader::end(chat::StreamSink& sink) {
  if (!begun_) return broken("it ends without an answer");
  for (std::size_t i = 0; i < states_.size(); ++i) {
    if (states_[i].finished) continue;
    if (auto closed = close_calls(static_cast<int>(i), sink); !closed) return closed;
  }
  ended_ = true;
  sink.end();
  return {};
}

}  // namespace penstock::ext
