#include "base/registry.h"
#include "ext/apis/ollama/ollama_api.h"
#include "ext/apis/ollama/ollama_dialect.h"

namespace penstock::ext {
namespace {

using flow::Call;
using http::Params;

void build(flow::ApiBuilder& builder) {
  const auto* lane = builder.services().find<llm::Lane>();
  if (lane == nullptr) return;
  auto api = std::make_shared<OllamaApi>(*lane);
  builder.dialect("ollama", std::make_unique<OllamaDialect>());
  auto route = [&](const std::string& method, const std::string& path, auto handler) {
    builder.route(method, path, "ollama", [api, handler](Call& call, Params) { return handler(*api, call); });
  };
  route("POST", "/api/chat", [](auto& self, Call& call) { return self.generate(call, OllamaForm::chat); });
  route("POST", "/api/generate", [](auto& self, Call& call) { return self.generate(call, OllamaForm::generate); });
  route("POST", "/api/embed", [](auto& self, Call& call) { return self.embed(call, false); });
  route("POST", "/api/embeddings", [](auto& self, Call& call) { return self.embed(call, true); });
  route("GET", "/api/tags", [](auto& self, Call& call) { return self.list_models(call); });
  route("POST", "/api/show", [](auto& self, Call& call) { return self.show_model(call); });
  route("GET", "/api/ps", [](auto& self, Call& call) { return self.list_running(call); });
  route("GET", "/api/version", [](auto& self, Call& call) { return self.version(call); });
  route("GET", "/", [](auto& self, Call& call) { return self.greet(call); });
  for (const char* path : {"/api/pull", "/api/push", "/api/create", "/api/copy", "/api/blobs/{digest}"})
    route("POST", path, [](auto& self, Call& call) { return self.refuse_management(call); });
  route("DELETE", "/api/delete", [](auto& self, Call& call) { return self.refuse_management(call); });
}

template <class Codec, class... Arguments>
auto codec(Arguments... arguments) {
  return [=] { return std::make_shared<const Codec>(arguments...); };
}

}  // namespace

void register_apis_ollama(base::Registry& registry) {
  registry.add("ollama", flow::ApiFactory{build});
  registry.add("ollama.chat", chat::ClientCodecFactory{codec<OllamaCodec>(OllamaForm::chat)});
  registry.add("ollama.completions", chat::ClientCodecFactory{codec<OllamaCodec>(OllamaForm::generate)});
  registry.add("ollama.embeddings", chat::EmbeddingsCodecFactory{codec<OllamaEmbeddingsCodec>(false)});
}

}  // namespace penstock::ext
