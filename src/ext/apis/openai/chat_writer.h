// A whole answer as OpenAI's chat API writes it: one chat.completion object.
#pragma once

#include "chat/answer.h"
#include "chat/request.h"

namespace penstock::ext {

std::string write_openai_chat(const chat::Request& request, const chat::Answer& answer);

}  // namespace penstock::ext
