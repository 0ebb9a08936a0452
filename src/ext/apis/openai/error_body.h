// Errors as OpenAI's API writes them: {"error":{"message","type","param","code"}}, all four keys always there.
#pragma once

#include <string>

#include "chat/answer.h"

namespace penstock::ext {

// An empty type is that of the status; an empty param or code is null.
std::string openai_error_body(const chat::ProviderError& error);

}  // namespace penstock::ext
