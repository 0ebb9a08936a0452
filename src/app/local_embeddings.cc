#include "app/local_embeddings.h"

#include "obs/log.h"

namespace penstock::app {

rt::Task<Result<chat::EmbeddingsAnswer>> LocalEmbeddings::embed(rt::Loop& loop, const std::string& model,
                                                                const chat::EmbeddingsRequest& request,
                                                                base::SteadyTime deadline, std::stop_token stop) {
  infer::EmbedRequest wanted;
  wanted.model = model;
  wanted.texts = request.texts;
  wanted.tokens = request.tokens;
  // More than any vector has is refused with what it has.
  constexpr std::int64_t kDimensionsMax = 1'000'000;
  if (request.dimensions)
    wanted.dimensions = static_cast<std::size_t>(std::clamp<std::int64_t>(*request.dimensions, 1, kDimensionsMax));
  wanted.stop = std::move(stop);
  auto embedding = embedder_.embed(loop, std::move(wanted), deadline);
  auto embedded = co_await embedding;
  if (!embedded) co_return std::unexpected(std::move(embedded.error()));
  chat::EmbeddingsAnswer answer;
  answer.vectors = std::move(embedded->vectors);
  answer.usage.known = true;
  answer.usage.input = embedded->tokens;
  co_return answer;
}

void LocalEmbeddings::prepare(const std::vector<infer::ModelConfig>& models) {
  for (const infer::ModelConfig& model : models) {
    if (!model.embed) continue;
    // What is not loaded is told elsewhere.
    auto checked = embedder_.check(model.name);
    if (checked || checked.error().code == Errc::unavailable || checked.error().code == Errc::not_found) continue;
    obs::log(obs::Level::error, "a model cannot embed", {{"model", model.name}, {"why", checked.error().detail}});
  }
}

}  // namespace penstock::app
