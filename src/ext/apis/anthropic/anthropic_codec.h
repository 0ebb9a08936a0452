// How clients of Anthropic's Messages API speak: messages, and messages/count_tokens.
#pragma once

#include "chat/codec.h"

namespace penstock::ext::anthropic {

class AnthropicCodec : public chat::ClientCodec {
 public:
  // `operation`: chat or count_tokens.
  explicit AnthropicCodec(chat::Operation operation) : operation_(operation) {}

  chat::Family family() const override { return chat::Family::anthropic; }
  chat::Operation operation() const override { return operation_; }
  Result<chat::Request> read_request(std::string_view body) const override;
  std::string write_answer(const chat::Request& request, const chat::Answer& answer) const override;
  // Answers hold text, thoughts and calls.
  bool shows_media(const chat::Media&) const override { return false; }
  bool shows_citation(const chat::Citation& citation) const override { return !citation.url.empty(); }
  std::unique_ptr<chat::StreamWriter> stream_writer(const chat::Request& request) const override;
  std::string write_count(std::int64_t tokens) const override;
  std::string_view field_name(chat::Field field) const override;
  std::string write_error(const chat::ProviderError& error) const override;

 private:
  chat::Operation operation_;
};

}  // namespace penstock::ext::anthropic
