// The messages of a request in no dialect, as Ollama's /api/chat takes them.
#pragma once

#include <string>

#include "base/result.h"
#include "chat/field.h"
#include "chat/request.h"

namespace penstock::ext {

// Appends them to `out`, set off by commas. invalid_argument: there are none, or a call's arguments are no JSON object.
Result<void> write_ollama_messages(const chat::Request& request, std::string& out, chat::Dropped& dropped);

}  // namespace penstock::ext
