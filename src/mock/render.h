// A completion as the bytes OpenAI's API would send.
#pragma once

#include <string>
#include <string_view>

#include "mock/completion.h"

namespace penstock::mock {

// The whole answer; `usage` false leaves the token counts out.
std::string render_plain(const Completion& completion, bool usage);

// The events of a streamed answer, one call per event.
class StreamRenderer {
 public:
  StreamRenderer(const Completion& completion, bool usage);
  // The next event with the empty line behind it, valid until the next call; empty after the last ("[DONE]").
  std::string_view next();
  // True when the event of the latest next() carries a token.
  bool token() const { return token_; }
  // Tokens in all choices.
  std::size_t tokens() const { return tokens_; }

 private:
  enum class Step { role, thought, content, call, finish, usage, done, over };
  void chat_delta(std::string_view delta, std::string_view finish, std::string_view logprobs = "null");
  void text_delta(std::string_view text, std::string_view finish);
  bool turn(const Text Choice::* text, Step then);
  void thought_event();
  void content_event();
  void call_event();
  void advance_choice(Step again, Step then);

  const Completion& completion_;
  bool usage_;
  std::string head_;
  std::string event_;
  std::string delta_;
  Step step_;
  std::size_t choice_ = 0;
  std::size_t piece_ = 0;
  std::size_t call_ = 0;
  std::size_t call_at_ = 0;
  bool call_named_ = false;
  bool token_ = false;
  std::size_t tokens_ = 0;
};

std::string error_body(std::string_view message, std::string_view type, std::string_view param, std::string_view code);

}  // namespace penstock::mock
