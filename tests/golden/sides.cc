#include "sides.h"

#include <fmt/format.h>

namespace penstock::ext {
void register_all(base::Registry& registry);
}

namespace penstock::golden {
namespace {

struct Client {
  std::string_view name;
  std::string_view codec;
};

constexpr Client kClients[] = {{"openai_chat", "openai.chat"},
                               {"openai_completions", "openai.completions"},
                               {"openai_responses", "openai.responses"},
                               {"openai_count", "openai.count_tokens"},
                               {"openai_embeddings", "openai.embeddings"},
                               {"anthropic_messages", "anthropic.chat"},
                               {"anthropic_count", "anthropic.count_tokens"},
                               {"gemini_content", "gemini.chat"},
                               {"gemini_count", "gemini.count_tokens"},
                               {"gemini_embeddings", "gemini.embeddings"},
                               {"ollama_chat", "ollama.chat"},
                               {"ollama_generate", "ollama.completions"},
                               {"ollama_embeddings", "ollama.embeddings"}};

}  // namespace

const base::Registry& registry() {
  static const base::Registry all = [] {
    base::Registry filled;
    ext::register_all(filled);
    return filled;
  }();
  return all;
}

std::string_view codec_name(std::string_view client) {
  for (const Client& known : kClients) {
    if (known.name == client) return known.codec;
  }
  return {};
}

std::shared_ptr<const chat::ClientCodec> client_codec(std::string_view client) {
  const auto* factory = registry().find<chat::ClientCodecFactory>(codec_name(client));
  return factory == nullptr ? nullptr : factory->make();
}

std::shared_ptr<const chat::EmbeddingsCodec> embeddings_codec(std::string_view client) {
  const auto* factory = registry().find<chat::EmbeddingsCodecFactory>(codec_name(client));
  return factory == nullptr ? nullptr : factory->make();
}

Result<std::shared_ptr<const llm::Provider>> make_provider(std::string_view type) {
  const auto* factory = registry().find<llm::ProviderFactory>(type);
  if (factory == nullptr) return fail(Errc::not_found, fmt::format("no provider type '{}' in this build", type));
  auto document = config::Document::parse(
      fmt::format("type: {}\nbase_url: http://127.0.0.1:9\napi_key: key-of-the-lab\n", type), "lab.yaml");
  if (!document) return std::unexpected(document.error());
  config::Map map = document->root().map();
  auto provider = factory->make("lab", map);
  if (provider == nullptr || document->failed()) return fail(Errc::invalid_argument, document->report());
  return provider;
}

}  // namespace penstock::golden
