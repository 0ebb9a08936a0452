// How clients of OpenAI's completions API speak (a prompt in, text out), for providers that have only chats.
#pragma once

#include "chat/codec.h"

namespace penstock::ext {

class OpenAiCompletionsCodec : public chat::ClientCodec {
 public:
  chat::Family family() const override { return chat::Family::openai; }
  chat::Operation operation() const override { return chat::Operation::completions; }
  Result<chat::Request> read_request(std::string_view body) const override;
  std::string write_answer(const chat::Request& request, const chat::Answer& answer) const override;
  bool shows_media(const chat::Media&) const override { return false; }
  bool shows_citation(const chat::Citation&) const override { return false; }
  std::unique_ptr<chat::StreamWriter> stream_writer(const chat::Request& request) const override;
  std::string_view field_name(chat::Field field) const override;
  std::string write_error(const chat::ProviderError& error) const override;
};

}  // namespace penstock::ext
