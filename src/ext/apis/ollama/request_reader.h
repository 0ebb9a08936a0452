// Bodies of Ollama's /api/chat and /api/generate into the canonical model.
#pragma once

#include <string_view>

#include "base/result.h"
#include "chat/request.h"

namespace penstock::ext {

// invalid_argument with the path of the field. Templates, context and the options of loading a model are unread: no
// other provider has them.
Result<chat::Request> read_ollama_chat(std::string_view body);
// A prompt becomes a message. invalid_argument also for a suffix: only a model that fills in the middle makes sense of
// it.
Result<chat::Request> read_ollama_generate(std::string_view body);

}  // namespace penstock::ext
