// The two halves of a translation, as the program finds them: in the registry that all extensions filled.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/registry.h"
#include "llm/provider.h"

namespace penstock::golden {

// With every extension in it.
const base::Registry& registry();

// "openai_chat" is "openai.chat", "ollama_generate" is "ollama.completions"; empty when there is no such client.
std::string_view codec_name(std::string_view client);

// Null when this build has none. `client` as in codec_name().
std::shared_ptr<const chat::ClientCodec> client_codec(std::string_view client);
std::shared_ptr<const chat::EmbeddingsCodec> embeddings_codec(std::string_view client);

// A provider of this type named "lab", with a key and an address where nobody answers. The error says why there is
// none.
Result<std::shared_ptr<const llm::Provider>> make_provider(std::string_view type);

}  // namespace penstock::golden
