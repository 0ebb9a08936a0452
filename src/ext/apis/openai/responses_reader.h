// Requests of OpenAI's Responses API (https://platform.openai.com/docs/api-reference/responses) in no dialect.
#pragma once

#include <string_view>

#include "chat/request.h"

namespace penstock::ext {

// An earlier response and references to items must have been replaced by the items themselves: a reference that is left
// is a mistake. echo has the fields that a response repeats.
Result<chat::Request> read_responses_request(std::string_view body);

}  // namespace penstock::ext
