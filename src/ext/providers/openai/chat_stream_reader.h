// Streams of OpenAI's chat completions and of the many servers that stream nearly like them.
#pragma once

#include <algorithm>

#include "chat/stream.h"
#include "json/value.h"
#include "wire/sse.h"

namespace penstock::ext {

// Takes: choices that are empty, null or absent; usage with or after the end of the choices; calls without an index, an
// id or arguments, several in one chunk, arguments in one piece or as an object; an end without [DONE] once every
// choice has ended. An error event of the provider's goes to the sink, and nothing is read after it.
class OpenAiChatStreamReader : public chat::StreamReader {
 public:
  // `choices`: as many as were asked for. With fewer only the end mark ends the stream.
  explicit OpenAiChatStreamReader(std::int64_t choices = 1)
      : choices_(static_cast<std::size_t>(std::max<std::int64_t>(choices, 1))) {}

  Result<void> feed(std::string_view bytes, chat::StreamSink& sink) override;
  Result<void> finish(chat::StreamSink& sink) override;

 private:
  struct Call {
    std::int64_t wire_index = -1;  // as the provider numbers it; -1: it does not
    std::string id = {};           // as the provider said it
    std::string name = {};         // empty until the sink knows of the call
    std::string waiting = {};      // arguments that came before the name
    chat::Signature signature = {};
    bool argued = false;
  };
  struct State {
    std::vector<Call> calls = {};
    bool finished = false;
  };

  Result<void> event(const wire::SseEvent& event, chat::StreamSink& sink);
  void begin(const json::Value& chunk, chat::StreamSink& sink);
  Result<void> choice(const json::Value& choice, chat::StreamSink& sink);
  void words(int index, const json::Value& delta, chat::StreamSink& sink);
  void thoughts(int index, const json::Value& delta, chat::StreamSink& sink);
  Result<void> calls(int index, const json::Value& delta, chat::StreamSink& sink);
  Result<void> call(int index, const json::Value& entry, const json::Value& function, chat::StreamSink& sink);
  Result<Call*> find_call(State& state, const json::Value& entry, std::string_view name);
  std::string call_id(int index, const State& state, const Call& call) const;
  Result<void> close_calls(int index, chat::StreamSink& sink);
  Result<void> end(chat::StreamSink& sink);

  std::size_t choices_;
  wire::SseSplitter splitter_;
  std::vector<State> states_;
  std::string id_;
  bool begun_ = false;
  bool ended_ = false;  // properly, or by an error of the provider's
};

}  // namespace penstock::ext
