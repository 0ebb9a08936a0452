// How OpenAI's models are told of functions: as the types of a TypeScript namespace. Not documented by OpenAI; found by
// many from what the API counts, and exact for what its reference manual shows (test/openai_chat_test.cc).
#pragma once

#include <string>
#include <vector>

#include "chat/request.h"

namespace penstock::token {

std::string write_function_text(const std::vector<chat::Tool>& tools);

}  // namespace penstock::token
