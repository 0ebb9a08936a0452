// How clients of the Gemini API (v1beta) speak.
#pragma once

#include "chat/codec.h"
#include "llm/provider.h"

namespace penstock::ext {

// generateContent and streamGenerateContent; its streams are framed so.
std::shared_ptr<const chat::ClientCodec> gemini_chat_codec(llm::Framing framing);
// countTokens.
std::shared_ptr<const chat::ClientCodec> gemini_count_codec();
// embedContent and batchEmbedContents, which differ by whether the body holds `requests`.
std::shared_ptr<const chat::EmbeddingsCodec> gemini_embeddings_codec();

// The name of a field in this API.
std::string_view gemini_field_name(chat::Field field);

}  // namespace penstock::ext
