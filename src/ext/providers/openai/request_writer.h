// A chat request as the body of OpenAI's chat completions.
#pragma once

#include "chat/field.h"
#include "chat/request.h"

namespace penstock::ext {

// Appends the body to `out`. With `compatible` it is for other servers of this dialect: max_tokens and the role system
// in place of max_completion_tokens and developer, which not all of them know, and top_k, min_p and
// repetition_penalty, which OpenAI refuses. Errors: invalid_argument for what cannot be said at all.
Result<void> write_openai_chat_request(const chat::Request& request, std::string_view model, bool compatible,
                                       chat::Dropped& dropped, std::string& out);

}  // namespace penstock::ext
