// POST /v2/models/{m}/generate and /generate_stream: a text in, a text out, as the Open Inference Protocol's
// generate_rest.yaml and Triton's generate extension have it.
//   {"text_input": "...", "parameters": {"temperature": 0.5, "max_tokens": 64, "stop": ["\n"], "details": true}}
#pragma once

#include "chat/codec.h"

namespace penstock::ext {

// Language models have one version here.
constexpr std::string_view kGenerateVersion = "1";

class GenerateCodec : public chat::ClientCodec {
 public:
  // Of no family of providers, so that every target is translated to. Ollama's errors have the shape of OIP's, and none
  // of its providers speaks Responses.
  chat::Family family() const override { return chat::Family::ollama; }
  chat::Operation operation() const override { return chat::Operation::responses; }
  Result<chat::Request> read_request(std::string_view body) const override;
  std::string write_answer(const chat::Request& request, const chat::Answer& answer) const override;
  std::unique_ptr<chat::StreamWriter> stream_writer(const chat::Request& request) const override;
  bool shows_media(const chat::Media&) const override { return false; }
  bool shows_citation(const chat::Citation&) const override { return false; }
  std::string_view field_name(chat::Field field) const override;
  // {"error": "..."}
  std::string write_error(const chat::ProviderError& error) const override;
};

}  // namespace penstock::ext
