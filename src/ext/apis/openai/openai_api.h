// POST /v1/chat/completions, /v1/completions, /v1/embeddings and GET /v1/models.
#pragma once

#include "ext/apis/openai/chat_codec.h"
#include "ext/apis/openai/completions_codec.h"
#include "ext/apis/openai/embeddings_codec.h"
#include "flow/dialect.h"
#include "llm/lane.h"

namespace penstock::ext {

class OpenAiApi {
 public:
  explicit OpenAiApi(const llm::Lane& lane) : lane_(lane) {}
  rt::Task<void> generate(flow::Call& call, llm::Operation operation) const;
  rt::Task<void> list_models(flow::Call& call) const;
  rt::Task<void> show_model(flow::Call& call, std::string id) const;

 private:
  const llm::Lane& lane_;
  OpenAiChatCodec chat_;
  OpenAiCompletionsCodec completions_;
  OpenAiEmbeddingsCodec embeddings_;
};

}  // namespace penstock::ext
