#include "base/registry.h"
#include "ext/apis/gemini/gemini_codec.h"

namespace penstock::ext {

void register_apis_gemini(base::Registry& registry) {
  registry.add("gemini.chat", chat::ClientCodecFactory{[] { return gemini_chat_codec(llm::Framing::events); }});
  registry.add("gemini.count_tokens", chat::ClientCodecFactory{[] { return gemini_count_codec(); }});
  registry.add("gemini.embeddings", chat::EmbeddingsCodecFactory{[] { return gemini_embeddings_codec(); }});
}

}  // namespace penstock::ext
