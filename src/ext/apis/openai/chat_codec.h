// How clients of OpenAI's chat API speak, for providers of other dialects.
#pragma once

#include "chat/codec.h"

namespace penstock::ext {

class OpenAiChatCodec : public chat::ClientCodec {
 public:
  chat::Family family() const override { return chat::Family::openai; }
  chat::Operation operation() const override { return chat::Operation::chat; }
  Result<chat::Request> read_request(std::string_view body) const override;
  std::string write_answer(const chat::Request& request, const chat::Answer& answer) const override;
  bool shows_media(const chat::Media& media) const override {
    return media.kind == chat::Media::Kind::image || media.kind == chat::Media::Kind::audio;
  }
  bool shows_citation(const chat::Citation& citation) const override { return !citation.url.empty(); }
  std::unique_ptr<chat::StreamWriter> stream_writer(const chat::Request& request) const override;
  std::string_view field_name(chat::Field field) const override;
  std::string write_error(const chat::ProviderError& error) const override;
};

}  // namespace penstock::ext
