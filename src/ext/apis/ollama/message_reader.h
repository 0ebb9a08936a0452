// Ollama's messages and tools into the canonical model.
#pragma once

#include "chat/request.h"
#include "ext/apis/ollama/object_reader.h"

namespace penstock::ext {

// The member `messages`; calls and results are tied together.
void read_ollama_messages(ObjectReader& body, std::vector<chat::Message>& messages);
// The member `images`: base64 without a header.
void read_ollama_images(ObjectReader& in, std::vector<chat::Media>& images);
// The member `tools`.
void read_ollama_tools(ObjectReader& body, std::vector<chat::Tool>& tools);

}  // namespace penstock::ext
