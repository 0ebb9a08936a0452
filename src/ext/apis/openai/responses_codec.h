// The Responses API of OpenAI's clients: POST /v1/responses, and POST /v1/responses/input_tokens.
#pragma once

#include "chat/codec.h"

namespace penstock::ext {

class ResponsesCodec : public chat::ClientCodec {
 public:
  // `operation` is responses or count_tokens.
  explicit ResponsesCodec(chat::Operation operation) : operation_(operation) {}

  chat::Family family() const override { return chat::Family::openai; }
  chat::Operation operation() const override { return operation_; }
  Result<chat::Request> read_request(std::string_view body) const override;
  std::string write_answer(const chat::Request& request, const chat::Answer& answer) const override;
  // What has an address is shown as text.
  bool shows_media(const chat::Media& media) const override {
    return !media.url.empty() || (media.kind == chat::Media::Kind::image && !media.data.empty());
  }
  std::unique_ptr<chat::StreamWriter> stream_writer(const chat::Request& request) const override;
  std::string write_count(std::int64_t tokens) const override;
  std::string_view field_name(chat::Field field) const override;
  std::string write_error(const chat::ProviderError& error) const override;

 private:
  chat::Operation operation_;
};

}  // namespace penstock::ext
