// The conversation as Gemini's contents.
#pragma once

#include "chat/field.h"
#include "chat/turns.h"
#include "ext/providers/gemini/gemini_model.h"

namespace penstock::ext {

struct Contents {
  json::Array contents;
  json::Object instruction;  // empty: none
};

// invalid_argument: arguments of a call that are no JSON object, a result of an unknown call, nothing to say.
Result<Contents> write_contents(const chat::Request& request, const GeminiModel& model, chat::Dropped& dropped);

}  // namespace penstock::ext
