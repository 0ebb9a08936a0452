// Embeddings of other dialects' clients, said to and heard from servers of OpenAI's.
#pragma once

#include "chat/embeddings.h"

namespace penstock::ext {

void write_openai_embeddings_request(const chat::EmbeddingsRequest& request, std::string_view model, std::string& out);

// As many vectors as the request has inputs, in their order. Vectors are lists of numbers or little-endian floats in
// base64.
Result<chat::EmbeddingsAnswer> read_openai_embeddings(const chat::EmbeddingsRequest& request, std::string_view body);

}  // namespace penstock::ext
