// The language model lane asks local models for vectors.
#pragma once

#include <vector>

#include "infer/embedder.h"
#include "llm/local_embeddings.h"

namespace penstock::app {

class LocalEmbeddings : public llm::LocalEmbeddings {
 public:
  // Both outlive this.
  LocalEmbeddings(infer::Repository& repository, infer::Engine& engine) : embedder_(repository, engine) {}
  rt::Task<Result<chat::EmbeddingsAnswer>> embed(rt::Loop& loop, const std::string& model,
                                                 const chat::EmbeddingsRequest& request, base::SteadyTime deadline,
                                                 std::stop_token stop) override;

  // Reads the tokenizers of those that have `embed:`, and logs which of them cannot embed and why. After the repository
  // took these models. Blocks.
  void prepare(const std::vector<infer::ModelConfig>& models);

 private:
  infer::Embedder embedder_;
};

}  // namespace penstock::app
