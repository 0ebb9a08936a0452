// A request in no dialect, said in Ollama's: POST /api/chat and /api/embed.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/embeddings.h"
#include "chat/field.h"
#include "chat/request.h"

namespace penstock::ext {

// What the configuration wants said in every translated request.
struct OllamaDefaults {
  std::string_view keep_alive;  // empty: not said
  std::int64_t num_ctx = 0;     // 0: not said
};

// Appends the body to `out`. invalid_argument: the request has no message, or a tool call or choice that makes no
// sense.
Result<void> write_ollama_chat(const chat::Request& request, std::string_view model, const OllamaDefaults& defaults,
                               std::string& out, chat::Dropped& dropped);
// invalid_argument for token numbers, which Ollama does not take.
Result<void> write_ollama_embed(const chat::EmbeddingsRequest& request, std::string_view model,
                                std::string_view keep_alive, std::string& out, chat::Dropped& dropped);

}  // namespace penstock::ext
