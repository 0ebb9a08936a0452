// Answers of OpenAI's chat completions, and the pieces that whole answers and streams have in common. What is not known
// is passed over; what servers of this dialect are known to do differently is taken, too.
#pragma once

#include <functional>

#include "chat/answer.h"
#include "json/value.h"

namespace penstock::ext {

// A whole answer. An error means it is not what the protocol promises.
Result<chat::Answer> read_openai_chat_answer(std::string_view body);

// `document` is the object that has `usage`; not known when it has none.
chat::Usage read_openai_usage(const json::Value& document);
// Text of `content`: a string, or a list of parts.
std::string read_openai_text(const json::Value& message);
// `reasoning_content`, or `reasoning` as others call it.
std::string_view read_openai_thoughts(const json::Value& message);
// Each citation of `annotations` that has a URL.
void read_openai_citations(const json::Value& message, const std::function<void(const chat::Citation&)>& take);
// Each of `images`, as gateways of this dialect have them.
void read_openai_images(const json::Value& message, const std::function<void(chat::Media)>& take);
// The seal of a call, as Google's API of this dialect has it.
chat::Signature read_openai_signature(const json::Value& call);
// Arguments as their text; servers also send them as an object. Empty when there are none.
std::string read_openai_arguments(const json::Value& function);

}  // namespace penstock::ext
