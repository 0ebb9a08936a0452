// The Gemini API (v1beta): POST /v1beta/models/{model}:{method}, GET /v1beta/models and /v1beta/models/{model}.
#pragma once

#include "ext/apis/gemini/gemini_codec.h"
#include "flow/dialect.h"
#include "llm/lane.h"

namespace penstock::ext {

// What a call asks for, as the end of its path says.
struct GeminiMethod {
  std::string model;  // without "models/"
  llm::Operation operation = llm::Operation::chat;
  bool stream = false;
  bool batch = false;  // of embeddings
};

// "lab/small:generateContent", percent-encoding undone. not_found: no such method.
Result<GeminiMethod> read_method(std::string_view path);

class GeminiApi {
 public:
  explicit GeminiApi(const llm::Lane& lane) : lane_(lane) {}
  rt::Task<void> serve(flow::Call& call, std::string path) const;
  rt::Task<void> list_models(flow::Call& call) const;
  rt::Task<void> show_model(flow::Call& call, std::string path) const;

 private:
  const llm::Lane& lane_;
  std::shared_ptr<const chat::ClientCodec> events_ = gemini_chat_codec(llm::Framing::events);
  std::shared_ptr<const chat::ClientCodec> array_ = gemini_chat_codec(llm::Framing::array);
  std::shared_ptr<const chat::ClientCodec> count_ = gemini_count_codec();
  std::shared_ptr<const chat::EmbeddingsCodec> embeddings_ = gemini_embeddings_codec();
};

}  // namespace penstock::ext
