// How Ollama's clients speak: /api/chat, /api/generate, /api/embed and what came before the latter.
#pragma once

#include "chat/codec.h"
#include "ext/apis/ollama/answer_writer.h"

namespace penstock::ext {

class OllamaCodec : public chat::ClientCodec {
 public:
  explicit OllamaCodec(OllamaForm form) : form_(form) {}
  chat::Family family() const override { return chat::Family::ollama; }
  chat::Operation operation() const override {
    return form_ == OllamaForm::chat ? chat::Operation::chat : chat::Operation::completions;
  }
  Result<chat::Request> read_request(std::string_view body) const override;
  std::string write_answer(const chat::Request& request, const chat::Answer& answer) const override {
    return write_ollama_answer(form_, request, answer);
  }
  bool shows_media(const chat::Media& media) const override { return !media.data.empty(); }
  bool shows_citation(const chat::Citation&) const override { return false; }
  std::unique_ptr<chat::StreamWriter> stream_writer(const chat::Request& request) const override {
    return make_ollama_stream_writer(form_, request);
  }
  std::string_view field_name(chat::Field field) const override;
  std::string write_error(const chat::ProviderError& error) const override { return write_ollama_error(error.message); }

 private:
  OllamaForm form_;
};

class OllamaEmbeddingsCodec : public chat::EmbeddingsCodec {
 public:
  // `old`: /api/embeddings, with one prompt and one vector.
  explicit OllamaEmbeddingsCodec(bool old) : old_(old) {}
  chat::Family family() const override { return chat::Family::ollama; }
  Result<chat::EmbeddingsRequest> read_request(std::string_view body) const override;
  std::string write_answer(const chat::EmbeddingsRequest& request, const chat::EmbeddingsAnswer& answer) const override;
  std::string_view field_name(chat::Field field) const override;
  std::string write_error(const chat::ProviderError& error) const override { return write_ollama_error(error.message); }

 private:
  bool old_;
};

}  // namespace penstock::ext
