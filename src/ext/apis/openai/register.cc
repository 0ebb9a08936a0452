#include "base/registry.h"
#include "ext/apis/openai/chat_codec.h"
#include "ext/apis/openai/completions_codec.h"
#include "ext/apis/openai/embeddings_codec.h"
#include "ext/apis/openai/openai_api.h"
#include "ext/apis/openai/openai_dialect.h"
#include "ext/apis/openai/pass_through_api.h"
#include "ext/apis/openai/realtime_api.h"
#include "ext/apis/openai/responses_api.h"
#include "ext/apis/openai/responses_codec.h"

namespace penstock::ext {
namespace {

void build(flow::ApiBuilder& builder) {
  const auto* lane = builder.services().find<llm::Lane>();
  if (lane == nullptr) return;
  auto api = std::make_shared<OpenAiApi>(*lane);
  builder.dialect("openai", std::make_unique<OpenAiDialect>());
  auto post = [&](const std::string& path, llm::Operation operation) {
    builder.route("POST", path, "openai",
                  [api, operation](flow::Call& call, http::Params) { return api->generate(call, operation); });
  };
  post("/v1/chat/completions", llm::Operation::chat);
  post("/v1/completions", llm::Operation::completions);
  post("/v1/embeddings", llm::Operation::embeddings);
  builder.route("GET", "/v1/models", "openai",
                [api](flow::Call& call, http::Params) { return api->list_models(call); });
  builder.route("GET", "/v1/models/{id...}", "openai", [api](flow::Call& call, http::Params params) {
    return api->show_model(call, std::string(http::param(params, "id")));
  });
  auto relay = std::make_shared<const llm::Relay>(*lane, llm::Family::openai);
  add_pass_through(builder, relay);
  add_responses(builder, *lane, relay);
  auto realtime = std::make_shared<RealtimeApi>(*lane, relay);
  builder.route("GET", "/v1/realtime", "openai",
                [realtime](flow::Call& call, http::Params) { return realtime->serve(call); });
}

}  // namespace

void register_apis_openai(base::Registry& registry) {
  registry.add("openai", flow::ApiFactory{build});
  registry.add("openai.chat", chat::ClientCodecFactory{[] { return std::make_shared<const OpenAiChatCodec>(); }});
  registry.add("openai.completions",
               chat::ClientCodecFactory{[] { return std::make_shared<const OpenAiCompletionsCodec>(); }});
  registry.add("openai.embeddings",
               chat::EmbeddingsCodecFactory{[] { return std::make_shared<const OpenAiEmbeddingsCodec>(); }});
  registry.add("openai.responses", chat::ClientCodecFactory{[] {
                 return std::make_shared<const ResponsesCodec>(chat::Operation::responses);
               }});
  registry.add("openai.count_tokens", chat::ClientCodecFactory{[] {
                 return std::make_shared<const ResponsesCodec>(chat::Operation::count_tokens);
               }});
}

}  // namespace penstock::ext
