// Messages and settings of OpenAI's dialect as far as they count as tokens; no errors, what is no use is left out.
#pragma once

#include "chat/request.h"

namespace penstock::token {

// Content of unknown kinds becomes its JSON text, which counts for what it is worth; `*known`, if there is one, becomes
// false then, and is left alone otherwise.
chat::Message read_openai_message(const json::Value& value, bool* known = nullptr);
// tools, functions, tool_choice, function_call and response_format of an object that has these.
void read_openai_settings(const json::Value& body, chat::Request& request, bool* known = nullptr);

}  // namespace penstock::token
