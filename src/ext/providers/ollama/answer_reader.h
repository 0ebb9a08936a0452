// Ollama's answers, whole and streamed, into the canonical model.
#pragma once

#include <string>
#include <string_view>

#include "chat/embeddings.h"
#include "chat/request.h"
#include "chat/stream.h"
#include "json/value.h"
#include "wire/lines.h"

namespace penstock::ext {

// The answer of /api/chat to a request without a stream. protocol_error: it is none, or it reports an error.
Result<chat::Answer> read_ollama_answer(const chat::Request& request, std::string_view body);

// protocol_error: it is no answer of /api/embed, or its vectors are not as many as the texts.
Result<chat::EmbeddingsAnswer> read_ollama_embeddings(const chat::EmbeddingsRequest& request, std::string_view body);

// The words of {"error": "words"} or {"error": {"message": "words"}}; empty when it says nothing.
std::string ollama_error_text(const json::Value& value);

class OllamaStreamReader : public chat::StreamReader {
 public:
  explicit OllamaStreamReader(const chat::Request& request) : request_(request) {}
  Result<void> feed(std::string_view bytes, chat::StreamSink& sink) override;
  Result<void> finish(chat::StreamSink& sink) override;

 private:
  Result<void> read_line(std::string_view line, chat::StreamSink& sink);

  const chat::Request& request_;
  wire::LineSplitter lines_;
  int calls_ = 0;
  bool begun_ = false;
  bool ended_ = false;  // by the last line, or by an error
};

}  // namespace penstock::ext
