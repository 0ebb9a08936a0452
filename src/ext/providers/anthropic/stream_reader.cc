#include "ext/providers/anthropic/stream_reader.h"

#include "ext/providers/anthropic/answer_reader.h"

namespace penstock::ext::anthropic {

using chat::Finish;

Result<void> MessagesStreamReader::feed(std::string_view bytes, chat::StreamSink& sink) {
  if (!splitter_.feed(bytes)) return fail(Errc::protocol_error, "the provider sent an event larger than 8 MiB");
  while (auto event = splitter_.next()) {
    if (auto taken = take(*event, sink); !taken) return taken;
  }
  return {};
}

Result<void> MessagesStreamReader::finish(chat::StreamSink& sink) {
  if (auto event = splitter_.last()) {
    if (auto taken = take(*event, sink); !taken) return taken;
  }
  if (ended_) return {};
  return fail(Errc::data_loss, "the stream ended without message_stop");
}

Result<void> MessagesStreamReader::take(const wire::SseEvent& event, chat::StreamSink& sink) {
  if (ended_ || event.data.empty()) return {};
  auto parsed = json::parse(event.data);
  if (!parsed) return fail(Errc::protocol_error, "an event of the stream is no JSON: " + parsed.error().detail);
  std::string_view type = json::string_or(*parsed, "type", "");
  if (type == "content_block_delta") {
    if (const json::Value* delta = json::find(*parsed, "delta")) take_delta(*delta, sink);
    return {};
  }
  if (type == "message_start") return start_message(*parsed, sink);
  if (type == "content_block_start") return start_block(*parsed, sink);
  if (!begun_ && (type == "message_delta" || type == "message_stop"))
    return fail(Errc::protocol_error, "the stream ends before it begins");
  if (type == "content_block_stop") {
    stop_block(sink);
  } else if (type == "message_delta") {
    take_message_delta(*parsed, sink);
  } else if (type == "message_stop") {
    ended_ = true;
    sink.end();
  } else if (type == "error") {
    ended_ = true;
    sink.error(read_messages_error(0, *parsed));
  }
  return {};  // ping, and what is not known yet
}

Result<void> MessagesStreamReader::start_message(const json::Value& event, chat::StreamSink& sink) {
  const json::Value* message = json::find(event, "message");
  if (message == nullptr || !message->is_object())
    return fail(Errc::protocol_error, "the stream's message_start has no message");
  if (std::exchange(begun_, true)) return fail(Errc::protocol_error, "the stream begins twice");
  const json::Value* usage = json::find(*message, "usage");
  std::string_view tier = usage == nullptr ? std::string_view{} : read_service_tier(*usage);
  sink.begin({.id = json::string_or(*message, "id", ""),
              .model = json::string_or(*message, "model", ""),
              .service_tier = tier});
  if (usage != nullptr && usage->is_object()) {
    read_usage(*usage, usage_);
    sink.usage(usage_);
  }
  return {};
}

Result<void> MessagesStreamReader::start_block(const json::Value& event, chat::StreamSink& sink) {
  if (!begun_) return fail(Errc::protocol_error, "the stream has content before its message_start");
  const json::Value* block = json::find(event, "content_block");
  std::string_view type = block == nullptr ? std::string_view{} : json::string_or(*block, "type", "");
  stop_block(sink);
  kind_ = Kind::other;
  if (type == "text") {
    kind_ = Kind::text;
    block_begin_ = position_;
    say_text(json::string_or(*block, "text", ""), sink);
  } else if (type == "thinking") {
    kind_ = Kind::thinking;
    signature_ = json::string_or(*block, "signature", "");
    if (std::string_view text = json::string_or(*block, "thinking", ""); !text.empty()) sink.thinking(0, text);
  } else if (type == "redacted_thinking") {
    sink.thinking_end(0, {std::string(json::string_or(*block, "data", "")), chat::Family::anthropic}, true);
  } else if (type == "tool_use") {
    std::string_view name = json::string_or(*block, "name", "");
    if (name.empty()) return fail(Errc::protocol_error, "a tool_use block of the stream has no name");
    const json::Value* input = json::find(*block, "input");
    bool whole = input != nullptr && input->is_object() && !input->get_object().empty();
    whole_input_ = whole ? json::dump(*input) : "{}";
    arguments_said_ = false;
    kind_ = !tool_.empty() && name == tool_ ? Kind::answer : Kind::call;
    if (kind_ == Kind::call) sink.call(0, calls_++, json::string_or(*block, "id", ""), name, {});
  }
  return {};
}

void MessagesStreamReader::say_text(std::string_view text, chat::StreamSink& sink) {
  if (text.empty()) return;
  position_ += characters(text);
  sink.text(0, text);
}

void MessagesStreamReader::say_arguments(std::string_view fragment, chat::StreamSink& sink) {
  if (fragment.empty()) return;
  arguments_said_ = true;
  if (kind_ == Kind::call) sink.arguments(0, calls_ - 1, fragment);
  if (kind_ == Kind::answer) sink.text(0, fragment);
}

void MessagesStreamReader::take_delta(const json::Value& delta, chat::StreamSink& sink) {
  std::string_view type = json::string_or(delta, "type", "");
  if (type == "text_delta" && kind_ == Kind::text) {
    say_text(json::string_or(delta, "text", ""), sink);
  } else if (type == "input_json_delta") {
    say_arguments(json::string_or(delta, "partial_json", ""), sink);
  } else if (type == "thinking_delta" && kind_ == Kind::thinking) {
    if (std::string_view text = json::string_or(delta, "thinking", ""); !text.empty()) sink.thinking(0, text);
  } else if (type == "signature_delta" && kind_ == Kind::thinking) {
    signature_ += json::string_or(delta, "signature", "");
  } else if (type == "citations_delta" && kind_ == Kind::text) {
    if (const json::Value* citation = json::find(delta, "citation"))
      sink.citation(0, read_citation(*citation, block_begin_, position_));
  }
}

void MessagesStreamReader::stop_block(chat::StreamSink& sink) {
  if (kind_ == Kind::thinking && !signature_.empty())
    sink.thinking_end(0, {std::exchange(signature_, {}), chat::Family::anthropic}, false);
  if ((kind_ == Kind::call || kind_ == Kind::answer) && !arguments_said_) say_arguments(whole_input_, sink);
  kind_ = Kind::none;
}

void MessagesStreamReader::take_message_delta(const json::Value& event, chat::StreamSink& sink) {
  stop_block(sink);
  if (const json::Value* usage = json::find(event, "usage"); usage != nullptr && usage->is_object()) {
    read_usage(*usage, usage_);
    sink.usage(usage_);
  }
  const json::Value* delta = json::find(event, "delta");
  if (delta == nullptr || finished_) return;
  if (std::string_view why = refusal_of(*delta); !why.empty()) sink.refusal(0, why);
  Finish finish = read_stop_reason(json::string_or(*delta, "stop_reason", ""), calls_ > 0);
  if (finish == Finish::none) return;
  finished_ = true;
  sink.finish(0, finish, json::string_or(*delta, "stop_sequence", ""));
}

}  // namespace penstock::ext::anthropic
