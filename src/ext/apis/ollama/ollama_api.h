// POST /api/chat, /api/generate, /api/embed, /api/embeddings, /api/show and GET /api/tags, /api/ps, /api/version, as
// Ollama has them. https://docs.ollama.com/api
#pragma once

#include "ext/apis/ollama/ollama_codecs.h"
#include "flow/dialect.h"
#include "llm/lane.h"

namespace penstock::ext {

class OllamaApi {
 public:
  explicit OllamaApi(const llm::Lane& lane) : lane_(lane) {}
  rt::Task<void> generate(flow::Call& call, OllamaForm form) const;
  // `old`: /api/embeddings.
  rt::Task<void> embed(flow::Call& call, bool old) const;
  rt::Task<void> list_models(flow::Call& call) const;
  rt::Task<void> show_model(flow::Call& call) const;
  // Which models are in memory is not known here.
  rt::Task<void> list_running(flow::Call& call) const;
  static rt::Task<void> version(flow::Call& call);
  // GET /, by which clients tell that somebody is there.
  static rt::Task<void> greet(flow::Call& call);
  // What changes the models of a server.
  static rt::Task<void> refuse_management(flow::Call& call);

 private:
  // A request without messages or prompt loads the model, or frees its memory.
  rt::Task<void> load(flow::Call& call, OllamaForm form, llm::Request request, bool unload) const;

  const llm::Lane& lane_;
  OllamaCodec chat_{OllamaForm::chat};
  OllamaCodec generate_{OllamaForm::generate};
  OllamaEmbeddingsCodec embed_{false};
  OllamaEmbeddingsCodec embeddings_{true};
};

}  // namespace penstock::ext
