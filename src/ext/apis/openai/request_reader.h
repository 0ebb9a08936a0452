// Requests of OpenAI's chat and completions APIs, read into the canonical model.
#pragma once

#include "chat/request.h"

namespace penstock::ext {

// POST /v1/chat/completions. Also takes what other servers of this dialect have: top_k, min_p, repetition_penalty.
Result<chat::Request> read_openai_chat(std::string_view body);
// POST /v1/completions with one prompt of text, which becomes the only message.
Result<chat::Request> read_openai_completion(std::string_view body);

}  // namespace penstock::ext
