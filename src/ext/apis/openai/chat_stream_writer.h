// A streamed answer as OpenAI's chat API writes it: chat.completion.chunk events.
#pragma once

#include "ext/apis/openai/chunk_writer.h"

namespace penstock::ext {

class OpenAiChatStreamWriter : public OpenAiChunkWriter {
 public:
  explicit OpenAiChatStreamWriter(const chat::Request& request)
      : OpenAiChunkWriter(request, "chat.completion.chunk", "chatcmpl-") {}

  void begin(const chat::StreamHead& head) override { OpenAiChunkWriter::begin(head); }
  void text(int choice, std::string_view text) override;
  void citation(int choice, const chat::Citation& citation) override;
  void refusal(int choice, std::string_view text) override;
  void thinking(int choice, std::string_view text) override;
  // Says the whole thought once more, as the block that is to be given back.
  void thinking_end(int choice, const chat::Signature& signature, bool redacted) override;
  void media(int choice, const chat::Media& media) override;
  void call(int choice, int call, std::string_view id, std::string_view name,
            const chat::Signature& signature) override;
  void arguments(int choice, int call, std::string_view fragment) override;
  // Goes into the chunk of its text unless that was sent.
  void logprobs(int choice, const json::Value& logprobs) override;
  void finish(int choice, chat::Finish finish, std::string_view stop_sequence) override;

 private:
  struct State {
    bool begun = false;
    std::int64_t characters = 0;
    std::string thought = {};
  };

  State& at(int choice);
  // Begins a chunk, up to the members of its delta. The first of a choice carries the role, and that there is no text.
  json::Writer open_delta(int choice, bool without_text = true);
  void close_delta();

  std::vector<State> states_;
  // Of the chunk written last: where its logprobs stand, and its end.
  std::size_t logprobs_at_ = 0, end_at_ = std::string::npos;
  int last_choice_ = 0;
};

}  // namespace penstock::ext
