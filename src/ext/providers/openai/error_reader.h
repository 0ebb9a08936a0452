// Errors of servers that speak OpenAI's dialect, which agree on little but that they are JSON.
#pragma once

#include "chat/answer.h"
#include "json/value.h"

namespace penstock::ext {

// OpenAI's {"error": {...}}, and {"error": "text"}, {"detail": ...}, {"message": ...}, plain text. An empty message for
// anything else, such as a page of HTML.
chat::ProviderError read_openai_error(int status, std::string_view body);
// The same of a document: of an event of a stream.
chat::ProviderError openai_error_in(int status, const json::Value& document);
// {"error": ...} in whatever company, or {"object": "error", ...}.
bool is_openai_error(const json::Value& document);

}  // namespace penstock::ext
