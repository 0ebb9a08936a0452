#include "base/registry.h"
#include "ext/apis/gemini/gemini_api.h"
#include "ext/apis/gemini/gemini_dialect.h"

namespace penstock::ext {
namespace {

void build(flow::ApiBuilder& builder) {
  const auto* lane = builder.services().find<llm::Lane>();
  if (lane == nullptr) return;
  auto api = std::make_shared<GeminiApi>(*lane);
  builder.dialect("gemini", std::make_unique<GeminiDialect>());
  // GET /v1/models is OpenAI's.
  for (const char* path : {"/v1beta/models/{model...}", "/v1/models/{model...}"}) {
    builder.route("POST", path, "gemini", [api](flow::Call& call, http::Params params) {
      return api->serve(call, std::string(http::param(params, "model")));
    });
  }
  builder.route("GET", "/v1beta/models", "gemini",
                [api](flow::Call& call, http::Params) { return api->list_models(call); });
  builder.route("GET", "/v1beta/models/{model...}", "gemini", [api](flow::Call& call, http::Params params) {
    return api->show_model(call, std::string(http::param(params, "model")));
  });
}

}  // namespace

void register_apis_gemini(base::Registry& registry) {
  registry.add("gemini", flow::ApiFactory{build});
  registry.add("gemini.chat", chat::ClientCodecFactory{[] { return gemini_chat_codec(llm::Framing::events); }});
  registry.add("gemini.count_tokens", chat::ClientCodecFactory{[] { return gemini_count_codec(); }});
  registry.add("gemini.embeddings", chat::EmbeddingsCodecFactory{[] { return gemini_embeddings_codec(); }});
}

}  // namespace penstock::ext
