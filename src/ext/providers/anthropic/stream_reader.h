// A stream of Anthropic's Messages API, read.
#pragma once

#include <map>
#include <string>

#include "chat/stream.h"
#include "wire/sse.h"

namespace penstock::ext::anthropic {

class MessagesStreamReader : public chat::StreamReader {
 public:
  // `tool`: see answer_tool().
  explicit MessagesStreamReader(std::string tool) : tool_(std::move(tool)) {}
  Result<void> feed(std::string_view bytes, chat::StreamSink& sink) override;
  Result<void> finish(chat::StreamSink& sink) override;

 private:
  enum class Kind : std::uint8_t { none, text, thinking, call, answer, other };

  Result<void> take(const wire::SseEvent& event, chat::StreamSink& sink);
  Result<void> start_message(const json::Value& event, chat::StreamSink& sink);
  Result<void> start_block(const json::Value& event, chat::StreamSink& sink);
  void take_delta(const json::Value& delta, chat::StreamSink& sink);
  void say_text(std::string_view text, chat::StreamSink& sink);
  void say_arguments(std::string_view fragment, chat::StreamSink& sink);
  void stop_block(chat::StreamSink& sink);
  void take_message_delta(const json::Value& event, chat::StreamSink& sink);

  std::string tool_;
  wire::SseSplitter splitter_;
  chat::Usage usage_;
  Kind kind_ = Kind::none;   // of the block that stands open: they never interleave
  std::string whole_input_;  // of a call, as its first event says
  bool arguments_said_ = false;
  std::string signature_;
  std::int64_t block_begin_ = 0;  // characters of text before the block
  std::int64_t position_ = 0;     // and up to now
  int calls_ = 0;
  bool begun_ = false;
  bool finished_ = false;
  bool ended_ = false;  // by its mark, or an error
};

}  // namespace penstock::ext::anthropic
