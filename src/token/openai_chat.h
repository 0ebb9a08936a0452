// The input of a chat request in tokens, straight from the bytes a client sent in OpenAI's dialect (the body of
// POST /v1/chat/completions): for calls that are forwarded as they are and never read into a chat::Request.
#pragma once

#include "base/result.h"
#include "token/tally.h"

namespace penstock::token {

// What count() finds in the same request. Plain messages are read without a document; what has more to it (functions,
// calls, media, results) takes one of that part alone. The error is invalid_argument: the body is not JSON, or has no
// list of messages. What a provider would refuse in a message is not looked for; it counts as nothing.
// `*known`, if there is one, becomes false when there is content of unknown kinds, which counts as its JSON text.
Result<std::int64_t> count_openai_chat(std::string_view body, const Encoding& encoding, std::string_view model,
                                       bool* known = nullptr);

// The same without an encoding: for Calibration.
Result<InputSize> measure_openai_chat(std::string_view body, std::string_view model);

}  // namespace penstock::token
